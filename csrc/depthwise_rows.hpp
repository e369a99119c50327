// The inner loops of a depthwise convolution's gradients, one table a level of vector instructions: see
// depthwise_rows.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ohlora {

// One photo's channels from some channel on, channels last, and what is made of them. Sides are of the whole maps.
struct DepthwisePlane {
    const std::uint16_t* x;     // (height, width, channels), bfloat16 like all maps
    const std::uint16_t* grad;  // (out_height, out_width, channels): of the output
    std::uint16_t* x_grad;      // as x
    std::size_t channels;  // numbers from a pixel to the next
    int height, width, out_height, out_width;
    int stride, padding;
};

struct DepthwiseRows {
    int lanes;  // channels that `gradients` takes at once
    // Writes x_grad of `lanes` channels, and adds the weights' gradients to weight_grad. Weights are (size · size,
    // lanes), size being 3 or 5. scratch: twice (height + 2 · padding) · (width + 2 · padding) · lanes numbers.
    void (*gradients)(const DepthwisePlane& plane, int size, const float* weight, float* weight_grad, float* scratch);
};

extern const DepthwiseRows depthwise_rows_baseline;
extern const DepthwiseRows depthwise_rows_avx2;
extern const DepthwiseRows depthwise_rows_avx512;

}  // namespace ohlora
