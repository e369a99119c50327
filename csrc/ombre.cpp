// The ombre without a full-size float image: a few stretched rows of the map, then one fused pass over each image row.
#include "ombre.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "thread_pool.hpp"

namespace ohlora {
namespace {

constexpr float kHair = 239.0625f;  // on the map's scale: an opacity of 191.25 / 255, a hair row
constexpr float kClear = 191.25f;   // up to here the opacity is 0

// Two cubic passes raise a largest value m to at most 1.1875²·m + 0.1875²·m = 1.4453·m. So an output row whose four
// source rows stay below this limit is a plain copy, without a look at the map.
constexpr float kDim = kClear / 255.0f / 1.446f;

// Smaller batches stay on one thread: the work, some 0.1 ms at most, is not worth waking another.
constexpr long long kPixelsForThreads = 64 * 1024;

// Rows of the smallest bands.
constexpr int kLastBand = 8;

constexpr int kTiny = 4;

// The taps of an axis, with the memory behind them.
class Axis {
public:
    Axis(int source_size, int size, bool tiny, const OmbreRows& rows)
        : tiny_(tiny), first_(size), weight_(static_cast<std::size_t>(4) * size) {
        rows.set_taps(static_cast<double>(source_size) / size, tiny, size, first_.data(), weight_.data());
        taps_.size = size;
        taps_.first = first_.data();
        taps_.weight = weight_.data();
        if (tiny) return;
        const auto inside = [&](int x) { return first_[x] >= kPad && first_[x] + 3 < source_size + kPad; };
        int& begin = taps_.inner_begin;
        int& end = taps_.inner_end;
        while (begin < size && !inside(begin)) ++begin;
        for (end = size; end > begin && !inside(end - 1);) --end;
    }
    Axis(const Axis&) = delete;
    Axis& operator=(const Axis&) = delete;

    const AxisTaps& taps() const { return taps_; }
    Order order(int x) const {
        if (tiny_) return Order::tiny;
        return x >= taps_.inner_begin && x < taps_.inner_end ? Order::inner : Order::border;
    }
    // Source index of tap k of output x, inside the source.
    int source(int x, int k, int source_size) const {
        return std::min(std::max(first_[x] - kPad + k, 0), source_size - 1);
    }

private:
    bool tiny_;
    AxisTaps taps_;
    std::vector<std::int32_t> first_;
    std::vector<float> weight_;
};

// Scratch memory of one thread: the four stretched source rows that the current output row needs. Neighbouring output
// rows share them, so a source row is stretched about once a thread instead of being kept for the whole image.
class StretchedRows {
public:
    StretchedRows(int source_width, int width)
        : padded_(source_width + 2 * kPad), values_(static_cast<std::size_t>(4) * width), width_(width) {}

    // The map's row y. Valid until the next call.
    MapRow at(const float* map, int map_height, int map_width, const Axis& vertical, const Axis& horizontal, int y,
              const OmbreRows& rows) {
        MapRow result;
        result.order = vertical.order(y);
        result.columns = &horizontal.taps();
        for (int k = 0; k < 4; ++k) {
            const int j = vertical.source(y, k, map_height);
            const float* source = map + static_cast<std::size_t>(j) * map_width;
            float* row = values_.data() + static_cast<std::size_t>(j % 4) * width_;
            Held& held = held_[j % 4];
            if (held.source != source || held.order != result.order) {
                rows.widen(source, map_width, padded_.data());
                rows.stretch(padded_.data(), horizontal.taps(), result.order, row);
                held = {source, result.order};
            }
            result.row[k] = row;
            result.weight[k] = vertical.taps().weight[4 * y + k];
        }
        return result;
    }

private:
    struct Held {
        const float* source = nullptr;
        Order order = Order::inner;
    };
    Held held_[4];
    std::vector<float> padded_;
    std::vector<float> values_;
    int width_;
};

// Which output rows can have any opacity at all, from the source rows alone.
class LitRows {
public:
    LitRows(int map_height, int height) : bright_(map_height), lit_(height) {}

