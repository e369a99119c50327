// The arithmetic of the CUDA ombre, driven on the host: loops over blocks, warps and lanes take the place of the GPU.
// test_ombre_cuda.py compiles this file and calls it.
#include <cstring>
#include <vector>

#include "ombre_cuda.hpp"

using namespace ohlora::gpu;

namespace {

struct Lanes {
    template <class Of>
    bool any(Of of) const {
        bool some = false;
        for (int lane = 0; lane < kLanes; ++lane) some |= of(lane);
        return some;
    }
    template <class Of>
    Peak best(Of of) const {
        Peak best = of(0);
        for (int lane = 1; lane < kLanes; ++lane)
            if (of(lane).value > best.value) best = of(lane);
        return best;
    }
};

// What all strips of a map find together.
Extent search(const Maps& maps, int map) {
    const int height = maps.rows.size, strips = search_strips(height), rows = parts(height, strips);
    Extent hair{kNone, -1};
    for (int strip = 0; strip < strips; ++strip) {
        HairSearch<Lanes> search(maps, map, Lanes());
        const Extent found = search.find(strip * rows, smaller((strip + 1) * rows, height));
        hair = {smaller(hair.top, found.top), larger(hair.bottom, found.bottom)};
    }
    return hair;
}

template <class Layout>
void blend(const Job& job, int n, const Extent& hair, int rows_of_warp) {
    const int height = job.maps.rows.size, map = job.maps.of(n);
    const Gradient gradient(hair, job.settings[5 * n + 3], job.settings[5 * n + 4]);
    for (int y = 0; y < height; y += rows_of_warp) {
        const int count = smaller(rows_of_warp, height - y);
        std::vector<Row> rows;
        for (int i = 0; i < count; ++i) rows.emplace_back(job.maps, y + i, gradient);
        for (int x = 0; x < job.width(); x += kColumns) {
            const int end = smaller(x + kColumns, job.width());
            const int plain = plain_rows(job.maps, map, rows.data(), count, x, end, Lanes());
            for (int column = x; column < end; column += kPixels) {
                Strip<Direct<Layout>> strip(job, n, y, column, Direct<Layout>());
                strip.copy(plain);
                strip.dye(rows.data() + plain, count - plain);
            }
        }
    }
}

template <int kChannels>
void blend_memory(const Job& job, int n, const Extent& hair, int rows) {
    switch (memory_of(job)) {
        case Memory::planar: return blend<Planar<kChannels>>(job, n, hair, rows);
        case Memory::interleaved: return blend<Interleaved<kChannels>>(job, n, hair, rows);
        case Memory::strided: return blend<Strided<kChannels>>(job, n, hair, rows);
    }
}

}  // namespace

