import { roundHalfEven } from "./rounding.ts";

const f32 = Math.fround;
const largest = (2 ** 24 - 1) * 2 ** 104;
const smallest = 2 ** -149;

export interface UniformParts {
  codes: Uint8Array;
  scales: Float32Array;
  /** Also for symmetric codes. */
  zeros: Float32Array;
}

export type UniformSearch = "minmax" | "mse" | "absmean";

/** The exact sum of squares that the codes leave: each weight is scale * (code - zero), unrounded. */
export function squareErrorOf(w: Float32Array, codes: Uint8Array, scale: number, zero: number): number {
  let sum = 0;
  for (let i = 0; i < w.length; i++) {
    const d = (w[i] as number) - scale * ((codes[i] as number) - zero);
    sum += d * d;
  }
  return sum;
}

/** As a float32, away from 0 if it is denormal. */
function nonzero(value: number): number {
  if (Math.abs(f32(value)) >= 2 ** -126) return f32(value);
  const steps = Math.ceil(Math.abs(value) / smallest);
  return steps === 0 ? 0 : Math.sign(value) * steps * smallest;
}

/** A scale that lets `steps` of it be a finite float32. */
function finite(scale: number, steps: number): number {
  if (Math.abs(f32(scale * steps)) <= largest) return scale;
  return Math.sign(scale) * f32((largest * (1 - 2 ** -24)) / steps);
}

function encode(w: Float32Array, scale: number, zero: number, top: number): Uint8Array {
  return Uint8Array.from(w, (v) => {
    const steps = scale === 0 ? 0 : roundHalfEven(v / scale);
    return Math.min(Math.max(steps + zero, 0), top);
  });
}

/** Scale and zero point for the range times `ratio`. */
function fit(w: Float32Array, bits: number, symmetric: boolean, search: UniformSearch, ratio: number) {
  const top = 2 ** bits - 1;
  const centre = 2 ** (bits - 1);
  if (search === "absmean") {
    let sum = 0;
    for (const v of w) sum += Math.abs(v);
    return { scale: finite(nonzero(sum / w.length / Math.sqrt(centre - 1)), centre), zero: centre };
  }
  if (symmetric) {
    let extreme = 0;
    for (const v of w) if (Math.abs(v) > Math.abs(extreme)) extreme = v;
    return { scale: finite(nonzero((extreme * ratio) / -centre), centre), zero: centre };
  }
  const low = Math.min(0, ...w) * ratio;
  const high = Math.max(0, ...w) * ratio;
  const scale = nonzero((high - low) / top);
  const zero = scale === 0 ? 0 : Math.min(Math.max(roundHalfEven(-low / scale), 0), top);
  return { scale: finite(scale, Math.max(zero, top - zero)), zero };
}

/** Codes, scales and zero points of each group of each row. */
export function quantizeUniform(
  w: Float32Array,
  rows: number,
  cols: number,
  groupSize: number,
  bits: number,
  symmetric: boolean,
  search: UniformSearch,
): UniformParts {
  const groups = Math.ceil(cols / groupSize);
  const codes = new Uint8Array(rows * cols);
  const scales = new Float32Array(rows * groups);
  const zeros = new Float32Array(rows * groups);
  for (let r = 0; r < rows; r++) {
    for (let g = 0; g < groups; g++) {
      const start = r * cols + g * groupSize;
      const part = w.subarray(start, Math.min(start + groupSize, (r + 1) * cols));
      let best = { error: Number.POSITIVE_INFINITY, scale: 0, zero: 0 };
      for (let i = 0; i <= (search === "mse" ? 32 : 0); i++) {
        const { scale, zero } = fit(part, bits, symmetric, search, 1 - i / (24 * bits));
        const error = squareErrorOf(part, encode(part, scale, zero, 2 ** bits - 1), scale, zero);
        if (error < best.error) best = { error, scale, zero };
      }
      codes.set(encode(part, best.scale, best.zero, 2 ** bits - 1), start);
      scales[r * groups + g] = best.scale;
      zeros[r * groups + g] = best.zero;
    }
  }
  return { codes, scales, zeros };
}
