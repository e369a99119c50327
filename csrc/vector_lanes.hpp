// As many floats as a register holds at this level, for the sources that are compiled once a level: see per_level.hpp.
//
// Without vector types the compiler is left to see them in loops over the lanes.
#pragma once

#include <string.h>

#include "per_level.hpp"

namespace ohlora {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

#if defined(__GNUC__)
typedef float Vec __attribute__((vector_size(4 * kLanes)));
#else
struct Vec {
    float lane[kLanes];
};
template <typename Operation>
inline Vec each(Operation operation) {
    Vec out;
    for (int i = 0; i < kLanes; ++i) out.lane[i] = operation(i);
    return out;
}
inline Vec operator*(const Vec& a, const Vec& b) {
    return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline Vec operator+(const Vec& a, const Vec& b) {
    return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
#endif

inline Vec load(const float* from) {
    Vec value;
    memcpy(&value, from, sizeof value);
    return value;
}
inline void store(float* to, Vec value) { memcpy(to, &value, sizeof value); }

}  // namespace
}  // namespace ohlora
