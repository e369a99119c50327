// The refinement of maps by their photos; see ohlora_fast/ops/refine_op.py. Trusts its arguments: the checks are in
// Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "images.hpp"
#include "refine_rows.hpp"

namespace ohlora {

// A small form of each photo and its map, both of the map's size: contiguous uint8 (count, height, width, 3) and
// float32 (count, height, width).
struct Grid {
    const std::uint8_t* guide;
    ProbabilityMaps maps;
    int radius;
    float eps, doubt;
    // That of one photo.
    Grid at(int sample) const {
        return {guide + static_cast<std::size_t>(3) * sample * maps.height * maps.width,
                {maps.at(sample), 1, maps.height, maps.width}, radius, eps, doubt};
    }
};

// Where an axis of a photo lies in a grid's.
class LinearAxis {
public:
    LinearAxis(int source_size, int size);
    LinearTaps taps() const {
        return {static_cast<int>(first_.size()), first_.data(), second_.data(), weight_.data()};
    }

private:
    std::vector<std::int32_t> first_, second_;
    std::vector<float> weight_;
};

// What the pixels of one photo tell that its map does not.
class Detail {
public:
    Detail(const Images& photo, const Grid& grid, int threads, const RefineRows& rows);

    // Adds it to the photo's row y of probabilities (width). `slot` is as of parallel_for.
    void add(int slot, int y, float* prob);

private:
    // Scratch memory of one thread: the two stretched rows of the grid that the photo's current row lies between.
    struct Stretched {
        explicit Stretched(int width) : values(static_cast<std::size_t>(2) * kPlanes * width) {}

        int held[2] = {-1, -1};
        std::vector<float> values;
    };
    const float* stretched(int slot, int j);

    const Images photo_;
    const int grid_width_;
    const float doubt_;
    const RefineRows& rows_;
    const LinearAxis down_, across_;
    const std::vector<float> planes_;  // (height, 4, width) of the grid: slopes of red, green and blue, and the offset
    std::vector<Stretched> stretched_;
};

// Adds to probabilities (count, height, width) of the photos' size what the photos' pixels tell.
void refine(const Images& photos, const Grid& grid, float* prob, int threads, const RefineRows& rows);

}  // namespace ohlora
