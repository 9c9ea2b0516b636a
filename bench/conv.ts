// Convolutions of lowbit/conv, codes in and codes out, beside QLinearConv of onnxruntime-web where bench/thirdparty has it.
import * as conv from "lowbit/conv";
import type { Loaded } from "./cases.ts";
import { median } from "./measure.ts";
import { type QLinearConv, qLinearConv } from "./onnx.ts";
import { makeRandom } from "./random.ts";

interface Shape {
  readonly channels: number;
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly groups: number;
}

const square = (channels: number, size: number, kernel = 3, stride = 1, groups = 1): Shape => ({
  ...{ channels, size, kernel, stride, groups },
});

/** C = K, square maps: those whose rates are published for peers (docs/convolution.md). */
const SHAPES = [
  ...[square(32, 84), square(64, 60), square(128, 36), square(256, 36)],
  ...[square(32, 84, 1), square(64, 60, 1), square(128, 36, 1), square(256, 36, 1)],
  ...[square(32, 84, 3, 2), square(64, 60, 3, 2), square(128, 36, 3, 2), square(256, 36, 3, 2)],
  square(64, 60, 3, 1, 64),
];

interface ConvCase {
  readonly label: string;
  readonly run: () => unknown;
  /** Multiplications of the direct algorithm. */
  readonly work: number;
}

/** What is used of onnxruntime-web. */
interface Runtime {
  readonly env: { readonly wasm: { numThreads: number }; readonly versions: { readonly web?: string } };
  readonly Tensor: new (type: "uint8", data: Uint8Array, dims: readonly number[]) => { readonly data: Uint8Array };
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<Session>;
  };
}
interface Session {
  run(feeds: object): Promise<{ readonly y: { readonly data: Uint8Array } }>;
  release(): Promise<void>;
}

const PEER = "./thirdparty/node_modules/onnxruntime-web/dist/ort.node.min.mjs";

async function loadPeer(): Promise<Runtime | string> {
  try {
    const runtime = (await import(PEER)) as Runtime;
    runtime.env.wasm.numThreads = 1;
    return runtime;
  } catch (error) {
    return `onnxruntime-web is not installed in bench/thirdparty (${(error as { code?: string }).code ?? error})`;
  }
}

interface Numbers {
  readonly x: Uint8Array;
  readonly conv: QLinearConv;
}

function makeNumbers(shape: Shape): Numbers {
  const random = makeRandom(shape.channels + shape.kernel);
  const length = (shape.channels ** 2 / shape.groups) * shape.kernel ** 2;
  const whole = (least: number, most: number): number => least + random.below(most - least + 1);
  return {
    x: Uint8Array.from({ length: shape.size ** 2 * shape.channels }, () => whole(0, 255)),
    conv: {
      ...shape,
      weights: Int8Array.from({ length }, () => whole(-127, 127)),
      scales: { x: 0.02, w: 0.01, y: 0.02 * 0.01 * 60 * Math.sqrt(length / shape.channels) * 73 },
      zeroPoints: { x: 128, y: 128 },
    },
  };
}

/** The layer with everything around it; the answer as codes [height][width][channel]. */
function makeOurs(
  { lb, variant, threads }: Loaded,
  numbers: Numbers,
  more: Partial<conv.PackOptions>,
  what: string,
): ConvCase & { readonly answer: () => Uint8Array; readonly dispose: () => void } {
  const { channels, size, kernel, stride, groups, weights, scales, zeroPoints } = numbers.conv;
  const layer = conv.pack(lb, {
    ...{ inChannels: channels, outChannels: channels, kernel, stride, groups, padding: (kernel - 1) / 2 },
    ...{ codes: weights, scales: Float32Array.of(scales.w), map: [Math.ceil(size / stride), Math.ceil(size / stride)] },
    ...more,
  });
  const map = { height: size, width: size, channels, type: "uint8" } as const;
  const x = conv.tensor(lb, { ...map, scale: scales.x, zeroPoint: zeroPoints.x });
  x.writeCodes(numbers.x);
  const out = layer.output(size, size, { type: "uint8", scale: scales.y, zeroPoint: zeroPoints.y });
  const { algorithm } = layer;
  return {
    label: `conv ${nameOf(numbers.conv)} ${what} ${algorithm} ${variant} threads=${threads}`,
    run: () => layer.run(x, out),
    work: workOf(numbers.conv),
    answer: () => {
      layer.run(x, out);
      return out.readCodes() as Uint8Array;
    },
    dispose: () => {
      for (const one of [layer, x, out]) one.dispose();
    },
  };
}

const nameOf = ({ channels, size, kernel, stride, groups }: Shape): string =>
  `${channels}x${size}x${size} k${kernel} s${stride}${groups > 1 ? " depthwise" : ""}`;

function workOf({ channels, size, kernel, stride, groups }: Shape): number {
  return Math.ceil(size / stride) ** 2 * channels * (channels / groups) * kernel ** 2;
}

