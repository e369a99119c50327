// What one thread of the GPU does with a strip of pixels, kPixels columns wide. Like ombre_pixel.hpp, this compiles for
// the host.
#pragma once

#include "ombre_layout.hpp"

namespace ohlora::gpu {

// The hue of a sample, made ready for `dyed`.
struct Hue {
    float shift[3];

    OHLORA_GPU explicit Hue(const double* settings) {
        OHLORA_UNROLL
        for (int c = 0; c < 3; ++c) shift[c] = dye_shift(static_cast<float>(settings[c]));
    }
};

// Calls make(word, byte, kWhole + value) for the coloured bytes, and puts what it returns in their place.
template <class Layout, class Make>
OHLORA_GPU void change_bytes(const std::uint32_t* from, std::uint32_t* to, Make make) {
    OHLORA_UNROLL
    for (unsigned k = 0; k < Layout::kWords; ++k) {
        std::uint32_t word = 0;
        OHLORA_UNROLL
        for (unsigned j = 0; j < 4; ++j) {
            if (Layout::channel(k, j) < 3)
                word |= make(k, j, whole_of_byte(from[k], j)) << (8 * j);
            else
                word |= from[k] & 255u << (8 * j);
        }
        to[k] = word;
    }
}

OHLORA_GPU int lowest_bit(std::uint32_t bits) {
#if defined(__CUDACC__)
    return __ffs(static_cast<int>(bits)) - 1;
#else
    int n = 0;
    while (!(bits >> n & 1u)) ++n;
    return n;
#endif
}

// q: the map at each pixel. row.weight is not 0.
template <class Layout>
OHLORA_GPU void dye_pixels(std::uint32_t* words, const float* q, const Row& row, const Hue& hue) {
    bool opaque = row.full;
    OHLORA_UNROLL
    for (int i = 0; i < kPixels; ++i) opaque = opaque && q[i] >= 255.0f;
    if (opaque) {
        change_bytes<Layout>(words, words, [&](unsigned k, unsigned j, float value) {
            return bits_of(dyed(value - kWhole, hue.shift[Layout::channel(k, j)])) & 255u;
        });
        return;
    }

    const Opacity opacity[kPixels] = {{q[0], row.scale, row.full},
                                      {q[1], row.scale, row.full},
                                      {q[2], row.scale, row.full},
                                      {q[3], row.scale, row.full}};
    std::uint32_t mixed[Layout::kWords];
    std::uint32_t left = 0;  // the bytes that float32 leaves undecided, a bit each
    change_bytes<Layout>(words, mixed, [&](unsigned k, unsigned j, float value) {
        const float dye = dyed(value - kWhole, hue.shift[Layout::channel(k, j)]);
        const float part = opacity[Layout::pixel(k, j)].part(value, dye);
        if (undecided(part)) left |= 1u << (4 * k + j);
        return whole_of(part);
    });
    // One after the other: the loop turns as often as the thread with most of them needs. A branch at each byte would
    // be taken wherever any thread of the warp takes it.
    OHLORA_ROLLED
    for (; left; left &= left - 1) {
        const unsigned n = lowest_bit(left), k = n / 4, j = n % 4;
        const float value = whole_of_byte(pick<Layout::kWords>(words, k), j);
        const float dye = dyed(value - kWhole, pick<3>(hue.shift, Layout::channel(k, j)));
        const float map = pick<kPixels>(q, Layout::pixel(k, j));
        const std::uint32_t made = blended(map, row.weight, bits_of(value) & 255u, bits_of(dye) & 255u);
        OHLORA_UNROLL
        for (unsigned i = 0; i < Layout::kWords; ++i)
            if (i == k) mixed[i] = (mixed[i] & ~(255u << (8 * j))) | made << (8 * j);
    }
    OHLORA_UNROLL
    for (int k = 0; k < Layout::kWords; ++k) words[k] = mixed[k];
}

// The columns x … x + kPixels − 1 of an image, from row y downwards.
template <class Transfer>
class Strip {
public:
    OHLORA_GPU Strip(const Job& job, int n, int y, int x, Transfer transfer)
        : job_(job), hue_(job.settings + 5 * static_cast<std::int64_t>(n)), map_(job.maps, job.maps.of(n), x), x_(x),
          from_(transfer.place(job.image, job.image.at(n, y), x)), to_(transfer.place(job.out, job.out.at(n, y), x)),
          transfer_(transfer) {}

    // The next `count` rows stay as they are. Several rows at once keep the memory busy.
    OHLORA_GPU void copy(int count) {
        if (job_.in_place) {
            to_ += count * job_.out.row;
            return;
        }
        OHLORA_ROLLED
        for (; count >= kAtOnce; count -= kAtOnce) copy_rows<kAtOnce>();
        OHLORA_ROLLED
        for (; count > 0; --count) copy_rows<1>();
    }

    // Dyes the next `count` rows. While one is dyed, the next one's pixels are on their way.
    OHLORA_GPU void dye(const Row* rows, int count) {
        std::uint32_t next[Layout::kWords] = {};
        if (!job_.in_place && count > 0) load(next);
        OHLORA_ROLLED
        for (const Row* const end = rows + count; rows != end; ++rows) {
            std::uint32_t words[Layout::kWords];
            OHLORA_UNROLL
            for (int k = 0; k < Layout::kWords; ++k) words[k] = next[k];
            if (!job_.in_place && rows + 1 != end) load(next);
            if (dye(*rows, words) || !job_.in_place)
                store(words);
            else
                to_ += job_.out.row;
        }
    }

private:
    using Layout = typename Transfer::Layout;

    static constexpr int kAtOnce = Layout::kAligned ? 4 : 1;

    OHLORA_GPU void load(std::uint32_t* words) {
        transfer_.load(job_, job_.image, from_, x_, words);
        from_ += job_.image.row;
    }
    OHLORA_GPU void store(const std::uint32_t* words) {
        transfer_.store(job_, job_.out, to_, x_, words);
        to_ += job_.out.row;
    }
    template <int kRows>
    OHLORA_GPU void copy_rows() {
        std::uint32_t words[kRows][Layout::kWords] = {};
        OHLORA_UNROLL
        for (int i = 0; i < kRows; ++i) load(words[i]);
        OHLORA_UNROLL
        for (int i = 0; i < kRows; ++i) store(words[i]);
    }

    // Whether there was something to dye. In place the pixels are loaded only then.
    OHLORA_GPU bool dye(const Row& row, std::uint32_t* words) {
        float q[kPixels];
        map_.resize(row, q);
        bool lit = false;
        OHLORA_UNROLL
        for (int i = 0; i < kPixels; ++i) lit = lit || q[i] > kClear;
        if (!transfer_.any(lit)) return false;
        if (job_.in_place) transfer_.load(job_, job_.image, to_, x_, words);
        transfer_.gather(words);
        dye_pixels<Layout>(words, q, row, hue_);
        transfer_.scatter(words);
        return true;
    }

    const Job& job_;
    const Hue hue_;
    MapColumns<Layout::kAligned> map_;
    const int x_;
    std::uint8_t* from_;  // the next row to load, except in place
    std::uint8_t* to_;    // the current row
    const Transfer transfer_;
};

}  // namespace ohlora::gpu
