// The ombre's inner loops in plain C++ that the compiler vectorises; compiled once a level of vector instructions.
//
// Order of operations. The map must equal OpenCV's to the last bit, because a mask of exactly 1.0 lands on 255 or one
// float below it, which moves whole regions of the result by 1. OpenCV 5.0 on x86 adds the taps in pairs, in another
// order where they touch the border, and in a third for maps below 4×4. Measured on random maps: no value differs off
// the border, 3 % in the border's rows and columns, which is 0.14 % of a 224² map at 1024².
#include "ombre_rows.hpp"

#include <math.h>
#include <string.h>

#include "per_level.hpp"

namespace ohlora {
namespace {

// a·b + c rounded once. Without the instruction, in float64: a·b is exact there, but the sum is rounded to float64 and
// then to float32, so about one in 2^29 comes out one float off.
#if defined(__FMA__) || defined(__aarch64__) || (defined(_MSC_VER) && defined(__AVX2__))
inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
#else
inline float fused(float a, float b, float c) { return static_cast<float>(static_cast<double>(a) * b + c); }
#endif

template <Order order>
inline float down(float p0, float p1, float p2, float p3, float w0, float w1, float w2, float w3) {
    if (order == Order::inner) return fused(p0, w0, p1 * w1) + fused(p2, w2, p3 * w3);
    if (order == Order::border) return (p0 * w0 + p2 * w2) + (p1 * w1 + p3 * w3);
    return p0 * w0 + (p1 * w1 + (p2 * w2 + p3 * w3));
}

void stretch_border(const float* padded, const AxisTaps& columns, int begin, int end, float* out) {
    for (int x = begin; x < end; ++x) {
        const float* p = padded + columns.first[x];
        const float* w = columns.weight + 4 * x;
        out[x] = fused(p[3], w[3], fused(p[2], w[2], fused(p[0], w[0], p[1] * w[1])));
    }
}

void stretch_tiny(const float* padded, const AxisTaps& columns, float* out) {
    for (int x = 0; x < columns.size; ++x) {
        const float* p = padded + columns.first[x];
        const float* w = columns.weight + 4 * x;
        out[x] = p[0] * w[0] + p[1] * w[1] + p[2] * w[2] + p[3] * w[3];
    }
}

// The four products of one output.
inline void products(const float* p, const float* w, float* product) {
#if defined(__GNUC__)
    typedef float Four __attribute__((vector_size(16)));
    Four a, b;
    memcpy(&a, p, sizeof(a));
    memcpy(&b, w, sizeof(b));
    a *= b;
    memcpy(product, &a, sizeof(a));
#else
    for (int k = 0; k < 4; ++k) product[k] = p[k] * w[k];
#endif
}

// Two loops through a small buffer: four products an output, which is one vector multiplication, then their sums. The
// obvious single loop becomes gather instructions.
void stretch_inner(const float* OHLORA_RESTRICT padded, const AxisTaps& columns, int begin, int end,
                   float* OHLORA_RESTRICT out) {
    constexpr int kStep = 256;
    float product[4 * kStep];
    for (int from = begin; from < end; from += kStep) {
        const int count = end - from < kStep ? end - from : kStep;
        const int32_t* first = columns.first + from;
        const float* weight = columns.weight + 4 * from;
        for (int x = 0; x < count; ++x) products(padded + first[x], weight + 4 * x, product + 4 * x);
        for (int x = 0; x < count; ++x) {
            const float* p = product + 4 * x;
            out[from + x] = (p[0] + p[1]) + (p[2] + p[3]);
        }
    }
}

template <Order order>
void map_range(const MapRow& map, int begin, int end, float* OHLORA_RESTRICT out) {
    const float* OHLORA_RESTRICT r0 = map.row[0] + begin;
    const float* OHLORA_RESTRICT r1 = map.row[1] + begin;
    const float* OHLORA_RESTRICT r2 = map.row[2] + begin;
    const float* OHLORA_RESTRICT r3 = map.row[3] + begin;
    const float w0 = map.weight[0], w1 = map.weight[1], w2 = map.weight[2], w3 = map.weight[3];
    for (int i = 0; i < end - begin; ++i) out[i] = down<order>(r0[i], r1[i], r2[i], r3[i], w0, w1, w2, w3);
}

// The resized map, on the scale of 0 to 255, at [begin, begin + count).
void map_block(const MapRow& map, int begin, int count, float* out) {
    const int end = begin + count;
    const int inner_begin = map.columns->inner_begin, inner_end = map.columns->inner_end;
    if (map.order == Order::tiny) {
        map_range<Order::tiny>(map, begin, end, out);
        return;
    }
    if (map.order == Order::inner && inner_begin <= begin && end <= inner_end) {
        map_range<Order::inner>(map, begin, end, out);
        return;
    }
    map_range<Order::border>(map, begin, end, out);
    if (map.order == Order::border) return;
    const int from = begin > inner_begin ? begin : inner_begin;
    const int to = end < inner_end ? end : inner_end;
    if (from < to) map_range<Order::inner>(map, from, to, out + (from - begin));
}

void widen(const float* source, int size, float* padded) {
    for (int i = 0; i < size; ++i) padded[kPad + i] = source[i] * 255.0f;
    for (int i = 0; i < kPad; ++i) {
        padded[i] = padded[kPad];
        padded[kPad + size + i] = padded[kPad + size - 1];
    }
}

void stretch(const float* padded, const AxisTaps& columns, Order order, float* out) {
    if (order == Order::tiny) {
        stretch_tiny(padded, columns, out);
    } else if (order == Order::border) {
        stretch_border(padded, columns, 0, columns.size, out);
    } else {
        stretch_border(padded, columns, 0, columns.inner_begin, out);
        stretch_inner(padded, columns, columns.inner_begin, columns.inner_end, out);
        stretch_border(padded, columns, columns.inner_end, columns.size, out);
    }
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

void map_row(const MapRow& map, float* out) {
    const int width = map.columns->size;
    for (int begin = 0; begin < width; begin += kBlock) {
        const int count = width - begin < kBlock ? width - begin : kBlock;
        map_block(map, begin, count, out + begin);
        for (int x = begin; x < begin + count; ++x) {
            const float value = out[x] * (1.0f / 255.0f);
            out[x] = value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
        }
    }
}

// In 16-bit integers, which hold up to 27·255 + 510 = 7395; the division becomes a multiplication and shifts.
void dye_bytes(const uint8_t* OHLORA_RESTRICT from, const DyePattern& dye, int count, uint8_t* OHLORA_RESTRICT to) {
    for (int i = 0; i < count; ++i) {
        const int16_t sum = static_cast<int16_t>(dye.scale[i] * from[i] + dye.offset[i]);
        const uint16_t positive = static_cast<uint16_t>(sum < 0 ? 0 : sum);
        const uint16_t dyed = static_cast<uint16_t>(positive / 20);
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
    bool opaque = false;  // `opacity` holds the row's weight throughout
    const int width = row.map.columns->size, channels = row.channels;
    for (int begin = 0; begin < width; begin += kBlock) {
        const int count = width - begin < kBlock ? width - begin : kBlock;
        const int bytes = count * channels;
        const uint8_t* from = row.from + static_cast<size_t>(begin) * channels;
        uint8_t* to = row.to + static_cast<size_t>(begin) * channels;
        map_block(row.map, begin, count, q);
        for (int i = count; i < kBlock; ++i) q[i] = q[count - 1];
        int some = 0, every = 1;
        for (int i = 0; i < kBlock; ++i) {
            some |= q[i] > 191.25f;
            every &= q[i] >= 255.0f;
        }
        if (!some) {
            memcpy(to, from, static_cast<size_t>(bytes));
        } else if (every && row.weight == 1.0) {
            dye_bytes(from, *row.dye, bytes, to);
        } else {
            if (!opaque || !every) {
                opacity_of(q, row.weight, count, pixel);
                spread_opacity(pixel, channels, count, opacity);
                opaque = every && count == kBlock;
            }
            dye_bytes(from, *row.dye, bytes, dyed);
            blend_bytes(from, dyed, opacity, bytes, to);
        }
    }
}

}  // namespace

extern const OmbreRows OHLORA_OF_LEVEL(ombre_rows) = {widen,       stretch, any_reaches,
                                                       map_reaches, map_row, dye_row};

}  // namespace ohlora
