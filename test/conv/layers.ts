// Random layers, and what the library makes of them beside the oracle.

import * as conv from "../../src/conv/index.ts";
import { init, type Lowbit, UnsupportedRuntimeError } from "../../src/index.ts";
import { equalBits, equalValues } from "../lib/assert.ts";
import type { Random } from "../lib/random.ts";
import {
  type Codes,
  type ConvShape,
  convolve,
  type Epilogue,
  outputSize,
  samePadding,
  toCodes,
  toCodesDyadic,
  toFloats,
} from "../reference/conv.ts";

export interface Instance {
  readonly variant: "simd" | "relaxed";
  readonly lb: Lowbit;
}

/** One instance of each variant that runs here, with convolutions loaded. */
export async function instances(): Promise<Instance[]> {
  const found: Instance[] = [];
  for (const variant of ["simd", "relaxed"] as const) {
    try {
      const lb = await init({ variant, threads: 1 });
      await conv.load(lb);
      found.push({ variant, lb });
    } catch (error) {
      if (!(error instanceof UnsupportedRuntimeError)) throw error;
    }
  }
  return found;
}

export const codesRange = (bits: conv.Bits): [number, number] =>
  typeof bits === "string" ? [-1, 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];

export type Fill = "random" | "least" | "most" | "alternating";

/** A map, weights, and what follows. */
export interface Layer {
  readonly shape: ConvShape;
  readonly bits: conv.Bits;
  readonly w: Int8Array;
  readonly type: "int8" | "uint8";
  readonly xBits: number;
  readonly zeroPoint: number;
  readonly x: Int8Array | Uint8Array;
  readonly xScale: number;
  readonly scales: Float32Array;
  readonly bias: Float32Array | undefined;
  readonly relu: boolean;
}

export const xRange = (type: "int8" | "uint8", bits: number): [number, number] =>
  type === "uint8" ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];

function filled(length: number, [least, most]: [number, number], fill: Fill, rng: Random): number[] {
  return Array.from({ length }, (_, i) => {
    if (fill === "least") return least;
    if (fill === "most") return most;
    if (fill === "alternating") return i % 2 === 0 ? least : most;
    return rng.int(least, most);
  });
}

/** A layer of that shape with random numbers, or with the extremes that a fill says. */
export function makeLayer(
  shape: ConvShape,
  rng: Random,
  options: Partial<Pick<Layer, "bits" | "type" | "xBits" | "zeroPoint" | "relu">> & {
    readonly weights?: Fill;
    readonly activations?: Fill;
    readonly oneScale?: boolean;
    readonly bias?: boolean;
  } = {},
): Layer {
  const { bits = 8, type = "int8", xBits = 8, relu = false } = options;
  const range = xRange(type, xBits);
  const zeroPoint = options.zeroPoint ?? rng.int(range[0], range[1]);
  const length = (shape.outChannels * shape.inChannels * shape.kernel[0] * shape.kernel[1]) / shape.groups;
  let w = Int8Array.from(filled(length, codesRange(bits), options.weights ?? "random", rng));
  if (bits === "binary") w = w.map((code) => (code < 0 ? -1 : 1));
  const codes = filled(shape.height * shape.width * shape.inChannels, range, options.activations ?? "random", rng);
  return {
    ...{ shape, bits, w, type, xBits, zeroPoint, relu },
    x: type === "int8" ? Int8Array.from(codes) : Uint8Array.from(codes),
    xScale: Math.fround(0.01 + rng.uniform() / 50),
    scales: Float32Array.from({ length: options.oneScale ? 1 : shape.outChannels }, () => 0.002 + rng.uniform() / 100),
    bias: options.bias === false ? undefined : rng.uniforms(shape.outChannels, 0.5),
  };
}

export function packLayer(lb: Lowbit, layer: Layer, more: Partial<conv.PackOptions> = {}): conv.Conv2d {
  const { shape, bits, w, scales, bias, relu } = layer;
  const { inChannels, outChannels, kernel, stride, dilation, padding, groups } = shape;
  return conv.pack(lb, {
    ...{ inChannels, outChannels, kernel, stride, dilation, padding, groups, bits, codes: w, scales, relu },
    ...(bias && { bias }),
    ...more,
  });
}

export function inputOf(lb: Lowbit, { shape, type, xBits, xScale, zeroPoint, x }: Layer): conv.Tensor {
  const { height, width, inChannels: channels } = shape;
  const made = conv.tensor(lb, { height, width, channels, type, bits: xBits, scale: xScale, zeroPoint });
  made.writeCodes(x);
  return made;
}

