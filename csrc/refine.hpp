// The refinement of maps by their photos; see ohlora_fast/ops/refine_op.py. Trusts its arguments: the checks are in
// Python.
#pragma once

#include "ombre.hpp"
#include "refine_rows.hpp"

namespace ohlora {

// A small form of each photo and its map, both of the map's size: contiguous uint8 (count, height, width, 3) and
// float32 (count, height, width).
struct Grid {
    const std::uint8_t* guide;
    ProbabilityMaps maps;
    int radius;
    float eps, doubt;
};

// Adds to probabilities (count, height, width) of the photos' size what the photos' pixels tell.
void refine(const Images& photos, const Grid& grid, float* prob, int threads, const RefineRows& rows);

}  // namespace ohlora
