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

// OpenCV 5.0's taps, to the last bit: positions in float64, their fraction rounded to steps of 2^-23, the cubic
// (a = −0.75) in float64 and then rounded. For tiny maps position and cubic in float32.
constexpr float kA = -0.75f;

// The cell of a position that may be negative, but not below −1.
inline int32_t cell_of(double position) {
    const int32_t cell = static_cast<int32_t>(position);
    return position < cell ? cell - 1 : cell;
}

void set_inner_taps(double step, int size, int32_t* OHLORA_RESTRICT first, float* OHLORA_RESTRICT weight) {
    for (int x = 0; x < size; ++x) {
        const double position = (x + 0.5) * step - 0.5;
        const int32_t cell = cell_of(position);
        const double t = static_cast<double>(1.0f + static_cast<float>(position - cell)) - 1.0, u = 1.0 - t;
        const double a = kA;
        first[x] = cell - 1 + kPad;
        weight[4 * x] = static_cast<float>(a * t * u * u);
        weight[4 * x + 1] = static_cast<float>(((a + 2) * t - (a + 3)) * t * t + 1);
        weight[4 * x + 2] = static_cast<float>(((a + 2) * u - (a + 3)) * u * u + 1);
        weight[4 * x + 3] = static_cast<float>(a * t * t * u);
    }
}

void set_tiny_taps(double step, int size, int32_t* OHLORA_RESTRICT first, float* OHLORA_RESTRICT weight) {
    for (int x = 0; x < size; ++x) {
        const double position = static_cast<float>((x + 0.5) * step - 0.5);
        const int32_t cell = cell_of(position);
        const float t = static_cast<float>(position - cell), u = 1.0f - t, v = t + 1.0f;
        float* w = weight + 4 * x;
        first[x] = cell - 1 + kPad;
        w[0] = ((kA * v - 5 * kA) * v + 8 * kA) * v - 4 * kA;
        w[1] = ((kA + 2) * t - (kA + 3)) * t * t + 1;
        w[2] = ((kA + 2) * u - (kA + 3)) * u * u + 1;
        w[3] = 1.0f - w[0] - w[1] - w[2];
    }
}

void set_taps(double step, bool tiny, int size, int32_t* first, float* weight) {
    tiny ? set_tiny_taps(step, size, first, weight) : set_inner_taps(step, size, first, weight);
}

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

// The dyed value of a byte, in 16-bit integers: the sum is at most 27·255 + 510 = 7395. The factor for the division by
// 20 is 0.2 / 65536 too large, which makes the quotient too large by at most 0.023: it is 0.05 or more below the next
// whole number.
inline int16_t dyed_byte(uint8_t value, int16_t scale, int16_t offset) {
    const int16_t sum = static_cast<int16_t>(scale * value + offset);
    const uint16_t positive = static_cast<uint16_t>(sum < 0 ? 0 : sum);
    const uint16_t dyed = static_cast<uint16_t>(positive * 3277u >> 16);
    return static_cast<int16_t>(dyed > 255 ? 255 : dyed);
}

constexpr float kClear = 191.25f;  // on the map's scale: up to here the opacity is 0
constexpr float kOpaque = 255.0f;  // from here on it is the row's weight

// How each byte of a block takes its dye.
struct Blend {
    int16_t share[kBlock * kMaxChannels];  // −32768 · opacity, rounded; 0 for a fourth channel, which passes through
    int16_t slack[kBlock * kMaxChannels];  // kSlack, or kCertain where the opacity is 0 or 1
};

// The blend in 16-bit integers decides all but the values near a whole number, where the definition's last bit counts:
// with d = dyed − value, the product of share and −2·d is 65536 · opacity · d, to within 1.016·|d|, since share is off
// by at most 0.508: half a step, and 0.008 for its making in float32. So the high half of the product is what the
// definition truncates to, unless the low half is within |d| + kSlack of a whole number. Where the opacity is 0 or 1 the
// product is a whole number, and exact.
constexpr int16_t kSlack = 4, kCertain = -1024;

