// The ombre on the planes of a video frame, in place; see ohlora_fast/ops/planes_op.py. Trusts its arguments: the checks
// are in Python.
#pragma once

#include "planes_rows.hpp"

namespace ohlora {

// One plane: samples of a row are contiguous, rows lie `stride` samples apart.
struct Plane {
    void* data;
    std::ptrdiff_t stride;
};

struct Planes {
    Plane y, u, v;
    int height, width;  // of the luma
    int across, down;   // luma samples a chroma sample, 1 or 2
    int bytes;          // a sample
};

// prob: (height, width) in [0, 1], contiguous; weight: the opacity of each row.
void dye_planes(const Planes& planes, const float* prob, const float* weight, const YuvDye& dye, int threads,
                const PlanesRows& rows);

}  // namespace ohlora
