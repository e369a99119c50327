// The squash in one sweep over the source rows: blocks of them are squeezed to the output's width, and only as many
// squeezed rows are kept as an output row needs.
//
// Pillow's way, which decides every last bit: along the rows first, to uint8, then down the columns. An output's weights
// are those of a triangle around its centre, as wide as two source pixels or, where that is more, two output pixels;
// divided by their sum in float64 and rounded to multiples of 2^-22, halves away from zero. Pillow skips a pass that
// keeps the size; here its weights come out as 1, which leaves the bytes as they are.
#include "squash.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "thread_pool.hpp"

namespace ohlora {
namespace {

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
    int end(int x) const { return first_[x] + count_[x]; }

private:
    SquashTaps taps_;
    std::vector<std::int32_t> first_, count_, weight_;
};

int rounded_up(int bytes) { return (bytes + kLanes - 1) / kLanes * kLanes; }

// Scratch memory of one thread: a ring of squeezed rows, long enough for the taps of an output row and a block more.
class SqueezedRows {
public:
    SqueezedRows(const Photos& photos, const SquashTaps& vertical)
        : pitch_(rounded_up(3 * vertical.size)),
          blocks_((vertical.stride + kLanes - 1) / kLanes + 1),
          ring_(static_cast<std::size_t>(blocks_) * kLanes * pitch_),
          scratch_(static_cast<std::size_t>(kLanes) * (pitch_ + rounded_up(photos.pixel * photos.width))),
          rows_(vertical.stride),
          last_(pitch_) {}

    // Output rows [begin, end) of one photo.
    void squash(const Photos& photos, int sample, const Axis& vertical, const Axis& horizontal, int begin, int end,
                std::uint8_t* out, const SquashRows& rows) {
        const std::uint8_t* const source = photos.data + sample * photos.sample_stride;
        const SquashTaps& taps = vertical.taps();
        const int start = taps.first[begin];
        int have = start;
        for (int y = begin; y < end; ++y) {
            for (; have < vertical.end(y); have += kLanes) {
                SquashBlock block;
                block.width = photos.width;
                block.pixel = photos.pixel;
                for (int i = 0; i < kLanes; ++i)
                    block.row[i] = source + std::min(have + i, photos.height - 1) * photos.row_stride;
                rows.squeeze(block, horizontal.taps(), scratch_.data(), at(have - start), pitch_);
            }
            const int count = taps.count[y];
            for (int k = 0; k < count; ++k) rows_[k] = at(taps.first[y] - start + k);
            rows.sum(rows_.data(), taps.weight + static_cast<std::size_t>(taps.stride) * y, count, pitch_, last_.data());
            std::memcpy(out + static_cast<std::size_t>(y) * 3 * taps.size, last_.data(), 3 * static_cast<std::size_t>(taps.size));
        }
    }

private:
    std::uint8_t* at(int row) { return ring_.data() + static_cast<std::size_t>(row % (blocks_ * kLanes)) * pitch_; }

    int pitch_, blocks_;
    std::vector<std::uint8_t> ring_, scratch_;
    std::vector<const std::uint8_t*> rows_;
    std::vector<std::uint8_t> last_;
};

}  // namespace

void squash(const Photos& photos, int size, std::uint8_t* out, int threads, const SquashRows& rows) {
    const Axis vertical(photos.height, size), horizontal(photos.width, size);
    std::vector<SqueezedRows> squeezed(static_cast<std::size_t>(threads), SqueezedRows(photos, vertical.taps()));
    const int bands = threads == 1 ? 1 : std::min(size, 4 * threads);
    parallel_for(photos.count * bands, threads, [&](int slot, int task) {
        const int n = task / bands, band = task % bands;
        squeezed[slot].squash(photos, n, vertical, horizontal, size * band / bands, size * (band + 1) / bands,
                              out + static_cast<std::size_t>(n) * size * size * 3, rows);
    });
}

}  // namespace ohlora