// The loops over one block of an image with 3 or 4 channels. They take whole blocks: a fixed length makes them quick.
// Inlined, they would share the registers, and reload a dozen constants for each block: 25 % of a fully dyed row.
template <int kChannels>
struct Block {
    static constexpr int kBytes = kBlock * kChannels;
    static constexpr int kGroup = 16;  // bytes blended anew together, where one of them is undecided

    OHLORA_APART static void dye(const uint8_t* OHLORA_RESTRICT from, const DyePattern& dye,
                                 uint8_t* OHLORA_RESTRICT to) {
        for (int i = 0; i < kBytes; ++i) to[i] = static_cast<uint8_t>(dyed_byte(from[i], dye.scale[i], dye.offset[i]));
    }

    OHLORA_APART static void set(const float* OHLORA_RESTRICT q, double weight, Blend& blend) {
        const float scale = static_cast<float>(-32768.0 / 255.0 * weight);
        const float full = weight == 1.0 ? kOpaque : INFINITY;
        int16_t share[kBlock], slack[kBlock];
        for (int i = 0; i < kBlock; ++i) {
            float alpha = 4.0f * q[i] - 765.0f;
            alpha = alpha < 0.0f ? 0.0f : alpha;
            alpha = alpha > 255.0f ? 255.0f : alpha;
            share[i] = static_cast<int16_t>(static_cast<int>(alpha * scale - 0.5f));
            slack[i] = q[i] <= kClear || q[i] >= full ? kCertain : kSlack;
        }
        for (int i = 0; i < kBlock; ++i) {
            for (int c = 0; c < kChannels; ++c) {
                blend.share[kChannels * i + c] = c < 3 ? share[i] : 0;
                blend.slack[kChannels * i + c] = c < 3 ? slack[i] : kCertain;
            }
        }
    }

    // kStill: values that the dye leaves alone are known to stay, so that they count as decided.
    template <bool kStill>
    OHLORA_APART static void blend(const uint8_t* OHLORA_RESTRICT from, const DyePattern& dye, const Blend& blend,
                                   const float* q, double weight, uint8_t* OHLORA_RESTRICT to) {
        uint8_t undecided[kBytes];
        for (int i = 0; i < kBytes; ++i) {
            const int16_t less = static_cast<int16_t>(from[i] - dyed_byte(from[i], dye.scale[i], dye.offset[i]));
            const int16_t twice = static_cast<int16_t>(2 * less);
            const int16_t high = static_cast<int16_t>(blend.share[i] * twice >> 16);
            const int16_t low =
                static_cast<int16_t>(static_cast<unsigned>(blend.share[i]) * static_cast<unsigned>(twice));
            to[i] = static_cast<uint8_t>(from[i] + high);
            // Loaded whether it counts or not: compilers make no AVX2 of a load behind a condition.
            const int16_t loaded = blend.slack[i];
            const int16_t slack = kStill && less == 0 ? kCertain : loaded;
            const int16_t reach = static_cast<int16_t>((less < 0 ? -less : less) + slack);
            undecided[i] = static_cast<int16_t>(low < 0 ? -low : low) <= reach;
        }
        for (int i = 0; i < kBytes; i += kGroup) {
            uint64_t any[2];
            memcpy(any, undecided + i, kGroup);
            if (any[0] | any[1]) blend_exactly(from, dye, q, weight, i, to);
        }
    }

    // The definition of a group's result: float64 in the reference's order. In a row of the gradient, where the opacity
    // is a ratio of small integers, the products are often exact integers and the last bit decides the truncation.
    static void blend_exactly(const uint8_t* from, const DyePattern& dye, const float* q, double weight, int begin,
                              uint8_t* to) {
        int32_t value[kGroup], dyed[kGroup], blended[kGroup];  // so that the loop in float64 becomes vector code
        float map[kGroup];
        for (int i = 0; i < kGroup; ++i) {
            const int byte = begin + i;
            value[i] = from[byte];
            dyed[i] = dyed_byte(from[byte], dye.scale[byte], dye.offset[byte]);
            map[i] = byte % kChannels < 3 ? q[byte / kChannels] : 0.0f;
        }
        for (int i = 0; i < kGroup; ++i) {
            double alpha = 4.0 * map[i] - 765.0;
            alpha = alpha < 0.0 ? 0.0 : alpha;
            alpha = alpha > 255.0 ? 255.0 : alpha;
            const double a = alpha * weight / 255.0;
            blended[i] = static_cast<int32_t>((1.0 - a) * value[i] + a * dyed[i]);
        }
        for (int i = 0; i < kGroup; ++i) to[begin + i] = static_cast<uint8_t>(blended[i]);
    }
};

