// The probability map on the image's grid, and the rows where it has hair: what one warp of the GPU does with it.
// Like ombre_pixel.hpp, this compiles for the host, where a loop over 32 lanes takes the place of a warp.
#pragma once

#include "ombre_pixel.hpp"

namespace ohlora::gpu {

constexpr int kLanes = 32;  // of a warp
constexpr int kPixels = 4;  // neighbouring columns of a thread
constexpr int kNone = 0x7fffffff;

OHLORA_GPU int smaller(int a, int b) { return a < b ? a : b; }
OHLORA_GPU int larger(int a, int b) { return a > b ? a : b; }
OHLORA_GPU int clamped(int i, int size) { return smaller(larger(i, 0), size - 1); }

// An element by an index known only at run time, of an array that stays in registers.
template <int kSize, class Value>
OHLORA_GPU Value pick(const Value* values, unsigned index) {
    Value value = values[0];
    OHLORA_UNROLL
    for (unsigned i = 1; i < kSize; ++i)
        if (i == index) value = values[i];
    return value;
}

// The cubic taps of one axis, from the table of ohlora_fast.kernels.cubic.tap_table, float32 (5, size): the first of
// the four source indices, which may lie outside the source, then the four weights.
struct Axis {
    const float* table;
    int size, source;

    OHLORA_GPU int first(int i) const { return static_cast<int>(table[i]); }
    OHLORA_GPU const float* weights(int k) const { return table + static_cast<std::int64_t>(k + 1) * size; }
    OHLORA_GPU bool inside(int first) const { return first >= 0 && first + 3 < source; }
};

// Maps in [0, 1], contiguous (count, rows.source, columns.source). One may serve a whole batch.
struct Maps {
    const float* data;
    int count;
    Axis rows, columns;
    bool tiny;  // fewer than four rows or columns

    OHLORA_GPU int of(int sample) const { return smaller(sample, count - 1); }
    // Source row j of a map, replicated beyond the border.
    OHLORA_GPU const float* row(int map, int j) const {
        return data + (static_cast<std::int64_t>(map) * rows.source + clamped(j, rows.source)) * columns.source;
    }
    OHLORA_GPU Order order(bool inside) const {
        return tiny ? Order::tiny : inside ? Order::inner : Order::border;
    }
    // One column of a source row.
    OHLORA_GPU float stretched(const float* source, int x, int first, Order order) const {
        float p[4], w[4];
        OHLORA_UNROLL
        for (int k = 0; k < 4; ++k) {
            p[k] = source[clamped(first + k, columns.source)] * 255.0f;
            w[k] = columns.weights(k)[x];
        }
        return across(order, p, w);
    }
};

// First and last hair row; kNone and −1 where there is none.
struct Extent {
    int top, bottom;
};

// Where the colour begins and where it is full. Without a hair row every row has weight 1.
struct Gradient {
    int top = 0, bottom = 0;

    OHLORA_GPU Gradient() {}
    OHLORA_GPU Gradient(Extent hair, double height, double grad_height) {
        if (hair.bottom < 0) return;
        top = static_cast<int>(hair.top + (hair.bottom - hair.top) * (1.0 - height));
        bottom = static_cast<int>(top + (hair.bottom - top) * grad_height);
    }
    OHLORA_GPU double weight(int y) const {
        if (y < top) return 0.0;
        return y >= bottom ? 1.0 : static_cast<double>(y - top) / (bottom - top);
    }
};

// What an image row asks of the map and of the blend.
struct Row {
    alignas(16) float tap[4];
    double weight;  // of the gradient, in [0, 1]
    float scale;    // weight / 255
    int first;      // of the four source rows
    bool full;      // weight is 1
    bool inside;    // the source rows all lie inside the map, and the map is not tiny

