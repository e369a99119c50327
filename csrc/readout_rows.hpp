// The inner loops of the student's readout, one table a level of vector instructions: see readout_rows.cpp.
#pragma once

namespace ohlora {

// Rows of several channels lie one after the other, kPitch-padded: see `pitch_of`. kMargin floats come before the
// first pixel; the last of them and the first float after the last pixel are the zero padding of the convolutions.
constexpr int kMargin = 16;

// Floats from one channel's row to the next. The loops run past the last pixel, by less than three vectors.
constexpr int pitch_of(int width) { return kMargin + (width + 47) / 48 * 48 + kMargin; }

// Output channels are packed in groups: weight[(group · inputs + input) · kGroup + output].
constexpr int kGroup = 8;
constexpr int grouped(int channels) { return (channels + kGroup - 1) / kGroup * kGroup; }

// Weights of a 1×1 convolution, packed.
struct Mix {
    const float* weight;
    int inputs, outputs;
};

// One row of the second ghost module's first half: norm(relu(start + mix · relu(depthwise(rows)))).
struct GhostRow {
    const float* rows[3];  // of the first half, above, here and below; two of them where `taps` has two rows
    const float* taps;     // of each channel tap_rows · 3
    int tap_rows;
    Mix mix;
    const float* start;  // rows of `outputs` channels
    const float* scale;
    const float* shift;
    int width, pitch;
    float* scratch;  // 48 · inputs floats
    float* out;      // rows of `outputs` channels
};

struct LogitRow {
    const float* rows[3];
    const float* taps;    // 9 a channel
    const float* direct;  // a weight each channel
    const float* cheap;
    float bias;
    int channels, width, pitch;
    float* out;
};

struct ReadoutRows {
    // scale · relu(sums) + shift of each channel, each pixel `repeat` times over: 1 or 2.
    void (*normed)(const float* sums, long long plane, const float* scale, const float* shift, int channels, int width,
                   int repeat, int pitch, float* out);
    // start + mix · rows, for each output channel; start is a number each.
    void (*mixed)(const float* rows, const Mix& mix, const float* start, int width, int pitch, float* out);
    // Each pixel twice, in rows that are `from_pitch` and `pitch` apart.
    void (*doubled)(const float* from, int from_pitch, int channels, int width, int pitch, float* out);
    void (*ghost)(const GhostRow& row);
    void (*logits)(const LogitRow& row);
    // sigmoid(weight · first + (1 − weight) · second); if `twice`, stretched to twice the width, bilinear. `line`
    // is memory for `width` floats.
    void (*finish)(const float* first, const float* second, float weight, int width, bool twice, float* line,
                   float* out);
};

extern const ReadoutRows readout_rows_baseline;
extern const ReadoutRows readout_rows_avx2;
extern const ReadoutRows readout_rows_avx512;

}  // namespace ohlora
