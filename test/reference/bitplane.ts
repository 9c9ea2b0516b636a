import { absMax, roundHalfEven } from "./rounding.ts";

const f32 = Math.fround;

/** What a code u of n bits stands for: u, its two's complement, or 2u - (2^n - 1). */
export type Encoding = "unsigned" | "signed" | "bipolar";

export function codeValue(u: number, bits: number, encoding: Encoding): number {
  if (encoding === "bipolar") return 2 * u - (2 ** bits - 1);
  return encoding === "signed" && u >= 2 ** (bits - 1) ? u - 2 ** bits : u;
}

/** W[r][k] = scales[r][g] * values[r][k] + offsets[r][g], g = floor(k / groupSize). */
export interface BitplaneWeights {
  rows: number;
  cols: number;
  bits: number;
  encoding: Encoding;
  /** [rows, cols] */
  codes: Uint8Array;
  groupSize: number;
  /** [rows, groups] */
  scales: Float32Array;
  /** [rows, groups] */
  offsets?: Float32Array | undefined;
}

/** x is about values * factor; a value is that of the code, less zero. */
export interface Quantized {
  values: Int32Array;
  zero: number;
  factor: number;
}

/** The mean of |x| in float64: sums of columns k mod 8, then those pairwise. */
function absMean(x: Float32Array): number {
  const s = new Float64Array(8);
  for (let k = 0; k < x.length; k++) s[k % 8] = (s[k % 8] as number) + Math.abs(x[k] as number);
  const [a, b, c, d, e, f, g, h] = s as unknown as [number, number, number, number, number, number, number, number];
  return (a + e + (c + g) + (b + f + (d + h))) / x.length;
}

/**
 * bipolar: odd integers; one bit is sign(x) times mean |x| (XNOR-Net, Rastegari et al. 2016, eq. 6), 0 counting as +1; more
 * bits a step of amax / (2^n - 1). signed: absmax / (2^(n-1) - 1). unsigned: minimum to maximum of x and 0, with an
 * integer zero point that the values are relative to.
 */
export function quantizeBits(x: Float32Array, bits: number, encoding: Encoding, mean = absMean): Quantized {
  const values = new Int32Array(x.length);
  const most = 2 ** bits - 1;
  const amax = absMax(x);
  if (encoding === "bipolar") {
    const ratio = amax === 0 ? 0 : most / 2 / amax;
    for (let k = 0; k < x.length; k++) values[k] = 2 * Math.floor((x[k] as number) * ratio) + 1;
    return { values, zero: 0, factor: f32(bits === 1 ? mean(x) : amax / most) };
  }
  if (encoding === "signed") {
    const largest = 2 ** (bits - 1) - 1;
    const ratio = amax === 0 ? 0 : largest / amax;
    for (let k = 0; k < x.length; k++) values[k] = roundHalfEven((x[k] as number) * ratio);
    return { values, zero: 0, factor: f32(amax / largest) };
  }
  let low = 0;
  let high = 0;
  for (const v of x) {
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  const range = high - low;
  const ratio = range === 0 ? 0 : most / range;
  const zero = roundHalfEven(-low * ratio);
  for (let k = 0; k < x.length; k++) values[k] = Math.min(roundHalfEven((x[k] as number) * ratio), most - zero);
  return { values, zero, factor: f32(range / most) };
}

/** Weights by the same quantiser, group by group, but for the mean, which is summed in order. */
export function quantizeBitplane(
  w: Float32Array,
  rows: number,
  cols: number,
  bits: number,
  encoding: Encoding,
  groupSize = cols,
): BitplaneWeights {
  const groups = Math.ceil(cols / groupSize);
  const codes = new Uint8Array(rows * cols);
  const scales = new Float32Array(rows * groups);
  const offsets = new Float32Array(rows * groups);
  for (let i = 0; i < scales.length; i++) {
    const start = Math.floor(i / groups) * cols + (i % groups) * groupSize;
    const end = Math.min(start + groupSize, (Math.floor(i / groups) + 1) * cols);
    const group = w.subarray(start, end);
    const { values, zero, factor } = quantizeBits(group, bits, encoding, (g) => {
      return g.reduce((sum, v) => sum + Math.abs(v), 0) / g.length;
    });
    for (const [k, v] of values.entries()) codes[start + k] = codeOfValue(v + zero, bits, encoding);
    scales[i] = factor;
    offsets[i] = f32(-zero * factor) + 0;
  }
  return { rows, cols, bits, encoding, codes, groupSize, scales, offsets };
}

function codeOfValue(value: number, bits: number, encoding: Encoding): number {
  if (encoding === "bipolar") return (value + 2 ** bits - 1) / 2;
  return value < 0 ? value + 2 ** bits : value;
}

/** Exact integers within a group of columns; one float32 product and sum a group, then the offsets' likewise. */
export function gemvBits(weights: BitplaneWeights, { values, factor }: Quantized): Float32Array {
  const { rows, cols, bits, encoding, codes, groupSize, scales, offsets } = weights;
  const groups = Math.ceil(cols / groupSize);
  const y = new Float32Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let g = 0; g < groups; g++) {
      let dot = 0;
      for (let k = g * groupSize; k < Math.min(cols, (g + 1) * groupSize); k++) {
        dot += codeValue(codes[r * cols + k] as number, bits, encoding) * (values[k] as number);
      }
      sum = f32(sum + f32(f32(dot) * (scales[r * groups + g] as number)));
    }
    for (let g = 0; offsets !== undefined && g < groups; g++) {
      let total = 0;
      for (let k = g * groupSize; k < Math.min(cols, (g + 1) * groupSize); k++) total += values[k] as number;
      sum = f32(sum + f32(f32(total) * (offsets[r * groups + g] as number)));
    }
    y[r] = f32(sum * factor);
  }
  return y;
}

/** The stored words: [4 rows][plane][word of 32 columns][row], bit i of a word is column i; padding is clear. */
export function bitplaneWords({ rows, cols, bits, codes }: BitplaneWeights): Uint32Array {
  const padded = Math.ceil(rows / 16) * 16;
  const words = Math.ceil(cols / 32);
  const out = new Uint32Array(padded * words * bits);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < cols; k++) {
      for (let i = 0; i < bits; i++) {
        const bit = ((codes[r * cols + k] as number) >> i) & 1;
        const at = ((Math.floor(r / 4) * bits + i) * words + Math.floor(k / 32)) * 4 + (r % 4);
        out[at] = ((out[at] as number) | (bit << (k % 32))) >>> 0;
      }
    }
  }
  return out;
}