    void find(const float* map, int map_width, const Axis& vertical, const OmbreRows& rows) {
        const int map_height = static_cast<int>(bright_.size()), height = static_cast<int>(lit_.size());
        for (int j = 0; j < map_height; ++j)
            bright_[j] = rows.any_reaches(map + static_cast<std::size_t>(j) * map_width, map_width, kDim);
        for (int y = 0; y < height; ++y)
            for (int k = 0; k < 4; ++k) lit_[y] |= bright_[vertical.source(y, k, map_height)];
    }
    bool operator[](int y) const { return lit_[y] != 0; }

private:
    std::vector<std::uint8_t> bright_;  // of the source
    std::vector<std::uint8_t> lit_;
};

HairRows search(const float* map, const ProbabilityMaps& maps, const Axis& vertical, const Axis& horizontal,
                const LitRows& lit, StretchedRows& stretched, const OmbreRows& rows) {
    const int height = vertical.taps().size;
    const auto is_hair = [&](int y) {
        if (!lit[y]) return false;
        return rows.map_reaches(stretched.at(map, maps.height, maps.width, vertical, horizontal, y, rows), kHair);
    };
    int top = 0;
    while (top < height && !is_hair(top)) ++top;
    if (top == height) return {-1, -1};
    int bottom = height - 1;
    while (!is_hair(bottom)) --bottom;
    return {top, bottom};
}

// What one sample needs before its rows can be dyed.
struct Sample {
    LitRows lit;
    HairRows hair = {-1, -1};
    int grad_top = 0, grad_bottom = 0;
    DyePattern dye = {};

