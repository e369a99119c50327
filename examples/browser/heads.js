// The head finder of ohlora_fast (heads/finder.py): looks at the whole photo, and gives each head's box and score.

const STRIDE = 8; // pixels a cell of the network's output
const LOOK = 256; // longer side at which a photo is looked at first
const CLOSE_LOOK = 736; // and a second time, if no head is large
const LARGE = 0.35; // height of a large head, as a share of the photo's longer side
const SURE = 0.35, SURE_CLOSE = 0.3, SURE_LARGE = 0.18; // scores from which on a head counts, at either look
const OVERLAP = 0.45, CONTAINED = 0.7; // shares of the union and of the smaller box at which two boxes are one head's
const OUTER = 0.6; // the larger one stays if its score is at least this share of the smaller one's
const LEAST = 0.1; // score of a peak
const MOST = 100; // heads of one photo

/**
 * Find the heads of a photo.
 *
 * @param {(rgb: Uint8Array, width: number, height: number) => Promise<{data: Float32Array, dims: number[]}>} network
 *   RGB of sides that are multiples of 32 to (1, 5, height / 8, width / 8)
 * @param {ImageData} photo
 * @returns {Promise<{x0: number, y0: number, x1: number, y1: number, score: number}[]>} from left to right
 */
export async function findHeads(network, photo) {
  const longer = Math.max(photo.width, photo.height);
  let heads = await look(network, photo, LOOK, SURE);
  const large = heads.some(({ y0, y1 }) => y1 - y0 >= LARGE * longer);
  if (!large && longer > 1.25 * LOOK) {
    heads = [...heads, ...(await look(network, photo, Math.min(CLOSE_LOOK, longer), SURE_CLOSE))];
  }
  return distinct(heads);
}

/** The heads that are seen at a scale of the photo's longer side, of a score from `sure` on, in the photo's pixels. */
async function look(network, photo, side, sure) {
  const longer = Math.max(photo.width, photo.height);
  const rounded = (one) => 32 * Math.max(1, Math.round(one * side / longer / 32));
  const width = rounded(photo.width), height = rounded(photo.height);
  const output = await network(resized(photo, width, height), width, height);
  const [across, down] = [photo.width / width, photo.height / height];
  const inside = (value, most) => Math.min(Math.max(value, 0), most);
  return peaks(output).map(({ x0, y0, x1, y1, score }) => ({
    x0: inside(x0 * across, photo.width), x1: inside(x1 * across, photo.width),
    y0: inside(y0 * down, photo.height), y1: inside(y1 * down, photo.height), score,
  })).filter(({ x0, y0, x1, y1, score }) => {
    const least = y1 - y0 >= LARGE * longer ? SURE_LARGE : sure;
    return score >= least && y1 - y0 >= 2 && x1 - x0 >= 2;
  });
}

/** The boxes at the peaks of the network's heat, in pixels of what it saw, the highest first. */
function peaks({ data, dims: [, , rows, columns] }) {
  const cells = rows * columns;
  const heat = (y, x) => (y < 0 || x < 0 || y >= rows || x >= columns ? -Infinity : data[y * columns + x]);
  const found = [];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const here = heat(y, x);
      if (here <= Math.log(LEAST / (1 - LEAST))) continue;
      const around = [-1, 0, 1].flatMap((down) => [-1, 0, 1].map((right) => heat(y + down, x + right)));
      if (here < Math.max(...around)) continue;
      const [shiftX, shiftY, logWide, logHigh] = [1, 2, 3, 4].map((plane) => data[plane * cells + y * columns + x]);
      const [wide, high] = [logWide, logHigh].map((value) => Math.exp(Math.min(Math.max(value, -4), 6)));
      const [middleX, middleY] = [x + 0.5 + shiftX, y + 0.5 + shiftY];
      found.push({
        x0: STRIDE * (middleX - wide / 2), x1: STRIDE * (middleX + wide / 2),
        y0: STRIDE * (middleY - high / 2), y1: STRIDE * (middleY + high / 2), score: 1 / (1 + Math.exp(-here)),
      });
    }
  }
  return found.sort((one, other) => other.score - one.score).slice(0, 3 * MOST);
}

/** One box a head, the surest, from left to right. */
export function distinct(heads) {
  const area = ({ x0, y0, x1, y1 }) => (x1 - x0) * (y1 - y0);
  const shared = (one, other) => {
    const wide = Math.min(one.x1, other.x1) - Math.max(one.x0, other.x0);
    const high = Math.min(one.y1, other.y1) - Math.max(one.y0, other.y0);
    return Math.max(wide, 0) * Math.max(high, 0);
  };
  const overlap = (one, other) => shared(one, other) / (area(one) + area(other) - shared(one, other)) > OVERLAP;
  const contained = (one, other) => shared(one, other) / Math.min(area(one), area(other)) > CONTAINED;
  const surest = (one, other) => other.score - one.score;

  const sure = [];
  for (const head of [...heads].sort(surest)) {
    if (!sure.some((one) => overlap(one, head))) sure.push(head);
  }
  let kept = [];
  // Of a box inside another the outer one stays, unless it is much less sure.
  for (const head of sure.sort((one, other) => area(other) - area(one))) {
    const around = kept.filter((one) => contained(one, head));
    if (around.some((one) => one.score >= OUTER * head.score)) continue;
    kept = [...kept.filter((one) => !around.includes(one)), head];
  }
  kept = kept.sort(surest).slice(0, MOST);
  return kept.sort((one, other) => one.x0 + one.x1 - other.x0 - other.x1 || one.y0 - other.y0);
}

/** RGB of a photo at another size: a pixel is the mean of those that it covers, or between four where the photo grows. */
export function resized(photo, width, height) {
  const shrinks = width < photo.width && height < photo.height;
  const taps = shrinks ? covered : between;
  const across = taps(photo.width, width), down = taps(photo.height, height);
  const rows = new Float32Array(photo.height * width * 3);
  for (let y = 0, to = 0; y < photo.height; y++) {
    for (const [first, weights] of across) {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * photo.data[4 * (y * photo.width + first + i) + c];
        rows[to++] = sum;
      }
    }
  }
  const rgb = new Uint8Array(height * width * 3);
  down.forEach(([first, weights], y) => {
    for (let x = 0; x < 3 * width; x++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * rows[(first + i) * 3 * width + x];
      rgb[y * 3 * width + x] = Math.round(sum);
    }
  });
  return rgb;
}

/** For each of `to` pixels the first of `from` that it covers, and the share of each from there on. */
function covered(from, to) {
  return Array.from({ length: to }, (_, index) => {
    const begin = index * from / to, end = (index + 1) * from / to, first = Math.floor(begin);
    const length = Math.min(Math.ceil(end), from) - first;
    const overlap = (pixel) => Math.min(end, pixel + 1) - Math.max(begin, pixel);
    return [first, Array.from({ length }, (_, i) => overlap(first + i) * to / from)];
  });
}

/** For each of `to` pixels the first of the two of `from` that it lies between, and the share of each. */
function between(from, to) {
  return Array.from({ length: to }, (_, index) => {
    const place = Math.min(Math.max((index + 0.5) * from / to - 0.5, 0), from - 1), first = Math.floor(place);
    return first === from - 1 ? [first, [1]] : [first, [1 - place + first, place - first]];
  });
}
