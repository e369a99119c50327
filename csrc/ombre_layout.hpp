// Where the pixels of images lie, and how a thread of the GPU takes kPixels of them at once. Like ombre_pixel.hpp, this
// compiles for the host.
#pragma once

#include "ombre_map.hpp"

namespace ohlora::gpu {

// uint8 images; distances in bytes.
struct Images {
    std::uint8_t* data;
    std::int64_t sample, channel, row, column;

    OHLORA_GPU std::uint8_t* at(int n, int y) const { return data + n * sample + y * row; }
};

// What the dyeing is told. Pointers are device pointers.
struct Job {
    Images image, out;
    Maps maps;               // whose axes hold the images' height and width
    const double* settings;  // (count, 5): red, green, blue, ombre_height, ombre_grad_height
    int count, channels;
    bool in_place;  // image and out are the same: what does not change is neither loaded nor stored

    OHLORA_GPU int width() const { return maps.columns.size; }
};

// A layout says how kPixels pixels lie in kWords words of four bytes, and where those are from the address that
// `place` gives for a row's beginning and a column.

template <int kChannels>
struct Planar {
    static constexpr int kWords = kChannels;
    static constexpr bool kAligned = true;  // the words, and the image's width is a multiple of kPixels
    OHLORA_GPU static constexpr unsigned channel(unsigned word, unsigned) { return word; }
    OHLORA_GPU static constexpr unsigned pixel(unsigned, unsigned byte) { return byte; }

    // In place a fourth plane stays as it is.
    OHLORA_GPU static int words(const Job& job) { return job.in_place ? 3 : kWords; }
    OHLORA_GPU static std::uint8_t* place(const Images&, std::uint8_t* row, int x) { return row + x; }
    OHLORA_GPU static void load(const Job& job, const Images& image, std::uint8_t* at, int, std::uint32_t* to) {
        OHLORA_UNROLL
        for (int k = 0; k < kWords; ++k)
            if (k < words(job)) to[k] = *reinterpret_cast<std::uint32_t*>(at + k * image.channel);
    }
    OHLORA_GPU static void store(const Job& job, const Images& image, std::uint8_t* at, int,
                                 const std::uint32_t* from) {
        OHLORA_UNROLL
        for (int k = 0; k < kWords; ++k)
            if (k < words(job)) *reinterpret_cast<std::uint32_t*>(at + k * image.channel) = from[k];
    }
};

template <int kChannels>
struct Interleaved {
    static constexpr int kWords = kChannels;
    static constexpr bool kAligned = true;
    OHLORA_GPU static constexpr unsigned channel(unsigned word, unsigned byte) { return (4 * word + byte) % kChannels; }
    OHLORA_GPU static constexpr unsigned pixel(unsigned word, unsigned byte) { return (4 * word + byte) / kChannels; }

    // With four channels one access of 16 bytes.
    struct alignas(kChannels == 4 ? 16 : 4) Packed {
        std::uint32_t word[kWords];
    };
    OHLORA_GPU static std::uint8_t* place(const Images&, std::uint8_t* row, int x) {
        return row + static_cast<std::int64_t>(x) * kChannels;
    }
    OHLORA_GPU static void load(const Job&, const Images&, std::uint8_t* at, int, std::uint32_t* to) {
        const Packed from = *reinterpret_cast<Packed*>(at);
        OHLORA_UNROLL
        for (int k = 0; k < kWords; ++k) to[k] = from.word[k];
    }
    OHLORA_GPU static void store(const Job&, const Images&, std::uint8_t* at, int, const std::uint32_t* from) {
        Packed to;
        OHLORA_UNROLL
        for (int k = 0; k < kWords; ++k) to.word[k] = from[k];
        *reinterpret_cast<Packed*>(at) = to;
    }
};

// Any distances and any width: byte by byte.
template <int kChannels>
struct Strided : Planar<kChannels> {
    using Planar<kChannels>::kWords, Planar<kChannels>::words;
    static constexpr bool kAligned = false;

