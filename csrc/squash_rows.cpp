// The squash's inner loops; compiled once a level of vector instructions.
//
// Along a row, the taps of an output are neighbouring pixels of three bytes, which no vector fits. So 16 rows are turned
// into columns of 16 bytes, one a row: an output then takes one multiplication and one addition a tap, channel and vector,
// and there is nothing to add up across a vector.
#include "squash_rows.hpp"

#include <string.h>

#include "per_level.hpp"

#if defined(__SSE2__) || defined(_M_X64)
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

// Bytes [at, at + 16) of every row as columns; fewer where the rows, `bytes` long, end before.
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

inline uint8_t rounded(int32_t sum) {
    const int32_t value = sum >> kBits;
    return static_cast<uint8_t>(value > 255 ? 255 : value);
}

// One output pixel of every row: three columns.
template <int pixel>
inline void weigh(const uint8_t* OHLORA_RESTRICT columns, const int32_t* OHLORA_RESTRICT weight, int count,
                  uint8_t* OHLORA_RESTRICT out) {
    int32_t sum[3 * kLanes];
    for (int i = 0; i < 3 * kLanes; ++i) sum[i] = kHalf;
    for (int k = 0; k < count; ++k) {
        const int32_t w = weight[k];
        for (int i = 0; i < 3 * kLanes; ++i) sum[i] += w * columns[i];
        columns += pixel * kLanes;
    }
    for (int i = 0; i < 3 * kLanes; ++i) out[i] = rounded(sum[i]);
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

void sum(const uint8_t* const* rows, const int32_t* weight, int count, int pitch, uint8_t* OHLORA_RESTRICT out) {
    for (int at = 0; at < pitch; at += kLanes) {
        int32_t total[kLanes];
        for (int i = 0; i < kLanes; ++i) total[i] = kHalf;
        for (int k = 0; k < count; ++k) {
            const uint8_t* row = rows[k] + at;
            for (int i = 0; i < kLanes; ++i) total[i] += weight[k] * row[i];
        }
        for (int i = 0; i < kLanes; ++i) out[at + i] = rounded(total[i]);
    }
}

}  // namespace

extern const SquashRows OHLORA_OF_LEVEL(squash_rows) = {squeeze, sum};

}  // namespace ohlora
