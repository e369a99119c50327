// The student's readout, from the sums of its levels on: two ghost modules and the sigmoid; see
// ohlora_fast/student/rewrite.py for the names. Trusts its arguments: the checks are in bindings.cpp.
#pragma once

#include <cstddef>
#include <vector>

#include "readout_rows.hpp"

namespace ohlora {

class Readout {
public:
    static constexpr int kMostChannels = 512;

    // The number of weights of a readout of this many channels.
    static std::size_t size(int channels) { return static_cast<std::size_t>(channels) * (2 * channels + 25) + 1; }

    // weights: norm1's scale and shift, depthwise1 (channels, 9), primary2 and cheap2 (outputs, inputs), cheap2's bias,
    // norm2's scale and shift, depthwise2 (channels, 9), primary3, cheap3, and cheap3's bias. stride: 1 for a head at
    // twice the sums' resolution, 2 for one at the sums' own, whose logits are doubled.
    Readout(const float* weights, int channels, int stride);

    int channels() const { return channels_; }

    // sums: (count, channels, height, width); prob: (count, 2 · height, 2 · width).
    void run(const float* sums, int count, int height, int width, float* prob, int threads, const ReadoutRows& rows) const;

private:
    struct Scratch;
    void band(const float* sums, int height, int width, int begin, int end, Scratch& scratch, float* logits,
              const ReadoutRows& rows) const;
    Mix mix(const std::vector<float>& packed) const { return {packed.data(), channels_, grouped(channels_)}; }

    int channels_, stride_;
    std::vector<float> scale1_, shift1_, taps1_[2], primary2_, cheap2_, bias2_, scale2_, shift2_, taps2_, primary3_,
        cheap3_;
    float bias3_;
};

}  // namespace ohlora
