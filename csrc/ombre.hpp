// The ombre of a batch of images, and the search for its hair rows. Trusts its arguments: the checks are in Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ombre_rows.hpp"

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
};

// One entry a sample. hue: RGB, three bytes a sample.
struct OmbreSettings {
    const std::uint8_t* hue;
    const double* height;
    const double* grad_height;
};

// The first and the last row with hair; both −1 where there is none.
struct HairRows {
    int top, bottom;
};

std::vector<HairRows> find_hair_rows(const ProbabilityMaps& maps, int height, int width, int threads,
                                     const OmbreRows& rows);

// Resizes the maps, bicubically and clipped to [0, 1]; writes contiguous (count, height, width).
void resize_maps(const ProbabilityMaps& maps, int height, int width, float* out, int threads, const OmbreRows& rows);

// Writes contiguous (count, height, width, channels).
void ombre(const Images& images, const ProbabilityMaps& maps, const OmbreSettings& settings, std::uint8_t* out,
           int threads, const OmbreRows& rows);

}  // namespace ohlora
