// Which vector instructions this CPU has, and the kernels compiled for them.
#pragma once

#include <string>
#include <vector>

#include "ombre_rows.hpp"

namespace ohlora {

// The levels compiled into this binary, lowest first.
std::vector<std::string> compiled_levels();

// The best table that this CPU runs, not above the level that the environment variable OHLORA_SIMD names. Throws
// std::invalid_argument for a name that is no level.
const OmbreRows& best_ombre_rows();

}  // namespace ohlora
