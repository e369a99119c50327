// The ombre's inner loops in plain C++ that the compiler vectorises; compiled once a level of vector instructions.
//
// Only static functions and C headers here: an inline function of the standard library compiled with AVX flags could
// be the copy that the linker keeps for everybody, and the extension would then crash on an older CPU.
//
// Order of operations. The map must equal OpenCV's to the last bit, because a mask of exactly 1.0 lands on 255 or one
// float below it, which moves whole regions of the result by 1. Measured against OpenCV 5.0 on x86: off the border
// every value is equal, on it all but 3 %. OpenCV adds the taps in pairs, and in another order on the border.
#include "ombre_rows.hpp"

#include <math.h>
#include <string.h>

#ifndef OHLORA_LEVEL
#error "compile with -DOHLORA_LEVEL=baseline, avx2 or avx512"
#endif
#define OHLORA_JOIN_(a, b) a##b
#define OHLORA_JOIN(a, b) OHLORA_JOIN_(a, b)
#define OHLORA_TEXT_(a) #a
#define OHLORA_TEXT(a) OHLORA_TEXT_(a)

#if defined(_MSC_VER)
#define OHLORA_RESTRICT __restrict
#else
#define OHLORA_RESTRICT __restrict__
#endif

namespace ohlora {
namespace {

// a·b + c rounded once. Without the instruction, float64 gives the same: a·b is exact there.
#if defined(__FMA__) || defined(__aarch64__) || (defined(_MSC_VER) && defined(__AVX2__))
inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
#else
inline float fused(float a, float b, float c) { return static_cast<float>(static_cast<double>(a) * b + c); }
#endif

template <bool Inner>
inline float across(float p0, float p1, float p2, float p3, float w0, float w1, float w2, float w3) {
    if (Inner) return (p0 * w0 + p1 * w1) + (p2 * w2 + p3 * w3);
    return fused(p3, w3, fused(p2, w2, fused(p0, w0, p1 * w1)));
}

template <bool Inner>
inline float down(float p0, float p1, float p2, float p3, float w0, float w1, float w2, float w3) {
    if (Inner) return fused(p0, w0, p1 * w1) + fused(p2, w2, p3 * w3);
    return (p0 * w0 + p2 * w2) + (p1 * w1 + p3 * w3);
}

template <bool Inner>
void stretch_range(const float* OHLORA_RESTRICT padded, const AxisTaps& columns, int begin, int end,
                   float* OHLORA_RESTRICT out) {
    const int32_t* OHLORA_RESTRICT first = columns.first;
    const float* OHLORA_RESTRICT w0 = columns.weight[0];
    const float* OHLORA_RESTRICT w1 = columns.weight[1];
    const float* OHLORA_RESTRICT w2 = columns.weight[2];
    const float* OHLORA_RESTRICT w3 = columns.weight[3];
    for (int x = begin; x < end; ++x) {
        const int i = first[x];
        out[x] = across<Inner>(padded[i], padded[i + 1], padded[i + 2], padded[i + 3], w0[x], w1[x], w2[x], w3[x]);
    }
}

template <bool Inner>
void map_range(const MapRow& map, int begin, int end, float* OHLORA_RESTRICT out) {
    const float* OHLORA_RESTRICT r0 = map.row[0] + begin;
    const float* OHLORA_RESTRICT r1 = map.row[1] + begin;
    const float* OHLORA_RESTRICT r2 = map.row[2] + begin;
    const float* OHLORA_RESTRICT r3 = map.row[3] + begin;
    const float w0 = map.weight[0], w1 = map.weight[1], w2 = map.weight[2], w3 = map.weight[3];
    for (int i = 0; i < end - begin; ++i) out[i] = down<Inner>(r0[i], r1[i], r2[i], r3[i], w0, w1, w2, w3);
}

// The resized map, on the scale of 0 to 255, at [begin, begin + count).
void map_block(const MapRow& map, int begin, int count, float* out) {
    const int end = begin + count;
    const int inner_begin = map.columns->inner_begin, inner_end = map.columns->inner_end;
    if (map.inner && inner_begin <= begin && end <= inner_end) {
        map_range<true>(map, begin, end, out);
        return;
    }
    map_range<false>(map, begin, end, out);
    if (!map.inner) return;
    const int from = begin > inner_begin ? begin : inner_begin;
    const int to = end < inner_end ? end : inner_end;
    if (from < to) map_range<true>(map, from, to, out + (from - begin));
}

void widen(const float* source, int size, float* padded) {
    for (int i = 0; i < size; ++i) padded[kPad + i] = source[i] * 255.0f;
    for (int i = 0; i < kPad; ++i) {
        padded[i] = padded[kPad];
        padded[kPad + size + i] = padded[kPad + size - 1];
    }
}

void stretch(const float* padded, const AxisTaps& columns, bool inner, float* out) {
    if (!inner) {
        stretch_range<false>(padded, columns, 0, columns.size, out);
        return;
    }
    stretch_range<false>(padded, columns, 0, columns.inner_begin, out);
    stretch_range<true>(padded, columns, columns.inner_begin, columns.inner_end, out);
    stretch_range<false>(padded, columns, columns.inner_end, columns.size, out);
}

bool any_reaches(const float* source, int size, float limit) {
    int any = 0;
    for (int i = 0; i < size; ++i) any |= source[i] >= limit;
    return any != 0;
}

bool map_reaches(const MapRow& map, float limit) {
    float q[kBlock];
    for (int begin = 0; begin < map.columns->size; begin += kBlock) {
        const int left = map.columns->size - begin;
        const int count = left < kBlock ? left : kBlock;
        map_block(map, begin, count, q);
        if (any_reaches(q, count, limit)) return true;
    }
    return false;
}

// 16-bit integers: x / 20 = x·52429 >> 20 for every x below 2^16 that occurs (at most 7395).
void dye_bytes(const uint8_t* OHLORA_RESTRICT from, const DyePattern& dye, int count, uint8_t* OHLORA_RESTRICT to) {
    for (int i = 0; i < count; ++i) {
        const int16_t sum = static_cast<int16_t>(dye.scale[i] * from[i] + dye.offset[i]);
        const uint16_t positive = static_cast<uint16_t>(sum < 0 ? 0 : sum);
        const uint16_t dyed = static_cast<uint16_t>(static_cast<uint16_t>((positive * 52429u) >> 16) >> 4);
        to[i] = static_cast<uint8_t>(dyed > 255 ? 255 : dyed);
    }
}

// Float64 in the reference's order: in a row of the gradient, where the opacity is a ratio of small integers, the
// products are often exact integers and the last bit decides the truncation.
void blend_bytes(const uint8_t* OHLORA_RESTRICT from, const uint8_t* OHLORA_RESTRICT dyed,
                 const double* OHLORA_RESTRICT opacity, int count, uint8_t* OHLORA_RESTRICT to) {
    for (int i = 0; i < count; ++i) {
        const double a = opacity[i];
        to[i] = static_cast<uint8_t>(static_cast<int>((1.0 - a) * from[i] + a * dyed[i]));
    }
}

// One opacity a pixel to one a byte; the fourth channel gets 0, so that it passes through.
void spread_opacity(const double* OHLORA_RESTRICT pixel, int channels, int count, double* OHLORA_RESTRICT byte) {
    if (channels == 3) {
        for (int i = 0; i < count; ++i) byte[3 * i] = byte[3 * i + 1] = byte[3 * i + 2] = pixel[i];
    } else {
        for (int i = 0; i < count; ++i) {
            byte[4 * i] = byte[4 * i + 1] = byte[4 * i + 2] = pixel[i];
            byte[4 * i + 3] = 0.0;
        }
    }
}

void opacity_of(const float* OHLORA_RESTRICT q, double weight, int count, double* OHLORA_RESTRICT opacity) {
    for (int i = 0; i < count; ++i) {
        double alpha = 4.0 * q[i] - 765.0;
        alpha = alpha < 0.0 ? 0.0 : alpha;
        alpha = alpha > 255.0 ? 255.0 : alpha;
        opacity[i] = alpha * weight / 255.0;
    }
}

void dye_row(const DyeRow& row) {
    float q[kBlock];
    double pixel[kBlock];
    double opacity[kBlock * kMaxChannels];
    uint8_t dyed[kBlock * kMaxChannels];
    const int width = row.map.columns->size, channels = row.channels;
    for (int begin = 0; begin < width; begin += kBlock) {
        const int count = width - begin < kBlock ? width - begin : kBlock;
        const int bytes = count * channels;
        const uint8_t* from = row.from + static_cast<size_t>(begin) * channels;
        uint8_t* to = row.to + static_cast<size_t>(begin) * channels;
        map_block(row.map, begin, count, q);
        int some = 0, every = 1;
        for (int i = 0; i < count; ++i) {
            some |= q[i] > 191.25f;
            every &= q[i] >= 255.0f;
        }
        if (!some) {
            memcpy(to, from, static_cast<size_t>(bytes));
        } else if (every && row.weight == 1.0) {
            dye_bytes(from, *row.dye, bytes, to);
        } else {
            dye_bytes(from, *row.dye, bytes, dyed);
            opacity_of(q, row.weight, count, pixel);
            spread_opacity(pixel, channels, count, opacity);
            blend_bytes(from, dyed, opacity, bytes, to);
        }
    }
}

}  // namespace

extern const OmbreRows OHLORA_JOIN(ombre_rows_, OHLORA_LEVEL) = {OHLORA_TEXT(OHLORA_LEVEL), widen, stretch,
                                                                any_reaches, map_reaches, dye_row};

}  // namespace ohlora
