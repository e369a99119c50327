// The inner loops of the refinement in plain C++ that the compiler vectorises; compiled once a level of vector
// instructions. As in readout_rows.cpp, sums may be contracted.
#include "refine_rows.hpp"

#include <string.h>

#include "per_level.hpp"

namespace ohlora {
namespace {

// Of a window: sums of the map, the colours, their products with the map, and those with each other.
constexpr int kSums = 13;

// Columns handled at once, in memory of known layout: the compiler would not see that planes do not overlap.
constexpr int kBlock = 64;

// out[x] = the sum of plane[x … x + 2·radius].
void sum_across(const float* OHLORA_RESTRICT plane, int count, int radius, float* OHLORA_RESTRICT out) {
    for (int x = 0; x < count; ++x) out[x] = plane[x];
    for (int k = 1; k <= 2 * radius; ++k)
        for (int x = 0; x < count; ++x) out[x] += plane[x + k];
}

// The sums down the window's rows at columns [begin, begin + count).
void sum_down(const Window& window, int pitch, int begin, int count, float (*OHLORA_RESTRICT sums)[kBlock]) {
    memset(sums, 0, sizeof(float) * kSums * kBlock);
    for (int k = 0; k <= 2 * window.radius; ++k) {
        const float* OHLORA_RESTRICT reds = window.rows[k] + begin;
        const float* OHLORA_RESTRICT greens = reds + pitch;
        const float* OHLORA_RESTRICT blues = greens + pitch;
        const float* OHLORA_RESTRICT maps = blues + pitch;
        for (int x = 0; x < count; ++x) {
            const float red = reds[x], green = greens[x], blue = blues[x], map = maps[x];
            sums[0][x] += map;
            sums[1][x] += red;
            sums[2][x] += green;
            sums[3][x] += blue;
            sums[4][x] += red * map;
            sums[5][x] += green * map;
            sums[6][x] += blue * map;
            sums[7][x] += red * red;
            sums[8][x] += red * green;
            sums[9][x] += red * blue;
            sums[10][x] += green * green;
            sums[11][x] += green * blue;
            sums[12][x] += blue * blue;
        }
    }
}

// Least squares with a penalty of eps on the slopes: (covariance + eps) · slopes = covariance with the map, by
// elimination, which loses no digits where the colours go together.
void solve(const float (*OHLORA_RESTRICT sums)[kBlock], int count, float share, float eps,
           float (*OHLORA_RESTRICT slopes)[kBlock], float (*OHLORA_RESTRICT means)[kBlock]) {
    for (int x = 0; x < count; ++x) {
        const float map = sums[0][x] * share, r = sums[1][x] * share, g = sums[2][x] * share, b = sums[3][x] * share;
        const float rm = sums[4][x] * share - r * map, gm = sums[5][x] * share - g * map;
        const float bm = sums[6][x] * share - b * map;
        const float rr = sums[7][x] * share - r * r + eps, rg = sums[8][x] * share - r * g;
        const float rb = sums[9][x] * share - r * b, gg = sums[10][x] * share - g * g + eps;
        const float gb = sums[11][x] * share - g * b, bb = sums[12][x] * share - b * b + eps;
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

float share_of(const Window& window) {
    const int side = 2 * window.radius + 1;
    return 1.0f / static_cast<float>(side * side);
}

int block_at(int begin, int size) { return size - begin < kBlock ? size - begin : kBlock; }

void fit(const Window& window, float eps, float* scratch, float* slopes, float* means) {
    const int width = window.width, pitch = width + 2 * window.radius;
    float sums[kSums][kBlock], slope[3][kBlock], mean[3][kBlock];
    for (int begin = 0; begin < pitch; begin += kBlock) {
        const int count = block_at(begin, pitch);
        sum_down(window, pitch, begin, count, sums);
        for (int i = 0; i < kSums; ++i) memcpy(scratch + i * pitch + begin, sums[i], sizeof(float) * count);
    }
    for (int begin = 0; begin < width; begin += kBlock) {
        const int count = block_at(begin, width);
        for (int i = 0; i < kSums; ++i) sum_across(scratch + i * pitch + begin, count, window.radius, sums[i]);
        solve(sums, count, share_of(window), eps, slope, mean);
        for (int i = 0; i < 3; ++i) {
            memcpy(slopes + i * width + begin, slope[i], sizeof(float) * count);
            memcpy(means + i * width + begin, mean[i], sizeof(float) * count);
        }
    }
}

void smooth(const Window& window, const float* means, float* OHLORA_RESTRICT scratch, float* out) {
    const int width = window.width, pitch = width + 2 * window.radius;
    const float share = share_of(window);
    float* OHLORA_RESTRICT offset = out + 3 * width;
    memset(offset, 0, sizeof(float) * width);
    for (int i = 0; i < 3; ++i) {
        memset(scratch, 0, sizeof(float) * pitch);
        for (int k = 0; k <= 2 * window.radius; ++k) {
            const float* OHLORA_RESTRICT row = window.rows[k] + i * pitch;
            for (int x = 0; x < pitch; ++x) scratch[x] += row[x];
        }
        float* OHLORA_RESTRICT slope = out + i * width;
        const float* OHLORA_RESTRICT mean = means + i * width;
        sum_across(scratch, width, window.radius, slope);
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

extern const RefineRows OHLORA_OF_LEVEL(refine_rows) = {fit, smooth, stretch, add};

}  // namespace ohlora
