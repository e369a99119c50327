// A synthesis layer of StyleGAN past its convolution: blur, noise, bias, leaky ReLU, instance norm, style; see
// ohlora_fast/ops/stylegan_layer_op.py. Trusts its arguments: the checks are in Python.
#pragma once

#include "stylegan_rows.hpp"

namespace ohlora {

struct StyleLayer {
    const float* x;  // (count, height, width, channels)
    int count, height, width, channels;
    const float* noise;  // (noises, height, width)
    int noises;          // 1, or as many as samples
    const float* noise_weight;
    const float* bias;
    const float* style;  // (count, 2 · channels): what 1 is added to for a factor, and the shift
    bool blur;
};

// out: as x, and not the same memory.
void style_layer(const StyleLayer& layer, float* out, int threads, const StyleRows& rows);

}  // namespace ohlora
