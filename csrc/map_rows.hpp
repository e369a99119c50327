// Maps of probabilities on an image's grid, row by row: a few stretched source rows, kept while they are needed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "images.hpp"
#include "ombre_rows.hpp"

namespace ohlora {

// The taps of an axis, with the memory behind them.
class CubicAxis {
public:
    CubicAxis(int source_size, int size, bool tiny, const OmbreRows& rows)
        : source_size_(source_size), tiny_(tiny), first_(size), weight_(static_cast<std::size_t>(4) * size) {
        rows.set_taps(static_cast<double>(source_size) / size, tiny, size, first_.data(), weight_.data());
        taps_.size = size;
        taps_.first = first_.data();
        taps_.weight = weight_.data();
        if (tiny) return;
        const auto inside = [&](int x) { return first_[x] >= kPad && first_[x] + 3 < source_size + kPad; };
        int& begin = taps_.inner_begin;
        int& end = taps_.inner_end;
        while (begin < size && !inside(begin)) ++begin;
        for (end = size; end > begin && !inside(end - 1);) --end;
    }
    CubicAxis(const CubicAxis&) = delete;
    CubicAxis& operator=(const CubicAxis&) = delete;

    const AxisTaps& taps() const { return taps_; }
    int source_size() const { return source_size_; }
    Order order(int x) const {
        if (tiny_) return Order::tiny;
        return x >= taps_.inner_begin && x < taps_.inner_end ? Order::inner : Order::border;
    }
    // Source index of tap k of output x, inside the source.
    int source(int x, int k) const { return std::min(std::max(first_[x] - kPad + k, 0), source_size_ - 1); }

private:
    int source_size_;
    bool tiny_;
    AxisTaps taps_;
    std::vector<std::int32_t> first_;
    std::vector<float> weight_;
};

// Both axes of maps that are brought to an image's size.
struct MapAxes {
    MapAxes(const ProbabilityMaps& maps, int height, int width, const OmbreRows& rows)
        : vertical(maps.height, height, tiny(maps), rows), horizontal(maps.width, width, tiny(maps), rows) {}

    const CubicAxis vertical, horizontal;

private:
    static bool tiny(const ProbabilityMaps& maps) { return std::min(maps.height, maps.width) < 4; }
};

// Scratch memory of one thread: the four stretched source rows that the current output row needs. Neighbouring output
// rows share them, so a source row is stretched about once a thread instead of being kept for the whole image.
class StretchedRows {
public:
    explicit StretchedRows(const MapAxes& axes)
        : padded_(axes.horizontal.source_size() + 2 * kPad), width_(axes.horizontal.taps().size),
          values_(static_cast<std::size_t>(4) * width_) {}

    // The map's row y. Valid until the next call.
    MapRow at(const float* map, const MapAxes& axes, int y, const OmbreRows& rows) {
        const CubicAxis &vertical = axes.vertical, &horizontal = axes.horizontal;
        MapRow result;
        result.order = vertical.order(y);
        result.columns = &horizontal.taps();
        for (int k = 0; k < 4; ++k) {
            const int j = vertical.source(y, k);
            const float* source = map + static_cast<std::size_t>(j) * horizontal.source_size();
            float* row = values_.data() + static_cast<std::size_t>(j % 4) * width_;
            Held& held = held_[j % 4];
            if (held.source != source || held.order != result.order) {
                rows.widen(source, horizontal.source_size(), padded_.data());
                rows.stretch(padded_.data(), horizontal.taps(), result.order, row);
                held = {source, result.order};
            }
            result.row[k] = row;
            result.weight[k] = vertical.taps().weight[4 * y + k];
        }
        return result;
    }

private:
    struct Held {
        const float* source = nullptr;
        Order order = Order::inner;
    };
    Held held_[4];
    std::vector<float> padded_;
    int width_;
    std::vector<float> values_;
};

// Which output rows can reach a limit at all, from the source rows alone.
class LitRows {
public:
    explicit LitRows(const MapAxes& axes) : bright_(axes.vertical.source_size()), lit_(axes.vertical.taps().size) {}

    // limit: on the scale of 0 to 1.
    void find(const float* map, const MapAxes& axes, float limit, const OmbreRows& rows) {
        // Two cubic passes raise a largest value m to at most 1.1875²·m + 0.1875²·m = 1.4453·m.
        constexpr float kGain = 1.446f;
        const int width = axes.horizontal.source_size();
        for (std::size_t j = 0; j < bright_.size(); ++j)
            bright_[j] = rows.any_reaches(map + j * width, width, limit / kGain);
        for (std::size_t y = 0; y < lit_.size(); ++y)
            for (int k = 0; k < 4; ++k) lit_[y] |= bright_[axes.vertical.source(static_cast<int>(y), k)];
    }
    bool operator[](int y) const { return lit_[y] != 0; }

private:
    std::vector<std::uint8_t> bright_;  // of the source
    std::vector<std::uint8_t> lit_;
};

}  // namespace ohlora
