// Two sweeps over the map: the first sums up what the instance norm needs, the second writes. Both make the values anew
// from the convolution's output, which costs less than writing and reading them.
#include "stylegan_layer.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "thread_pool.hpp"

namespace ohlora {
namespace {

constexpr double kEps = 1e-8;
constexpr int kLeastBand = 32 * 1024;  // numbers; less is not worth waking a thread for

}  // namespace

void style_layer(const StyleLayer& layer, float* out, int threads, const StyleRows& rows) {
    const int channels = layer.channels, height = layer.height;
    const std::size_t row_size = static_cast<std::size_t>(layer.width) * channels, plane = row_size * height;
    const std::vector<float> zeros(std::max(row_size, static_cast<std::size_t>(channels)), 0.0f);
    const auto row_at = [&](int n, int y) {
        const float* here = layer.x + n * plane + y * row_size;
        const float* noise = layer.noise + (static_cast<std::size_t>(layer.noises == 1 ? 0 : n) * height + y) * layer.width;
        return StyleRow{{y > 0 ? here - row_size : zeros.data(), here, y + 1 < height ? here + row_size : zeros.data()},
                        layer.blur, noise, layer.noise_weight, layer.bias, layer.width, channels};
    };
    const int wanted = threads == 1 ? 1 : (2 * threads + layer.count - 1) / std::max(layer.count, 1);
    const int affordable = static_cast<int>(std::min<std::size_t>(plane / kLeastBand, height));
    const int bands = std::max(1, std::min(wanted, affordable));
    const auto first_of = [=](int band) { return static_cast<int>(static_cast<long long>(height) * band / bands); };

    // Sums are taken of the distance from a pixel in the middle, so that a mean far from zero costs no digits.
    std::vector<float> pivots(static_cast<std::size_t>(layer.count) * channels);
    std::vector<float> line(row_size);
    const std::vector<float> ones(channels, 1.0f);
    for (int n = 0; n < layer.count; ++n) {
        rows.write(row_at(n, height / 2), zeros.data(), ones.data(), zeros.data(), line.data());
        std::copy_n(line.data() + static_cast<std::size_t>(layer.width / 2) * channels, channels,
                    pivots.data() + static_cast<std::size_t>(n) * channels);
    }
    std::vector<double> totals(static_cast<std::size_t>(layer.count) * bands * 2 * channels, 0.0);
    parallel_for(layer.count * bands, threads, [&](int, int task) {
        const int n = task / bands, band = task % bands;
        double* sums = totals.data() + static_cast<std::size_t>(task) * 2 * channels;
        for (int y = first_of(band); y < first_of(band + 1); ++y)
            rows.add(row_at(n, y), pivots.data() + static_cast<std::size_t>(n) * channels, sums, sums + channels);
    });

    std::vector<float> means(pivots.size()), factors(pivots.size());
    const double pixels = static_cast<double>(layer.width) * height;
    for (int n = 0; n < layer.count; ++n) {
        const float* style = layer.style + static_cast<std::size_t>(n) * 2 * channels;
        for (int c = 0; c < channels; ++c) {
            double sum = 0.0, square = 0.0;
            for (int band = 0; band < bands; ++band) {
                const double* of_band = totals.data() + static_cast<std::size_t>(n * bands + band) * 2 * channels;
                sum += of_band[c];
                square += of_band[channels + c];
            }
            const std::size_t at = static_cast<std::size_t>(n) * channels + c;
            const double offset = sum / pixels, variance = std::max(square / pixels - offset * offset, 0.0);
            means[at] = static_cast<float>(pivots[at] + offset);
            factors[at] = static_cast<float>((1.0 + style[c]) / std::sqrt(variance + kEps));
        }
    }
    // From the end on: what the first sweep read last is still in the cache.
    parallel_for(layer.count * bands, threads, [&](int, int task) {
        task = layer.count * bands - 1 - task;
        const int n = task / bands, band = task % bands;
        const std::size_t of_sample = static_cast<std::size_t>(n) * channels;
        for (int y = first_of(band + 1) - 1; y >= first_of(band); --y)
            rows.write(row_at(n, y), means.data() + of_sample, factors.data() + of_sample,
                       layer.style + (2 * n + 1) * static_cast<std::size_t>(channels), out + n * plane + y * row_size);
    });
}

}  // namespace ohlora
