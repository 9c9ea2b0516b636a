// Weights as codes with scales, and how kernels have the codes in memory.
import { checkArray, checkFinite, checkLength, rangeError } from "../lib/check.ts";
import { float32Scale, limitScale, ROUNDER } from "../numeric/scale.ts";
import type { Operand } from "./record.ts";
import type { Shape } from "./shape.ts";

/** How weights are quantised: whole numbers of so many bits, {-1, 0, 1}, or {-1, 1}. */
export type Bits = 8 | 7 | 6 | 5 | 4 | 3 | 2 | "ternary" | "binary";
export const BITS: readonly Bits[] = [8, 7, 6, 5, 4, 3, 2, "ternary", "binary"];

/** Bits that a weight takes in a file. */
export const storedBits = (bits: Bits): number => (bits === "binary" ? 1 : bits === "ternary" ? 2 : bits);

/** Least and largest code. */
export function codeRange(bits: Bits): readonly [number, number] {
  if (bits === "ternary" || bits === "binary") return [-1, 1];
  return [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}

/** Weights of a filter. */
export const filterLength = ({ groupIn, kernelY, kernelX }: Shape): number => groupIn * kernelY * kernelX;

export const shapeText = ({ outChannels, groupIn, kernelY, kernelX }: Shape): string =>
  `${outChannels} x ${groupIn} x ${kernelY} x ${kernelX}`;

/**
 * Codes of float weights [outChannels][inChannels / groups][kernelY][kernelX]: w ≈ code · scale, rounded to the nearest, halves to
 * even. Scales, of a filter or one for all: max |w| / (2^(bits-1) - 1), and the mean of |w| for ternary and binary weights.
 */
export function quantizeWeights(
  where: string,
  w: Float32Array,
  shape: Shape,
  bits: Bits,
  scales: "filter" | "tensor",
): { codes: Int8Array; scales: Float32Array } {
  const length = filterLength(shape);
  checkLength(`${where}: w`, w, shape.outChannels * length, shapeText(shape));
  checkFinite(`${where}: w`, w);
  const run = scales === "filter" ? length : w.length;
  const codes = new Int8Array(w.length);
  const found = new Float32Array(w.length / run);
  for (let i = 0; i < found.length; i++) {
    const part = w.subarray(i * run, (i + 1) * run);
    const scale = scaleOf(part, bits);
    found[i] = scale;
    quantizeRun(part, bits, scale, codes.subarray(i * run, (i + 1) * run));
  }
  return { codes, scales: found };
}

function scaleOf(w: Float32Array, bits: Bits): number {
  let most = 0;
  let sum = 0;
  for (const value of w) {
    most = Math.max(most, Math.abs(value));
    sum += Math.abs(value);
  }
  if (typeof bits === "string") return limitScale(float32Scale(sum, w.length), 1);
  const levels = 2 ** (bits - 1) - 1;
  return limitScale(float32Scale(most, levels), levels);
}

function quantizeRun(w: Float32Array, bits: Bits, scale: number, codes: Int8Array): void {
  const most = codeRange(bits)[1];
  for (let i = 0; i < w.length; i++) {
    const value = w[i] as number;
    if (bits === "binary") codes[i] = value < 0 ? -1 : 1;
    else if (scale > 0) codes[i] = Math.max(-most, Math.min(most, Math.fround(value / scale) + ROUNDER - ROUNDER));
  }
}

/** Codes of that shape within their range. */
export function checkWeights(where: string, codes: unknown, shape: Shape, bits: Bits): Int8Array {
  const all = checkArray(where, codes, ["Int8Array"]);
  checkLength(where, all, shape.outChannels * filterLength(shape), shapeText(shape));
  const [least, most] = codeRange(bits);
  for (let i = 0; i < all.length; i++) {
    const code = all[i] as number;
    if (code < least || code > most || (bits === "binary" && code === 0)) {
      const expected = bits === "binary" ? "codes -1 and 1" : `codes from ${least} to ${most} (bits: ${bits})`;
      throw rangeError(where, expected, `${code} at index ${i}`);
    }
  }
  return all;
}

/** Σ w and Σ |w| of each filter. */
export function filterSums(codes: Int8Array, shape: Shape): { sums: Int32Array; extents: Float64Array } {
  const length = filterLength(shape);
  const sums = new Int32Array(shape.outChannels);
  const extents = new Float64Array(shape.outChannels);
  for (let k = 0; k < shape.outChannels; k++) {
    let sum = 0;
    let extent = 0;
    for (let i = k * length; i < (k + 1) * length; i++) {
      sum += codes[i] as number;
      extent += Math.abs(codes[i] as number);
    }
    sums[k] = sum;
    extents[k] = extent;
  }
  return { sums, extents };
}

/** Channels of a pixel of the panel, and bytes of one. */
export function panelPixel({ groupIn }: Shape, operand: Operand): { channels: number; bytes: number } {
  const channels = operand === "wide" ? Math.ceil(groupIn / 2) * 2 : Math.ceil(groupIn / 4) * 4;
  return { channels, bytes: operand === "wide" ? channels * 2 : channels };
}

export function directBytes(shape: Shape, operand: Operand): number {
  const blocks = shape.groups * Math.ceil(shape.groupOut / 16);
  return blocks * 16 * shape.kernelY * shape.kernelX * panelPixel(shape, operand).bytes;
}

/** [group][outputs / 16][kernelY][kernelX][channels / n][16][n], n = 2 of int16, 4 of bytes: padded by zeros. */
export function packDirect(codes: Int8Array, shape: Shape, operand: Operand, to: Int8Array | Int16Array): void {
  const { groups, groupIn, groupOut, kernelY, kernelX } = shape;
  const { channels } = panelPixel(shape, operand);
  const lane = operand === "wide" ? 2 : 4;
  const taps = kernelY * kernelX;
  const blocks = Math.ceil(groupOut / 16);
  to.fill(0);
  for (let group = 0; group < groups; group++) {
    for (let k = 0; k < groupOut; k++) {
      const block = (group * blocks + (k >> 4)) * taps * channels * 16 + (k & 15) * lane;
      const from = (group * groupOut + k) * groupIn * taps;
      for (let c = 0; c < groupIn; c++) {
        const place = block + Math.floor(c / lane) * 16 * lane + (c % lane);
        for (let tap = 0; tap < taps; tap++) {
          to[place + tap * channels * 16] = codes[from + c * taps + tap] as number;
        }
      }
    }
  }
}

export function depthwiseBytes({ outChannels, kernelY, kernelX }: Shape): number {
  return Math.ceil(outChannels / 16) * Math.ceil((kernelY * kernelX) / 2) * 64;
}

/** [channels / 16][pair of taps][16][2] int16. */
export function packDepthwise(codes: Int8Array, { outChannels, kernelY, kernelX }: Shape, to: Int16Array): void {
  const taps = kernelY * kernelX;
  const pairs = Math.ceil(taps / 2);
  to.fill(0);
  for (let k = 0; k < outChannels; k++) {
    const block = (k >> 4) * pairs * 32 + (k & 15) * 2;
    for (let tap = 0; tap < taps; tap++) to[block + (tap >> 1) * 32 + (tap & 1)] = codes[k * taps + tap] as number;
  }
}

/**
 * Weights of a transposed convolution [inChannels][outChannels / groups][taps] as those of the convolution of the spread input
 * [outChannels][inChannels / groups][taps], the taps in reverse; `back` makes the first of the second.
 */
export function transposeWeights<T extends Float32Array | Int8Array>(w: T, shape: Shape, back = false): T {
  const { groups, groupIn, groupOut, kernelY, kernelX } = shape;
  const taps = kernelY * kernelX;
  const out = w.slice() as T;
  for (let group = 0; group < groups; group++) {
    for (let c = 0; c < groupIn; c++) {
      for (let k = 0; k < groupOut; k++) {
        const there = ((group * groupIn + c) * groupOut + k) * taps;
        const here = ((group * groupOut + k) * groupIn + c) * taps;
        for (let tap = 0; tap < taps; tap++) {
          const [from, to] = [there + tap, here + taps - 1 - tap];
          if (back) out[from] = w[to] as number;
          else out[to] = w[from] as number;
        }
      }
    }
  }
  return out;
}
