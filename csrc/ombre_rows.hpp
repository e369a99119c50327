// The inner loops of the ombre, one table a level of vector instructions.
//
// ombre_rows.cpp is compiled once a level, each time with its own compiler flags, and defines the table of that level.
// simd_level.cpp chooses a table at run time. Nothing but plain data crosses this border.
#pragma once

#include <cstdint>

namespace ohlora {

// Pixels handled at once. 64 chosen by measurement: at 1024², all hair, 128 takes 2 % longer with AVX-512 and 7 % with
// AVX2, 256 takes 19 % and 27 %.
constexpr int kBlock = 64;
constexpr int kMaxChannels = 4;
// A source row is widened by this many replicated values on either side, so that no tap needs a clamp.
constexpr int kPad = 2;

// In which order the taps are added. OpenCV has three, and the last bit depends on it: see ombre_rows.cpp.
enum class Order { inner, border, tiny };

// The cubic taps of one axis. Output x reads the padded source at first[x] … first[x] + 3, weighted by
// weight[4·x] … weight[4·x + 3].
struct AxisTaps {
    int size = 0;
    const std::int32_t* first = nullptr;
    const float* weight = nullptr;
    // Outputs in [inner_begin, inner_end) have all four taps inside the source; the others touch the border.
    int inner_begin = 0;
    int inner_end = 0;
};

// One output row of the resized map: four horizontally stretched source rows and their weights.
struct MapRow {
    const float* row[4];
    float weight[4];
    Order order;  // inner: all four rows lie inside the source; columns near the border still take `border`
    const AxisTaps* columns;
};

// dyed = clip(floor((scale·value + offset) / 20), 0, 255), an entry for each byte of a block of pixels.
struct DyePattern {
    std::int16_t scale[kBlock * kMaxChannels];
    std::int16_t offset[kBlock * kMaxChannels];
    // Values that the dye of some channel leaves as they are: some four a channel.
    int still_count = 0;
    std::uint8_t still[16];
};

struct DyeRow {
    MapRow map;
    const DyePattern* dye;
    double weight;  // the row's weight, in (0, 1]
    int channels;   // 3 or 4; a fourth passes through
    const std::uint8_t* from;
    std::uint8_t* to;
};

struct OmbreRows {
    // The taps of an axis with `size` outputs, `step` source values apart; tiny: for Order::tiny.
    void (*set_taps)(double step, bool tiny, int size, std::int32_t* first, float* weight);
    // 255 · source, with kPad replicated values on either side.
    void (*widen)(const float* source, int size, float* padded);
    // Stretches a padded source row to the output's width, for output rows of this order.
    void (*stretch)(const float* padded, const AxisTaps& columns, Order order, float* out);
    // Whether any source value reaches the limit.
    bool (*any_reaches)(const float* source, int size, float limit);
    // Whether any value of the resized map's row reaches the limit.
    bool (*map_reaches)(const MapRow& map, float limit);
    // The resized map's row, on the scale of 0 to 1 and clipped to it.
    void (*map_row)(const MapRow& map, float* out);
    // One output row: map, opacity, dye and blend in one pass.
    void (*dye)(const DyeRow& row);
};

extern const OmbreRows ombre_rows_baseline;
extern const OmbreRows ombre_rows_avx2;
extern const OmbreRows ombre_rows_avx512;

}  // namespace ohlora
