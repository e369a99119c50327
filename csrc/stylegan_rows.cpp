// The inner loops of a synthesis layer past its convolution; compiled once a level of vector instructions.
//
// Lanes are channels. A strip of a row, a few vectors of channels wide, is walked from left to right, and the blur keeps
// the sums of the last two columns in registers. As in readout_rows.cpp, sums may be contracted.
#include "stylegan_rows.hpp"

#include <string.h>

#include "per_level.hpp"

namespace ohlora {
namespace {

// Vectors of a strip: each takes up to seven registers, of which there are 32 with AVX-512, 16 below.
#if defined(__GNUC__) && defined(__AVX512F__)
constexpr int kLanes = 16, kVectors = 4;
#elif defined(__GNUC__) && defined(__AVX2__)
constexpr int kLanes = 8, kVectors = 2;
#elif defined(__GNUC__)
constexpr int kLanes = 4, kVectors = 2;
#else
constexpr int kLanes = 1, kVectors = 4;
#endif

#if defined(__GNUC__)
typedef float Vec __attribute__((vector_size(4 * kLanes)));
inline Vec leaky(Vec a) { return a > Vec{} ? a : 0.2f * a; }
#else
typedef float Vec;
#endif
inline float leaky(float a) { return a > 0.0f ? a : 0.2f * a; }

// V is Vec, or float for the channels that fill no vector.
template <typename V>
inline V load(const float* from) {
    V value;
    memcpy(&value, from, sizeof value);
    return value;
}
template <typename V>
inline void store(float* to, V value) {
    memcpy(to, &value, sizeof value);
}

// Three rows of a column, weighted 1 2 1.
template <typename V>
inline V column(const StyleRow& row, long long at) {
    return load<V>(row.rows[0] + at) + 2.0f * load<V>(row.rows[1] + at) + load<V>(row.rows[2] + at);
}

// Calls sink(x, v, value) for each pixel x and vector v of the strip that begins at a channel.
template <typename V, int kCount, bool kBlur, typename Sink>
inline void walk(const StyleRow& row, int channel, const Sink& sink) {
    constexpr int lanes = sizeof(V) / sizeof(float);
    V weight[kCount], bias[kCount], left[kCount], here[kCount];
    for (int v = 0; v < kCount; ++v) {
        weight[v] = load<V>(row.noise_weight + channel + v * lanes);
        bias[v] = load<V>(row.bias + channel + v * lanes);
        left[v] = V{};
        if (kBlur) here[v] = column<V>(row, channel + v * lanes);
    }
    for (int x = 0; x < row.width; ++x) {
        const long long at = static_cast<long long>(x) * row.channels + channel;
        const bool last = x + 1 == row.width;
        for (int v = 0; v < kCount; ++v) {
            V value;
            if (kBlur) {
                const V right = last ? V{} : column<V>(row, at + row.channels + v * lanes);
                value = 0.0625f * (left[v] + 2.0f * here[v] + right);
                left[v] = here[v];
                here[v] = right;
            } else {
                value = load<V>(row.rows[1] + at + v * lanes);
            }
            sink(x, v, leaky(value + row.noise[x] * weight[v] + bias[v]));
        }
    }
}

template <typename V, int kCount>
struct Strip {
    static constexpr int count = kCount;
    typedef V Value;
};

// Calls body with the strip's kind and its first channel, until no channel is left.
template <typename Body>
inline void strips(int channels, const Body& body) {
    int c = 0;
    for (; c + kVectors * kLanes <= channels; c += kVectors * kLanes) body(Strip<Vec, kVectors>{}, c);
    for (; c + kLanes <= channels; c += kLanes) body(Strip<Vec, 1>{}, c);
    for (; c < channels; ++c) body(Strip<float, 1>{}, c);
}

template <bool kBlur>
void add_values(const StyleRow& row, const float* pivot, double* sums, double* squares) {
    strips(row.channels, [&](auto strip, int c) {
        typedef typename decltype(strip)::Value V;
        constexpr int count = decltype(strip)::count, lanes = sizeof(V) / sizeof(float);
        V sum[count], square[count], origin[count];
        for (int v = 0; v < count; ++v) {
            sum[v] = square[v] = V{};
            origin[v] = load<V>(pivot + c + v * lanes);
        }
        walk<V, count, kBlur>(row, c, [&](int, int v, V value) {
            value = value - origin[v];
            sum[v] = sum[v] + value;
            square[v] = square[v] + value * value;
        });
        float lane[2][count * lanes];
        memcpy(lane[0], sum, sizeof sum);
        memcpy(lane[1], square, sizeof square);
        for (int i = 0; i < count * lanes; ++i) {
            sums[c + i] += lane[0][i];
            squares[c + i] += lane[1][i];
        }
    });
}

void add(const StyleRow& row, const float* pivot, double* sums, double* squares) {
    if (row.blur) {
        add_values<true>(row, pivot, sums, squares);
    } else {
        add_values<false>(row, pivot, sums, squares);
    }
}

template <bool kBlur>
void write_values(const StyleRow& row, const float* mean, const float* factor, const float* shift, float* out) {
    strips(row.channels, [&](auto strip, int c) {
        typedef typename decltype(strip)::Value V;
        constexpr int count = decltype(strip)::count, lanes = sizeof(V) / sizeof(float);
        V centre[count], scale[count], start[count];
        for (int v = 0; v < count; ++v) {
            centre[v] = load<V>(mean + c + v * lanes);
            scale[v] = load<V>(factor + c + v * lanes);
            start[v] = load<V>(shift + c + v * lanes);
        }
        walk<V, count, kBlur>(row, c, [&](int x, int v, V value) {
            store<V>(out + static_cast<long long>(x) * row.channels + c + v * lanes,
                     scale[v] * (value - centre[v]) + start[v]);
        });
    });
}

void write(const StyleRow& row, const float* mean, const float* factor, const float* shift, float* out) {
    if (row.blur) {
        write_values<true>(row, mean, factor, shift, out);
    } else {
        write_values<false>(row, mean, factor, shift, out);
    }
}

}  // namespace

extern const StyleRows OHLORA_OF_LEVEL(style_rows) = {add, write};

}  // namespace ohlora
