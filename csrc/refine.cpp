// Three sweeps: over the grid, for the slopes of each window; over the grid, for their means; over the photo's rows.
#include "refine.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "thread_pool.hpp"

namespace ohlora {
namespace {

constexpr int kBandRows = 8;  // of a task: with fewer, waking a thread costs more than it saves

int clamped(int value, int size) { return std::min(std::max(value, 0), size - 1); }

// Where an axis of a photo lies in a grid's.
class Axis {
public:
    Axis(int source_size, int size) : first_(size), second_(size), weight_(size) {
        for (int x = 0; x < size; ++x) {
            const double position = (x + 0.5) * source_size / size - 0.5;
            const double cell = std::floor(position);
            first_[x] = clamped(static_cast<int>(cell), source_size);
            second_[x] = clamped(static_cast<int>(cell) + 1, source_size);
            weight_[x] = static_cast<float>(position - cell);
        }
    }
    LinearTaps taps() const {
        return {static_cast<int>(first_.size()), first_.data(), second_.data(), weight_.data()};
    }

private:
    std::vector<std::int32_t> first_, second_;
    std::vector<float> weight_;
};

// Rows of planes, each plane widened by `radius` replicated values on either side.
class PaddedRows {
public:
    PaddedRows(int height, int width, int planes, int radius)
        : height_(height), width_(width), planes_(planes), radius_(radius),
          values_(static_cast<std::size_t>(height) * planes * (width + 2 * radius)) {}

    float* plane(int y, int i) {
        return values_.data() + (static_cast<std::size_t>(y) * planes_ + i) * (width_ + 2 * radius_) + radius_;
    }
    void pad(int y) {
        for (int i = 0; i < planes_; ++i) {
            float* const row = plane(y, i);
            std::fill_n(row - radius_, radius_, row[0]);
            std::fill_n(row + width_, radius_, row[width_ - 1]);
        }
    }
    // `rows` keeps the pointers.
    Window around(int y, std::vector<const float*>& rows) {
        rows.resize(static_cast<std::size_t>(2) * radius_ + 1);
        for (int k = 0; k <= 2 * radius_; ++k) rows[k] = plane(clamped(y + k - radius_, height_), 0) - radius_;
        return {rows.data(), width_, radius_};
    }

private:
    int height_, width_, planes_, radius_;
    std::vector<float> values_;
};

// Calls body(slot, y) for each row.
template <typename Body>
void for_rows(int height, int threads, const Body& body) {
    const int bands = (height + kBandRows - 1) / kBandRows;
    parallel_for(bands, threads, [&](int slot, int band) {
        for (int y = band * kBandRows; y < std::min(height, (band + 1) * kBandRows); ++y) body(slot, y);
    });
}

// The planes (height, 4, width) of a grid: slopes of red, green and blue, and the offset.
std::vector<float> coefficients(const Grid& grid, int sample, int threads, const RefineRows& rows) {
    const int height = grid.maps.height, width = grid.maps.width, radius = grid.radius, pitch = width + 2 * radius;
    const std::size_t row_size = static_cast<std::size_t>(width), planes = kPlanes * row_size;
    PaddedRows given(height, width, kPlanes, radius), slopes(height, width, 3, radius);
    std::vector<float> means(3 * row_size * height), found(planes * height);
    const std::uint8_t* const guide = grid.guide + sample * row_size * height * 3;
    for_rows(height, threads, [&](int, int y) {
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < 3; ++c)
                given.plane(y, c)[x] = static_cast<float>(guide[(y * row_size + x) * 3 + c]) * (1.0f / 255.0f);
        std::copy_n(grid.maps.at(sample) + y * row_size, width, given.plane(y, 3));
        given.pad(y);
    });
    for_rows(height, threads, [&](int, int y) {
        std::vector<const float*> pointers;
        std::vector<float> scratch(static_cast<std::size_t>(13) * pitch), made(3 * row_size);
        rows.fit(given.around(y, pointers), grid.eps, scratch.data(), made.data(), means.data() + 3 * row_size * y);
        for (int i = 0; i < 3; ++i) std::copy_n(made.data() + i * row_size, width, slopes.plane(y, i));
        slopes.pad(y);
    });
    for_rows(height, threads, [&](int, int y) {
        std::vector<const float*> pointers;
        std::vector<float> scratch(pitch);
        rows.smooth(slopes.around(y, pointers), means.data() + 3 * row_size * y, scratch.data(),
                    found.data() + planes * y);
    });
    return found;
}

// Scratch memory of one thread: the two stretched rows of the grid that the current row of the photo lies between.
class StretchedPlanes {
public:
    explicit StretchedPlanes(int width) : values_(static_cast<std::size_t>(2) * kPlanes * width), width_(width) {}

    const float* at(const float* planes, int grid_width, int j, const LinearTaps& columns, const RefineRows& rows) {
        float* const row = values_.data() + static_cast<std::size_t>(j % 2) * kPlanes * width_;
        const float* const source = planes + static_cast<std::size_t>(j) * kPlanes * grid_width;
        if (held_[j % 2] != source) rows.stretch(source, grid_width, columns, row);
        held_[j % 2] = source;
        return row;
    }
    void forget() { held_[0] = held_[1] = nullptr; }

private:
    const float* held_[2] = {nullptr, nullptr};
    std::vector<float> values_;
    int width_;
};

}  // namespace

void refine(const Images& photos, const Grid& grid, float* prob, int threads, const RefineRows& rows) {
    const int height = photos.height, width = photos.width, grid_width = grid.maps.width;
    const Axis down(grid.maps.height, height), across(grid_width, width);
    const LinearTaps vertical = down.taps(), horizontal = across.taps();
    std::vector<StretchedPlanes> stretched(static_cast<std::size_t>(threads), StretchedPlanes(width));
    const int bands = std::max(1, std::min(4 * threads, height / 16));
    for (int n = 0; n < photos.count; ++n) {
        const std::vector<float> planes = coefficients(grid, n, threads, rows);
        for (StretchedPlanes& one : stretched) one.forget();
        parallel_for(bands, threads, [&](int slot, int band) {
            const auto begin_of = [=](int b) { return static_cast<int>(static_cast<long long>(height) * b / bands); };
            for (int y = begin_of(band); y < begin_of(band + 1); ++y) {
                const auto row = [&](int j) { return stretched[slot].at(planes.data(), grid_width, j, horizontal, rows); };
                const std::uint8_t* const pixels = photos.data + n * photos.sample_stride + y * photos.row_stride;
                float* const to = prob + (static_cast<std::size_t>(n) * height + y) * width;
                rows.add({row(vertical.first[y]), row(vertical.second[y]), vertical.weight[y], grid.doubt, pixels,
                          photos.channels, width, to});
            }
        });
    }
}

}  // namespace ohlora
