// What tells machines apart, where several kernels do a job with the same bits: by semantics where results outside the
// range that kernels use differ, by a timing where they do not (ARM with and without a dot product instruction).
import type { Machine, Variant } from "../kernels/types.ts";

/** What the binaries export for this (assembly/probe.ts, assembly/machine.ts). */
export interface MachineExports {
  dot_bits?(zero: number): number;
  dot_sign?(zero: number): number;
  popcnt_native?(zero: number): number;
  nan_negative(zero: number): number;
  spin(n: number, how: 0 | 1): number;
}

type Spin = (n: number) => unknown;

// ms that a call must take, and ticks of the clock; a clock for which that is more than MOST_SPAN is too coarse.
const SPAN = 0.02;
const TICKS = 5;
const MOST_SPAN = 0.1;
const ROUNDS = 5;
// V8's baseline compiler has no dot product instruction: what is slower may become faster within this many ms. Once it takes
// CERTAIN of the other's time there is nothing to wait for.
const PATIENCE = 10;
const CERTAIN = 0.6;
const MARGIN = 0.8;

/**
 * Whether `other` takes less than 0.8 of the time of `usual`, by the shortest of interleaved calls of each: 5 of them if
 * `usual` takes less than 0.6 of the other's time, else as many as 10 ms hold, which an optimising compiler needs. A
 * clock that is too coarse for that says no.
 */
export function isFaster(other: Spin, usual: Spin, now: () => number = () => performance.now()): boolean {
  const span = Math.max(SPAN, TICKS * tickOf(now));
  if (span > MOST_SPAN) return false;
  const timed = (spin: Spin, n: number): number => {
    const start = now();
    spin(n);
    return now() - start;
  };
  const end = now() + PATIENCE;
  let n = 64;
  while (n < 2 ** 20 && timed(usual, n) < span) n *= 2;
  let shortest = Number.POSITIVE_INFINITY;
  let shortestUsual = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS || (shortestUsual > CERTAIN * shortest && now() < end); round++) {
    shortestUsual = Math.min(shortestUsual, timed(usual, n));
    shortest = Math.min(shortest, timed(other, n));
  }
  return shortest < MARGIN * shortestUsual;
}

function tickOf(now: () => number): number {
  const start = now();
  for (let i = 0; i < 20_000; i++) {
    const tick = now() - start;
    if (tick > 0) return tick;
  }
  return Number.POSITIVE_INFINITY;
}

const measured = /* @__PURE__ */ new Map<Variant, Machine["dot"]>();

/** Machine.dot, measured where there is something to measure, once a process and variant. */
export function dotOnce(variant: Variant, exports: MachineExports): Machine["dot"] {
  const shown = shownDot(exports);
  if (shown) return shown;
  const dot = measured.get(variant) ?? dotOf(exports);
  measured.set(variant, dot);
  return dot;
}

/** Machine.dot */
export function dotOf(exports: MachineExports, now?: () => number): Machine["dot"] {
  const shown = shownDot(exports);
  if (shown) return shown;
  const dot: Spin = (n) => exports.spin(n, 0);
  const mul: Spin = (n) => exports.spin(n, 1);
  if (!exports.dot_bits) return isFaster(dot, mul, now) ? "i16" : "mul";
  return isFaster(mul, dot, now) ? "mul" : sums32(exports);
}

// What results show; nothing where a timing is needed.
function shownDot(exports: MachineExports): Machine["dot"] | undefined {
  const { dot_bits, popcnt_native, nan_negative } = exports;
  // Without relaxed SIMD, unless x86 is certain: an engine may make every NaN positive.
  if (!dot_bits) return nan_negative(0) === 1 ? "i16" : undefined;
  if (dot_bits(0) === 16) return "i16";
  return popcnt_native?.(0) === 1 ? undefined : sums32(exports);
}

// Dot products with sums in 32-bit lanes, by what they make of codes beyond 127.
function sums32({ dot_sign }: MachineExports): Machine["dot"] {
  const sign = dot_sign?.(0) ?? 0;
  return sign > 0 ? "u8" : sign < 0 ? "s8" : "i32";
}
