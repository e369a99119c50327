// Photos to squares: Pillow's BILINEAR resize to the last bit. Trusts its arguments: the checks are in Python.
#pragma once

#include <cstddef>
#include <cstdint>

#include "squash_rows.hpp"

namespace ohlora {

// uint8 photos (count, height, width, 3). Pixels of a row lie `pixel` bytes apart, 3 or 4; rows and samples at any
// distance, in bytes.
struct Photos {
    const std::uint8_t* data;
    int count, height, width, pixel;
    std::ptrdiff_t sample_stride, row_stride;
};

// Writes contiguous (count, size, size, 3).
void squash(const Photos& photos, int size, std::uint8_t* out, int threads, const SquashRows& rows);

}  // namespace ohlora
