// The gradients of a depthwise convolution in bfloat16, channels last; see ohlora_fast/ops/depthwise_op.py. Trusts its
// arguments: the checks are in Python.
#pragma once

#include <cstdint>

#include "depthwise_rows.hpp"

namespace ohlora {

struct DepthwiseMaps {
    const std::uint16_t* x;     // (count, height, width, channels), bfloat16
    const std::uint16_t* grad;  // (count, out_height, out_width, channels), bfloat16
    const float* weight;        // (channels, size, size), size 3 or 5
    int count, height, width, out_height, out_width;
    int channels;  // a multiple of 16
    int size, stride, padding;
};

// x_grad: as x; weight_grad: as weight. The same numbers for any number of threads.
void depthwise_gradients(const DepthwiseMaps& maps, std::uint16_t* x_grad, float* weight_grad, int threads,
                         const DepthwiseRows& rows);

}  // namespace ohlora
