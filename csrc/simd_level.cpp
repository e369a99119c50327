#include "simd_level.hpp"

#include <cstdlib>
#include <stdexcept>

#if defined(OHLORA_X86)
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace ohlora {
namespace {

#define KERNELS(level)                                                                                     \
    {#level, depthwise_rows_##level, natural_rows_##level, ombre_rows_##level, planes_rows_##level,        \
     readout_rows_##level, refine_rows_##level, squash_rows_##level, style_rows_##level}

struct Level {
    Kernels kernels;
    bool (*runs_here)();
};

bool always() { return true; }

#if defined(OHLORA_X86)
#if defined(_MSC_VER)
// Both the CPU and the operating system, which must save the wider registers, have to agree.
bool has(int register_index, unsigned mask, unsigned long long saved, int subleaf = 0) {
    int leaf[4];
    __cpuid(leaf, 0);
    if (leaf[0] < 7) return false;
    __cpuid(leaf, 1);
    const unsigned fma_osxsave = (1u << 12) | (1u << 27);
    if ((static_cast<unsigned>(leaf[2]) & fma_osxsave) != fma_osxsave) return false;
    if ((_xgetbv(0) & saved) != saved) return false;
    __cpuidex(leaf, 7, subleaf);
    return (static_cast<unsigned>(leaf[register_index]) & mask) == mask;
}
bool has_avx2() { return has(1, 1u << 5, 0x6); }
bool has_avx512() { return has(1, (1u << 5) | (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31), 0xe6); }
bool has_avx512_vnni() { return has_avx512() && has(2, 1u << 11, 0xe6); }
bool has_avx_vnni() { return has_avx2() && has(0, 1u << 4, 0x6, 1); }
#else
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool has_avx512_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
bool has_avx_vnni() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 4));
}
#endif
#endif

// Lowest first.
const std::vector<Level>& levels() {
    static const std::vector<Level> all = {
        {KERNELS(baseline), always},
#if defined(OHLORA_X86)
        {KERNELS(avx2), has_avx2},
        {KERNELS(avx512), has_avx512},
#endif
    };
    return all;
}

}  // namespace

std::vector<std::string> compiled_levels() {
    std::vector<std::string> names;
    for (const Level& level : levels()) names.emplace_back(level.kernels.name);
    return names;
}

bool has_int8_products() {
#if defined(OHLORA_X86)
    return has_avx512_vnni() || has_avx_vnni();
#else
    return false;
#endif
}

const Kernels& best_kernels() {
    const char* cap = std::getenv("OHLORA_SIMD");
    const std::string wanted = cap ? cap : "";
    if (!wanted.empty() && wanted != "baseline" && wanted != "avx2" && wanted != "avx512")
        throw std::invalid_argument("OHLORA_SIMD: got '" + wanted + "', allowed are baseline, avx2 and avx512");
    const Kernels* best = &levels().front().kernels;
    for (const Level& level : levels()) {
        if (!level.runs_here()) break;
        best = &level.kernels;
        if (wanted == best->name) break;
    }
    return *best;
}

}  // namespace ohlora
