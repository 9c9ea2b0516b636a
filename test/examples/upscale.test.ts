// examples/super-resolution: the network against its definition, tiles, threads, pictures of every kind, and the command.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { init } from "lowbit";
import { load } from "lowbit/conv";
import { parseSafetensors } from "lowbit/files";
import { type Bits, type Picture, readFilter, SuperResolution } from "../../examples/super-resolution/network.ts";
import { PictureError, readPicture, writePicture } from "../../examples/super-resolution/picture.ts";
import { shapeOf } from "../conv/layers.ts";
import { equalBits, is, nmseBelow, ok, rejectsWith } from "../lib/assert.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { convolve } from "../reference/conv.ts";

const t = suite("upscale");
const example = fileURLToPath(new URL("../../examples/super-resolution/", import.meta.url));
const shared = fileURLToPath(new URL("../../../shared/hf-zoo/sr/", import.meta.url));
const readModel = (bits: Exclude<Bits, "fp">) =>
  parseSafetensors(new Uint8Array(readFileSync(join(example, `models/sr-w${bits}.safetensors`))), `sr-w${bits}`);

const lb = await init({ threads: 1 });
await load(lb);

/** Smooth colours with an edge and some noise. */
function makePicture(width: number, height: number, label: string): Picture {
  const rng = random(`picture ${label}`, 1);
  const data = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    for (let c = 0; c < 3; c++) {
      data[4 * i + c] = Math.max(0, Math.min(255, 60 + 3 * x + c * y + (x > y ? 80 : 0) + rng.int(-9, 9)));
    }
    data[4 * i + 3] = rng.int(0, 255);
  }
  return { width, height, data };
}

/** The network in float64, from its definition, with the weights of the file and activations that are not rounded. */
function reference(bits: Exclude<Bits, "fp">, { width, height, data }: Picture): Float64Array {
  const file = readModel(bits);
  const layer = (name: string, x: ArrayLike<number>): Float64Array => {
    const { w, scales, bias, inChannels, outChannels } = readFilter(file, name);
    const length = inChannels * 9;
    const weights = Float64Array.from(w, (code, i) => code * (scales ? (scales[Math.floor(i / length)] as number) : 1));
    const y = convolve(shapeOf(height, width, inChannels, outChannels), x, 0, weights);
    return y.map((value, i) => value + (bias[i % outChannels] as number));
  };
  const plus = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value + (b[i] as number));
  const pixels = Float64Array.from({ length: width * height * 3 }, (_, i) => {
    return (data[4 * Math.floor(i / 3) + (i % 3)] as number) / 255 - 0.5;
  });
  const head = layer("head", pixels);
  let x = head;
  for (let i = 0; file.tensors.has(`body.${i}.0.weight`); i++) {
    x = plus(
      x,
      layer(
        `body.${i}.1`,
        layer(`body.${i}.0`, x).map((value) => Math.max(0, value)),
      ),
    );
  }
  const up = layer("up", plus(layer("fuse", x), head));
  const out = new Float64Array(3 * 4 * width * height);
  const at = (row: number, col: number, c: number): number => {
    const [y, x] = [Math.max(0, Math.min(height - 1, row)), Math.max(0, Math.min(width - 1, col))];
    return (data[4 * (y * width + x) + c] as number) / 255;
  };
  for (let i = 0; i < out.length; i++) {
    const c = Math.floor(i / (4 * width * height));
    const [y, x] = [Math.floor((i % (4 * width * height)) / (2 * width)), i % (2 * width)];
    // Bilinear between centres of pixels.
    const [v, u] = [(y + 0.5) / 2 - 0.5, (x + 0.5) / 2 - 0.5];
    const [row, col] = [Math.floor(v), Math.floor(u)];
    const [b, a] = [v - row, u - col];
    const smooth =
      (1 - b) * ((1 - a) * at(row, col, c) + a * at(row, col + 1, c)) +
      b * ((1 - a) * at(row + 1, col, c) + a * at(row + 1, col + 1, c));
    const channel = 4 * c + 2 * (y & 1) + (x & 1);
    out[i] = smooth + (up[((y >> 1) * width + (x >> 1)) * 12 + channel] as number);
  }
  return out;
}

for (const bits of [2, 4, 8] as const) {
  t(`${bits} bits: the network is what its definition says`, () => {
    const network = new SuperResolution(lb, readModel(bits), bits);
    is(network.depth, 8);
    is(network.width, 32);
    is(network.workPerPixel > 9 * 32 * 32 * 17, true);
    const picture = makePicture(23, 17, "definition");
    nmseBelow(network.enlargeToFloats(picture), reference(bits, picture), 3e-5, "against float64");
    network.dispose();
  });
}

