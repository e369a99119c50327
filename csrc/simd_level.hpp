// Which vector instructions this CPU has, and the kernels compiled for them.
#pragma once

#include <string>
#include <vector>

#include "depthwise_rows.hpp"
#include "natural_rows.hpp"
#include "ombre_rows.hpp"
#include "planes_rows.hpp"
#include "readout_rows.hpp"
#include "refine_rows.hpp"
#include "squash_rows.hpp"
#include "stylegan_rows.hpp"

namespace ohlora {

// The tables of one level. A further one takes a line here, one in the macro KERNELS of simd_level.cpp, and its source
// in LEVEL_SOURCES of CMakeLists.txt.
struct Kernels {
    const char* name;
    const DepthwiseRows& depthwise;
    const NaturalRows& natural;
    const OmbreRows& ombre;
    const PlanesRows& planes;
    const ReadoutRows& readout;
    const RefineRows& refine;
    const SquashRows& squash;
    const StyleRows& style;
};

// The levels compiled into this binary, lowest first.
std::vector<std::string> compiled_levels();

// The tables of the best level that this CPU runs, not above the one that the environment variable OHLORA_SIMD names.
// Throws std::invalid_argument for a name that is no level.
const Kernels& best_kernels();

// Whether this CPU multiplies and adds 8-bit integers in one instruction (VNNI). Without, ONNX Runtime adds pairs of
// products in 16 bits, which overflow.
bool has_int8_products();

}  // namespace ohlora
