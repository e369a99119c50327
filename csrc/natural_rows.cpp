// Natural dyeing in plain C++ that the compiler vectorises; compiled once a level of vector instructions.
//
// Float32 is enough: the result is rounded to bytes, and comes within some 1e-3 of one of the reference's before that.
#include "natural_rows.hpp"

#include <math.h>
#include <string.h>

#include "per_level.hpp"

namespace ohlora {
namespace {

constexpr int kPixels = 64;  // handled at once; all that a block needs stays in the nearest cache

// Opacity rises between these hair probabilities.
constexpr float kClear = 0.5f, kFull = 0.95f;

// The cube root of 1e-15 and more, to the last bit or two: a guess by dividing the exponent, and twice Halley's step,
// which triples the digits.
inline float cube_root(float x) {
    x = x < 1e-15f ? 1e-15f : x;
    int32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    bits = bits / 3 + 0x2a514067;
    float y;
    memcpy(&y, &bits, sizeof(y));
    for (int step = 0; step < 2; ++step) {
        const float cube = y * y * y;
        y = y * (cube + 2.0f * x) / (2.0f * cube + x);
    }
    return y;
}

// Linear light as an sRGB byte, rounded to nearest: light to the power 1/2.4 is its cube root's to 5/4.
inline uint8_t encoded(float light) {
    light = light < 0.0f ? 0.0f : light > 1.0f ? 1.0f : light;
    const float root = cube_root(light);
    const float curve = 1.055f * root * sqrtf(sqrtf(root)) - 0.055f;
    const float value = light <= 0.0031308f ? 12.92f * light : curve;
    return static_cast<uint8_t>(static_cast<int32_t>(255.0f * value + 0.5f));
}

// What each pixel of a block takes: its dye, column by column.
struct Dyes {
    float amount[kPixels], mean[kPixels], level[kPixels], dark[kPixels], light[kPixels], knee[kPixels], a[kPixels],
        b[kPixels], rising[kPixels], falling[kPixels], dulled[kPixels];

    void set(int i, const float* dye) {
        amount[i] = dye[0], mean[i] = dye[1], level[i] = dye[2], dark[i] = dye[3], light[i] = dye[4];
        knee[i] = dye[5], a[i] = dye[6], b[i] = dye[7], rising[i] = dye[8], falling[i] = dye[9], dulled[i] = dye[10];
    }
};

struct Planes {
    float r[kPixels], g[kPixels], b[kPixels];
};

struct Bytes {
    uint8_t r[kPixels], g[kPixels], b[kPixels];
};

// Whether any pixel has opacity; sets that of each.
bool set_opacity(const float* OHLORA_RESTRICT prob, float* OHLORA_RESTRICT opacity) {
    int any = 0;
    for (int i = 0; i < kPixels; ++i) {
        float t = (prob[i] - kClear) * (1.0f / (kFull - kClear));
        t = t < 0.0f ? 0.0f : t > 1.0f ? 1.0f : t;
        opacity[i] = t * t * (3.0f - 2.0f * t);
        any |= t > 0.0f;
    }
    return any != 0;
}

OHLORA_APART void dye_block(const Planes& light, const float* OHLORA_RESTRICT opacity, const Dyes& dye,
                            Bytes& OHLORA_RESTRICT out) {
    for (int i = 0; i < kPixels; ++i) {
        const float red = light.r[i], green = light.g[i], blue = light.b[i];
        const float l = cube_root(0.4122214708f * red + 0.5363325363f * green + 0.0514459929f * blue);
        const float m = cube_root(0.2119034982f * red + 0.6806995451f * green + 0.1073969566f * blue);
        const float s = cube_root(0.0883024619f * red + 0.2817188376f * green + 0.6299787005f * blue);
        const float lightness = 0.2104542553f * l + 0.7936177850f * m - 0.0040720468f * s;
        const float a = 1.9779984951f * l - 2.4285922050f * m + 0.4505937099f * s;
        const float b = 0.0259040371f * l + 0.7827717662f * m - 0.8086757660f * s;

        const float apart = lightness - dye.mean[i];
        const float above = apart > 0.0f ? apart : 0.0f;
        const float brighter = dye.light[i] * above / (1.0f + dye.knee[i] * above);
        float dyed = dye.level[i] + (apart < 0.0f ? dye.dark[i] * apart : brighter);
        dyed = dyed < 0.0f ? 0.0f : dyed > 1.0f ? 1.0f : dyed;
        const float rising = dye.rising[i] * dyed, falling = dye.falling[i] * (1.0f - dyed);
        const float color = (rising < falling ? rising : falling) * (1.0f - dye.dulled[i] * above);

        const float share = dye.amount[i] * opacity[i];
        const float new_l = lightness + share * (dyed - lightness);
        const float new_a = a + share * (color * dye.a[i] - a);
        const float new_b = b + share * (color * dye.b[i] - b);
        const float x = new_l + 0.3963377774f * new_a + 0.2158037573f * new_b;
        const float y = new_l - 0.1055613458f * new_a - 0.0638541728f * new_b;
        const float z = new_l - 0.0894841775f * new_a - 1.2914855480f * new_b;
        const float long_ = x * x * x, medium = y * y * y, short_ = z * z * z;
        out.r[i] = encoded(4.0767416621f * long_ - 3.3077115913f * medium + 0.2309699292f * short_);
        out.g[i] = encoded(-1.2684380046f * long_ + 2.6097574011f * medium - 0.3413193965f * short_);
        out.b[i] = encoded(-0.0041960863f * long_ - 0.7034186147f * medium + 1.7076147010f * short_);
    }
}

void dye_row(const NaturalRow& row) {
    Dyes dyes;
    Planes light = {};
    Bytes out;
    float prob[kPixels], opacity[kPixels];
    for (int i = 0; i < kPixels; ++i) dyes.set(i, row.dyes);
    for (int begin = 0; begin < row.width; begin += kPixels) {
        const int count = row.width - begin < kPixels ? row.width - begin : kPixels;
        const uint8_t* from = row.from + static_cast<size_t>(begin) * row.channels;
        uint8_t* to = row.to + static_cast<size_t>(begin) * row.channels;
        memcpy(to, from, static_cast<size_t>(count) * row.channels);
        memcpy(prob, row.prob + begin, count * sizeof(float));
        for (int i = count; i < kPixels; ++i) prob[i] = 0.0f;
        if (!set_opacity(prob, opacity)) continue;
        for (int i = 0; i < count; ++i) {
            light.r[i] = row.decode[from[i * row.channels]];
            light.g[i] = row.decode[from[i * row.channels + 1]];
            light.b[i] = row.decode[from[i * row.channels + 2]];
        }
        if (row.index)
            for (int i = 0; i < count; ++i) dyes.set(i, row.dyes + kDyeColumns * row.index[begin + i]);
        dye_block(light, opacity, dyes, out);
        for (int i = 0; i < count; ++i) {
            if (opacity[i] == 0.0f) continue;
            to[i * row.channels] = out.r[i];
            to[i * row.channels + 1] = out.g[i];
            to[i * row.channels + 2] = out.b[i];
        }
    }
}

}  // namespace

extern const NaturalRows OHLORA_OF_LEVEL(natural_rows) = {dye_row};

}  // namespace ohlora