// Ask for what the blocks after the next few read and write: the processor's own guesses stop at the end of a page. 5 %
// of a photo that comes from memory.
inline void fetch(const uint8_t* from, const uint8_t* to, int bytes) {
#if defined(__GNUC__)
    constexpr int kAhead = 2048, kLine = 64;
    for (int i = kAhead; i < kAhead + bytes; i += kLine) {
        __builtin_prefetch(from + i, 0);
        __builtin_prefetch(to + i, 1);
    }
#else
    (void)from, (void)to, (void)bytes;
#endif
}

// Whether a row of this weight, where the map is saturated, leaves the values alone that the dye does not move: the
// definition mixes such a value with itself, which may come out one below. Most groups that are undecided are so for one
// of these.
inline bool stay(const DyePattern& dye, double weight) {
    const double a = 255.0 * weight / 255.0;
    if (dye.still_count > static_cast<int>(sizeof(dye.still))) return false;
    for (int i = 0; i < dye.still_count; ++i) {
        const double value = dye.still[i];
        if ((1.0 - a) * value + a * value < value) return false;
    }
    return true;
}

template <int kChannels>
void dye_channels(const DyeRow& row) {
    using Here = Block<kChannels>;
    float q[kBlock];
    Blend blend;
    uint8_t last[Here::kBytes] = {}, last_dyed[Here::kBytes];  // the row's last pixels, where they are no whole block
    bool opaque = false;                                       // `blend` is that of a block all of which is opaque
    bool still = false;
    constexpr int kDyed = 1, kSoft = 2;
    const int width = row.map.columns->size;
    for (int begin = 0; begin < width; begin += kBlock) {
        const int count = width - begin < kBlock ? width - begin : kBlock;
        const size_t bytes = static_cast<size_t>(count) * kChannels;
        const uint8_t* from = row.from + static_cast<size_t>(begin) * kChannels;
        uint8_t* const out = row.to + static_cast<size_t>(begin) * kChannels;
        fetch(from, out, Here::kBytes);
        map_block(row.map, begin, count, q);
        for (int i = count; i < kBlock; ++i) q[i] = q[count - 1];
        int kinds = 0;
        for (int i = 0; i < kBlock; ++i) kinds |= (q[i] > kClear ? kDyed : 0) | (q[i] < kOpaque ? kSoft : 0);
        if (!(kinds & kDyed)) {
            memcpy(out, from, bytes);
            continue;
        }
        uint8_t* to = out;
        if (count < kBlock) {
            memcpy(last, from, bytes);
            from = last;
            to = last_dyed;
        }
        const bool every = !(kinds & kSoft);
        if (every && row.weight == 1.0) {
            Here::dye(from, *row.dye, to);
        } else {
            if (!opaque || !every) {
                Here::set(q, row.weight, blend);
                still = every && stay(*row.dye, row.weight);
            }
            opaque = every;
            const auto blend_block = still ? Here::template blend<true> : Here::template blend<false>;
            blend_block(from, *row.dye, blend, q, row.weight, to);
        }
        if (count < kBlock) memcpy(out, to, bytes);
    }
}

void dye_row(const DyeRow& row) { row.channels == 3 ? dye_channels<3>(row) : dye_channels<4>(row); }

}  // namespace

extern const OmbreRows OHLORA_OF_LEVEL(ombre_rows) = {set_taps,    widen,   stretch, any_reaches,
                                                       map_reaches, map_row, dye_row};

}  // namespace ohlora
