// lowbit/transforms: against dense float64 products, the published matrices by their hashes, and each inverse.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  HADAMARD_ORDERS,
  hadamard,
  hadamardInverse,
  hadamardMatrix,
  hadamardOrder,
  invertPair,
  kronecker,
  kroneckerInverse,
  randomSigns,
  scale,
} from "../../src/transforms/index.ts";
import { equal, equalBits, equalValues, is, nmseBelow, ok, throwsWith } from "../lib/assert.ts";
import { availableVariants, init } from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { hadamardExact, hadamardRounded, kroneckerExact } from "../reference/hadamard.ts";

const t = suite("transforms");
const { instances } = await availableVariants();
const rng = random("transforms");
const hashes = JSON.parse(readFileSync(new URL("hadamard.json", import.meta.url), "utf8"));
const matrixOf = (k: number): Int8Array => (k === 1 ? Int8Array.of(1) : hadamardMatrix(k));

t("the matrices are the published ones, and orthogonal", () => {
  equal(Object.keys(hashes).map(Number), HADAMARD_ORDERS);
  for (const k of HADAMARD_ORDERS) {
    const h = hadamardMatrix(k);
    const signs = Uint8Array.from(h, (value) => (value === 1 ? 0 : 1));
    is(createHash("sha256").update(signs).digest("hex"), hashes[k], `order ${k}`);
    for (let a = 0; a < k; a++) {
      for (let b = 0; b <= a; b++) {
        let sum = 0;
        for (let i = 0; i < k; i++) sum += (h[a * k + i] as number) * (h[b * k + i] as number);
        if (sum !== (a === b ? k : 0)) throw new Error(`order ${k}: rows ${a} and ${b} give ${sum}`);
      }
    }
  }
});

t("the order that goes with a size", () => {
  for (const [n, quip, quarot] of [
    [1, 1, 1],
    [4096, 1, 1],
    [5120, 20, 40],
    [11008, 172, 172],
    [13824, 108, 108],
    [14336, 28, 28],
    [28672, 28, 28],
    [20, 20, 20],
    [40, 20, 40],
  ] as const) {
    is(hadamardOrder(n), quip, `${n}`);
    is(hadamardOrder(n, "quarot"), quarot, `${n} quarot`);
  }
  is(hadamardOrder(116 * 8), 116);
});

t("sizes that do not exist name the nearest that do", () => {
  const { lb } = instances[0] as (typeof instances)[0];
  throwsWith(
    () => hadamardOrder(9728),
    RangeError,
    /^hadamardOrder: n: .*9728 \(the nearest that work are 9216 and 9984\)$/,
  );
  throwsWith(() => hadamardOrder(18944), RangeError, /nearest that work are 18432 and 19968/);
  throwsWith(() => hadamardOrder(3), RangeError, /nearest that work are 2 and 4/);
  throwsWith(() => hadamardOrder(116, "quarot"), RangeError, /nearest that work are 112 and 120/);
  throwsWith(() => hadamard(lb, new Float32Array(19), 19), RangeError, /^hadamard: n: .*16 and 20/);
  throwsWith(() => hadamard(lb, new Float32Array(76), 76, { block: 19 }), RangeError, /^hadamard: block: .*16 and 20/);
  throwsWith(() => hadamard(lb, new Float32Array(200), 200, { block: 128 }), RangeError, /128 and 256 work/);
  throwsWith(() => hadamardOrder(0), RangeError, /from 1/);
  throwsWith(() => hadamardMatrix(44), RangeError, /one of 12, 20/);
});

