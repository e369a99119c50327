// The squash's inner loops; compiled once a level of vector instructions.
//
// Along a row, the taps of an output are neighbouring pixels of three bytes, which fit no vector. So 16 rows are turned
// into columns of 16 bytes, one a row: an output then takes a multiplication and an addition for each tap and channel,
// whose lanes are rows, and nothing has to be added up across a vector.
//
// Intrinsics where compilers do not find the instructions: for the interleaving, and for widening bytes to 32 bits.
#include "squash_rows.hpp"

#include <string.h>

#include "per_level.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace ohlora {
namespace {

constexpr int kBits = 22;
constexpr int32_t kHalf = 1 << (kBits - 1);

// Sixteen bytes, and how two of them are interleaved: a0 b0 a1 b1 …, of the lower and of the upper halves.
#if defined(__SSE2__) || defined(_M_X64)
typedef __m128i Sixteen;
inline Sixteen load(const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
inline void store(Sixteen a, uint8_t* to) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), a); }
inline Sixteen lower(Sixteen a, Sixteen b) { return _mm_unpacklo_epi8(a, b); }
inline Sixteen upper(Sixteen a, Sixteen b) { return _mm_unpackhi_epi8(a, b); }
#elif defined(__aarch64__)
typedef uint8x16_t Sixteen;
inline Sixteen load(const uint8_t* from) { return vld1q_u8(from); }
inline void store(Sixteen a, uint8_t* to) { vst1q_u8(to, a); }
inline Sixteen lower(Sixteen a, Sixteen b) { return vzip1q_u8(a, b); }
inline Sixteen upper(Sixteen a, Sixteen b) { return vzip2q_u8(a, b); }
#else
struct Sixteen {
    uint8_t byte[16];
};
inline Sixteen load(const uint8_t* from) {
    Sixteen a;
    memcpy(a.byte, from, 16);
    return a;
}
inline void store(Sixteen a, uint8_t* to) { memcpy(to, a.byte, 16); }
inline Sixteen interleaved(const uint8_t* a, const uint8_t* b) {
    Sixteen c;
    for (int i = 0; i < 8; ++i) c.byte[2 * i] = a[i], c.byte[2 * i + 1] = b[i];
    return c;
}
inline Sixteen lower(Sixteen a, Sixteen b) { return interleaved(a.byte, b.byte); }
inline Sixteen upper(Sixteen a, Sixteen b) { return interleaved(a.byte + 8, b.byte + 8); }
#endif

// Interleaving row i with row i + 8, four times over, transposes 16 rows of 16 bytes.
inline void transpose(Sixteen* a) {
    Sixteen b[kLanes];
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 8; ++i) b[2 * i] = lower(a[i], a[i + 8]), b[2 * i + 1] = upper(a[i], a[i + 8]);
        for (int i = 0; i < 8; ++i) a[2 * i] = lower(b[i], b[i + 8]), a[2 * i + 1] = upper(b[i], b[i + 8]);
    }
}

// Bytes [at, at + kLanes) of every row as columns; fewer where the rows, `bytes` long, end before.
inline void turn(const SquashBlock& block, int at, int bytes, uint8_t* columns) {
    Sixteen a[kLanes];
    if (at + kLanes <= bytes) {
        for (int i = 0; i < kLanes; ++i) a[i] = load(block.row[i] + at);
    } else {
        for (int i = 0; i < kLanes; ++i) {
            uint8_t rest[kLanes] = {0};
            memcpy(rest, block.row[i] + at, static_cast<size_t>(bytes - at));
            a[i] = load(rest);
        }
    }
    transpose(a);
    for (int i = 0; i < kLanes; ++i) store(a[i], columns + kLanes * (at + i));
}