    Row() = default;
    OHLORA_GPU Row(const Maps& maps, int y, const Gradient& gradient)
        : weight(gradient.weight(y)), scale(static_cast<float>(weight / 255.0)), first(maps.rows.first(y)),
          full(weight == 1.0), inside(!maps.tiny && maps.rows.inside(first)) {
        OHLORA_UNROLL
        for (int k = 0; k < 4; ++k) tap[k] = maps.rows.weights(k)[y];
    }
};

// The largest value that was seen, and its column.
struct Peak {
    float value;
    int column;
};

// The hair rows of a map, by one warp. Warp has any(f), whether f(lane) holds for any lane, and best(f), the Peak with
// the largest value among f(lane).
template <class Warp>
class HairSearch {
public:
    OHLORA_GPU HairSearch(const Maps& maps, int map, Warp warp) : maps_(maps), map_(map), warp_(warp) {}

    // Of the image rows [begin, end).
    OHLORA_GPU Extent find(int begin, int end) {
        int top = begin;
        while (top < end && !is_hair(top)) ++top;
        if (top >= end) return {kNone, -1};
        int bottom = end - 1;
        while (bottom > top && !is_hair(bottom)) --bottom;
        return {top, bottom};
    }

private:
    // Most rows are settled by the largest value of their four source rows: either it is too small for hair, or so
    // large that the columns around it, where the search begins, are hair.
    OHLORA_GPU bool is_hair(int y) {
        const Row row(maps_, y, Gradient());
        if (row.first != held_) {
            held_ = row.first;
            peak_ = warp_.best([&](int lane) { return brightest(lane); });
        }
        if (peak_.value < kHairNeeds) return false;
        const int width = maps_.columns.size, parts = (width + kLanes - 1) / kLanes;
        int part = static_cast<int>(static_cast<std::int64_t>(peak_.column) * width / maps_.columns.source) / kLanes;
        OHLORA_ROLLED
        for (int looked = 0; looked < parts; ++looked) {
            const auto reaches = [&](int lane) {
                const int x = part * kLanes + lane;
                return x < width && resized(row, x) >= kHair;
            };
            if (warp_.any(reaches)) return true;
            if (++part == parts) part = 0;
        }
        return false;
    }

    OHLORA_GPU Peak brightest(int lane) const {
        Peak peak{0.0f, 0};
        for (int k = 0; k < 4; ++k) {
            const float* source = maps_.row(map_, held_ + k);
            OHLORA_ROLLED
            for (int column = lane; column < maps_.columns.source; column += kLanes)
                if (source[column] > peak.value) peak = {source[column], column};
        }
        return peak;
    }

    OHLORA_GPU float resized(const Row& row, int x) const {
        const int first = maps_.columns.first(x);
        const Order order = maps_.order(row.inside && maps_.columns.inside(first));
        float p[4];
        OHLORA_UNROLL
        for (int k = 0; k < 4; ++k) p[k] = maps_.stretched(maps_.row(map_, row.first + k), x, first, order);
        return down(order, p[0], p[1], p[2], p[3], row.tap);
    }

    const Maps& maps_;
    int map_;
    Warp warp_;
    Peak peak_{0.0f, 0};
    int held_ = -kNone;  // the first of the source rows that peak_ is of
};

// How many of the first rows of a strip stay as they are, all columns [begin, end) of them: all if the map is dark
// there, else those above the gradient.
template <class Warp>
OHLORA_GPU int plain_rows(const Maps& maps, int map, const Row* rows, int count, int begin, int end, Warp warp) {
    int plain = 0;
    while (plain < count && rows[plain].scale == 0.0f) ++plain;
    if (plain == count) return count;
    const int left = maps.columns.first(begin), right = maps.columns.first(end - 1) + 4;
    const bool lit = warp.any([&](int lane) {
        bool some = false;
        for (int j = rows[plain].first; j < rows[count - 1].first + 4; ++j)
            for (int i = left + lane; i < right; i += kLanes)
                some = some || maps.row(map, j)[clamped(i, maps.columns.source)] >= kDyeNeeds;
        return some;
    });
    return lit ? plain : count;
}

// Sets an element by an index known only at run time, of an array that stays in registers.
OHLORA_GPU void set(float* values, int index, float value) {
    OHLORA_UNROLL
    for (int i = 0; i < kPixels; ++i)
        if (i == index) values[i] = value;
}

// The resized map at kPixels columns, from one image row to the next. The four stretched source rows stay in
// registers, where neighbouring image rows share them: from 224² to 1024² a pixel costs 0.9 loads from the map, not 16.
template <bool kAligned>
class MapColumns {
public:
    OHLORA_GPU MapColumns(const Maps& maps, int map, int x) : maps_(maps), map_(maps.row(map, 0)), x_(x) {
        inside_ = !maps.tiny && x + kPixels <= maps.columns.size;
        OHLORA_UNROLL
        for (int i = 0; i < kPixels; ++i) {
            first_[i] = maps.columns.first(column(i));
            inside_ = inside_ && maps.columns.inside(first_[i]);
        }
    }

