// The inner loops of the student's readout; compiled once a level of vector instructions.
//
// Unlike in ombre_rows.cpp, sums may be contracted and reordered: the levels differ in the last bits.
#include "readout_rows.hpp"

#include <stdint.h>
#include <string.h>

#include "vector_lanes.hpp"

namespace ohlora {
namespace {

// Accumulators of kOutputs channels and kVectors vectors fill the registers: 32 with AVX-512, 16 below.
#if defined(__AVX512F__)
constexpr int kOutputs = 8;
#else
constexpr int kOutputs = 4;
#endif
constexpr int kVectors = 3;
static_assert(kGroup % kOutputs == 0 && kVectors * kLanes <= 48, "what readout_rows.hpp promises");

#if defined(__GNUC__)
inline Vec all(float value) { return value - Vec{}; }
inline Vec relu(Vec a) { return a > Vec{} ? a : Vec{}; }
#else
inline Vec all(float value) {
    return each([=](int) { return value; });
}
inline Vec relu(const Vec& a) {
    return each([&](int i) { return a.lane[i] > 0.0f ? a.lane[i] : 0.0f; });
}
#endif

// Calls body with the number of vectors, as a constant, and the first pixel of each piece of a row.
template <int kCount>
struct Vectors {
    static constexpr int count = kCount;
};
template <typename Body>
inline void pieces(int width, const Body& body) {
    int x = 0;
    for (; x + 2 * kLanes < width; x += kVectors * kLanes) body(Vectors<kVectors>{}, x);
    if (x + kLanes < width) {
        body(Vectors<2>{}, x);
    } else if (x < width) {
        body(Vectors<1>{}, x);
    }
}

// The zero padding of a row, which the last piece may have run over.
inline void pad(float* row, int width) { row[kMargin - 1] = row[kMargin + width] = 0.0f; }

template <int kCount>
inline void add_products(const float* in, int pitch, const float* weight, int inputs, Vec (&sum)[kOutputs][kCount]) {
    for (int c = 0; c < inputs; ++c, in += pitch, weight += kGroup) {
        Vec value[kCount];
        for (int v = 0; v < kCount; ++v) value[v] = load(in + v * kLanes);
        for (int o = 0; o < kOutputs; ++o)
            for (int v = 0; v < kCount; ++v) sum[o][v] = sum[o][v] + all(weight[o]) * value[v];
    }
}

inline const float* weights_of(const Mix& mix, int output) {
    return mix.weight + static_cast<long long>(output / kGroup) * mix.inputs * kGroup + output % kGroup;
}

void normed(const float* sums, long long plane, const float* scale, const float* shift, int channels, int width,
            int repeat, int pitch, float* out) {
    for (int c = 0; c < channels; ++c, sums += plane, out += pitch) {
        float* row = out + kMargin;
        for (int x = 0; x < width; ++x) {
            const float value = (sums[x] > 0.0f ? sums[x] : 0.0f) * scale[c] + shift[c];
            if (repeat == 1) {
                row[x] = value;
            } else {
                row[2 * x] = row[2 * x + 1] = value;
            }
        }
        pad(out, repeat * width);
    }
}

void mixed(const float* rows, const Mix& mix, const float* start, int width, int pitch, float* out) {
    pieces(width, [&](auto vectors, int x) {
        constexpr int count = decltype(vectors)::count;
        for (int o = 0; o < mix.outputs; o += kOutputs) {
            Vec sum[kOutputs][count];
            for (int i = 0; i < kOutputs; ++i)
                for (int v = 0; v < count; ++v) sum[i][v] = all(start[o + i]);
            add_products<count>(rows + kMargin + x, pitch, weights_of(mix, o), mix.inputs, sum);
            for (int i = 0; i < kOutputs; ++i)
                for (int v = 0; v < count; ++v) store(out + (o + i) * pitch + kMargin + x + v * kLanes, sum[i][v]);
        }
    });
}

void doubled(const float* from, int from_pitch, int channels, int width, int pitch, float* out) {
    for (int c = 0; c < channels; ++c, from += from_pitch, out += pitch) {
        const float* row = from + kMargin;
        for (int x = 0; x < width; ++x) out[kMargin + 2 * x] = out[kMargin + 2 * x + 1] = row[x];
    }
}

// relu of the depthwise convolution of one channel, at `count` vectors from one pixel on.
template <int kTapRows, int kCount>
inline void depthwise(const float* const* rows, long long offset, const float* taps, Vec (&sum)[kCount]) {
    for (int v = 0; v < kCount; ++v) sum[v] = Vec{};
    for (int r = 0; r < kTapRows; ++r)
        for (int k = 0; k < 3; ++k)
            for (int v = 0; v < kCount; ++v)
                sum[v] = sum[v] + all(taps[3 * r + k]) * load(rows[r] + offset + k - 1 + v * kLanes);
    for (int v = 0; v < kCount; ++v) sum[v] = relu(sum[v]);
}

template <int kTapRows>
void ghost_row(const GhostRow& row) {
    const Mix& mix = row.mix;
    pieces(row.width, [&](auto vectors, int x) {
        constexpr int count = decltype(vectors)::count, piece = count * kLanes;
        for (int c = 0; c < mix.inputs; ++c) {
            Vec cheap[count];
            depthwise<kTapRows, count>(row.rows, static_cast<long long>(c) * row.pitch + kMargin + x,
                                       row.taps + 3 * kTapRows * c, cheap);
            for (int v = 0; v < count; ++v) store(row.scratch + c * piece + v * kLanes, cheap[v]);
        }
        for (int o = 0; o < mix.outputs; o += kOutputs) {
            const long long at = static_cast<long long>(o) * row.pitch + kMargin + x;
            Vec sum[kOutputs][count];
            for (int i = 0; i < kOutputs; ++i)
                for (int v = 0; v < count; ++v) sum[i][v] = load(row.start + at + i * row.pitch + v * kLanes);
            add_products<count>(row.scratch, piece, weights_of(mix, o), mix.inputs, sum);
            for (int i = 0; i < kOutputs; ++i)
                for (int v = 0; v < count; ++v)
                    store(row.out + at + i * row.pitch + v * kLanes,
                          relu(sum[i][v]) * all(row.scale[o + i]) + all(row.shift[o + i]));
        }
    });
    for (int o = 0; o < mix.outputs; ++o) pad(row.out + static_cast<long long>(o) * row.pitch, row.width);
}

void ghost(const GhostRow& row) { row.tap_rows == 2 ? ghost_row<2>(row) : ghost_row<3>(row); }

void logits(const LogitRow& row) {
    pieces(row.width, [&](auto vectors, int x) {
        constexpr int count = decltype(vectors)::count;
        Vec sum[count];
        for (int v = 0; v < count; ++v) sum[v] = all(row.bias);
        for (int c = 0; c < row.channels; ++c) {
            const long long at = static_cast<long long>(c) * row.pitch + kMargin + x;
            Vec cheap[count];
            depthwise<3, count>(row.rows, at, row.taps + 9 * c, cheap);
            for (int v = 0; v < count; ++v)
                sum[v] = sum[v] + all(row.direct[c]) * load(row.rows[1] + at + v * kLanes) + all(row.cheap[c]) * cheap[v];
        }
        for (int v = 0; v < count; ++v) store(row.out + x + v * kLanes, sum[v]);
    });
}

// exp(−x), with a relative error below 2e-7 where the result is a normal number: 2^n · e^r, |r| at most ln 2 / 2.
inline float exp_of_minus(float x) {
    const float rounder = 12582912.0f;  // 1.5 · 2^23: adding it rounds to whole numbers
    float y = x < -87.0f ? 87.0f : -x;
    y = y < -87.0f ? -87.0f : y;
    const float shifted = y * 1.44269504f + rounder;
    const float n = shifted - rounder;
    const float r = y - n * 0.693359375f + n * 2.12194440e-4f;  // ln 2 in two parts
    float e = 1.98412698e-4f;
    e = e * r + 1.38888889e-3f;
    e = e * r + 8.33333333e-3f;
    e = e * r + 4.16666667e-2f;
    e = e * r + 1.66666667e-1f;
    e = e * r + 0.5f;
    e = e * r + 1.0f;
    e = e * r + 1.0f;
    int32_t bits;
    memcpy(&bits, &e, sizeof bits);
    bits += static_cast<int32_t>(n) * (1 << 23);
    memcpy(&e, &bits, sizeof e);
    return e;
}

void finish(const float* first, const float* second, float weight, int width, bool twice, float* line, float* out) {
    const float rest = 1.0f - weight;
    for (int x = 0; x < width; ++x) line[x] = first[x] * weight + second[x] * rest;
    if (twice) {
        for (int x = 0; x + 1 < width; ++x) {
            out[2 * x + 1] = 0.75f * line[x] + 0.25f * line[x + 1];
            out[2 * x + 2] = 0.25f * line[x] + 0.75f * line[x + 1];
        }
        out[0] = line[0];
        out[2 * width - 1] = line[width - 1];
    } else {
        memcpy(out, line, sizeof(float) * static_cast<size_t>(width));
    }
    const int size = twice ? 2 * width : width;
    for (int x = 0; x < size; ++x) out[x] = 1.0f / (1.0f + exp_of_minus(out[x]));
}

}  // namespace

extern const ReadoutRows OHLORA_OF_LEVEL(readout_rows) = {normed, mixed, doubled, ghost, logits, finish};

}  // namespace ohlora
