// The inner loop of natural dyeing, one table a level of vector instructions, as ombre_rows.hpp has for the ombre. What
// it computes stands in ohlora_fast/ops/natural_plan.py.
#pragma once

#include <cstdint>

namespace ohlora {

constexpr int kDyeColumns = 12;  // float32 numbers of one dye, as in natural_plan.py

struct NaturalRow {
    const float* decode;         // linear light of each byte, 256
    const float* prob;           // the map at the photo's size, in [0, 1]
    const float* dyes;           // the row's dye, or the table that `index` points into
    const std::uint16_t* index;  // one a pixel, or null
    int width, channels;         // 3 or 4; a fourth passes through
    const std::uint8_t* from;
    std::uint8_t* to;
};

struct NaturalRows {
    void (*dye)(const NaturalRow& row);
};

extern const NaturalRows natural_rows_baseline;
extern const NaturalRows natural_rows_avx2;
extern const NaturalRows natural_rows_avx512;

}  // namespace ohlora
