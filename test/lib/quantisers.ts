// What the tests of the quantisers share.

import type { Steps } from "../../src/lib/progress.ts";
import { ok } from "./assert.ts";
import type { Random } from "./random.ts";

/** Runs a quantiser to its end; its fractions must rise within 0..1. */
export function finish<T>(generator: Steps<T>): T {
  for (let last = 0; ; ) {
    const step = generator.next();
    if (step.done) return step.value;
    if (typeof step.value !== "number") continue;
    ok(step.value >= last && step.value <= 1, `fraction ${step.value} after ${last}`);
    last = step.value;
  }
}

export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] as number;
  return total;
}

/** Weights that a quantiser may stumble over, each with a name for the failure text. */
export function hostileWeights(length: number, rng: Random): { name: string; w: Float32Array }[] {
  const fill = (value: (i: number) => number): Float32Array => Float32Array.from({ length }, (_, i) => value(i));
  const sign = (): number => (rng.bits() & 1 ? 1 : -1);
  const outlier = rng.gaussians(length);
  outlier[rng.int(0, length - 1)] = -1e4;
  return [
    { name: "all zero", w: new Float32Array(length) },
    { name: "zeros of both signs", w: fill((i) => (i % 2 === 0 ? 0 : -0)) },
    { name: "all equal", w: fill(() => 0.3) },
    { name: "all equal, negative", w: fill(() => -7e-20) },
    { name: "two values", w: fill((i) => (i % 3 === 0 ? -2 : 5)) },
    { name: "few values", w: fill(() => rng.int(-2, 2)) },
    { name: "a single nonzero", w: fill((i) => (i === length >> 1 ? -1.5 : 0)) },
    { name: "one outlier", w: outlier },
    { name: "an offset", w: fill(() => 1000 + rng.gaussian()) },
    { name: "3e38 of either sign", w: fill(() => sign() * 3e38) },
    { name: "the largest float32, some 0", w: fill((i) => (i % 3 === 0 ? 0 : 3.4028234663852886e38)) },
    { name: "near the largest float32", w: fill(() => (rng.uniform() * 2 - 1) * 3.4e38) },
    { name: "largest and smallest", w: fill((i) => (i % 2 === 0 ? sign() * 3.4e38 : sign() * 1.4e-45)) },
    { name: "denormals", w: fill(() => rng.int(-1000, 1000) * 1.401298464324817e-45) },
    { name: "the smallest denormal", w: fill((i) => (i % 3 === 0 ? 1.401298464324817e-45 : 0)) },
  ];
}
