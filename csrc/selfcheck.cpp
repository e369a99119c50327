// A check of the kernels without Python, for cross-compiled targets: fixed images and maps in, one line a case out.
//
// Every platform and every level of vector instructions must print the same lines; .ci/aarch64 compares them.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "ombre.hpp"
#include "simd_level.hpp"
#include "squash.hpp"
#include "thread_pool.hpp"

namespace {

// A 64-bit linear congruential generator: the same numbers everywhere.
struct Numbers {
    std::uint64_t state = 42;
    unsigned next() {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        return static_cast<unsigned>(state >> 33);
    }
};

std::uint64_t fingerprint(const std::vector<std::uint8_t>& bytes) {
    std::uint64_t hash = 14695981039346656037ull;  // FNV-1a
    for (std::uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211ull;
    return hash;
}

struct Case {
    int height, width, channels, map_height, map_width;
    const char* map;
};

void fill(std::vector<float>& map, const char* kind, Numbers& numbers) {
    for (float& value : map) {
        const float random = static_cast<float>(numbers.next() % 1025) / 1024.0f;
        switch (kind[0]) {
            case 'o': value = 1.0f; break;                              // ones
            case 'z': value = 0.0f; break;                              // zeros
            case 'b': value = random > 0.5f ? 1.0f : 0.0f; break;       // binary
            case 's': value = 0.75f + 0.25f * random; break;            // soft
            default: value = random;                                    // noise
        }
    }
}

}  // namespace

int main() {
    const ohlora::Kernels& kernels = ohlora::best_kernels();
    std::fprintf(stderr, "vector level: %s, threads: %d\n", kernels.name, ohlora::default_threads());
    const Case cases[] = {{1, 1, 3, 224, 224, "ones"},   {7, 5, 4, 7, 5, "noise"},      {65, 63, 3, 1, 1, "ones"},
                          {300, 333, 3, 56, 60, "soft"}, {256, 256, 4, 224, 224, "ones"}, {301, 257, 3, 31, 33, "binary"},
                          {64, 128, 3, 9, 9, "zeros"},   {511, 300, 3, 224, 224, "noise"}};
    Numbers numbers;
    int number = 0;
    for (const Case& one : cases) {
        const int count = 2;
        std::vector<std::uint8_t> image(static_cast<std::size_t>(count) * one.height * one.width * one.channels);
        for (std::uint8_t& value : image) value = static_cast<std::uint8_t>(numbers.next());
        std::vector<float> map(static_cast<std::size_t>(count) * one.map_height * one.map_width);
        fill(map, one.map, numbers);
        std::vector<std::uint8_t> hue(3 * count), out(image.size());
        std::vector<double> height(count), grad(count);
        for (std::uint8_t& value : hue) value = static_cast<std::uint8_t>(numbers.next());
        for (double& value : height) value = (numbers.next() % 101) / 100.0;
        for (double& value : grad) value = (numbers.next() % 101) / 100.0;

        const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(one.width) * one.channels;
        const ohlora::Images images{image.data(), count, one.height, one.width, one.channels, row * one.height, row};
        const ohlora::ProbabilityMaps maps{map.data(), count, one.map_height, one.map_width};
        const auto hair = ohlora::find_hair_rows(maps, one.height, one.width, 2, kernels.ombre);
        ohlora::ombre(images, maps, {hue.data(), height.data(), grad.data()}, out.data(), 2, kernels.ombre);
        std::printf("%d %s %dx%dx%d rows %d-%d %d-%d %016llx\n", number++, one.map, one.height, one.width, one.channels,
                    hair[0].top, hair[0].bottom, hair[1].top, hair[1].bottom,
                    static_cast<unsigned long long>(fingerprint(out)));

        const int size = 7 + number;  // rows of the output are no whole vectors
        std::vector<std::uint8_t> squashed(static_cast<std::size_t>(count) * size * size * 3);
        ohlora::squash({image.data(), count, one.height, one.width, one.channels, row * one.height, row}, size,
                       squashed.data(), 2, kernels.squash);
        std::printf("  squashed to %d: %016llx\n", size, static_cast<unsigned long long>(fingerprint(squashed)));
    }
    return 0;
}