// Sixteen sums of weighted bytes, and the bytes that they round to.
#if defined(__AVX512F__)
struct Sums {
    __m512i lanes = _mm512_set1_epi32(kHalf);
    void add(const uint8_t* bytes, int32_t weight) {
        // The form with a mask, since GCC 12 warns of its own header in the other.
        const __m512i wide = _mm512_maskz_cvtepu8_epi32(0xffff, load(bytes));
        lanes = _mm512_add_epi32(lanes, _mm512_mullo_epi32(wide, _mm512_set1_epi32(weight)));
    }
    Sixteen bytes() const {
        return _mm512_maskz_cvtusepi32_epi8(0xffff, _mm512_maskz_srli_epi32(0xffff, lanes, kBits));
    }
};
#elif defined(__AVX2__)
struct Sums {
    __m256i left = _mm256_set1_epi32(kHalf), right = left;
    static __m256i product(const uint8_t* bytes, __m256i weight) {
        const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
        return _mm256_mullo_epi32(_mm256_cvtepu8_epi32(eight), weight);
    }
    void add(const uint8_t* bytes, int32_t weight) {
        const __m256i all = _mm256_set1_epi32(weight);
        left = _mm256_add_epi32(left, product(bytes, all));
        right = _mm256_add_epi32(right, product(bytes + 8, all));
    }
    Sixteen bytes() const {
        // Packing works on each half of the registers, so the quarters come out as 0 2 1 3.
        const __m256i both = _mm256_packus_epi32(_mm256_srli_epi32(left, kBits), _mm256_srli_epi32(right, kBits));
        const __m256i words = _mm256_permute4x64_epi64(both, 0xd8);
        return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    }
};
#else
struct Sums {
    int32_t lanes[kLanes];
    Sums() {
        for (int i = 0; i < kLanes; ++i) lanes[i] = kHalf;
    }
    void add(const uint8_t* bytes, int32_t weight) {
        for (int i = 0; i < kLanes; ++i) lanes[i] += weight * bytes[i];
    }
    Sixteen bytes() const {
        uint8_t out[kLanes];
        for (int i = 0; i < kLanes; ++i) {
            const int32_t value = lanes[i] >> kBits;
            out[i] = static_cast<uint8_t>(value > 255 ? 255 : value);
        }
        return load(out);
    }
};
#endif

// One output pixel of every row: three columns.
template <int pixel>
inline void weigh(const uint8_t* columns, const int32_t* weight, int count, uint8_t* out) {
    Sums red, green, blue;
    for (int k = 0; k < count; ++k) {
        red.add(columns, weight[k]);
        green.add(columns + kLanes, weight[k]);
        blue.add(columns + 2 * kLanes, weight[k]);
        columns += pixel * kLanes;
    }
    store(red.bytes(), out);
    store(green.bytes(), out + kLanes);
    store(blue.bytes(), out + 2 * kLanes);
}

template <int pixel>
void squeeze_pixels(const SquashBlock& block, const SquashTaps& columns, uint8_t* scratch, uint8_t* out, int pitch) {
    const int bytes = pixel * (block.width - 1) + 3;
    uint8_t* const turned = scratch + kLanes * pitch;
    int done = 0;
    for (int x = 0; x < columns.size; ++x) {
        const int first = pixel * columns.first[x], count = columns.count[x];
        // Just ahead of their use, while they are in the nearest cache.
        for (const int end = first + pixel * count; done < end && done < bytes; done += kLanes)
            turn(block, done, bytes, turned);
        weigh<pixel>(turned + kLanes * first, columns.weight + columns.stride * x, count, scratch + 3 * kLanes * x);
    }
    for (int at = 0; at < pitch; at += kLanes) {
        Sixteen a[kLanes];
        for (int i = 0; i < kLanes; ++i) a[i] = load(scratch + kLanes * (at + i));
        transpose(a);
        for (int i = 0; i < kLanes; ++i) store(a[i], out + static_cast<size_t>(i) * pitch + at);
    }
}

void squeeze(const SquashBlock& block, const SquashTaps& columns, uint8_t* scratch, uint8_t* out, int pitch) {
    if (block.pixel == 3) {
        squeeze_pixels<3>(block, columns, scratch, out, pitch);
    } else {
        squeeze_pixels<4>(block, columns, scratch, out, pitch);
    }
}

void sum(const uint8_t* const* rows, const int32_t* weight, int count, int pitch, uint8_t* out) {
    for (int at = 0; at < pitch; at += kLanes) {
        Sums sums;
        for (int k = 0; k < count; ++k) sums.add(rows[k] + at, weight[k]);
        store(sums.bytes(), out + at);
    }
}

}  // namespace

extern const SquashRows OHLORA_OF_LEVEL(squash_rows) = {squeeze, sum};

}  // namespace ohlora
