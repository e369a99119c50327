// Batches of images and of probability maps, as the kernels for CPUs take them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ohlora {

// A batch of probability maps in [0, 1], contiguous float32 (count, height, width). One map may serve a whole batch.
struct ProbabilityMaps {
    const float* data;
    int count, height, width;
    const float* at(int sample) const {
        return data + static_cast<std::size_t>(count == 1 ? 0 : sample) * height * width;
    }
};

// uint8 images (count, height, width, channels), channels 3 or 4. Pixels of a row are contiguous; rows and samples lie
// at any distance, in bytes.
struct Images {
    const std::uint8_t* data;
    int count, height, width, channels;
    std::ptrdiff_t sample_stride, row_stride;
    const std::uint8_t* at(int sample, int y) const { return data + sample * sample_stride + y * row_stride; }
};

}  // namespace ohlora
