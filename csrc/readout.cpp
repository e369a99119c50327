// Each thread sweeps down a band of rows. Of every map between the sums and the logits only the few rows that the next
// 3×3 convolution needs exist at any time, so all of it stays in the cache.
#include "readout.hpp"

#include <algorithm>

#include "thread_pool.hpp"

namespace ohlora {
namespace {

constexpr int kRing = 4;      // rows of a map kept, of which a convolution reads three
constexpr int kMinBand = 8;   // rows; at each seam, two of the second ghost module's are computed twice
constexpr int kOverrun = 48;  // floats past the last pixel that a row kernel may write

class Ring {
public:
    Ring(int channels, int pitch)
        : row_(static_cast<std::size_t>(channels) * pitch), data_((kRing + 1) * row_, 0.0f) {}
    float* at(int y) { return data_.data() + (y % kRing) * row_; }
    // The row, or zeros beyond the map.
    const float* padded(int y, int height) { return y < 0 || y >= height ? data_.data() + kRing * row_ : at(y); }

private:
    std::size_t row_;
    std::vector<float> data_;
};

std::vector<float> packed(const float* weight, int channels) {
    std::vector<float> out(static_cast<std::size_t>(grouped(channels)) * channels, 0.0f);
    for (int o = 0; o < channels; ++o)
        for (int i = 0; i < channels; ++i)
            out[(static_cast<std::size_t>(o / kGroup) * channels + i) * kGroup + o % kGroup] = weight[o * channels + i];
    return out;
}

}  // namespace

struct Readout::Scratch {
    Scratch(int channels, int low_width, int width)
        : low_pitch(pitch_of(low_width)),
          pitch(pitch_of(width)),
          first(grouped(channels), pitch),
          second(grouped(channels), pitch),
          low(static_cast<std::size_t>(grouped(channels)) * low_pitch, 0.0f),
          low_start(low.size(), 0.0f),
          start(static_cast<std::size_t>(grouped(channels)) * pitch, 0.0f),
          cheap(static_cast<std::size_t>(channels) * kOverrun) {}
    int low_pitch, pitch;
    Ring first, second;  // the halves that the two depthwise convolutions read
    std::vector<float> low, low_start, start, cheap;
};

Readout::Readout(const float* weights, int channels, int stride) : channels_(channels), stride_(stride) {
    const auto take = [&weights](int count, int padded_count) {
        std::vector<float> out(weights, weights + count);
        out.resize(static_cast<std::size_t>(padded_count), 0.0f);
        weights += count;
        return out;
    };
    const int square = channels * channels, groups = grouped(channels);
    scale1_ = take(channels, channels);
    shift1_ = take(channels, channels);
    taps1_[0] = take(9 * channels, 9 * channels);
    primary2_ = packed(take(square, square).data(), channels);
    cheap2_ = packed(take(square, square).data(), channels);
    bias2_ = take(channels, groups);
    scale2_ = take(channels, groups);
    shift2_ = take(channels, groups);
    taps2_ = take(9 * channels, 9 * channels);
    primary3_ = take(channels, channels);
    cheap3_ = take(channels, channels);
    bias3_ = weights[0];
    if (stride == 2) return;
    // On a map of which each row stands twice, a row's upper or lower copy reads two different rows, not three.
    const std::vector<float> taps = taps1_[0];
    for (std::vector<float>& half : taps1_) half.assign(static_cast<std::size_t>(6) * channels, 0.0f);
    for (int c = 0; c < channels; ++c) {
        for (int k = 0; k < 3; ++k) {
            const float above = taps[9 * c + k], here = taps[9 * c + 3 + k], below = taps[9 * c + 6 + k];
            taps1_[0][6 * c + k] = above;
            taps1_[0][6 * c + 3 + k] = here + below;
            taps1_[1][6 * c + k] = above + here;
            taps1_[1][6 * c + 3 + k] = below;
        }
    }
}

// Logits of rows [begin, end) of one sample. Rows of `height` and `width` are the sums'; `scale` times as many are the
// head's.
void Readout::band(const float* sums, int height, int width, int begin, int end, Scratch& s, float* logits,
                   const ReadoutRows& rows) const {
    const int scale = 2 / stride_, head_height = scale * height, head_width = scale * width;
    const long long plane = static_cast<long long>(height) * width;
    const auto normed = [&](int y, int repeat, int pitch, float* out) {
        rows.normed(sums + static_cast<long long>(y) * width, plane, scale1_.data(), shift1_.data(), channels_, width,
                    repeat, pitch, out);
    };
    const int first_row = std::max(begin - 1, 0), last_row = std::min(end, head_height - 1);
    int ready = std::max(first_row / scale - 1, 0);  // the next row of the first half
    int started = -1;                                // the row that `start` was made for
    for (int y = first_row; y <= last_row; ++y) {
        const int here = y / scale;
        for (; ready <= std::min(here + 1, height - 1); ++ready) normed(ready, scale, s.pitch, s.first.at(ready));
        if (started != here) {
            if (scale == 1) {
                rows.mixed(s.first.at(here), mix(primary2_), bias2_.data(), width, s.pitch, s.start.data());
            } else {
                normed(here, 1, s.low_pitch, s.low.data());
                rows.mixed(s.low.data(), mix(primary2_), bias2_.data(), width, s.low_pitch, s.low_start.data());
                rows.doubled(s.low_start.data(), s.low_pitch, grouped(channels_), width, s.pitch, s.start.data());
            }
            started = here;
        }
        const int top = scale == 1 ? here - 1 : here - 1 + y % 2;
        const float* const first[3] = {s.first.padded(top, height), s.first.padded(top + 1, height),
                                       s.first.padded(top + 2, height)};
        rows.ghost({{first[0], first[1], first[2]},
                    taps1_[scale == 1 ? 0 : y % 2].data(),
                    scale == 1 ? 3 : 2,
                    mix(cheap2_),
                    s.start.data(),
                    scale2_.data(),
                    shift2_.data(),
                    head_width,
                    s.pitch,
                    s.cheap.data(),
                    s.second.at(y)});
        const auto emit = [&](int row) {
            rows.logits({{s.second.padded(row - 1, head_height), s.second.at(row), s.second.padded(row + 1, head_height)},
                         taps2_.data(),
                         primary3_.data(),
                         cheap3_.data(),
                         bias3_,
                         channels_,
                         head_width,
                         s.pitch,
                         logits + static_cast<long long>(row) * (head_width + kOverrun)});
        };
        if (y > begin) emit(y - 1);
        if (y == head_height - 1 && y < end) emit(y);
    }
}

void Readout::run(const float* sums, int count, int height, int width, float* prob, int threads,
                  const ReadoutRows& rows) const {
    if (count == 0) return;
    const int scale = 2 / stride_, head_height = scale * height, head_width = scale * width;
    const int pitch = head_width + kOverrun;
    std::vector<float> logits(static_cast<std::size_t>(count) * head_height * pitch);
    const int bands = std::max(1, std::min((threads + count - 1) / count, head_height / kMinBand));
    threads = std::min(threads, count * bands);
    std::vector<Scratch> scratch(static_cast<std::size_t>(threads), Scratch(channels_, width, head_width));
    const auto first_of = [bands](int size, int band) {
        return static_cast<int>(static_cast<long long>(size) * band / bands);
    };
    parallel_for(count * bands, threads, [&](int slot, int task) {
        const int n = task / bands, index = task % bands;
        band(sums + static_cast<std::size_t>(n) * channels_ * height * width, height, width,
             first_of(head_height, index), first_of(head_height, index + 1), scratch[static_cast<std::size_t>(slot)],
             logits.data() + static_cast<std::size_t>(n) * head_height * pitch, rows);
    });
    const int out_height = 2 * height, out_width = 2 * width;
    parallel_for(count * bands, threads, [&](int slot, int task) {
        const int n = task / bands, index = task % bands;
        const float* from = logits.data() + static_cast<std::size_t>(n) * head_height * pitch;
        float* line = scratch[static_cast<std::size_t>(slot)].start.data();
        const int end = first_of(out_height, index + 1);
        for (int y = first_of(out_height, index); y < end; ++y) {
            const int near = y / stride_;
            int far = near;
            if (stride_ == 2) far = y % 2 ? std::min(near + 1, head_height - 1) : std::max(near - 1, 0);
            float* to = prob + (static_cast<std::size_t>(n) * out_height + y) * out_width;
            rows.finish(from + static_cast<std::size_t>(near) * pitch, from + static_cast<std::size_t>(far) * pitch,
                        stride_ == 2 ? 0.75f : 1.0f, head_width, stride_ == 2, line, to);
        }
    });
}

}  // namespace ohlora