/** [channel][pixel] of [pixel][channel], or back with the arguments exchanged. */
function transposed(values: Uint8Array, outer: number, inner: number): Uint8Array {
  return Uint8Array.from(values, (_, i) => values[(i % outer) * inner + Math.floor(i / outer)] as number);
}

async function makePeer(
  runtime: Runtime,
  numbers: Numbers,
): Promise<ConvCase & { readonly answer: () => Promise<Uint8Array>; readonly dispose: () => void }> {
  const { channels, size } = numbers.conv;
  const session = await runtime.InferenceSession.create(qLinearConv(numbers.conv), { executionProviders: ["wasm"] });
  const nchw = transposed(numbers.x, size ** 2, channels);
  const x = new runtime.Tensor("uint8", nchw, [1, channels, size, size]);
  return {
    label: `conv ${nameOf(numbers.conv)} onnxruntime-web QLinearConv`,
    run: () => session.run({ x }),
    work: workOf(numbers.conv),
    answer: async () => {
      const { data } = (await session.run({ x })).y;
      return transposed(data, channels, data.length / channels);
    },
    dispose: () => void session.release(),
  };
}

const sleep = (time: number): Promise<void> => new Promise((done) => setTimeout(done, time));

/** Milliseconds of a call of each: medians over rounds, in turn, once V8 has optimised all. */
async function time(cases: readonly ConvCase[], rounds: number): Promise<number[]> {
  for (let i = 0; i < 10; i++) {
    for (const { run } of cases) {
      for (const end = performance.now() + 12; performance.now() < end; ) await run();
    }
    // A compiler in the background may need this thread's processor.
    await sleep(150);
  }
  const samples = cases.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { run }] of cases.entries()) {
      const start = performance.now();
      let calls = 0;
      do {
        await run();
        calls++;
      } while (performance.now() - start < 6);
      samples[i]?.push((performance.now() - start) / calls);
    }
  }
  return samples.map(median);
}

/** Weights that each variant is measured with. */
const KINDS: readonly { readonly what: string; readonly more: Partial<conv.PackOptions> }[] = [
  { what: "chosen", more: {} },
  { what: "direct", more: { algorithm: "direct" } },
];

/** Runs the cases whose label matches and prints their times; null when there are none, else whether all were right. */
export async function benchConv(loaded: readonly Loaded[], filter: RegExp, quick: boolean): Promise<boolean | null> {
  if (!SHAPES.some((shape) => filter.test(`conv ${nameOf(shape)}`)) && !filter.test("conv")) return null;
  for (const { lb } of loaded) await conv.load(lb);
  const peer = await loadPeer();
  console.log("\nconvolutions, uint8 in and out, int8 weights; GMAC/s counted as of the direct algorithm\n");
  if (typeof peer === "string") console.log(`skipped  ${peer}`);
  else console.log(`peer     onnxruntime-web ${peer.env.versions.web ?? ""}`);
  let right = true;
  for (const shape of SHAPES) {
    if (!filter.test(`conv ${nameOf(shape)}`)) continue;
    const numbers = makeNumbers(shape);
    const ours = loaded.flatMap((one) => KINDS.map(({ what, more }) => makeOurs(one, numbers, more, what)));
    const unique = ours.filter(({ label }, i) => !ours.slice(0, i).some((other) => sameWay(other.label, label)));
    const theirs = typeof peer === "string" ? [] : [await makePeer(peer, numbers)];
    const expected = ours[0]?.answer() as Uint8Array;
    for (const one of [...unique, ...theirs]) {
      // Halves may be rounded otherwise by others, and a float factor differ in its last bit.
      const most = theirs.some((other) => other === one) ? 1 : 0;
      const answer = await one.answer();
      if (answer.every((code, i) => Math.abs(code - (expected[i] as number)) <= most)) continue;
      right = false;
      console.log(`WRONG    ${one.label}`);
    }
    const cases: ConvCase[] = [...unique, ...theirs];
    const times = await time(cases, quick ? 15 : 41);
    const base = theirs.length > 0 ? times.at(-1) : undefined;
    for (const [i, { label, work }] of cases.entries()) {
      const ms = times[i] as number;
      const beside = base === undefined ? "" : `${(base / ms).toFixed(2).padStart(7)}x`;
      console.log(
        `${label.padEnd(64)} ${ms.toFixed(3).padStart(9)} ms ${(work / ms / 1e6).toFixed(1).padStart(7)} GMAC/s${beside}`,
      );
    }
    for (const one of [...ours, ...theirs]) one.dispose();
  }
  return right;
}

/** Whether two cases of one variant run the same algorithm. */
function sameWay(a: string, b: string): boolean {
  return a.replace(/ (chosen|direct) /, " ") === b.replace(/ (chosen|direct) /, " ");
}
