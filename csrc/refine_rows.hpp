// The inner loops of the refinement of maps, one table a level of vector instructions; see ombre_rows.hpp.
#pragma once

#include <cstdint>

namespace ohlora {

// The planes of a grid's row: red, green, blue, map.
constexpr int kPlanes = 4;

// The 2·radius + 1 rows of the grid around one of them. Each row holds its planes one after the other, and each plane is
// widened by `radius` replicated values on either side.
struct Window {
    const float* const* rows;
    int width, radius;
};

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
    // Of a row's windows the slopes (3, width) of the map over the colours, and the mean colours (3, width). `scratch`
    // has room for 13 · (width + 2 · radius) numbers.
    void (*fit)(const Window& window, float eps, float* scratch, float* slopes, float* means);
    // The means of the windows of slopes, and the offset that leaves a window of mean colour as it is: (4, width).
    // `scratch` has room for width + 2 · radius numbers.
    void (*smooth)(const Window& slopes, const float* means, float* scratch, float* out);
    // A row of four planes, stretched.
    void (*stretch)(const float* source, int width, const LinearTaps& columns, float* out);
    // Adds to a row's probabilities what its pixels tell, and clips them.
    void (*add)(const DetailRow& row);
};

extern const RefineRows refine_rows_baseline;
extern const RefineRows refine_rows_avx2;
extern const RefineRows refine_rows_avx512;

}  // namespace ohlora
