// The ombre without a full-size float image: a few stretched rows of the map, then one fused pass over each image row.
#include "ombre.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "map_rows.hpp"
#include "thread_pool.hpp"

namespace ohlora {
namespace {

constexpr float kHair = 239.0625f;  // on the map's scale: an opacity of 191.25 / 255, a hair row
constexpr float kClear = 191.25f;   // up to here the opacity is 0

constexpr float kLit = kClear / 255.0f;

// Smaller batches stay on one thread: the work, some 0.1 ms at most, is not worth waking another.
constexpr long long kPixelsForThreads = 64 * 1024;

// Rows of the smallest bands.
constexpr int kLastBand = 8;

HairRows search(const float* map, const MapAxes& axes, const LitRows& lit, StretchedRows& stretched,
                const OmbreRows& rows) {
    const int height = axes.vertical.taps().size;
    const auto is_hair = [&](int y) { return lit[y] && rows.map_reaches(stretched.at(map, axes, y, rows), kHair); };
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

std::vector<StretchedRows> scratch(int threads, const MapAxes& axes) {
    return std::vector<StretchedRows>(static_cast<std::size_t>(threads), StretchedRows(axes));
}

// Scratch memory of one thread: a row of the map after refining.
class RefinedRow {
public:
    explicit RefinedRow(int width) : prob_(width), padded_(static_cast<std::size_t>(width) + 2 * kPad) {
        columns_.size = columns_.inner_end = width;
    }

    // Valid until the next call.
    MapRow of(const MapRow& map, Detail& detail, int slot, int y, const OmbreRows& rows) {
        rows.map_row(map, prob_.data());
        detail.add(slot, y, prob_.data());
        rows.widen(prob_.data(), columns_.size, padded_.data());
        const float* const row = padded_.data() + kPad;
        return {{row, row, row, row}, {0.0f, 1.0f, 0.0f, 0.0f}, Order::inner, &columns_};
    }

private:
    std::vector<float> prob_, padded_;
    AxisTaps columns_;
};

// detail: of the one image of the batch, or null.
void dye(const Images& images, const ProbabilityMaps& maps, const OmbreSettings& settings, Detail* detail, float lit,
         std::uint8_t* out, int threads, const OmbreRows& rows) {
    const int height = images.height, width = images.width, channels = images.channels;
    const MapAxes axes(maps, height, width, rows);
    std::vector<StretchedRows> stretched = scratch(threads, axes);
    std::vector<RefinedRow> refined(detail ? threads : 0, RefinedRow(width));

    // One loop, searches first: the other threads wake meanwhile, which on a virtual machine's idle core takes 20 to
    // 40 µs, as long as a search. One that is awake earlier waits for a search that is under way: nothing below throws.
    const std::vector<int> begins = shrinking_bands(height, threads);
    const int count = images.count, bands = static_cast<int>(begins.size()) - 1;
    const std::size_t row_bytes = static_cast<std::size_t>(width) * channels;
    std::vector<Sample> samples(count, Sample{LitRows(axes)});
    std::vector<std::atomic<bool>> ready(count);
    parallel_for(count + count * bands, threads, [&](int slot, int task) {
        if (task < count) {
            Sample& sample = samples[task];
            sample.lit.find(maps.at(task), axes, lit, rows);
            sample.hair = search(maps.at(task), axes, sample.lit, stretched[slot], rows);
            set_gradient(sample, settings.height[task], settings.grad_height[task]);
            set_dye(sample.dye, settings.hue + 3 * task, channels);
            ready[task].store(true);
            return;
        }
        const int n = (task - count) / bands, band = (task - count) % bands;
        while (!ready[n].load()) std::this_thread::yield();
        const Sample& sample = samples[n];
        for (int y = begins[band]; y < begins[band + 1]; ++y) {
            const std::uint8_t* from = images.at(n, y);
            std::uint8_t* to = out + (static_cast<std::size_t>(n) * height + y) * row_bytes;
            const double weight = sample.weight(y);
            if (weight == 0.0 || !sample.lit[y]) {
                std::memcpy(to, from, row_bytes);
                continue;
            }
            MapRow map = stretched[slot].at(maps.at(n), axes, y, rows);
            if (detail) map = refined[slot].of(map, *detail, slot, y, rows);
            rows.dye({map, &sample.dye, weight, channels, from, to});
        }
    });
}

}  // namespace

std::vector<HairRows> find_hair_rows(const ProbabilityMaps& maps, int height, int width, int threads,
                                     const OmbreRows& rows) {
    const MapAxes axes(maps, height, width, rows);
    threads = useful_threads(threads, maps.count, height, width);
    std::vector<StretchedRows> stretched = scratch(threads, axes);
    std::vector<HairRows> found(maps.count);
    parallel_for(maps.count, threads, [&](int slot, int n) {
        LitRows lit(axes);
        lit.find(maps.at(n), axes, kLit, rows);
        found[n] = search(maps.at(n), axes, lit, stretched[slot], rows);
    });
    return found;
}

void resize_maps(const ProbabilityMaps& maps, int height, int width, float* out, int threads, const OmbreRows& rows) {
    const MapAxes axes(maps, height, width, rows);
    threads = useful_threads(threads, maps.count, height, width);
    std::vector<StretchedRows> stretched = scratch(threads, axes);
    const int bands = std::max(1, std::min(4 * threads, height / 16));
    parallel_for(maps.count * bands, threads, [&](int slot, int task) {
        const int n = task / bands, band = task % bands;
        const int begin = band_begin(height, band, bands), end = band_begin(height, band + 1, bands);
        for (int y = begin; y < end; ++y) {
            float* to = out + (static_cast<std::size_t>(n) * height + y) * width;
            rows.map_row(stretched[slot].at(maps.at(n), axes, y, rows), to);
        }
    });
}

void ombre(const Images& images, const ProbabilityMaps& maps, const OmbreSettings& settings, std::uint8_t* out,
           int threads, const OmbreRows& rows) {
    threads = useful_threads(threads, images.count, images.height, images.width);
    dye(images, maps, settings, nullptr, kLit, out, threads, rows);
}

void ombre_refined(const Images& images, const ProbabilityMaps& maps, const OmbreSettings& settings, const Grid& grid,
                   std::uint8_t* out, int threads, const OmbreRows& rows, const RefineRows& refine_rows) {
    const std::size_t sample_bytes = static_cast<std::size_t>(images.height) * images.width * images.channels;
    const float lit = kLit / (1.0f + grid.doubt);  // refining raises a value at most so far
    threads = useful_threads(threads, images.count, images.height, images.width);
    for (int n = 0; n < images.count; ++n) {
        Images image = images;
        image.data = images.at(n, 0);
        image.count = 1;
        Detail detail(image, grid.at(n), threads, refine_rows);
        dye(image, {maps.at(n), 1, maps.height, maps.width},
            {settings.hue + 3 * n, settings.height + n, settings.grad_height + n}, &detail, lit,
            out + n * sample_bytes, threads, rows);
    }
}

}  // namespace ohlora
