// The inner loops of the refinement in plain C++ that the compiler vectorises; compiled once a level of vector
// instructions. As in readout_rows.cpp, sums may be contracted.
#include "refine_rows.hpp"

#include <string.h>

#include "per_level.hpp"

namespace ohlora {
namespace {

// Columns handled at once, in memory of known layout: the compiler would not see that planes do not overlap.
constexpr int kBlock = 64;

void add_scaled(const float* OHLORA_RESTRICT plane, float sign, int count, float* OHLORA_RESTRICT sums) {
    for (int x = 0; x < count; ++x) sums[x] += sign * plane[x];
}

void add_product(const float* OHLORA_RESTRICT one, const float* OHLORA_RESTRICT other, float sign, int count,
                 float* OHLORA_RESTRICT sums) {
    for (int x = 0; x < count; ++x) sums[x] += sign * one[x] * other[x];
}

// out[x] = the sum of plane[x … x + 2·radius].
void sum_across(const float* OHLORA_RESTRICT plane, int count, int radius, float* OHLORA_RESTRICT out) {
    for (int x = 0; x < count; ++x) out[x] = plane[x];
    for (int k = 1; k <= 2 * radius; ++k)
        for (int x = 0; x < count; ++x) out[x] += plane[x + k];
}

void sum_colors(const float* row, int pitch, float sign, float* sums) {
    for (int i = 0; i < kPlanes; ++i, sums += pitch) add_scaled(row + i * pitch, sign, pitch, sums);
    for (int i = 0; i < kColors; ++i)
        for (int j = i; j < kPlanes; ++j, sums += pitch)
            add_product(row + i * pitch, row + j * pitch, sign, pitch, sums);
}

void sum_slopes(const float* row, int pitch, float sign, float* sums) {
    for (int i = 0; i < kColors; ++i) add_scaled(row + i * pitch, sign, pitch, sums + i * pitch);
}

// Least squares with a penalty of eps on the slopes: (covariance + eps) · slopes = covariance with the map, by
// elimination, which loses no digits where the colours go together.
void solve(const float (*OHLORA_RESTRICT sums)[kBlock], int count, float share, float eps,
           float (*OHLORA_RESTRICT slopes)[kBlock], float (*OHLORA_RESTRICT means)[kBlock]) {
    for (int x = 0; x < count; ++x) {
        const float r = sums[0][x] * share, g = sums[1][x] * share, b = sums[2][x] * share, map = sums[3][x] * share;
        const float rr = sums[4][x] * share - r * r + eps, rg = sums[5][x] * share - r * g;
        const float rb = sums[6][x] * share - r * b, rm = sums[7][x] * share - r * map;
        const float gg = sums[8][x] * share - g * g + eps, gb = sums[9][x] * share - g * b;
        const float gm = sums[10][x] * share - g * map;
        const float bb = sums[11][x] * share - b * b + eps, bm = sums[12][x] * share - b * map;
        const float g_r = rg / rr, b_r = rb / rr;
        const float gg_ = gg - g_r * rg, gb_ = gb - g_r * rb, gm_ = gm - g_r * rm;
        const float b_g = gb_ / gg_;
        const float bb_ = bb - b_r * rb - b_g * gb_, bm_ = bm - b_r * rm - b_g * gm_;
        const float blue = bm_ / bb_, green = (gm_ - gb_ * blue) / gg_;
        slopes[0][x] = (rm - rg * green - rb * blue) / rr;
        slopes[1][x] = green;
        slopes[2][x] = blue;
        means[0][x] = r;
        means[1][x] = g;
        means[2][x] = b;
    }
}

float share_of(int radius) {
    const int side = 2 * radius + 1;
    return 1.0f / static_cast<float>(side * side);
}

void fit(const float* column_sums, int width, int radius, float eps, float* slopes, float* means) {
    const int pitch = width + 2 * radius;
    float sums[kSums][kBlock], slope[kColors][kBlock], mean[kColors][kBlock];
    for (int begin = 0; begin < width; begin += kBlock) {
        const int count = width - begin < kBlock ? width - begin : kBlock;
        for (int i = 0; i < kSums; ++i) sum_across(column_sums + i * pitch + begin, count, radius, sums[i]);
        solve(sums, count, share_of(radius), eps, slope, mean);
        for (int i = 0; i < kColors; ++i) {
            memcpy(slopes + i * pitch + begin, slope[i], sizeof(float) * count);
            memcpy(means + i * width + begin, mean[i], sizeof(float) * count);
        }
    }
}

void smooth(const float* column_sums, const float* means, int width, int radius, float* out) {
    const int pitch = width + 2 * radius;
    const float share = share_of(radius);
    float* OHLORA_RESTRICT offset = out + kColors * width;
    memset(offset, 0, sizeof(float) * width);
    for (int i = 0; i < kColors; ++i) {
        float* OHLORA_RESTRICT slope = out + i * width;
        const float* OHLORA_RESTRICT mean = means + i * width;
        sum_across(column_sums + i * pitch, width, radius, slope);
        for (int x = 0; x < width; ++x) slope[x] *= share;
        for (int x = 0; x < width; ++x) offset[x] -= slope[x] * mean[x];
    }
}

void stretch(const float* OHLORA_RESTRICT source, int width, const LinearTaps& columns, float* OHLORA_RESTRICT out) {
    for (int i = 0; i < kPlanes; ++i) {
        const float* const plane = source + i * width;
        float* const to = out + static_cast<size_t>(i) * columns.size;
        for (int x = 0; x < columns.size; ++x) {
            const float left = plane[columns.first[x]], right = plane[columns.second[x]];
            to[x] = left + (right - left) * columns.weight[x];
        }
    }
}

template <int kChannels>
void add_channels(const DetailRow& row) {
    constexpr float kByte = 1.0f / 255.0f;
    const size_t width = static_cast<size_t>(row.width);
    const float* OHLORA_RESTRICT a = row.above;
    const float* OHLORA_RESTRICT b = row.below;
    const uint8_t* OHLORA_RESTRICT pixels = row.pixels;
    float* OHLORA_RESTRICT prob = row.prob;
    const float weight = row.weight, doubt = row.doubt;
    for (size_t x = 0; x < width; ++x) {
        const float red = a[x] + (b[x] - a[x]) * weight;
        const float green = a[width + x] + (b[width + x] - a[width + x]) * weight;
        const float blue = a[2 * width + x] + (b[2 * width + x] - a[2 * width + x]) * weight;
        const float offset = a[3 * width + x] + (b[3 * width + x] - a[3 * width + x]) * weight;
        const float detail = red * static_cast<float>(pixels[kChannels * x]) +
                             green * static_cast<float>(pixels[kChannels * x + 1]) +
                             blue * static_cast<float>(pixels[kChannels * x + 2]);
        const float tells = detail * kByte + offset, finer = tells < -1.0f ? -1.0f : tells > 1.0f ? 1.0f : tells;
        const float map = prob[x], unsure = doubt * map * (1.0f - map);
        const float value = map + (unsure < 1.0f ? unsure : 1.0f) * finer;
        prob[x] = value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
    }
}

void add(const DetailRow& row) { row.channels == 3 ? add_channels<3>(row) : add_channels<4>(row); }

}  // namespace

extern const RefineRows OHLORA_OF_LEVEL(refine_rows) = {sum_colors, fit, sum_slopes, smooth, stretch, add};

}  // namespace ohlora
