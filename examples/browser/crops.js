// Crops around heads, as in ohlora_fast (heads/crops.py): where they lie, and when hair needs a larger one.

const AROUND = 2.4; // side of a crop, in sides of the head's box
const WIDER = 1.7; // what it is enlarged by, when hair runs into its border
const ROUNDS = 2; // how often
const BELOW = 0.25; // how far its middle is below the head's, in sides of the box
const FILLS = 0.62; // a crop of such a share of the photo shows what the whole photo shows
const CUT = 0.04; // share of a border that is hair, from which on the hair is cut off there
const CELLS = 224; // side of the grid on which that is told

/** The whole photo as a window: rows [top, bottom) and columns [left, right). */
export const everything = ({ width, height }) => ({ top: 0, bottom: height, left: 0, right: width });

/** The crop for a head, moved into the photo where it would reach out; null where the head fills the photo. */
export function windowAround({ x0, y0, x1, y1 }, { width, height }, around = AROUND) {
  const side = Math.max(x1 - x0, y1 - y0), extent = Math.max(around * side, 2);
  const [top, bottom] = span((y0 + y1) / 2 + BELOW * side, extent, height);
  const [left, right] = span((x0 + x1) / 2, extent, width);
  return (bottom - top) * (right - left) >= FILLS * width * height ? null : { top, bottom, left, right };
}

function span(middle, extent, size) {
  if (extent >= size) return [0, size];
  const length = Math.max(1, Math.round(extent));
  const begin = Math.min(Math.max(Math.round(middle - extent / 2), 0), size - length);
  return [begin, Math.min(size, begin + length)];
}

/**
 * Look at each head in a crop of its own, and again in a larger one if its hair runs into the border.
 *
 * @param {(window) => Promise<Float32Array>} segment hair probability of a crop, at its size
 * @param {{x0: number, y0: number, x1: number, y1: number}[]} heads
 * @param {ImageData} photo
 * @returns {Promise<{head, window, prob: Float32Array}[]>} one a head
 */
export async function lookAtEach(segment, heads, photo) {
  const found = [];
  for (const head of heads) {
    let around = AROUND, window = windowAround(head, photo) ?? everything(photo);
    let prob = await segment(window);
    for (let round = 0; round < ROUNDS && cutOff(prob, window, head, photo); round++) {
      around *= WIDER;
      window = windowAround(head, photo, around) ?? everything(photo);
      prob = await segment(window);
    }
    found.push({ head, window, prob });
  }
  return found;
}

/** Whether a head's hair runs into a border of its crop that is not the photo's. */
function cutOff(prob, { top, bottom, left, right }, { x0, y0, x1, y1 }, photo) {
  const wide = right - left, high = bottom - top;
  const at = (cell, size) => Math.min(size - 1, Math.floor((cell + 0.5) * size / CELLS));
  const hair = Uint8Array.from({ length: CELLS * CELLS }, (_, i) =>
    prob[at(Math.floor(i / CELLS), high) * wide + at(i % CELLS, wide)] > 0.5);
  const run = (low, far, size) => {
    const begin = Math.min(Math.max(Math.floor(low * CELLS / size), 0), CELLS - 1);
    return [begin, Math.min(Math.max(Math.ceil(far * CELLS / size), begin + 1), CELLS)];
  };
  const [firstRow, endRow] = run(y0 - top, y1 - top, high), [firstColumn, endColumn] = run(x0 - left, x1 - left, wide);
  const seeds = [];
  for (let y = firstRow; y < endRow; y++) {
    for (let x = firstColumn; x < endColumn; x++) seeds.push(y * CELLS + x);
  }
  const own = new Uint8Array(CELLS * CELLS);
  spread(hair, CELLS, seeds, (cell) => { own[cell] = 1; });
  const runsInto = (isBorder) => {
    const count = own.reduce((sum, one, i) => sum + (one && isBorder(Math.floor(i / CELLS), i % CELLS)), 0);
    return count / (2 * CELLS) > CUT;
  };
  return (top > 0 && runsInto((y) => y < 2)) || (bottom < photo.height && runsInto((y) => y >= CELLS - 2))
    || (left > 0 && runsInto((y, x) => x < 2)) || (right < photo.width && runsInto((y, x) => x >= CELLS - 2));
}

/** Visit each hair cell of a grid that hangs together with a seed, corners included; what was visited is no hair then. */
export function spread(hair, columns, seeds, visit) {
  const open = seeds.filter((cell) => hair[cell]);
  for (const cell of open) hair[cell] = 0;
  while (open.length) {
    const cell = open.pop(), x = cell % columns;
    visit(cell);
    for (const down of [-columns, 0, columns]) {
      for (let right = x > 0 ? -1 : 0; right <= (x < columns - 1 ? 1 : 0); right++) {
        const next = cell + down + right;
        if (hair[next]) { // beyond the grid it is undefined
          hair[next] = 0;
          open.push(next);
        }
      }
    }
  }
}
