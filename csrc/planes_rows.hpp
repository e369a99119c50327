// The inner loops of the ombre on the planes of a video frame, one table a level of vector instructions: see
// planes_rows.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ohlora {

// What the values of the planes mean, and the dye. RGB on the scale of 0 to 255 is
// to_rgb · (y − zero[0], u − zero[1], v − zero[2]), and a difference of RGB gives one of the planes by to_yuv.
struct YuvDye {
    float to_rgb[9];
    float to_yuv[9];
    float zero[3];
    float most;      // the planes' largest value
    float shift[3];  // dyed = clip(1.35·value + shift, 0, 255) of red, green, blue
};

// One row of chroma samples, with the rows of luma, one or two, that it belongs to.
struct YuvRows {
    void* y;                   // uint8 or uint16
    std::ptrdiff_t y_stride;   // in samples
    void *u, *v;
    const float* prob;         // a row of `width` for each row of luma
    const float* weight;       // a number for each row of luma
    int rows, width, across;   // across: luma samples a chroma sample, 1 or 2
    float* scratch;            // 4 · width
};

struct PlanesRows {
    void (*dye8)(const YuvRows& rows, const YuvDye& dye);
    void (*dye16)(const YuvRows& rows, const YuvDye& dye);
};

extern const PlanesRows planes_rows_baseline;
extern const PlanesRows planes_rows_avx2;
extern const PlanesRows planes_rows_avx512;

}  // namespace ohlora
