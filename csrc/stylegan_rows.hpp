// The inner loops of a synthesis layer past its convolution, one table a level of vector instructions: see
// stylegan_rows.cpp.
#pragma once

namespace ohlora {

// One row of a feature map, channels last, and what makes the value of each pixel of it:
// leaky(blurred + noise · noise_weight + bias). Without a blur only the row itself is read.
struct StyleRow {
    const float* rows[3];  // above, here, below; zeros beyond the map
    bool blur;
    const float* noise;  // a number each pixel
    const float* noise_weight;
    const float* bias;  // a number each channel, as noise_weight
    int width, channels;
};

struct StyleRows {
    // Adds the values, less a pivot for each channel, to sums, and their squares to squares.
    void (*add)(const StyleRow& row, const float* pivot, double* sums, double* squares);
    // factor · (value − mean) + shift of each channel.
    void (*write)(const StyleRow& row, const float* mean, const float* factor, const float* shift, float* out);
};

extern const StyleRows style_rows_baseline;
extern const StyleRows style_rows_avx2;
extern const StyleRows style_rows_avx512;

}  // namespace ohlora
