// Natural dyeing of one photo. Trusts its arguments: the checks are in Python.
#pragma once

#include <cstddef>
#include <cstdint>

#include "natural_rows.hpp"

namespace ohlora {

// A photo, its map and its dyes: uint8 (height, width, channels) with contiguous pixels, rows at any distance in bytes;
// float32 (height, width); float32 (·, kDyeColumns); uint16 (height, width), or null: row y takes dye y.
struct NaturalPhoto {
    const std::uint8_t* data;
    int height, width, channels;
    std::ptrdiff_t row_stride;
    const float* prob;
    const float* dyes;
    const std::uint16_t* index;
    const float* decode;  // linear light of each byte, 256
};

// Writes contiguous (height, width, channels).
void dye_naturally(const NaturalPhoto& photo, std::uint8_t* out, int threads, const NaturalRows& rows);

}  // namespace ohlora