for (const { variant, lb } of instances) {
  t(`${variant}: powers of two`, () => {
    for (let n = 1; n <= 1024; n *= 2) {
      const x = rng.gaussians(3 * n);
      const y = hadamard(lb, x, n);
      nmseBelow(y, hadamardExact(x, matrixOf(1), n), 1e-13, `n ${n}`);
      nmseBelow(hadamardInverse(lb, y, n), x, 1e-13, `back, n ${n}`);
    }
  });

  t(`${variant}: every order, narrow and wide, with both choices`, () => {
    for (const k of HADAMARD_ORDERS) {
      for (const size of [1, 2, 4, 8, 16, 64]) {
        if (k * size > 1500 && size !== 4) continue;
        const n = k * size;
        const choice = hadamardOrder(n) === k ? "quip" : "quarot";
        is(hadamardOrder(n, choice), k);
        const x = rng.gaussians(n);
        const y = hadamard(lb, x, n, { choice });
        nmseBelow(y, hadamardExact(x, matrixOf(k), size), 1e-13, `${k} x ${size}`);
        const back = hadamardInverse(lb, x, n, { choice });
        nmseBelow(back, hadamardExact(x, matrixOf(k), size, true), 1e-13, `inverse, ${k} x ${size}`);
        nmseBelow(hadamardInverse(lb, y, n, { choice }), x, 1e-12, `back, ${k} x ${size}`);
      }
    }
  });

  t(`${variant}: blocks`, () => {
    for (const [n, block, k] of [
      [384, 128, 1],
      [12, 4, 1],
      [96, 8, 1],
      [48, 16, 1],
      [72, 24, 12],
      [80, 40, 20],
    ] as const) {
      const x = rng.gaussians(2 * n);
      nmseBelow(hadamard(lb, x, n, { block }), hadamardExact(x, matrixOf(k), block / k), 1e-13, `${n} by ${block}`);
    }
  });

  t(`${variant}: Kronecker pairs and their inverse`, () => {
    for (const [m1, t1, m2, t2] of [
      [8, 8, 8, 8],
      [1, 1, 3, 2],
      [5, 7, 9, 4],
      [3, 3, 5, 3],
      [16, 16, 19, 8],
      [4, 6, 31, 13],
    ] as const) {
      const pair = { left: rng.gaussians(m1 * t1), right: rng.gaussians(m2 * t2), t1, t2 };
      const x = rng.gaussians(t1 * t2);
      const label = `${m1}x${t1}, ${m2}x${t2}`;
      nmseBelow(kronecker(lb, x, pair), kroneckerExact(x, pair.left, pair.right, t1, t2), 1e-12, label);
    }
    const n = 8;
    const size = 16;
    const dominant = (d: number): Float32Array =>
      rng.gaussians(d * d).map((v, i) => v / d + (i % (d + 1) === 0 ? 3 : 0));
    const pair = { left: dominant(n), right: dominant(size), t1: n, t2: size };
    const x = rng.gaussians(2 * n * size);
    nmseBelow(kroneckerInverse(lb, kronecker(lb, x, pair), pair), x, 1e-12, "back");
    equalBits(kronecker(lb, x, invertPair(pair)), kroneckerInverse(lb, x, pair), "invertPair");
  });
}

t("every operation is rounded in the documented order", () => {
  for (const { variant, lb } of instances) {
    for (let n = 1; n <= 16384; n *= 2) {
      const x = rng.gaussians(2 * n);
      equalBits(hadamard(lb, x, n), hadamardRounded(x, matrixOf(1), n), `${variant}: ${n}`);
    }
    for (const [k, size] of [
      [12, 1],
      [28, 2],
      [20, 4],
      [36, 8],
      [60, 32],
      [20, 256],
      [172, 64],
    ] as const) {
      const x = rng.gaussians(k * size);
      const label = `${variant}: ${k} x ${size}`;
      equalBits(hadamard(lb, x, k * size), hadamardRounded(x, matrixOf(k), size), label);
      equalBits(hadamardInverse(lb, x, k * size), hadamardRounded(x, matrixOf(k), size, true), `${label}, inverse`);
    }
  }
});

t("both binaries give the same bits", () => {
  const [first, second] = instances;
  if (!first || !second) return;
  const x = rng.gaussians(5120);
  const results = [first.lb, second.lb].map((lb) => [
    hadamard(lb, x, 5120),
    hadamard(lb, x, 5120, { choice: "quarot" }),
    hadamard(lb, x, 5120, { block: 128 }),
    kronecker(lb, x, { left: x.subarray(0, 64 * 64), right: x.subarray(0, 80 * 50), t1: 64, t2: 80 }),
  ]);
  for (const [i, one] of (results[0] as Float32Array[]).entries()) {
    equalBits(one, results[1]?.[i] as Float32Array, `transform ${i}`);
  }
});

t("random signs: the same for the same seed, balanced, and their own inverse", async () => {
  const lb = await init({ variant: "simd" });
  const signs = randomSigns(10_000, 7);
  equalBits(signs, randomSigns(10_000, 7), "seed 7");
  equal([...randomSigns(12, 1)], [-1, -1, 1, 1, -1, -1, 1, -1, 1, -1, 1, 1]);
  ok(signs.every((sign) => Math.abs(sign) === 1));
  ok(Math.abs(signs.reduce((sum, sign) => sum + sign, 0)) < 400, "balanced within four deviations");
  const same = randomSigns(10_000, 8).reduce((sum, sign, i) => sum + sign * (signs[i] as number), 0);
  ok(Math.abs(same) < 400, `seeds 7 and 8 agree by ${same}`);
  const x = rng.gaussians(20_000);
  equalBits(scale(lb, scale(lb, x, signs), signs), x, "twice");
});