    OHLORA_GPU static std::uint8_t* place(const Images& image, std::uint8_t* row, int x) {
        return row + x * image.column;
    }
    OHLORA_GPU static void load(const Job& job, const Images& image, std::uint8_t* at, int x, std::uint32_t* to) {
        OHLORA_UNROLL
        for (int k = 0; k < kWords; ++k) {
            to[k] = 0;
            OHLORA_UNROLL
            for (int j = 0; j < kPixels; ++j)
                if (k < words(job) && x + j < job.width())
                    to[k] |= static_cast<std::uint32_t>(at[k * image.channel + j * image.column]) << (8 * j);
        }
    }
    OHLORA_GPU static void store(const Job& job, const Images& image, std::uint8_t* at, int x,
                                 const std::uint32_t* from) {
        OHLORA_UNROLL
        for (int k = 0; k < kWords; ++k)
            OHLORA_UNROLL
            for (int j = 0; j < kPixels; ++j)
                if (k < words(job) && x + j < job.width())
                    at[k * image.channel + j * image.column] = static_cast<std::uint8_t>(from[k] >> (8 * j));
    }
};

// How words come to the thread that dyes them, and go back. Directly: each thread loads and stores its own.
template <class AnyLayout>
struct Direct : AnyLayout {
    using Layout = AnyLayout;

    static constexpr bool kAlone = true;  // threads right of the image are not needed

    // Whether the threads that exchange words have any to dye.
    OHLORA_GPU bool any(bool lit) const { return lit; }
    // From the order of load and store to the layout's, and back.
    OHLORA_GPU void gather(std::uint32_t*) const {}
    OHLORA_GPU void scatter(std::uint32_t*) const {}
};

// Interleaved RGB in whole lines: the three words of a thread lie side by side, so that a warp's first words would be
// 12 bytes apart. Instead lane 0 has words 0, 32 and 64 of the warp's 96, and where there is something to dye, the
// lanes exchange words through memory that they share.
struct WholeLines : Interleaved<3> {
    std::uint32_t* shared;  // 3 words a lane
    int lane;

    OHLORA_GPU WholeLines(std::uint32_t* shared, int lane) : shared(shared), lane(lane) {}

    // x is the lane's own column.
    OHLORA_GPU int word(int x) const { return x / kPixels * 3 - 2 * lane; }
    OHLORA_GPU std::uint8_t* place(const Images&, std::uint8_t* row, int x) const {
        return row + 4 * static_cast<std::int64_t>(word(x));
    }
    OHLORA_GPU bool inside(const Job& job, int x, int k) const {
        return word(x) + k * kLanes < job.width() / kPixels * 3;
    }
    OHLORA_GPU void load(const Job& job, const Images&, std::uint8_t* at, int x, std::uint32_t* to) const {
        OHLORA_UNROLL
        for (int k = 0; k < 3; ++k)
            if (inside(job, x, k)) to[k] = reinterpret_cast<std::uint32_t*>(at)[k * kLanes];
    }
    OHLORA_GPU void store(const Job& job, const Images&, std::uint8_t* at, int x, const std::uint32_t* from) const {
        OHLORA_UNROLL
        for (int k = 0; k < 3; ++k)
            if (inside(job, x, k)) reinterpret_cast<std::uint32_t*>(at)[k * kLanes] = from[k];
    }

    // Between memory's order and the layout's. No two lanes meet in one of the 32 banks of shared memory, as neither
    // distance between lanes, 1 and 3, has a divisor in common with 32.
    OHLORA_GPU std::uint32_t& in_memory_order(int k) const { return shared[lane + k * kLanes]; }
    OHLORA_GPU std::uint32_t& in_pixel_order(int k) const { return shared[3 * lane + k]; }
};

// Which layout the kernels take for a job: the strided one takes any.
enum class Memory { planar, interleaved, strided };

inline Memory memory_of(const Job& job) {
    const auto multiples = [&](const Images& image, std::int64_t of) {
        const std::int64_t sample = job.count > 1 ? image.sample : 0;
        return (reinterpret_cast<std::int64_t>(image.data) | sample | image.row) % of == 0;
    };
    const auto planar = [&](const Images& image) {
        return image.column == 1 && image.channel % 4 == 0 && multiples(image, 4);
    };
    const auto interleaved = [&](const Images& image) {
        return image.channel == 1 && image.column == job.channels && multiples(image, job.channels == 4 ? 16 : 4);
    };
    if (job.maps.columns.size % kPixels != 0) return Memory::strided;
    if (planar(job.image) && planar(job.out)) return Memory::planar;
    if (interleaved(job.image) && interleaved(job.out)) return Memory::interleaved;
    return Memory::strided;
}

}  // namespace ohlora::gpu