extern "C" {

// Strides in bytes: sample, channel, row, column. rows: of a warp, 0 for as many as on the GPU. Returns the layout that
// was taken: 0 planar, 1 interleaved, 2 strided.
int ombre_host(std::uint8_t* image, const std::int64_t* image_strides, std::uint8_t* out,
               const std::int64_t* out_strides, int count, int channels, const float* row_table, int height,
               const float* column_table, int width, const float* maps, int map_count, int map_height, int map_width,
               const double* settings, int rows) {
    const auto images = [](std::uint8_t* data, const std::int64_t* s) { return Images{data, s[0], s[1], s[2], s[3]}; };
    const bool tiny = smaller(map_height, map_width) < 4;
    const Maps all{maps, map_count, {row_table, height, map_height}, {column_table, width, map_width}, tiny};
    const Job job{images(image, image_strides), images(out, out_strides), all, settings, count, channels, image == out};
    if (rows == 0) rows = rows_of_warp(job);
    for (int n = 0; n < count; ++n) {
        const Extent hair = search(all, all.of(n));
        channels == 3 ? blend_memory<3>(job, n, hair, rows) : blend_memory<4>(job, n, hair, rows);
    }
    return static_cast<int>(memory_of(job));
}

// First and last hair row of each map, at an image's size; −1 where there is none.
void hair_rows_host(const float* row_table, int height, const float* column_table, int width, const float* maps,
                    int map_count, int map_height, int map_width, int* found) {
    const bool tiny = smaller(map_height, map_width) < 4;
    const Maps all{maps, map_count, {row_table, height, map_height}, {column_table, width, map_width}, tiny};
    for (int m = 0; m < map_count; ++m) {
        const Extent hair = search(all, m);
        found[2 * m] = hair.bottom < 0 ? -1 : hair.top;
        found[2 * m + 1] = hair.bottom;
    }
}

// Blends all 65,536 pairs of value and dyed value at one opacity: as the kernel does, and as the definition says.
// Returns how many float32 left undecided.
int blend_pairs(float q, double weight, std::uint8_t* kernel, std::uint8_t* definition) {
    const Opacity opacity(q, static_cast<float>(weight / 255.0), weight == 1.0);
    double alpha = 4.0 * static_cast<double>(q) - 765.0;
    alpha = alpha < 0.0 ? 0.0 : alpha > 255.0 ? 255.0 : alpha;
    const double a = alpha * weight / 255.0;
    int left = 0;
    for (int value = 0; value < 256; ++value) {
        for (int dye = 0; dye < 256; ++dye) {
            const float part = opacity.part(kWhole + static_cast<float>(value), kWhole + static_cast<float>(dye));
            left += undecided(part);
            kernel[256 * value + dye] = static_cast<std::uint8_t>(
                undecided(part) ? blended(q, weight, value, dye) : static_cast<int>(whole_of(part)));
            definition[256 * value + dye] = static_cast<std::uint8_t>((1.0 - a) * value + a * dye);
        }
    }
    return left;
}

// The dyed value of each value at each hue, (256, 256).
void dye_pairs(std::uint8_t* result) {
    for (unsigned value = 0; value < 256; ++value)
        for (unsigned hue = 0; hue < 256; ++hue) {
            const float dye = dyed(whole_of_byte(value << 16, 2) - kWhole, dye_shift(static_cast<float>(hue)));
            result[256 * value + hue] = static_cast<std::uint8_t>(bits_of(dye));
        }
}

// How many of these quotients by 255 differ from the division's.
int wrong_quotients(const double* values, int count) {
    int wrong = 0;
    for (int i = 0; i < count; ++i) wrong += over_255(values[i]) != values[i] / 255.0;
    return wrong;
}

// Copies rows of interleaved RGB as a warp does that loads whole lines: load, exchange, exchange back, store. Returns
// how many words a lane held in between that are not those of its own pixels.
int copy_lines(std::uint8_t* from, std::uint8_t* to, int width) {
    Job job{};
    job.maps.columns.size = width;
    int wrong = 0;
    for (int begin = 0; begin < width; begin += kColumns) {
        std::uint32_t shared[3 * kLanes], held[kLanes][3] = {};
        const auto each = [&](auto act) {
            for (int lane = 0; lane < kLanes; ++lane)
                act(WholeLines(shared, lane), begin + kPixels * lane, held[lane]);
        };
        const auto put = [&](auto place) {
            each([&](const WholeLines& lane, int, std::uint32_t* words) {
                for (int k = 0; k < 3; ++k) (lane.*place)(k) = words[k];
            });
        };
        const auto take = [&](auto place) {
            each([&](const WholeLines& lane, int, std::uint32_t* words) {
                for (int k = 0; k < 3; ++k) words[k] = (lane.*place)(k);
            });
        };
        each([&](const WholeLines& lane, int x, std::uint32_t* words) {
            lane.load(job, {}, lane.place({}, from, x), x, words);
        });
        put(&WholeLines::in_memory_order);
        take(&WholeLines::in_pixel_order);
        each([&](const WholeLines&, int x, std::uint32_t* words) {
            std::uint32_t own[3];
            if (x < width) Interleaved<3>::load(job, {}, Interleaved<3>::place({}, from, x), x, own);
            wrong += x < width && std::memcmp(own, words, sizeof(own)) != 0;
        });
        put(&WholeLines::in_pixel_order);
        take(&WholeLines::in_memory_order);
        each([&](const WholeLines& lane, int x, std::uint32_t* words) {
            lane.store(job, {}, lane.place({}, to, x), x, words);
        });
    }
    return wrong;
}

}  // extern "C"
