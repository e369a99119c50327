// Three sweeps: over the grid, for the slopes of each window; over the grid, for their means; over the photo's rows.
#include "refine.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "thread_pool.hpp"

namespace ohlora {
namespace {

// Of a task, whatever the number of threads, on which results do not depend. Sums down windows go on from row to row
// within a task: with fewer rows, too many begin anew; with more, rounding adds up.
constexpr int kBandRows = 16;

int clamped(int value, int size) { return std::min(std::max(value, 0), size - 1); }

// Rows of planes, each plane widened by `radius` replicated values on either side.
class PaddedRows {
public:
    PaddedRows(int height, int width, int planes, int radius)
        : height_(height), width_(width), planes_(planes), radius_(radius), pitch_(width + 2 * radius),
          values_(static_cast<std::size_t>(height) * planes * pitch_) {}

    int pitch() const { return pitch_; }
    // Without its replicated values.
    float* plane(int y, int i) { return row(y) + i * pitch_ + radius_; }
    void pad(int y) {
        for (int i = 0; i < planes_; ++i) {
            float* const values = plane(y, i);
            std::fill_n(values - radius_, radius_, values[0]);
            std::fill_n(values + width_, radius_, values[width_ - 1]);
        }
    }
    // Moves sums down windows, which begin as zeros, to the window around row y: from that around y − 1, or to the first.
    template <typename Add>
    void move_to(int y, bool first, Add add, float* sums) {
        for (int k = first ? -radius_ : radius_; k <= radius_; ++k) add(row(y + k), pitch_, 1.0f, sums);
        if (!first) add(row(y - 1 - radius_), pitch_, -1.0f, sums);
    }

private:
    // Replicated above and below.
    float* row(int y) { return values_.data() + static_cast<std::size_t>(clamped(y, height_)) * planes_ * pitch_; }

    int height_, width_, planes_, radius_, pitch_;
    std::vector<float> values_;
};

// Calls body(begin, end) for bands of rows.
template <typename Body>
void for_bands(int height, int threads, const Body& body) {
    const int bands = (height + kBandRows - 1) / kBandRows;
    parallel_for(bands, threads, [&](int, int band) {
        body(band * kBandRows, std::min(height, (band + 1) * kBandRows));
    });
}

// The planes of a grid.
std::vector<float> coefficients(const Grid& grid, int threads, const RefineRows& rows) {
    const int height = grid.maps.height, width = grid.maps.width, radius = grid.radius;
    const std::size_t row_size = static_cast<std::size_t>(width);
    PaddedRows given(height, width, kPlanes, radius), slopes(height, width, kColors, radius);
    const std::size_t pitch = static_cast<std::size_t>(given.pitch());
    std::vector<float> means(kColors * row_size * height), found(kPlanes * row_size * height);
    for_bands(height, threads, [&](int begin, int end) {
        for (int y = begin; y < end; ++y) {
            for (int c = 0; c < kColors; ++c)
                for (int x = 0; x < width; ++x)
                    given.plane(y, c)[x] = static_cast<float>(grid.guide[(y * row_size + x) * 3 + c]) * (1.0f / 255.0f);
            std::copy_n(grid.maps.data + y * row_size, width, given.plane(y, 3));
            given.pad(y);
        }
    });
    for_bands(height, threads, [&](int begin, int end) {
        std::vector<float> sums(kSums * pitch);
        for (int y = begin; y < end; ++y) {
            given.move_to(y, y == begin, rows.sum_colors, sums.data());
            rows.fit(sums.data(), width, radius, grid.eps, slopes.plane(y, 0), means.data() + kColors * row_size * y);
            slopes.pad(y);
        }
    });
    for_bands(height, threads, [&](int begin, int end) {
        std::vector<float> sums(kColors * pitch);
        for (int y = begin; y < end; ++y) {
            slopes.move_to(y, y == begin, rows.sum_slopes, sums.data());
            rows.smooth(sums.data(), means.data() + kColors * row_size * y, width, radius,
                        found.data() + kPlanes * row_size * y);
        }
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