t("tiles and threads do not change a bit, memory is bounded by tiles", async () => {
  const picture = makePicture(83, 61, "tiles");
  const network = new SuperResolution(lb, readModel(2), 2);
  const whole = network.enlarge(picture);
  is(whole.width, 166);
  is(whole.height, 122);
  for (const tile of [8, 17, 30, 64]) {
    const progress: number[] = [];
    const { data } = network.enlarge(picture, { tile, onProgress: (done) => progress.push(done) });
    equalBits(new Uint8Array(data), new Uint8Array(whole.data), `tiles of ${tile}`);
    is(progress.at(-1), 1);
    is(progress.length, Math.ceil(83 / tile) * Math.ceil(61 / tile));
  }
  ok(whole.data.every((value, i) => i % 4 !== 3 || value === 255));
  const kept = network.enlarge(picture, { keepScales: true });
  equalBits(new Uint8Array(kept.data), new Uint8Array(whole.data), "scales of the picture before");
  network.dispose();
  is(lb.memory.used < 2 ** 22, true);
  const several = await init({ threads: 2, variant: lb.features.variant });
  await load(several);
  const threaded = new SuperResolution(several, readModel(2), 2);
  equalBits(new Uint8Array(threaded.enlarge(picture).data), new Uint8Array(whole.data), "two threads");
  several.dispose();
});

t("PNG of every kind of pixel, and JPEG, are read; what is written is read again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lowbit-upscale-"));
  const { encode } = (await import("fast-png")) as unknown as { encode: (image: object) => Uint8Array };
  try {
    const path = join(folder, "a.png");
    for (const [channels, depth] of [
      [1, 8],
      [2, 8],
      [3, 8],
      [4, 8],
      [3, 16],
    ] as const) {
      const length = 5 * 3 * channels;
      const values = Array.from({ length }, (_, i) => (i * 17) % 256);
      const data = depth === 8 ? Uint8Array.from(values) : Uint16Array.from(values, (value) => value * 257);
      writeFileSync(path, encode({ width: 5, height: 3, data, channels, depth }));
      const picture = await readPicture(path);
      is(picture.width, 5);
      is(picture.height, 3);
      for (let i = 0; i < 60; i++) {
        const c = Math.min(i & 3, channels < 3 ? 0 : 2);
        is(picture.data[i], (i & 3) === 3 ? 255 : values[(i >> 2) * channels + c], `${channels} channels of ${depth}`);
      }
    }
    const picture = makePicture(40, 30, "files");
    await writePicture(path, picture);
    const again = await readPicture(path);
    ok(again.data.every((value, i) => (i & 3) === 3 || value === picture.data[i]));
    const jpeg = join(folder, "a.jpg");
    await writePicture(jpeg, picture);
    const near = await readPicture(jpeg);
    nmseBelow(Array.from(near.data), Array.from(again.data), 0.01, "jpeg");
    writeFileSync(path, "nothing");
    await rejectsWith(readPicture(path), PictureError, "expected a PNG or JPEG file, got 7 bytes");
    await rejectsWith(writePicture(join(folder, "a.gif"), picture), PictureError, ".png, .jpg or .jpeg");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ["--import", "tsx", join(example, "main.ts"), ...args], {
    encoding: "utf8",
    cwd: example,
  });
}

t("the command enlarges a picture, and says what is wrong with a command line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lowbit-upscale-"));
  try {
    const [from, to] = [join(folder, "a.png"), join(folder, "b.png")];
    await writePicture(from, makePicture(20, 12, "command"));
    const { status, stdout, stderr } = run(from, "-o", to, "--bits", "4", "--threads", "1", "--tile", "16");
    is(status, 0, stderr);
    ok(stdout.includes("20 x 12 -> 40 x 24"), stdout);
    is((await readPicture(to)).width, 40);
    for (const [args, message] of [
      [[from], "expected a picture and -o RESULT"],
      [[from, "-o", to, "--bits", "3"], "--bits: expected 2, 4, 8 or fp"],
      [[join(folder, "none.png"), "-o", to], "no such file"],
    ] as const) {
      const wrong = run(...args);
      is(wrong.status, 2);
      ok(wrong.stderr.includes(message), wrong.stderr);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

for (const bits of ["2", "4", "8", "fp"]) {
  if (!existsSync(shared)) {
    t.skip(`--verify --bits ${bits}`, "the reference material is not beside the checkout");
    continue;
  }
  t(`--verify --bits ${bits}`, () => {
    const { status, stdout, stderr } = run("--model", shared, "--bits", bits, "--verify");
    is(status, 0, stderr);
    const [, own, reference] = /psnr +(\S+) dB, of the reference (\S+) dB/.exec(stdout) as unknown as [
      string,
      string,
      string,
    ];
    ok(Math.abs(Number(own) - Number(reference)) <= 0.02, stdout);
    ok(Number(/nmse +(\S+)/.exec(stdout)?.[1]) <= 1e-4, stdout);
  });
}
