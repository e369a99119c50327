// The ombre on a GPU, for callers without CUDA's headers, and into which pieces it cuts its work. Trusts its arguments:
// the checks are in Python.
#pragma once

#include "ombre_strip.hpp"

namespace ohlora::gpu {

constexpr int kWarps = 4;                   // of a block
constexpr int kColumns = kLanes * kPixels;  // of a warp that dyes

OHLORA_ANYWHERE constexpr int parts(int size, int part) { return (size + part - 1) / part; }

// Into how many strips of rows the search for hair cuts an image: strips of 32 rows, or more where there would be too
// many strips, as every block that dyes reads what was found in all of them.
inline int search_strips(int height) {
    const int strips = parts(height, 32);
    return strips < 128 ? strips : 128;
}

inline long long blocks_of(const Job& job, int rows) {
    return static_cast<long long>(job.count) * parts(job.maps.columns.size, kColumns) *
           parts(job.maps.rows.size, kWarps * rows);
}

// The rows of a warp that dyes. Each warp starts from four stretched rows of the map, so longer strips share more; but
// small batches must be cut finer to fill the GPU: an H100 holds some 800 blocks at once.
constexpr int kMostRows = 32, kFewestRows = 4, kFull = 1024;
inline int rows_of_warp(const Job& job) {
    int rows = kMostRows;
    while (rows > kFewestRows && blocks_of(job, rows) < kFull) rows /= 2;
    return rows;
}

// Starts both kernels on a stream (a cudaStream_t) of a device, and does not wait for them. `extents`: device memory
// for (job.maps.count, search_strips(height)) Extents, which need not be cleared. Throws std::runtime_error.
void ombre(const Job& job, Extent* extents, int device, void* stream);

}  // namespace ohlora::gpu
