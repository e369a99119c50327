// A task is a block of channels of all photos, so that nobody shares the sums of a weight.
#include "depthwise.hpp"

#include <cstddef>
#include <vector>

#include "thread_pool.hpp"

namespace ohlora {

void depthwise_gradients(const DepthwiseMaps& maps, std::uint16_t* x_grad, float* weight_grad, int threads,
                         const DepthwiseRows& rows) {
    const int taps = maps.size * maps.size, lanes = rows.lanes, blocks = maps.channels / lanes;
    const std::size_t channels = static_cast<std::size_t>(maps.channels);
    const std::size_t plane = channels * maps.height * maps.width;
    const std::size_t out_plane = channels * maps.out_height * maps.out_width;
    const std::size_t padded = static_cast<std::size_t>(maps.height + 2 * maps.padding) *
                               (maps.width + 2 * maps.padding) * lanes;
    const std::size_t of_taps = static_cast<std::size_t>(taps) * lanes;
    std::vector<std::vector<float>> scratch(static_cast<std::size_t>(threads));
    parallel_for(blocks, threads, [&](int slot, int block) {
        std::vector<float>& own = scratch[static_cast<std::size_t>(slot)];
        own.resize(2 * padded + 2 * of_taps);
        float* const weight = own.data() + 2 * padded;
        float* const sums = weight + of_taps;
        for (int tap = 0; tap < taps; ++tap)
            for (int lane = 0; lane < lanes; ++lane) {
                weight[tap * lanes + lane] = maps.weight[(block * lanes + lane) * taps + tap];
                sums[tap * lanes + lane] = 0.0f;
            }
        const std::size_t first = static_cast<std::size_t>(block) * lanes;
        for (int n = 0; n < maps.count; ++n) {
            const DepthwisePlane one{maps.x + n * plane + first,
                                     maps.grad + n * out_plane + first,
                                     x_grad + n * plane + first,
                                     channels,
                                     maps.height,
                                     maps.width,
                                     maps.out_height,
                                     maps.out_width,
                                     maps.stride,
                                     maps.padding};
            rows.gradients(one, maps.size, weight, sums, own.data());
        }
        for (int tap = 0; tap < taps; ++tap)
            for (int lane = 0; lane < lanes; ++lane)
                weight_grad[(block * lanes + lane) * taps + tap] = sums[tap * lanes + lane];
    });
}

}  // namespace ohlora
