// For the sources that are compiled once a level of vector instructions: each defines a table of functions, whose name
// ends in that of the level.
//
// Only static functions and C headers in such a source: an inline function of the standard library compiled with AVX
// flags could be the copy that the linker keeps for everybody, and the extension would then crash on an older CPU.
#pragma once

#ifndef OHLORA_LEVEL
#error "compile with -DOHLORA_LEVEL=baseline, avx2 or avx512"
#endif
#define OHLORA_JOIN_(a, b) a##b
#define OHLORA_JOIN(a, b) OHLORA_JOIN_(a, b)
// ombre_rows → ombre_rows_avx2
#define OHLORA_OF_LEVEL(table) OHLORA_JOIN(table##_, OHLORA_LEVEL)

#if defined(_MSC_VER)
#define OHLORA_RESTRICT __restrict
#define OHLORA_APART __declspec(noinline)
#else
#define OHLORA_RESTRICT __restrict__
#define OHLORA_APART __attribute__((noinline))
#endif
