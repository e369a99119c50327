// The crops of a photo put together, and the pixels divided among the heads, as in ohlora_fast (heads/hair.py).
import { spread } from "./crops.js";

const NOBODY = -1;
const FAINT = 0.02; // pixels of a smaller probability are nobody's
const FADE = 0.04; // share of a crop's side over which it fades out towards borders that are not the photo's
const GRID = 512; // longer side of the grid on which patches of hair are told apart
const FAR = 0.75; // a patch farther from every head than this, in sides of the nearest one's box, is nobody's
const NEARER = 6; // crops count by this power of how near their heads are
const HANGING = 0.45; // a step down counts so much of one sideways: hair hangs

/**
 * Join crops.
 *
 * @param {{head, window, prob: Float32Array}[]} crops one a head
 * @param {ImageData} photo
 * @returns {{prob: Float32Array, owner: Int16Array}} of each pixel of the photo; owner: index of the head, or -1
 */
export function joined(crops, { width, height }) {
  const hair = { prob: new Float32Array(width * height), owner: new Int16Array(width * height).fill(NOBODY), width };
  blend(hair, crops, width, height);
  settlePatches(hair, crops);
  hair.owner.forEach((_, i) => { if (hair.prob[i] < FAINT) hair.owner[i] = NOBODY; });
  return hair;
}

/** Blend crops where they overlap: the nearer a head, the more its crop counts; a pixel is the nearest head's. */
function blend({ prob, owner }, crops, width, height) {
  const nearest = new Float32Array(prob.length).fill(Infinity);
  const weights = new Float32Array(prob.length), seen = new Float32Array(prob.length);
  crops.forEach(({ head, window, prob: crop }, index) => {
    const { top, bottom, left, right } = window;
    const fadeDown = ramp(bottom - top, top > 0, bottom < height);
    const fadeAcross = ramp(right - left, left > 0, right < width);
    for (let y = top, from = 0; y < bottom; y++) {
      for (let x = left; x < right; x++, from++) {
        const at = y * width + x;
        const apart = distance(head, x + 0.5, y + 0.5), shown = fadeDown[y - top] * fadeAcross[x - left];
        const weight = shown * (apart + 0.05) ** -NEARER;
        prob[at] += weight * crop[from];
        weights[at] += weight;
        seen[at] = Math.max(seen[at], shown);
        if (apart < nearest[at]) {
          nearest[at] = apart;
          owner[at] = index;
        }
      }
    }
  });
  weights.forEach((weight, i) => { if (weight > 0) prob[i] = Math.min(prob[i] / weight * seen[i], 1); });
}

/** How much each row or column of a crop counts: less near a border that is not the photo's. */
function ramp(count, begin, end) {
  return Float32Array.from({ length: count }, (_, i) => {
    const near = Math.min(begin ? i + 0.5 : Infinity, end ? count - i - 0.5 : Infinity);
    return Math.min(near / Math.max(1, FADE * count), 1);
  });
}

/** How far a place is from a head, in sides of its box. */
function distance({ x0, y0, x1, y1 }, x, y) {
  const down = (y - (y0 + y1) / 2) / Math.max(y1 - y0, 1), across = (x - (x0 + x1) / 2) / Math.max(x1 - x0, 1);
  return Math.hypot(down > 0 ? HANGING * down : down, across);
}

/** Give whole patches of hair to the one head that they meet, and take away those that are far from all. */
function settlePatches({ prob, owner, width }, crops) {
  const windows = crops.map(({ window }) => window);
  const top = Math.min(...windows.map((one) => one.top)), bottom = Math.max(...windows.map((one) => one.bottom));
  const left = Math.min(...windows.map((one) => one.left)), right = Math.max(...windows.map((one) => one.right));
  const step = Math.max(1, Math.ceil(Math.max(bottom - top, right - left) / GRID)), half = Math.floor(step / 2);
  const rows = Math.ceil((bottom - top - half) / step), columns = Math.ceil((right - left - half) / step);
  const hair = Uint8Array.from({ length: rows * columns }, (_, i) =>
    prob[(top + half + step * Math.floor(i / columns)) * width + left + half + step * (i % columns)] > 0.5);
  const boxes = crops.map(({ head: { x0, y0, x1, y1 } }) =>
    ({ x0: (x0 - left) / step, y0: (y0 - top) / step, x1: (x1 - left) / step, y1: (y1 - top) / step }));
  const settled = new Map(); // from a patch's number to its owner; those that are left out stay divided
  const labels = new Uint32Array(rows * columns);
  for (let seed = 0, label = 0; seed < hair.length; seed++) {
    if (!hair[seed]) continue;
    const cells = [];
    label++;
    spread(hair, columns, [seed], (cell) => {
      labels[cell] = label;
      cells.push(cell);
    });
    const whose = ownerOf(cells, columns, boxes);
    if (whose !== null) settled.set(label, whose);
  }
  if (!settled.size) return;
  const grown = withBorders(labels, rows, columns);
  for (let y = top; y < bottom; y++) {
    const row = Math.floor((y - top) * rows / (bottom - top));
    for (let x = left; x < right; x++) {
      const whose = settled.get(grown[row * columns + Math.floor((x - left) * columns / (right - left))]);
      if (whose === undefined) continue;
      owner[y * width + x] = whose;
      if (whose === NOBODY) prob[y * width + x] = 0;
    }
  }
}

/** The one head whose box a patch meets, or nobody if it is far from all; null if several heads share it. */
function ownerOf(cells, columns, boxes) {
  const places = cells.map((cell) => [cell % columns, Math.floor(cell / columns)]);
  const met = boxes.map(({ x0, y0, x1, y1 }) => places.filter(([x, y]) =>
    x >= Math.round(x0) && x < Math.round(x1) && y >= Math.round(y0) && y < Math.round(y1)).length);
  const most = Math.max(...met), meets = [...met.keys()].filter((index) => met[index] > 0.02 * most);
  if (meets.length) return meets.length === 1 ? meets[0] : null;
  let [x0, y0, x1, y1] = [Infinity, Infinity, 0, 0];
  for (const [x, y] of places) {
    [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x + 1), Math.max(y1, y + 1)];
  }
  const apart = boxes.map((box) => {
    const across = Math.max(0, box.x0 - x1, x0 - box.x1), down = Math.max(0, box.y0 - y1, y0 - box.y1);
    return Math.hypot(across, down) / Math.max(box.x1 - box.x0, box.y1 - box.y0, 1e-6);
  });
  return Math.min(...apart) > FAR ? NOBODY : null;
}

/** Patches with the cells around them: soft borders go with their patch. */
function withBorders(labels, rows, columns) {
  return labels.map((label, cell) => {
    if (label) return label;
    const y = Math.floor(cell / columns), x = cell % columns;
    let most = 0;
    for (let row = Math.max(0, y - 1); row <= Math.min(rows - 1, y + 1); row++) {
      for (let column = Math.max(0, x - 1); column <= Math.min(columns - 1, x + 1); column++) {
        most = Math.max(most, labels[row * columns + column]);
      }
    }
    return most;
  });
}
