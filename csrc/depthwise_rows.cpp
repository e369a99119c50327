// The inner loops of a depthwise convolution's gradients; compiled once a level of vector instructions.
//
// Lanes are channels. A block of them is widened to float32 into a padded map of its own, which lies close together, so
// that the loop over pixels has neither borders nor conversions: at each it adds to the sums of all taps, which with
// AVX-512 stay in registers, and to the padded gradient of the input. As in readout_rows.cpp, sums may be contracted.
#include "depthwise_rows.hpp"

#include <stdint.h>
#include <string.h>

#include "vector_lanes.hpp"

namespace ohlora {
namespace {

// bfloat16 is the upper half of a float.
inline void widen(const uint16_t* from, float* to) {
    uint32_t bits[kLanes];
    for (int i = 0; i < kLanes; ++i) bits[i] = static_cast<uint32_t>(from[i]) << 16;
    memcpy(to, bits, sizeof bits);
}
// To the nearest, ties to even; what is no number stays none.
inline void narrow(const float* from, uint16_t* to) {
    uint32_t bits[kLanes];
    memcpy(bits, from, sizeof bits);
    for (int i = 0; i < kLanes; ++i) {
        const uint32_t rounded = (bits[i] + 0x7fffu + ((bits[i] >> 16) & 1u)) >> 16;
        const uint32_t none = (bits[i] >> 16) | 0x40u;
        to[i] = static_cast<uint16_t>((bits[i] & 0x7fffffffu) > 0x7f800000u ? none : rounded);
    }
}

template <int kSize>
void gradients_of(const DepthwisePlane& plane, const float* weight, float* weight_grad, float* scratch) {
    const size_t row = static_cast<size_t>(plane.width + 2 * plane.padding) * kLanes;
    const size_t padded = row * (plane.height + 2 * plane.padding);
    const size_t inner = row * plane.padding + static_cast<size_t>(plane.padding) * kLanes;
    float* const x = scratch;
    float* const x_grad = scratch + padded;
    memset(scratch, 0, 2 * padded * sizeof(float));
    const uint16_t* from = plane.x;
    for (int y = 0; y < plane.height; ++y)
        for (int i = 0; i < plane.width; ++i, from += plane.channels) widen(from, x + inner + y * row + i * kLanes);

    Vec taps[kSize * kSize], sums[kSize * kSize];
    for (int tap = 0; tap < kSize * kSize; ++tap) {
        taps[tap] = load(weight + tap * kLanes);
        sums[tap] = Vec{};
    }
    const uint16_t* grad = plane.grad;
    for (int y = 0; y < plane.out_height; ++y)
        for (int i = 0; i < plane.out_width; ++i, grad += plane.channels) {
            float lanes[kLanes];
            widen(grad, lanes);
            const Vec here = load(lanes);
            const size_t at = (y * row + static_cast<size_t>(i) * kLanes) * plane.stride;
            for (int ky = 0; ky < kSize; ++ky)
                for (int kx = 0; kx < kSize; ++kx) {
                    const int tap = ky * kSize + kx;
                    float* const to = x_grad + at + ky * row + kx * kLanes;
                    sums[tap] = sums[tap] + here * load(x + at + ky * row + kx * kLanes);
                    store(to, load(to) + here * taps[tap]);
                }
        }
    for (int tap = 0; tap < kSize * kSize; ++tap)
        store(weight_grad + tap * kLanes, load(weight_grad + tap * kLanes) + sums[tap]);

    uint16_t* out = plane.x_grad;
    for (int y = 0; y < plane.height; ++y)
        for (int i = 0; i < plane.width; ++i, out += plane.channels) narrow(x_grad + inner + y * row + i * kLanes, out);
}

void gradients(const DepthwisePlane& plane, int size, const float* weight, float* weight_grad, float* scratch) {
    (size == 3 ? gradients_of<3> : gradients_of<5>)(plane, weight, weight_grad, scratch);
}

}  // namespace

extern const DepthwiseRows OHLORA_OF_LEVEL(depthwise_rows) = {kLanes, gradients};

}  // namespace ohlora
