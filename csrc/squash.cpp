// The squash in one sweep over the source rows: blocks of them are squeezed to the output's width, and only as many
// squeezed rows are kept as an output row needs.
//
// Pillow's way, which decides every last bit: along the rows first, to uint8, then down the columns. (Pillow from 13
// on takes them the other way round where the height shrinks much more than the width; this here never does.) An
// output's weights are those of a triangle around its centre, as wide on either side as a source pixel or, where that
// is more, an output pixel; divided by their sum in float64 and rounded to multiples of 2^-22, halves away from zero.
// Pillow skips a pass that keeps the size; here its weights come out as 1, which leaves the bytes as they are.
#include "squash.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "thread_pool.hpp"

namespace ohlora {
namespace {

// Smaller batches stay on one thread: the work, some 0.15 ms at most, is not worth waking another.
constexpr long long kPixelsForThreads = 256 * 1024;

// Output rows of a band: with fewer, more than an eighth of the source rows would be squeezed twice.
constexpr int kLeastBand = 16;

// The taps of an axis, with the memory behind them.
class Axis {
public:
    Axis(int source_size, int size) : first_(size), count_(size) {
        const double scale = static_cast<double>(source_size) / size;
        const double reach = std::max(scale, 1.0), inverse = 1.0 / reach;
        taps_.size = size;
        taps_.stride = 2 * static_cast<int>(std::ceil(reach)) + 1;
        weight_.resize(static_cast<std::size_t>(taps_.stride) * size);
        std::vector<double> triangle(taps_.stride);
        for (int x = 0; x < size; ++x) {
            const double centre = (x + 0.5) * scale;
            const int begin = std::max(0, static_cast<int>(centre - reach + 0.5));
            const int end = std::min(source_size, static_cast<int>(centre + reach + 0.5));
            double total = 0.0;
            for (int i = begin; i < end; ++i) {
                triangle[i - begin] = std::max(0.0, 1.0 - std::abs((i - centre + 0.5) * inverse));
                total += triangle[i - begin];
            }
            std::int32_t* weight = weight_.data() + static_cast<std::size_t>(taps_.stride) * x;
            for (int k = 0; k < end - begin; ++k)
                weight[k] = static_cast<std::int32_t>(0.5 + triangle[k] / total * (1 << 22));
            first_[x] = begin;
            count_[x] = end - begin;
        }
        taps_.first = first_.data();
        taps_.count = count_.data();
        taps_.weight = weight_.data();
    }
    Axis(const Axis&) = delete;
    Axis& operator=(const Axis&) = delete;

    const SquashTaps& taps() const { return taps_; }

private:
    SquashTaps taps_;
    std::vector<std::int32_t> first_, count_, weight_;
};

int rounded_up(int bytes) { return (bytes + kLanes - 1) / kLanes * kLanes; }

// Output rows [begin, end) of one photo. Squeezed rows lie in a ring that is long enough for the taps of an output row
// and a block more.
void squash_band(const Photos& photos, int sample, const Axis& vertical, const Axis& horizontal, int begin, int end,
                 std::uint8_t* out, const SquashRows& rows) {
    const SquashTaps &down = vertical.taps(), &across = horizontal.taps();
    const std::size_t row_bytes = static_cast<std::size_t>(3) * across.size;
    const int pitch = rounded_up(3 * across.size), source_pitch = rounded_up(photos.pixel * photos.width);
    const int places = rounded_up(down.stride) + kLanes, start = down.first[begin];
    std::vector<std::uint8_t> ring(static_cast<std::size_t>(places) * pitch), summed(pitch);
    std::vector<std::uint8_t> scratch(static_cast<std::size_t>(kLanes) * (source_pitch + pitch));
    std::vector<const std::uint8_t*> taken(down.stride);
    const auto place = [&](int row) { return ring.data() + static_cast<std::size_t>((row - start) % places) * pitch; };

    SquashBlock block;
    block.width = photos.width;
    block.pixel = photos.pixel;
    int have = start;  // rows from `start` up to here are squeezed
    for (int y = begin; y < end; ++y) {
        const int first = down.first[y], count = down.count[y];
        for (; have < first + count; have += kLanes) {
            for (int i = 0; i < kLanes; ++i)
                block.row[i] = photos.data + sample * photos.sample_stride +
                               std::min(have + i, photos.height - 1) * photos.row_stride;
            rows.squeeze(block, across, scratch.data(), place(have), pitch);
        }
        for (int k = 0; k < count; ++k) taken[k] = place(first + k);
        rows.sum(taken.data(), down.weight + static_cast<std::size_t>(down.stride) * y, count, pitch, summed.data());
        std::memcpy(out + y * row_bytes, summed.data(), row_bytes);
    }
}

}  // namespace

void squash(const Photos& photos, int size, std::uint8_t* out, int threads, const SquashRows& rows) {
    const Axis vertical(photos.height, size), horizontal(photos.width, size);
    // Bands of output rows, two a thread to even them out; no more, as each squeezes anew the source rows that it
    // shares with the one above, and up to a block too many.
    const bool small = static_cast<long long>(photos.count) * photos.height * photos.width < kPixelsForThreads;
    if (small) threads = 1;
    const int wanted = threads == 1 ? 1 : (2 * threads + photos.count - 1) / photos.count;
    const int bands = std::max(1, std::min(wanted, size / kLeastBand));
    parallel_for(photos.count * bands, threads, [&](int, int task) {
        const int n = task / bands, band = task % bands;
        squash_band(photos, n, vertical, horizontal, size * band / bands, size * (band + 1) / bands,
                    out + static_cast<std::size_t>(n) * size * size * 3, rows);
    });
}

}  // namespace ohlora
