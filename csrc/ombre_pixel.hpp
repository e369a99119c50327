// The arithmetic of the ombre on a GPU: taps, opacity, dye, blend. No CUDA needed: tests compile this header for the
// host and drive the same functions there (tests/kernels/ombre_host.cpp).
//
// Compile without contraction (nvcc --fmad=false, c++ -ffp-contract=off): a·b + c rounds twice unless it says fmaf.
#pragma once

#include <math.h>
#include <string.h>

#include <cstdint>

#if defined(__CUDACC__)
#define OHLORA_GPU __device__ __forceinline__
#define OHLORA_ANYWHERE __host__ __device__
#define OHLORA_UNROLL _Pragma("unroll")
#define OHLORA_ROLLED _Pragma("unroll 1")
#else
#define OHLORA_GPU inline
#define OHLORA_ANYWHERE
#define OHLORA_UNROLL
#define OHLORA_ROLLED
#endif

namespace ohlora::gpu {

constexpr float kClear = 191.25f;   // on the map's scale of 0 to 255: up to here the opacity is 0
constexpr float kHair = 239.0625f;  // an opacity of 191.25 of 255: a hair row

// Two cubic passes raise a largest value m of the map to at most 1.1875²·m + 0.1875²·m = 1.4453·m. So no value around
// reaches kHair where the map stays below kHairNeeds, or exceeds kClear where it stays below kDyeNeeds.
constexpr float kHairNeeds = kHair / 255.0f / 1.446f, kDyeNeeds = kClear / 255.0f / 1.446f;

// In which order OpenCV adds the taps; the last bit depends on it: see ombre_rows.cpp.
enum class Order { inner, border, tiny };

// p: four values of a source row.
OHLORA_GPU float across(Order order, const float* p, const float* w) {
    if (order == Order::inner) return (p[0] * w[0] + p[1] * w[1]) + (p[2] * w[2] + p[3] * w[3]);
    if (order == Order::border) return fmaf(p[3], w[3], fmaf(p[2], w[2], fmaf(p[0], w[0], p[1] * w[1])));
    return p[0] * w[0] + p[1] * w[1] + p[2] * w[2] + p[3] * w[3];
}

// p: the same column of four stretched source rows.
OHLORA_GPU float down(Order order, float p0, float p1, float p2, float p3, const float* w) {
    if (order == Order::inner) return fmaf(p0, w[0], p1 * w[1]) + fmaf(p2, w[2], p3 * w[3]);
    if (order == Order::border) return (p0 * w[0] + p2 * w[2]) + (p1 * w[1] + p3 * w[3]);
    return p0 * w[0] + (p1 * w[1] + (p2 * w[2] + p3 * w[3]));
}

OHLORA_GPU std::uint32_t bits_of(float value) {
    std::uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

constexpr float kWhole = 12582912.0f;  // 1.5·2^23: a float up to 2^22, added to it, is rounded to a whole number

// kWhole + byte number `byte` of a word.
OHLORA_GPU float whole_of_byte(std::uint32_t word, unsigned byte) {
    float whole;
#if defined(__CUDACC__)
    const std::uint32_t bits = __byte_perm(word, 0x4b400000u, 0x7640u | byte);
#else
    const std::uint32_t bits = 0x4b400000u | (word >> (8 * byte) & 255u);
#endif
    memcpy(&whole, &bits, sizeof(whole));
    return whole;
}

// trunc(clip(1.35·value + 0.25·hue − 38.25, 0, 255)), as kWhole + result, in two operations. The exact values are
// multiples of 0.05, so that less 0.475 they round to what they truncate to, 0.025 away from the nearest tie.
OHLORA_GPU float dye_shift(float hue) { return fmaf(hue, 0.25f / 255.0f, -38.725f / 255.0f); }
OHLORA_GPU float dyed(float value, float shift) {
    const float share = fminf(fmaxf(fmaf(value, 1.35f / 255.0f, shift), 0.0f), 1.0f);
    return fmaf(share, 255.0f, kWhole);
}

// a / 255, correctly rounded: 1/255 in float64 is off by 2^-56 of itself, so the product is one of the two neighbours
// of the quotient, and then the exact remainder settles it (Markstein). A division takes ten times as long.
OHLORA_GPU double over_255(double a) {
    const double guess = a * (1.0 / 255.0);
    return fma(fma(guess, -255.0, a), 1.0 / 255.0, guess);
}

// The definition, in float64 and in the reference's order of operations.
OHLORA_GPU int blended(float q, double weight, int value, int dyed) {
    double alpha = 4.0 * static_cast<double>(q) - 765.0;
    alpha = alpha < 0.0 ? 0.0 : alpha;
    alpha = alpha > 255.0 ? 255.0 : alpha;
    const double a = over_255(alpha * weight);
    return static_cast<int>((1.0 - a) * value + a * dyed);
}

// The same in float32, for all but values near a whole number, where the last bit decides the truncation. With
// t = value + a·(dyed − value), `part` is 256 + t + 2 units, a unit being 2^-15, the last bit there. Rounding it takes
// half a unit; a is off by three roundings, 3·2^-24 of at most 1, times 255: less than 1.495 units. So with an error
// below 2 units, `part` less 256 lies above t, by less than 4 units, and truncates like t unless its fraction is below
// 4 units. One in 8,192 of random values is; and all that are whole numbers, of which a gradient has many.
constexpr float kAbove = 256.0f + 2.0f / 32768.0f;
OHLORA_GPU bool undecided(float part) { return (bits_of(part) & 0x7ffcu) == 0; }
OHLORA_GPU std::uint32_t whole_of(float part) { return (bits_of(part) >> 15) & 255u; }

// Where the opacity is 0 or 1, t is a whole number and exact: half of 1 above, so that it counts as decided.
constexpr float kCertain = 256.5f;

// How a pixel takes its dye.
struct Opacity {
    float share;  // in [0, 1]
    float above;  // kAbove or kCertain

    OHLORA_GPU Opacity(float q, float scale, bool full) {
        const float alpha = fminf(fmaxf(fmaf(4.0f, q, -765.0f), 0.0f), 255.0f);
        share = alpha * scale;
        above = alpha == 0.0f || (full && alpha == 255.0f) ? kCertain : kAbove;
    }
    // From kWhole + value and kWhole + dyed.
    OHLORA_GPU float part(float value, float dyed) const { return fmaf(share, dyed - value, (value - kWhole) + above); }
};

}  // namespace ohlora::gpu
