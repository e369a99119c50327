#include "planes.hpp"

#include <algorithm>
#include <vector>

#include "thread_pool.hpp"

namespace ohlora {
namespace {

// Rows of chroma that a thread takes at once.
constexpr int kBand = 16;

void* row_of(const Plane& plane, int y, int bytes) {
    return static_cast<std::uint8_t*>(plane.data) + y * plane.stride * bytes;
}

}  // namespace

void dye_planes(const Planes& planes, const float* prob, const float* weight, const YuvDye& dye, int threads,
                const PlanesRows& rows) {
    const int width = planes.width, down = planes.down;
    const int groups = (planes.height + down - 1) / down, bands = (groups + kBand - 1) / kBand;
    std::vector<std::vector<float>> scratch(static_cast<std::size_t>(threads));
    parallel_for(bands, threads, [&](int slot, int band) {
        std::vector<float>& own = scratch[static_cast<std::size_t>(slot)];
        own.resize(static_cast<std::size_t>(4) * width);
        for (int group = band * kBand; group < std::min((band + 1) * kBand, groups); ++group) {
            const int y = group * down;
            const YuvRows one{row_of(planes.y, y, planes.bytes),
                              planes.y.stride,
                              row_of(planes.u, group, planes.bytes),
                              row_of(planes.v, group, planes.bytes),
                              prob + static_cast<std::size_t>(y) * width,
                              weight + y,
                              std::min(down, planes.height - y),
                              width,
                              planes.across,
                              own.data()};
            (planes.bytes == 1 ? rows.dye8 : rows.dye16)(one, dye);
        }
    });
}

}  // namespace ohlora
