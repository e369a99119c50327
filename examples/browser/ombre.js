// The ombre of ohlora_fast, pixel by pixel, as `HairStylist.dye` computes it from the opacity that the student gives.

const HAIR_ALPHA = 0.75; // a row whose largest opacity reaches this is a hair row

/** RGB of a colour in [0, 1] on the hue circle: OpenCV's HSV → RGB in float32, cut to whole numbers. */
export function hueColor(color) {
  const position = Math.fround(Math.fround(Math.trunc(360 * color) % 360) * Math.fround(6 / 360));
  const sector = Math.floor(position);
  const rising = Math.fround(position - sector);
  const falling = Math.fround(1 - rising);
  const up = Math.fround(1 - falling);
  const values = [
    [1, up, 0], [falling, 1, 0], [0, 1, up], [0, falling, 1], [up, 0, 1], [1, 0, falling],
  ][sector];
  return values.map((value) => Math.trunc(Math.fround(255 * value)));
}

/** First and last hair row of opacities, or null. */
export function hairRows(alpha, width, height) {
  let top = -1, bottom = -1;
  for (let y = 0; y < height; y++) {
    const row = alpha.subarray(y * width, (y + 1) * width);
    if (row.some((value) => value >= HAIR_ALPHA)) {
      if (top < 0) top = y;
      bottom = y;
    }
  }
  return top < 0 ? null : { top, bottom };
}

/**
 * Dye a photo.
 *
 * @param {ImageData} photo
 * @param {Float32Array} alpha opacity of each pixel, in [0, 1]
 * @param {{top: number, bottom: number}} rows what `hairRows` gives
 * @param {{color: number, height: number, gradient: number}} settings each in [0, 1]
 * @returns {ImageData} a new one
 */
export function dye(photo, alpha, rows, { color, height, gradient }) {
  const { width, data } = photo;
  const out = new ImageData(new Uint8ClampedArray(data), width, photo.height);
  const dyed = hueColor(color).map((hue) =>
    Uint8Array.from({ length: 256 }, (_, v) => Math.trunc(Math.min(Math.max(1.35 * v + 0.25 * hue - 38.25, 0), 255))));
  const gradTop = Math.trunc(rows.top + (rows.bottom - rows.top) * (1 - height));
  const gradBottom = Math.trunc(gradTop + (rows.bottom - gradTop) * gradient);
  for (let y = gradTop; y < photo.height; y++) {
    const weight = y < gradBottom ? (y - gradTop) / (gradBottom - gradTop) : 1;
    for (let x = 0; x < width; x++) {
      const a = alpha[y * width + x] * weight;
      if (a === 0) continue;
      const at = 4 * (y * width + x);
      for (let c = 0; c < 3; c++) {
        const v = data[at + c];
        out.data[at + c] = Math.trunc((1 - a) * v + a * dyed[c][v]);
      }
    }
  }
  return out;
}