    double weight(int y) const {
        if (y < grad_top) return 0.0;
        if (y >= grad_bottom) return 1.0;
        return static_cast<double>(y - grad_top) / (grad_bottom - grad_top);
    }
};

// Without a hair row the opacity stays as it is: every row has weight 1.
void set_gradient(Sample& sample, double height, double grad_height) {
    sample.grad_top = sample.grad_bottom = 0;
    if (sample.hair.top < 0) return;
    const int top = sample.hair.top, bottom = sample.hair.bottom;
    sample.grad_top = static_cast<int>(top + (bottom - top) * (1.0 - height));
    sample.grad_bottom = static_cast<int>(sample.grad_top + (bottom - sample.grad_top) * grad_height);
}

// clip(1.35·v + 0.25·hue − 38.25) = clip((27·v + 5·hue − 765) / 20), equal for all 65,536 pairs of v and hue.
void set_dye(DyePattern& dye, const std::uint8_t* hue, int channels) {
    for (int i = 0; i < kBlock * channels; ++i) {
        const int channel = i % channels;
        dye.scale[i] = static_cast<std::int16_t>(channel < 3 ? 27 : 20);
        dye.offset[i] = static_cast<std::int16_t>(channel < 3 ? 5 * hue[channel] - 765 : 0);
    }
    dye.still_count = 0;
    for (int channel = 0; channel < 3; ++channel) {
        for (int value = 0; value < 256; ++value) {
            const int sum = 27 * value + 5 * hue[channel] - 765;
            if (std::min(std::max(sum, 0) / 20, 255) != value) continue;
            if (dye.still_count < static_cast<int>(sizeof(dye.still)))
                dye.still[dye.still_count] = static_cast<std::uint8_t>(value);
            ++dye.still_count;
        }
    }
}

// Where a band of rows begins; band `bands` begins at the end.
int band_begin(int height, int band, int bands) {
    return static_cast<int>(static_cast<long long>(height) * band / bands);
}

// Where each band of rows begins, and the end: large bands first, since three rows of the map are stretched twice at
// each seam; smaller and smaller ones towards the end, so that all threads finish at nearly the same time.
std::vector<int> shrinking_bands(int height, int threads) {
    std::vector<int> begins{0};
    while (begins.back() < height) {
        const int left = height - begins.back();
        begins.push_back(begins.back() + std::min(left, std::max(kLastBand, left / (2 * threads))));
    }
    return begins;
}

int useful_threads(int threads, int count, int height, int width) {
    return static_cast<long long>(count) * height * width < kPixelsForThreads ? 1 : threads;
}

std::vector<StretchedRows> scratch(int threads, const ProbabilityMaps& maps, int width) {
    return std::vector<StretchedRows>(static_cast<std::size_t>(threads), StretchedRows(maps.width, width));
}

}  // namespace

std::vector<HairRows> find_hair_rows(const ProbabilityMaps& maps, int height, int width, int threads,
                                     const OmbreRows& rows) {
    const bool tiny = std::min(maps.height, maps.width) < kTiny;
    const Axis vertical(maps.height, height, tiny, rows), horizontal(maps.width, width, tiny, rows);
    threads = useful_threads(threads, maps.count, height, width);
    std::vector<StretchedRows> stretched = scratch(threads, maps, width);
    std::vector<HairRows> found(maps.count);
    parallel_for(maps.count, threads, [&](int slot, int n) {
        const float* map = maps.at(n);
        LitRows lit(maps.height, height);
        lit.find(map, maps.width, vertical, rows);
        found[n] = search(map, maps, vertical, horizontal, lit, stretched[slot], rows);
    });
    return found;
}

void resize_maps(const ProbabilityMaps& maps, int height, int width, float* out, int threads, const OmbreRows& rows) {
    const bool tiny = std::min(maps.height, maps.width) < kTiny;
    const Axis vertical(maps.height, height, tiny, rows), horizontal(maps.width, width, tiny, rows);
    threads = useful_threads(threads, maps.count, height, width);
    std::vector<StretchedRows> stretched = scratch(threads, maps, width);
    const int bands = std::max(1, std::min(4 * threads, height / 16));
    parallel_for(maps.count * bands, threads, [&](int slot, int task) {
        const int n = task / bands, band = task % bands;
        const int begin = band_begin(height, band, bands), end = band_begin(height, band + 1, bands);
        for (int y = begin; y < end; ++y) {
            float* to = out + (static_cast<std::size_t>(n) * height + y) * width;
            rows.map_row(stretched[slot].at(maps.at(n), maps.height, maps.width, vertical, horizontal, y, rows), to);
        }
    });
}

void ombre(const Images& images, const ProbabilityMaps& maps, const OmbreSettings& settings, std::uint8_t* out,
           int threads, const OmbreRows& rows) {
    const int height = images.height, width = images.width, channels = images.channels;
    const bool tiny = std::min(maps.height, maps.width) < kTiny;
    const Axis vertical(maps.height, height, tiny, rows), horizontal(maps.width, width, tiny, rows);
    threads = useful_threads(threads, images.count, height, width);
    std::vector<StretchedRows> stretched = scratch(threads, maps, width);

    // One loop, searches first: the other threads wake meanwhile, which on a virtual machine's idle core takes 20 to
    // 40 µs, as long as a search. One that is awake earlier waits for a search that is under way: nothing below throws.
    const std::vector<int> begins = shrinking_bands(height, threads);
    const int count = images.count, bands = static_cast<int>(begins.size()) - 1;
    const std::size_t row_bytes = static_cast<std::size_t>(width) * channels;
    std::vector<Sample> samples(count, Sample{LitRows(maps.height, height)});
    std::vector<std::atomic<bool>> ready(count);
    parallel_for(count + count * bands, threads, [&](int slot, int task) {
        if (task < count) {
            Sample& sample = samples[task];
            sample.lit.find(maps.at(task), maps.width, vertical, rows);
            sample.hair = search(maps.at(task), maps, vertical, horizontal, sample.lit, stretched[slot], rows);
            set_gradient(sample, settings.height[task], settings.grad_height[task]);
            set_dye(sample.dye, settings.hue + 3 * task, channels);
            ready[task].store(true);
            return;
        }
        const int n = (task - count) / bands, band = (task - count) % bands;
        while (!ready[n].load()) std::this_thread::yield();
        const Sample& sample = samples[n];
        for (int y = begins[band]; y < begins[band + 1]; ++y) {
            const std::uint8_t* from = images.data + n * images.sample_stride + y * images.row_stride;
            std::uint8_t* to = out + (static_cast<std::size_t>(n) * height + y) * row_bytes;
            const double weight = sample.weight(y);
            if (weight == 0.0 || !sample.lit[y]) {
                std::memcpy(to, from, row_bytes);
                continue;
            }
            const MapRow map = stretched[slot].at(maps.at(n), maps.height, maps.width, vertical, horizontal, y, rows);
            rows.dye({map, &sample.dye, weight, channels, from, to});
        }
    });
}

}  // namespace ohlora
