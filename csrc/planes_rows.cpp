// The inner loops of the ombre on planes; compiled once a level of vector instructions. Plain loops that compilers turn
// into vector code: only the pixels between the first and the last with any opacity are touched.
#include "planes_rows.hpp"

#include <math.h>

#include "per_level.hpp"

namespace ohlora {
namespace {

constexpr float kClear = 0.75f;  // up to here the opacity is 0

// Between 0 and `most`, to some 1e-7 of it. Of two comparisons compilers make jumps here, and then no vector code.
inline float clip(float value, float most) { return 0.5f * (fabsf(value) - fabsf(value - most) + most); }

// By how much the dye changes red, green or blue.
inline float change_of(const YuvDye& dye, int channel, float y, float u, float v) {
    const float* row = dye.to_rgb + 3 * channel;
    const float value = row[0] * y + row[1] * u + row[2] * v;
    return clip(1.35f * value + dye.shift[channel], 255.0f) - value;
}

// Dyes pixels [begin, end) of one row of luma; adds what becomes of the chroma there to du and dv.
template <class T>
void luma(T* OHLORA_RESTRICT y, const float* OHLORA_RESTRICT u, const float* OHLORA_RESTRICT v,
          const float* OHLORA_RESTRICT prob, float weight, int begin, int end, const YuvDye& dye,
          float* OHLORA_RESTRICT du, float* OHLORA_RESTRICT dv) {
    const YuvDye d = dye;  // which bytes that are written to `y` cannot be part of
    const float* to = d.to_yuv;
    for (int x = begin; x < end; ++x) {
        const float before = static_cast<float>(y[x]), light = before - d.zero[0];
        const float alpha = clip(4.0f * prob[x] - 3.0f, 1.0f) * weight;
        const float red = change_of(d, 0, light, u[x], v[x]) * alpha;
        const float green = change_of(d, 1, light, u[x], v[x]) * alpha;
        const float blue = change_of(d, 2, light, u[x], v[x]) * alpha;
        du[x] += to[3] * red + to[4] * green + to[5] * blue;
        dv[x] += to[6] * red + to[7] * green + to[8] * blue;
        y[x] = static_cast<T>(clip(before + (to[0] * red + to[1] * green + to[2] * blue), d.most) + 0.5f);
    }
}

// Adds to each chroma sample the mean of its pixels' changes.
template <class T>
void chroma(T* OHLORA_RESTRICT samples, const float* OHLORA_RESTRICT change, const YuvRows& rows, int begin, int end,
            float most) {
    const int across = rows.across;
    const float share = 1.0f / static_cast<float>(across * rows.rows);
    for (int x = begin; x < end; x += across) {
        float sum = change[x];
        if (across == 2) sum = x + 1 < rows.width ? sum + change[x + 1] : 2.0f * sum;
        T& sample = samples[x / across];
        sample = static_cast<T>(clip(static_cast<float>(sample) + sum * share, most) + 0.5f);
    }
}

template <class T>
void dye_rows(const YuvRows& rows, const YuvDye& dye) {
    const int width = rows.width, across = rows.across;
    int begin = width, end = 0;
    for (int k = 0; k < rows.rows; ++k) {
        const float* prob = rows.prob + static_cast<std::ptrdiff_t>(k) * width;
        int first = 0, last = width;
        while (first < width && prob[first] <= kClear) ++first;
        while (last > first && prob[last - 1] <= kClear) --last;
        if (rows.weight[k] == 0.0f || first == last) continue;
        begin = first < begin ? first : begin;
        end = last > end ? last : end;
    }
    if (begin >= end) return;
    begin -= begin % across;

    float *u = rows.scratch, *v = u + width, *du = v + width, *dv = du + width;
    const T *from_u = static_cast<const T*>(rows.u), *from_v = static_cast<const T*>(rows.v);
    for (int x = begin; x < end; ++x) {
        u[x] = static_cast<float>(from_u[x / across]) - dye.zero[1];
        v[x] = static_cast<float>(from_v[x / across]) - dye.zero[2];
    }
    const int stop = end + across - 1 < width ? end + across - 1 : width;
    for (int x = begin; x < stop; ++x) du[x] = dv[x] = 0.0f;
    for (int k = 0; k < rows.rows; ++k) {
        T* y = static_cast<T*>(rows.y) + k * rows.y_stride;
        luma(y, u, v, rows.prob + static_cast<std::ptrdiff_t>(k) * width, rows.weight[k], begin, end, dye, du, dv);
    }
    chroma(static_cast<T*>(rows.u), du, rows, begin, end, dye.most);
    chroma(static_cast<T*>(rows.v), dv, rows, begin, end, dye.most);
}

void dye8(const YuvRows& rows, const YuvDye& dye) { dye_rows<std::uint8_t>(rows, dye); }
void dye16(const YuvRows& rows, const YuvDye& dye) { dye_rows<std::uint16_t>(rows, dye); }

}  // namespace

extern const PlanesRows OHLORA_OF_LEVEL(planes_rows) = {dye8, dye16};

}  // namespace ohlora
