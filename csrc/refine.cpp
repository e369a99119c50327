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

// The planes of a grid.
std::vector<float> coefficients(const Grid& grid, int threads, const RefineRows& rows) {
    const int height = grid.maps.height, width = grid.maps.width, radius = grid.radius, pitch = width + 2 * radius;
    const std::size_t row_size = static_cast<std::size_t>(width), planes = kPlanes * row_size;
    PaddedRows given(height, width, kPlanes, radius), slopes(height, width, 3, radius);
    std::vector<float> means(3 * row_size * height), found(planes * height);
    for_rows(height, threads, [&](int, int y) {
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < 3; ++c)
                given.plane(y, c)[x] = static_cast<float>(grid.guide[(y * row_size + x) * 3 + c]) * (1.0f / 255.0f);
        std::copy_n(grid.maps.data + y * row_size, width, given.plane(y, 3));
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

}  // namespace

LinearAxis::LinearAxis(int source_size, int size) : first_(size), second_(size), weight_(size) {
    for (int x = 0; x < size; ++x) {
        const double position = (x + 0.5) * source_size / size - 0.5;
        const double cell = std::floor(position);
        first_[x] = clamped(static_cast<int>(cell), source_size);
        second_[x] = clamped(static_cast<int>(cell) + 1, source_size);
        weight_[x] = static_cast<float>(position - cell);
    }
}

Detail::Detail(const Images& photo, const Grid& grid, int threads, const RefineRows& rows)
    : photo_(photo), grid_width_(grid.maps.width), doubt_(grid.doubt), rows_(rows),
      down_(grid.maps.height, photo.height), across_(grid.maps.width, photo.width),
      planes_(coefficients(grid, threads, rows)),
      stretched_(static_cast<std::size_t>(threads), Stretched(photo.width)) {}

const float* Detail::stretched(int slot, int j) {
    Stretched& here = stretched_[slot];
    float* const row = here.values.data() + static_cast<std::size_t>(j % 2) * kPlanes * photo_.width;
    if (here.held[j % 2] != j) {
        rows_.stretch(planes_.data() + static_cast<std::size_t>(j) * kPlanes * grid_width_, grid_width_, across_.taps(),
                      row);
        here.held[j % 2] = j;
    }
    return row;
}

void Detail::add(int slot, int y, float* prob) {
    const LinearTaps down = down_.taps();
    rows_.add({stretched(slot, down.first[y]), stretched(slot, down.second[y]), down.weight[y], doubt_,
               photo_.at(0, y), photo_.channels, photo_.width, prob});
}

void refine(const Images& photos, const Grid& grid, float* prob, int threads, const RefineRows& rows) {
    const int height = photos.height, bands = std::max(1, std::min(4 * threads, height / 16));
    const auto begin_of = [=](int band) { return static_cast<int>(static_cast<long long>(height) * band / bands); };
    for (int n = 0; n < photos.count; ++n) {
        Images photo = photos;
        photo.data = photos.at(n, 0);
        Detail detail(photo, grid.at(n), threads, rows);
        parallel_for(bands, threads, [&](int slot, int band) {
            for (int y = begin_of(band); y < begin_of(band + 1); ++y)
                detail.add(slot, y, prob + (static_cast<std::size_t>(n) * height + y) * photos.width);
        });
    }
}

}  // namespace ohlora
