// The ombre of ohlora_fast, pixel by pixel, as `HairStylist.dye` computes it from the hair's probability, head by head.

const HAIR_ALPHA = 0.75; // a row whose largest opacity reaches this is a hair row

/** The ombre's opacity of a pixel, from the probability that it is hair. */
export const opacity = (prob) => Math.min(Math.max(4 * prob - 3, 0), 1);

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

/**
 * What is dyed of a head: its opacity, and its first and last hair row.
 *
 * @param {{top: number, bottom: number, left: number, right: number}} window what holds the head's hair
 * @param {(x: number, y: number) => number} prob probability that a pixel of the photo is this head's hair
 * @returns {{window, alpha: Float32Array, top: number, bottom: number} | null} null if there is no hair row
 */
export function hairOf(window, prob) {
  const width = window.right - window.left;
  const alpha = new Float32Array(width * (window.bottom - window.top));
  let top = -1, bottom = -1;
  for (let y = window.top, at = 0; y < window.bottom; y++) {
    for (let x = window.left; x < window.right; x++) {
      alpha[at] = opacity(prob(x, y));
      if (alpha[at++] >= HAIR_ALPHA) {
        if (top < 0) top = y;
        bottom = y;
      }
    }
  }
  return top < 0 ? null : { window, alpha, top, bottom };
}

/**
 * Dye a photo.
 *
 * @param {ImageData} photo
 * @param {object[]} heads what `hairOf` gives; each has a gradient of its own
 * @param {{color: number, height: number, gradient: number}} settings each in [0, 1]
 * @returns {ImageData} a new one
 */
export function dye(photo, heads, { color, height, gradient }) {
  const { width, data } = photo;
  const out = new ImageData(new Uint8ClampedArray(data), width, photo.height);
  const dyed = hueColor(color).map((hue) =>
    Uint8Array.from({ length: 256 }, (_, v) => Math.trunc(Math.min(Math.max(1.35 * v + 0.25 * hue - 38.25, 0), 255))));
  for (const { window, alpha, top, bottom } of heads) {
    const gradTop = Math.trunc(top + (bottom - top) * (1 - height));
    const gradBottom = Math.trunc(gradTop + (bottom - gradTop) * gradient);
    for (let y = Math.max(gradTop, window.top); y < window.bottom; y++) {
      const weight = y < gradBottom ? (y - gradTop) / (gradBottom - gradTop) : 1;
      for (let x = window.left; x < window.right; x++) {
        const a = alpha[(y - window.top) * (window.right - window.left) + x - window.left] * weight;
        if (a === 0) continue;
        const at = 4 * (y * width + x);
        for (let c = 0; c < 3; c++) {
          const v = data[at + c];
          out.data[at + c] = Math.trunc((1 - a) * v + a * dyed[c][v]);
        }
      }
    }
  }
  return out;
}
