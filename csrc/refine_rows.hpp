// The inner loops of the refinement of maps, one table a level of vector instructions; see ombre_rows.hpp.
#pragma once

#include <cstdint>

namespace ohlora {

constexpr int kColors = 3;
constexpr int kPlanes = 4;  // of a grid's row: red, green, blue, map
constexpr int kSums = 13;   // of a window: of the planes, and of the colours' products with what follows them

// Two taps of each output: source values first[x] and second[x], the second one weighted by weight[x].
struct LinearTaps {
    int size = 0;
    const std::int32_t* first = nullptr;
    const std::int32_t* second = nullptr;
    const float* weight = nullptr;
};

// One row of a photo. above, below: the rows of the grid on either side of it, stretched to the photo's width: slopes of
// red, green and blue, and the offset.
struct DetailRow {
    const float* above;
    const float* below;
    float weight;  // of `below`
    float doubt;
    const std::uint8_t* pixels;
    int channels, width;
    float* prob;
};

struct RefineRows {
    // Sums down windows, made row by row: adds the terms of a row of the grid (kPlanes, pitch), or takes them away where
    // `sign` is −1. The rows are widened by `radius` replicated values on either side: pitch = width + 2 · radius.
    void (*sum_colors)(const float* row, int pitch, float sign, float* sums);  // (kSums, pitch)
    // Of a row's windows the slopes (kColors, pitch) of the map over the colours, and the mean colours (kColors, width).
    void (*fit)(const float* sums, int width, int radius, float eps, float* slopes, float* means);
    // As sum_colors, of a row of slopes (kColors, pitch).
    void (*sum_slopes)(const float* row, int pitch, float sign, float* sums);  // (kColors, pitch)
    // The means of the windows of slopes, and the offset that leaves a window of mean colour as it is: (4, width).
    void (*smooth)(const float* sums, const float* means, int width, int radius, float* out);
    // A row of four planes, stretched.
    void (*stretch)(const float* source, int width, const LinearTaps& columns, float* out);
    // Adds to a row's probabilities what its pixels tell, and clips them.
    void (*add)(const DetailRow& row);
};

extern const RefineRows refine_rows_baseline;
extern const RefineRows refine_rows_avx2;
extern const RefineRows refine_rows_avx512;

}  // namespace ohlora
