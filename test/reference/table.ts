import { e2m1Of, e4m3Of } from "./half.ts";
import { absMax } from "./rounding.ts";

const f32 = Math.fround;
const largestFloat = (2 ** 24 - 1) * 2 ** 104;

/** NF4 as the QLoRA paper prints it, rounded to float32. */
export const nf4Table = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
].map(f32);

/** The FP4 of bitsandbytes: twelfths in the order of their bits. */
export const bnbFp4Table = [0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3].map((v) => f32(v / 12));

/** E2M1 times two. */
export const e2m1Doubled = Array.from({ length: 16 }, (_, code) => 2 * e2m1Of(code));

/** The code of the nearest entry: every other entry is tried against it, by the midpoint of the two. */
export function nearestCode(x: number, table: readonly number[]): number {
  let best = 0;
  for (let code = 1; code < table.length; code++) {
    const [a, b] = [table[best] as number, table[code] as number];
    if (a === b) continue;
    const middle = (a + b) / 2;
    const tie = x === middle;
    const closer = b > a ? x > middle : x < middle;
    // A tie goes to the even code; of two alike to the lower, which is the one there is.
    if (closer || (tie && best % 2 === 1 && code % 2 === 0)) best = code;
  }
  return best;
}

function limited(scale: number, largest: number): number {
  return f32(scale * largest) <= largestFloat ? scale : f32((largestFloat * (1 - 2 ** -24)) / largest);
}

function positive(value: number): number {
  return value > 0 && f32(value) === 0 ? 2 ** -149 : f32(value);
}

/** As a float32, the next one above if it is denormal. */
function upwards(value: number): number {
  return f32(value) < 2 ** -126 ? Math.ceil(value * 2 ** 149) / 2 ** 149 : f32(value);
}

/** The scale of a group by max |w|; `global` is that of the matrix. */
export function absmaxScale(extent: number, table: readonly number[]): number {
  const largest = absMax(table);
  return limited(upwards(extent / largest), largest);
}

/** Half of 2^(floor(log2 max|w|) - 2), which is E8M0. */
export function mxfp4Scale(extent: number): number {
  let exponent = -127;
  while (exponent < 127 && 2 ** (exponent + 1 + 2) <= extent) exponent++;
  return 2 ** exponent / 2;
}

export function nvfp4Global(w: Float32Array): number {
  return limited(positive(absMax(w) / 2688), 2688);
}

/** Half of the nearest E4M3 times the global scale. */
export function nvfp4Scale(extent: number, global: number): number {
  if (extent === 0) return 0;
  const scales = Array.from({ length: 127 }, (_, byte) => e4m3Of(byte));
  const byte = Math.max(1, nearestCode(extent / (6 * global), scales));
  return limited(positive((e4m3Of(byte) * global) / 2), 12);
}

/** Codes and scales of each group of each row. */
export function quantizeTable(
  w: Float32Array,
  rows: number,
  cols: number,
  groupSize: number,
  table: readonly number[],
  scaleOf: (extent: number) => number,
): { codes: Uint8Array; scales: Float32Array } {
  const groups = Math.ceil(cols / groupSize);
  const codes = new Uint8Array(rows * cols);
  const scales = Float32Array.from({ length: rows * groups }, (_, i) => {
    const start = Math.floor(i / groups) * cols + (i % groups) * groupSize;
    const end = Math.min(start + groupSize, (Math.floor(i / groups) + 1) * cols);
    const scale = scaleOf(absMax(w.subarray(start, end)));
    for (let k = start; k < end; k++) codes[k] = nearestCode(scale === 0 ? 0 : (w[k] as number) / scale, table);
    return scale;
  });
  return { codes, scales };
}
