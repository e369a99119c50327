// A photo is picked, the student finds its hair once, and each move of a slider dyes it anew.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";
import { dye, hairRows, hueColor } from "./ombre.js";

const LONGEST_SIDE = 2048;
const PALETTE = { red: 0, orange: 0.1, yellow: 0.16, green: 0.33, sky: 0.5, blue: 0.62, violet: 0.77, pink: 0.9 };
const SLIDERS = ["color", "height", "gradient", "split"];
const $ = (id) => document.getElementById(id);

ort.env.wasm.numThreads = 1; // several would need headers that a plain server does not send
ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;

const picture = $("picture").getContext("2d", { willReadFrequently: true });
let shown = null; // of the photo: its pixels, opacities and hair rows

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

/** The opacity of each pixel, from the graph that `ohlora-fast export --with alpha` wrote. */
async function findHair(student, photo) {
  const rgb = new Uint8Array(3 * photo.width * photo.height);
  for (let from = 0, to = 0; to < rgb.length; from++) {
    if (from % 4 !== 3) rgb[to++] = photo.data[from];
  }
  const image = new ort.Tensor("uint8", rgb, [1, photo.height, photo.width, 3]);
  const { alpha } = await student.run({ image });
  return alpha.data;
}

async function open(student, file) {
  $("settings").disabled = true;
  shown = null;
  try {
    $("status").textContent = "Looking for hair…";
    const photo = await readPhoto(file);
    const start = performance.now();
    const alpha = await findHair(student, photo);
    const rows = hairRows(alpha, photo.width, photo.height);
    $("picture").width = photo.width;
    $("picture").height = photo.height;
    picture.putImageData(photo, 0, 0);
    if (rows === null) {
      $("status").textContent = "No hair found.";
      return;
    }
    shown = { photo, alpha, rows };
    draw();
    $("settings").disabled = false;
    $("status").textContent = `Hair found in ${Math.round(performance.now() - start)} ms.`;
  } catch (error) {
    $("status").textContent = `This file cannot be used: ${error.message}`;
  }
}

function draw() {
  if (shown === null) return;
  const [color, height, gradient, split] = SLIDERS.map((id) => Number($(id).value));
  const { photo, alpha, rows } = shown;
  picture.putImageData(dye(photo, alpha, rows, { color, height, gradient }), 0, 0);
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
  const student = await ort.InferenceSession.create("hair.onnx");
  $("photo").addEventListener("change", () => $("photo").files.length && open(student, $("photo").files[0]));
  $("photo").disabled = false;
  $("status").textContent = "Ready.";
} catch (error) {
  $("status").textContent = `The student did not load: ${error.message}. See README.md for the set-up.`;
}