    // The values of a row that is not above the last one asked for.
    OHLORA_GPU void resize(const Row& row, float* q) {
        if (row.inside != held_inside_) next_ = row.first;  // stretched in the other order: all four anew
        held_inside_ = row.inside;
        OHLORA_ROLLED
        for (next_ = larger(next_, row.first); next_ < row.first + 4; ++next_) {
            OHLORA_UNROLL
            for (int i = 0; i < kPixels; ++i) {
                held_[0][i] = held_[1][i];
                held_[1][i] = held_[2][i];
                held_[2][i] = held_[3][i];
            }
            const std::int64_t source = clamped(next_, maps_.rows.source);
            stretch(map_ + source * maps_.columns.source, row.inside, held_[3]);
        }
        if (row.inside && inside_) {
            OHLORA_UNROLL
            for (int i = 0; i < kPixels; ++i)
                q[i] = down(Order::inner, held_[0][i], held_[1][i], held_[2][i], held_[3][i], row.tap);
        } else {
            OHLORA_ROLLED
            for (int i = 0; i < kPixels; ++i)
                set(q, i, down(order(i, row.inside), pick<kPixels>(held_[0], i), pick<kPixels>(held_[1], i),
                               pick<kPixels>(held_[2], i), pick<kPixels>(held_[3], i), row.tap));
        }
    }

private:
    struct alignas(16) Four {
        float of[kPixels];
    };

    // Columns right of the image repeat its last one; nothing is stored there.
    OHLORA_GPU int column(int i) const { return smaller(x_ + i, maps_.columns.size - 1); }
    OHLORA_GPU Order order(int i, bool row_inside) const {
        return maps_.order(row_inside && maps_.columns.inside(maps_.columns.first(column(i))));
    }
    OHLORA_GPU Four weights(int k) const {
        const float* from = maps_.columns.weights(k) + x_;
        if (kAligned) return *reinterpret_cast<const Four*>(from);
        return {{from[0], from[1], from[2], from[3]}};
    }
    OHLORA_GPU void stretch(const float* source, bool row_inside, float* out) const {
        if (row_inside && inside_) {
            const Four w0 = weights(0), w1 = weights(1), w2 = weights(2), w3 = weights(3);
            OHLORA_UNROLL
            for (int i = 0; i < kPixels; ++i) {
                const float* from = source + first_[i];
                const float p[4] = {from[0] * 255.0f, from[1] * 255.0f, from[2] * 255.0f, from[3] * 255.0f};
                const float w[4] = {w0.of[i], w1.of[i], w2.of[i], w3.of[i]};
                out[i] = across(Order::inner, p, w);
            }
        } else {
            OHLORA_ROLLED
            for (int i = 0; i < kPixels; ++i) {
                const int x = column(i);
                set(out, i, maps_.stretched(source, x, maps_.columns.first(x), order(i, row_inside)));
            }
        }
    }

    const Maps& maps_;
    const float* map_;
    int x_;
    int first_[kPixels];
    bool inside_;  // the taps of all columns lie inside the map, and the map is not tiny
    float held_[4][kPixels] = {};
    int next_ = -kNone;  // the source row below the last one held
    bool held_inside_ = false;
};

}  // namespace ohlora::gpu