t("out may be x, and is returned", async () => {
  const lb = await init({ variant: "simd" });
  const x = rng.gaussians(3 * 96);
  const expected = hadamard(lb, x, 96);
  is(hadamard(lb, x, 96, {}, x), x);
  equalBits(x, expected, "in place");
});

t("numbers that leave the range do so in the result, as in float32", async () => {
  const lb = await init({ variant: "simd" });
  const x = new Float32Array(256).fill(3e38);
  equalBits(hadamard(lb, x, 256), hadamardRounded(x, matrixOf(1), 256), "256");
  is(hadamard(lb, x, 256)[0], Number.POSITIVE_INFINITY);
});

t("bad arguments are refused, and memory is as before", async () => {
  const lb = await init({ variant: "simd" });
  const before = lb.memory.used;
  const f = (n: number): Float32Array => new Float32Array(n);
  const nan = f(64).fill(1);
  nan[33] = Number.NaN;
  const out = f(64);
  throwsWith(
    () => hadamard(lb, nan, 32, {}, out),
    RangeError,
    "hadamard: x: expected finite numbers, got NaN at index 33",
  );
  for (const block of [64, 32, 1]) {
    throwsWith(() => hadamard(lb, nan, 64, { block }, out), RangeError, "NaN at index 33");
  }
  for (const value of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const x = f(5120);
    x[5119] = value;
    throwsWith(
      () => hadamard(lb, x, 5120),
      RangeError,
      `hadamard: x: expected finite numbers, got ${value} at index 5119`,
    );
    throwsWith(() => hadamard(lb, x, 5120, { block: 256 }), RangeError, "at index 5119");
    throwsWith(() => scale(lb, x, f(5120)), RangeError, "scale: x: expected finite numbers");
    const factors = { left: f(32 * 64), right: f(80 * 16), t1: 64, t2: 80 };
    throwsWith(() => kronecker(lb, x, factors), RangeError, "kronecker: x: expected finite numbers");
  }
  equalValues(out, f(64), "out");
  is(lb.memory.used, before);
  throwsWith(() => hadamard(lb, f(63), 64), RangeError, /multiple of 64/);
  throwsWith(() => hadamard(lb, f(0), 64), RangeError, /multiple of 64/);
  throwsWith(() => hadamard(lb, f(64), 64, {}, f(65)), RangeError, /hadamard: out: expected length 64/);
  throwsWith(() => hadamard(lb, f(64), 64, { choice: "spin" as "quip" }), RangeError, /"quip" \| "quarot"/);
  throwsWith(() => hadamard(lb, f(64), "64" as unknown as number), TypeError, /hadamard: n/);
  throwsWith(() => hadamard(lb, [1, 2] as unknown as Float32Array, 2), TypeError, /a Float32Array/);
  throwsWith(() => hadamard({} as typeof lb, f(2), 2), TypeError, /init\(\)/);
  throwsWith(() => randomSigns(8, -1), RangeError, /seed/);
  throwsWith(() => scale(lb, f(6), f(4)), RangeError, /multiple of 4/);
  const pair = { left: f(4), right: f(9), t1: 2, t2: 3 };
  throwsWith(
    () => kronecker(lb, f(6), { ...pair, right: f(10) }),
    RangeError,
    /kronecker: right: .*multiple of 3, got 10/,
  );
  throwsWith(() => invertPair(pair), RangeError, "invertPair: left: expected an invertible matrix, got a singular one");
  const square = (...left: number[]) => ({ left: Float32Array.from(left), right: Float32Array.of(1), t1: 2, t2: 1 });
  throwsWith(() => invertPair(square(1, 2, 2, 4)), RangeError, "a singular one (pivot 0 in column 1)");
  throwsWith(() => kroneckerInverse(lb, f(2), square(1, 0, 5, 0)), RangeError, "a singular one");
  throwsWith(() => invertPair(square(1, 0, 0, 1e-40)), RangeError, "a matrix whose inverse is float32");
  // Rows and columns of other sizes are not dependent.
  equal([...invertPair(square(1e10, 0, 0, 1)).left], [Math.fround(1e-10), 0, 0, 1]);
  equal([...invertPair(square(2 ** 40, 2 ** 40, 1, 3)).left], [1.5 * 2 ** -40, -0.5, -0.5 * 2 ** -40, 0.5]);
  throwsWith(() => kroneckerInverse(lb, f(6), { ...pair, left: f(2) }), RangeError, /square/);
});
