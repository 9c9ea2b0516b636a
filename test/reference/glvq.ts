// Grouped lattice vectors: real weights by the formulas of the paper, and the integers that companded ones are multiplied as.
import { type Codes, makeWeights, type Weights } from "./weights.ts";

const f32 = Math.fround;

export interface GlvqTensors {
  rows: number;
  cols: number;
  bits: 2 | 3 | 4;
  dimension: 8 | 16 | 32;
  groupSize: number;
  /** [rows, vectors · d], 0 to 2^bits - 1 */
  codes: Uint8Array;
  /** [groups][d, d] */
  bases: Float32Array;
  /** [rows] */
  scales: Float32Array;
  /** [groups] */
  mu?: Float32Array;
  gains?: Float32Array;
}

const paddedCols = ({ cols, dimension: d }: GlvqTensors): number => Math.ceil(cols / d) * d;
export const groupsOf = ({ cols, groupSize }: GlvqTensors): number => Math.ceil(cols / groupSize);

function halves(tensors: GlvqTensors, row: number, vector: number): number[] {
  const { codes, bits, dimension: d } = tensors;
  const from = row * paddedCols(tensors) + vector * d;
  return Array.from(codes.subarray(from, from + d), (code) => code - (2 ** bits - 1) / 2);
}

/** w = s · a · F⁻¹(G z), or s · G z, in float64, |G z| of companded ones at most 1: [rows, cols]. */
export function glvqReal(tensors: GlvqTensors): Float64Array {
  const { rows, cols, dimension: d, groupSize, bases, scales, mu, gains } = tensors;
  return Float64Array.from({ length: rows * cols }, (_, at) => {
    const [row, col] = [Math.floor(at / cols), at % cols];
    const group = Math.floor(col / groupSize);
    const z = halves(tensors, row, Math.floor(col / d));
    let y = 0;
    for (let j = 0; j < d; j++) y += (bases[group * d * d + (col % d) * d + j] as number) * (z[j] as number);
    const scale = scales[row] as number;
    if (!mu) return scale * y;
    const m = mu[group] as number;
    const clamped = Math.min(1, Math.abs(y));
    return (scale * (gains?.[group] ?? 1) * Math.sign(y) * Math.expm1(clamped * Math.log1p(m))) / m;
  });
}

/** The nearest integer, of two the even one. */
function nearest(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** The largest |G z| of a group, or 1.8 deviations of it for z at random, at most 1, rounded up to 1/1024, and F⁻¹ of it, rounded to the nearest but 0. */
function rangeOf({ dimension: d, bases, mu }: GlvqTensors, group: number): { reach: number; unit: number; mu: number } {
  let most = 0;
  for (let row = 0; row < d; row++) {
    let sum = 0;
    let square = 0;
    for (let j = 0; j < d; j++) {
      const g = bases[(group * d + row) * d + j] as number;
      sum += Math.abs(g);
      square += g * g;
    }
    most = Math.max(most, Math.min(1.5 * sum, 1.8 * Math.sqrt(1.25 * square)));
  }
  const reach = Math.min(1, Math.ceil(1024 * most) / 1024);
  const m = (mu as Float32Array)[group] as number;
  return { reach, unit: Math.max(1, Math.round((1024 * Math.expm1(reach * Math.log1p(m))) / m)) / 1024, mu: m };
}

/**
 * Companded weights as odd integers of -63..63: G z in steps of reach / 128, pair by pair of columns of G, each rounded to a
 * byte (of the first pair down) and added with saturation; |Y + ½| by steps of 4 names one of 32 magnitudes of F⁻¹, rounded
 * to (2t + 1) unit / 64.
 */
export function glvqInteger(tensors: GlvqTensors, row: number, col: number): number {
  const { dimension: d, groupSize, bases } = tensors;
  const group = Math.floor(col / groupSize);
  const z = halves(tensors, row, Math.floor(col / d));
  const { reach, unit, mu } = rangeOf(tensors, group);
  const clamp = (value: number): number => Math.max(-128, Math.min(127, value));
  let sum = 0;
  for (let pair = 0; pair < d; pair += 2) {
    const g = group * d * d + (col % d) * d + pair;
    const [first, second] = [bases[g] as number, bases[g + 1] as number];
    const real = (128 * (first * (z[pair] as number) + second * (z[pair + 1] as number))) / reach;
    sum = clamp(sum + clamp(pair === 0 ? Math.floor(real) : nearest(real)));
  }
  const step = Math.floor((sum < 0 ? -1 - sum : sum) / 4);
  const w = Math.expm1(((reach * (2 * step + 1)) / 64) * Math.log1p(mu)) / mu / unit;
  const t = Math.max(0, Math.min(31, Math.round((64 * w - 1) / 2)));
  return sum < 0 ? -(2 * t + 1) : 2 * t + 1;
}

/** What the integers of a group are multiplied by, without the scale of the row. */
export function glvqGroupScale(tensors: GlvqTensors, group: number): number {
  return f32(((tensors.gains?.[group] ?? 1) * rangeOf(tensors, group).unit) / 64);
}

/** Companded weights without the scales of rows. */
export function glvqWeights(tensors: GlvqTensors): Weights<Codes> {
  const { rows, cols, groupSize } = tensors;
  const codes = Int8Array.from({ length: rows * cols }, (_, i) => glvqInteger(tensors, Math.floor(i / cols), i % cols));
  const groups = groupsOf(tensors);
  const scales = Float32Array.from({ length: rows * groups }, (_, i) => glvqGroupScale(tensors, i % groups));
  return makeWeights({ rows, cols, planes: 1, codes, scales, groupSize });
}

/** The uniform weights that projected activations meet, without companding. */
export function glvqUniform(tensors: GlvqTensors): Weights<Codes> {
  const { rows, bits, codes, scales } = tensors;
  const middle = 2 ** (bits - 1);
  return makeWeights({
    ...{ rows, cols: paddedCols(tensors), planes: 1, scales },
    codes: Int8Array.from(codes, (code) => code - middle),
    offsets: scales.map((scale) => scale / 2),
  });
}

/** Gᵀx, vector by vector, in float32, each sum from 0 in ascending order. */
export function glvqProject(tensors: GlvqTensors, x: Float32Array): Float32Array {
  const { dimension: d, groupSize, bases } = tensors;
  return Float32Array.from({ length: paddedCols(tensors) }, (_, at) => {
    const first = at - (at % d);
    const group = Math.floor(first / groupSize);
    let sum = 0;
    for (let k = 0; k < d; k++) {
      sum = f32(sum + f32((x[first + k] ?? 0) * (bases[group * d * d + k * d + (at % d)] as number)));
    }
    return sum;
  });
}