/** The exact sums, by any algorithm. */
export function sumsOf(lb: Lowbit, layer: Layer, algorithm?: conv.Algorithm): Int32Array {
  const made = packLayer(lb, layer, algorithm && { algorithm });
  const x = inputOf(lb, layer);
  const out = made.output(layer.shape.height, layer.shape.width, { type: "int32" });
  made.run(x, out);
  const sums = out.readCodes() as Int32Array;
  for (const one of [made, x, out]) one.dispose();
  return sums;
}

export const expectedSums = ({ shape, x, zeroPoint, w }: Layer): Float64Array => convolve(shape, x, zeroPoint, w);

/** The sums of a layer are those of the oracle. */
export function checkSums(lb: Lowbit, layer: Layer, algorithm: conv.Algorithm | undefined, label: string): void {
  equalBits(sumsOf(lb, layer, algorithm), Int32Array.from(expectedSums(layer)), label);
}

/** A scale with which codes of the output spread over their range without clipping most of them. */
export function outputScale(layer: Layer, sums: Float64Array): number {
  const most = sums.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
  return Math.fround((most * layer.xScale * 0.008) / 100);
}

/** All kinds of output of a layer, with every kind of residual, against the oracle. */
export function checkOutputs(lb: Lowbit, layer: Layer, rng: Random, label: string, algorithm?: conv.Algorithm): void {
  const { shape, xScale, scales, bias, relu } = layer;
  const sums = expectedSums(layer);
  const [height, width] = outputSize(shape);
  const outputs = shape.outChannels;
  const clip: [number, number] = [relu ? 0 : Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const x = inputOf(lb, layer);
  const scale = outputScale(layer, sums);
  for (const requantize of ["float", "dyadic"] as const) {
    const made = packLayer(lb, layer, { requantize, ...(algorithm && { algorithm }) });
    for (const type of ["int8", "uint8", "float32"] as const) {
      for (const kind of [undefined, "int8", "uint8", "float32"] as const) {
        const isDyadic = requantize === "dyadic" && type !== "float32";
        if (kind === "float32" && isDyadic) continue;
        const [least, most] = xRange(type === "uint8" ? "uint8" : "int8", 8);
        const zeroPoint = rng.int(least, most);
        const out =
          type === "float32"
            ? made.output(shape.height, shape.width, { type })
            : made.output(shape.height, shape.width, { type, scale, zeroPoint });
        const { residual, reference } = residualOf(lb, kind, [height, width, outputs], rng, scale);
        made.run(x, out, residual && { residual });
        const epilogue: Epilogue = { xScale, scales, bias, clip, residual: reference };
        const where = `${label}: ${type}, residual ${kind}, ${requantize}`;
        if (type === "float32") {
          equalValues(out.read(), toFloats(sums, outputs, epilogue), where);
        } else {
          const codes: Codes = { scale: out.scale, zeroPoint, least, most };
          const expected = (isDyadic ? toCodesDyadic : toCodes)(sums, outputs, epilogue, codes);
          const actual = out.readCodes();
          equalBits(Float64Array.from(actual), expected, where);
        }
        residual?.dispose();
        out.dispose();
      }
    }
    made.dispose();
  }
  x.dispose();
}

function residualOf(
  lb: Lowbit,
  kind: "int8" | "uint8" | "float32" | undefined,
  [height, width, channels]: [number, number, number],
  rng: Random,
  unit: number,
): { residual?: conv.Tensor; reference?: NonNullable<Epilogue["residual"]> } {
  if (kind === undefined) return {};
  const length = height * width * channels;
  if (kind === "float32") {
    const residual = conv.tensor(lb, { height, width, channels, type: kind });
    const values = rng.uniforms(length, unit * 50);
    residual.write(values);
    return { residual, reference: { values } };
  }
  const [least, most] = xRange(kind, 8);
  const scale = Math.fround(unit * (0.3 + rng.uniform()));
  const zeroPoint = rng.int(least, most);
  const residual = conv.tensor(lb, { height, width, channels, type: kind, scale, zeroPoint });
  const codes = Array.from({ length }, () => rng.int(least, most));
  const values = kind === "int8" ? Int8Array.from(codes) : Uint8Array.from(codes);
  residual.writeCodes(values);
  return { residual, reference: { values, codes: { scale: residual.scale, zeroPoint, least, most } } };
}

/** A shape of 3 x 3 taps with "same" padding, or others. */
export function shapeOf(
  height: number,
  width: number,
  inChannels: number,
  outChannels: number,
  more: Partial<Omit<ConvShape, "padding">> & { readonly padding?: ConvShape["padding"] | "same" } = {},
): ConvShape {
  const base = {
    ...{ height, width, inChannels, outChannels },
    groups: more.groups ?? 1,
    kernel: more.kernel ?? ([3, 3] as const),
    stride: more.stride ?? ([1, 1] as const),
    dilation: more.dilation ?? ([1, 1] as const),
  };
  const { padding = "same" } = more;
  return { ...base, padding: padding === "same" ? samePadding(base) : padding };
}
