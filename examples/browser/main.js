// A photo is picked, its heads and their hair are found once, and each move of a slider dyes it anew.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";
import { everything, lookAtEach, windowAround } from "./crops.js";
import { joined } from "./hair.js";
import { findHeads } from "./heads.js";
import { dye, hairOf, hueColor } from "./ombre.js";

const LONGEST_SIDE = 2048;
const PALETTE = { red: 0, orange: 0.1, yellow: 0.16, green: 0.33, sky: 0.5, blue: 0.62, violet: 0.77, pink: 0.9 };
const SLIDERS = ["color", "height", "gradient", "split"];
const $ = (id) => document.getElementById(id);

ort.env.wasm.numThreads = 1; // several would need headers that a plain server does not send
ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;

const picture = $("picture").getContext("2d", { willReadFrequently: true });
let shown = null; // the photo, and the hair of each head in it

/** Read a file as pixels, upright and at most LONGEST_SIDE a side. */
async function readPhoto(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale)), height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.imageSmoothingQuality = "high";
  canvas.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return canvas.getImageData(0, 0, width, height);
}

/** Run a graph on RGB. */
async function run(graph, rgb, width, height) {
  const output = await graph.run({ image: new ort.Tensor("uint8", rgb, [1, height, width, 3]) });
  return output[graph.outputNames[0]];
}

/** RGB of a photo's window. */
function rgbOf(photo, { top, bottom, left, right }) {
  const rgb = new Uint8Array(3 * (bottom - top) * (right - left));
  for (let y = top, to = 0; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      for (let c = 0; c < 3; c++) rgb[to++] = photo.data[4 * (y * photo.width + x) + c];
    }
  }
  return rgb;
}

/**
 * Find each head's hair, as `HairStylist.find_hair` does: in the whole photo where one head fills it, else in a crop.
 *
 * @param {{heads, student}} graphs the head finder; the student, with `ohlora-fast export --with prob`
 * @param {ImageData} photo
 * @returns {Promise<{count: number, hair: object[]}>} how many heads there are; what `hairOf` gives of those with hair
 */
async function findHair(graphs, photo) {
  const heads = await findHeads((rgb, width, height) => run(graphs.heads, rgb, width, height), photo);
  const segment = async (window) => {
    const width = window.right - window.left, height = window.bottom - window.top;
    return (await run(graphs.student, rgbOf(photo, window), width, height)).data;
  };
  const whole = everything(photo);
  if (heads.length === 1 && windowAround(heads[0], photo) === null) {
    const prob = await segment(whole);
    return { count: 1, hair: [hairOf(whole, (x, y) => prob[y * photo.width + x])].filter(Boolean) };
  }
  if (!heads.length) return { count: 0, hair: [] };
  const { prob, owner } = joined(await lookAtEach(segment, heads, photo), photo);
  const hair = heads.map((_, index) => hairOf(windowOf(owner, index, photo), (x, y) => {
    const at = y * photo.width + x;
    return owner[at] === index ? prob[at] : 0;
  }));
  return { count: heads.length, hair: hair.filter(Boolean) };
}

/** The smallest window that holds a head's pixels. */
function windowOf(owner, index, { width }) {
  const window = { top: Infinity, bottom: 0, left: Infinity, right: 0 };
  owner.forEach((whose, at) => {
    if (whose !== index) return;
    const x = at % width, y = Math.floor(at / width);
    window.top = Math.min(window.top, y);
    window.bottom = y + 1;
    window.left = Math.min(window.left, x);
    window.right = Math.max(window.right, x + 1);
  });
  return window.bottom ? window : { top: 0, bottom: 0, left: 0, right: 0 };
}

async function open(graphs, file) {
  $("settings").disabled = true;
  shown = null;
  try {
    $("status").textContent = "Looking for heads…";
    const photo = await readPhoto(file);
    const start = performance.now();
    const { count, hair } = await findHair(graphs, photo);
    $("picture").width = photo.width;
    $("picture").height = photo.height;
    picture.putImageData(photo, 0, 0);
    if (!hair.length) {
      $("status").textContent = "No hair found.";
      return;
    }
    shown = { photo, hair };
    draw();
    $("settings").disabled = false;
    const whose = count === 1 ? "1 head" : `${count} heads`;
    $("status").textContent = `Hair of ${whose} found in ${Math.round(performance.now() - start)} ms.`;
  } catch (error) {
    $("status").textContent = `This file cannot be used: ${error.message}`;
  }
}

function draw() {
  if (shown === null) return;
  const [color, height, gradient, split] = SLIDERS.map((id) => Number($(id).value));
  const { photo, hair } = shown;
  picture.putImageData(dye(photo, hair, { color, height, gradient }), 0, 0);
  picture.putImageData(photo, 0, 0, 0, 0, Math.round(split * photo.width), photo.height);
  for (const button of $("palette").children) {
    button.setAttribute("aria-pressed", String(Number(button.value) === color));
  }
}

/** Hand out what the canvas shows, as a file. */
async function save() {
  const blob = await new Promise((done) => $("picture").toBlob(done, "image/png"));
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: "dyed.png" });
  link.click();
  URL.revokeObjectURL(link.href);
}

for (const [name, color] of Object.entries(PALETTE)) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", value: color, title: name });
  button.style.background = `rgb(${hueColor(color)})`;
  button.addEventListener("click", () => {
    $("color").value = color;
    draw();
  });
  $("palette").append(button);
}
for (const id of SLIDERS) $(id).addEventListener("input", draw);
$("save").addEventListener("click", save);

try {
  const graphs = {
    heads: await ort.InferenceSession.create("heads.onnx"),
    student: await ort.InferenceSession.create("hair.onnx"),
  };
  $("photo").addEventListener("change", () => $("photo").files.length && open(graphs, $("photo").files[0]));
  $("photo").disabled = false;
  $("status").textContent = "Ready.";
} catch (error) {
  $("status").textContent = `The networks did not load: ${error.message}. See README.md for the set-up.`;
}
