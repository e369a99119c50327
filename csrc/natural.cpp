#include "natural.hpp"

#include <algorithm>
#include <cstring>

#include "thread_pool.hpp"

namespace ohlora {
namespace {

constexpr int kBandRows = 16;
// Smaller photos stay on one thread: waking another takes longer.
constexpr long long kPixelsForThreads = 16 * 1024;

}  // namespace

void dye_naturally(const NaturalPhoto& photo, std::uint8_t* out, int threads, const NaturalRows& rows) {
    const int height = photo.height, width = photo.width;
    const std::size_t row_bytes = static_cast<std::size_t>(width) * photo.channels;
    const int bands = (height + kBandRows - 1) / kBandRows;
    if (static_cast<long long>(height) * width < kPixelsForThreads) threads = 1;
    parallel_for(bands, threads, [&](int, int band) {
        for (int y = band * kBandRows; y < std::min(height, (band + 1) * kBandRows); ++y) {
            const std::size_t first = static_cast<std::size_t>(y) * width;
            const std::uint8_t* from = photo.data + y * photo.row_stride;
            std::uint8_t* to = out + y * row_bytes;
            const float* dye = photo.index ? photo.dyes : photo.dyes + static_cast<std::size_t>(y) * kDyeColumns;
            if (!photo.index && dye[0] == 0.0f) {
                std::memcpy(to, from, row_bytes);
                continue;
            }
            const std::uint16_t* index = photo.index ? photo.index + first : nullptr;
            rows.dye({photo.decode, photo.prob + first, dye, index, width, photo.channels, from, to});
        }
    });
}

}  // namespace ohlora
