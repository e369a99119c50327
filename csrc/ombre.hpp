// The ombre of a batch of images, and the search for its hair rows. Trusts its arguments: the checks are in Python.
#pragma once

#include <cstdint>
#include <vector>

#include "images.hpp"
#include "ombre_rows.hpp"
#include "refine.hpp"

namespace ohlora {

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

// As `ombre`, of maps that are refined by the images while they are read: no map of full size is made. The hair rows
// are those of the maps as they come.
void ombre_refined(const Images& images, const ProbabilityMaps& maps, const OmbreSettings& settings, const Grid& grid,
                   std::uint8_t* out, int threads, const OmbreRows& rows, const RefineRows& refine_rows);

}  // namespace ohlora
