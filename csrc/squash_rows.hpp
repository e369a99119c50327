// The inner loops of the squash, one table a level of vector instructions; see ombre_rows.hpp.
#pragma once

#include <cstdint>

namespace ohlora {

// Rows that are squeezed at once, each in a lane of its own.
constexpr int kLanes = 16;

// The taps of one axis. Output x is the sum of source values first[x] … first[x] + count[x] − 1, the k-th weighted by
// weight[stride·x + k], in units of 2^-22.
struct SquashTaps {
    int size = 0;
    int stride = 0;
    const std::int32_t* first = nullptr;
    const std::int32_t* count = nullptr;
    const std::int32_t* weight = nullptr;
};

// kLanes source rows of `width` pixels, `pixel` bytes apart (3 or 4), of which the first three count.
struct SquashBlock {
    const std::uint8_t* row[kLanes];
    int width;
    int pixel;
};

struct SquashRows {
    // Resizes the rows to columns.size pixels of three bytes: row i goes to out + i·pitch, where pitch is that number
    // of bytes rounded up to kLanes. `scratch` has room for kLanes times as many bytes as a source row and an output
    // row have, either rounded up to kLanes.
    void (*squeeze)(const SquashBlock& block, const SquashTaps& columns, std::uint8_t* scratch, std::uint8_t* out,
                    int pitch);
    // The weighted sum of `count` rows of bytes, where a row is as long as `pitch` above.
    void (*sum)(const std::uint8_t* const* rows, const std::int32_t* weight, int count, int pitch, std::uint8_t* out);
};

extern const SquashRows squash_rows_baseline;
extern const SquashRows squash_rows_avx2;
extern const SquashRows squash_rows_avx512;

}  // namespace ohlora
