// PVQ: Fischer's order by enumeration, nearest vectors by trying all, stored codes of every combination of pulses, kernels at
// their bounds, quantisers against the errors that are known for Gaussian weights.

import { readFileSync } from "node:fs";
import { pvqCode } from "../../../src/formats/pvq/bytes.ts";
import { PvqRounder, pvqScales } from "../../../src/formats/pvq/quantize.ts";
import {
  gptq,
  hessianOf,
  nearestPyramid,
  pvqQuantizer,
  pyramidIndex,
  pyramidSize,
  pyramidVector,
} from "../../../src/lattice.ts";
import { hadamardOrder } from "../../../src/transforms/index.ts";
import { equalBits, is, nmse, ok, rejectsWith, throwsWith } from "../../lib/assert.ts";
import { availableVariants, type Matrix, pvq } from "../../lib/library.ts";
import { type Random, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { pyramidAt, pyramidCount, pyramidNear, pyramidNumber, pyramidVectors } from "../../reference/pvq.ts";
import { makePvqVectors, type PvqVector, pvqVectorFile } from "./vectors.ts";

const { instances } = await availableVariants();
const { lb } = instances[0] as (typeof instances)[number];
const squares = (v: ArrayLike<number>): number => Array.from(v).reduce((sum, x) => sum + x * x, 0);

function throwsEither(body: () => unknown, text: RegExp): void {
  throwsWith(body, RangeError, text);
}

const order = suite("pvq: Fischer's order");
order("sizes", () => {
  const sizes = [1, 2, 3, 4, 5, 6].map((k) => pyramidSize(8, k));
  is(sizes.join(), "16,128,688,2816,9424,27008");
  is(pyramidSize(8, 8), 157184);
  is(pyramidSize(8, 16), 15158272);
  is(pyramidSize(16, 8), 30316544);
  is(pyramidSize(16, 12), 3575055360);
  is(pyramidSize(5, 0), 1);
  is(pyramidSize(1, 7), 2);
  is(pyramidSize(100, 100), Number.POSITIVE_INFINITY);
  for (const [l, k] of [
    [3, 9],
    [16, 13],
    [12, 10],
    [30, 6],
  ] as const)
    is(BigInt(pyramidSize(l, k)), pyramidCount(l, k));
});
order("a bijection in the order of the definition", () => {
  for (const [l, k] of [
    [3, 2],
    [4, 3],
    [5, 4],
    [1, 3],
    [2, 5],
    [4, 0],
    [6, 3],
  ] as const) {
    const all = pyramidVectors(l, k);
    is(all.length, pyramidSize(l, k));
    for (const [i, y] of all.entries()) {
      is(pyramidIndex(y), i);
      is(Array.from(pyramidVector(i, l, k)).join(), y.join());
      is(pyramidNumber(y), BigInt(i));
      is(pyramidAt(BigInt(i), l, k).join(), y.join());
    }
  }
});
order("known vectors", () => {
  is(pyramidIndex([0, 2, -1, 0, 1]), 154);
  is(Array.from(pyramidVector(100, 5, 4)).join(), "0,1,-2,1,0");
});
order("large ones against the reference", () => {
  const rng = random("pvq order");
  for (const [l, k] of [
    [16, 12],
    [8, 14],
    [24, 9],
    [3, 1000],
  ] as const) {
    const count = pyramidSize(l, k);
    for (let i = 0; i < 100; i++) {
      const number = i < 2 ? i * (count - 1) : Math.floor(rng.uniform() * count);
      const y = Array.from(pyramidVector(number, l, k, new Float64Array(l)));
      is(y.join(), pyramidAt(BigInt(number), l, k).join());
      is(pyramidIndex(y), number);
    }
  }
});
order("refuses what is no vector or no index", () => {
  throwsEither(() => pyramidIndex([1, 0.5]), /pyramidIndex: y: expected integers, got 0.5 at index 1/);
  throwsEither(() => pyramidIndex(new Array(200).fill(1)), /pyramidIndex: pulses: expected at most 2\^53 - 1 vectors/);
  throwsEither(() => pyramidVector(450, 5, 4), /pyramidVector: index: expected an integer from 0 to 449, got 450/);
  throwsEither(() => pyramidVector(0, 5, 4, new Int16Array(4)), /pyramidVector: out: expected length 5/);
  throwsEither(() => pyramidSize(0, 4), /pyramidSize: dimension/);
  throwsEither(
    () => nearestPyramid([1, Number.NaN], 2),
    /nearestPyramid: x: expected finite numbers, got NaN at index 1/,
  );
});

const nearestSuite = suite("pvq: nearest vectors");
const distance = (x: ArrayLike<number>, y: ArrayLike<number>): number =>
  Array.from(x).reduce((sum, v, i) => sum + (v - (y[i] as number)) ** 2, 0);
nearestSuite("none is nearer", () => {
  const rng = random("pvq nearest");
  for (const [l, k] of [
    [1, 4],
    [2, 3],
    [3, 5],
    [5, 3],
    [4, 1],
    [6, 2],
  ] as const) {
    const all = pyramidVectors(l, k);
    for (const scale of [0.01, 0.5, 1, 3, 30]) {
      for (let i = 0; i < 20; i++) {
        const x = Array.from({ length: l }, () => rng.gaussian() * scale);
        const y = nearestPyramid(x, k);
        is(
          Array.from(y).reduce((sum, v) => sum + Math.abs(v), 0),
          k,
        );
        const best = Math.min(...all.map((one) => distance(x, one)));
        ok(distance(x, y) <= best * (1 + 1e-12) + 1e-12, `${x} -> ${y}`);
        is(distance(x, y), distance(x, pyramidNear(x, k)));
      }
    }
  }
});
nearestSuite("hostile numbers", () => {
  for (const x of [
    [0, 0, 0, 0],
    [1e30, 1e30, -1e30, 1e30],
    [5e-324, 0, 0, 0],
    [1e308, -1e-308, 0, 1],
    [-0, 0, 0, -0],
  ]) {
    const y = nearestPyramid(x, 8);
    is(
      Array.from(y).reduce((sum, v) => sum + Math.abs(v), 0),
      8,
      x.join(),
    );
    ok(y.every((v) => !Object.is(v, -0)));
  }
  is(Array.from(nearestPyramid([1e30, 1e30, -1e30, 1e30], 8)).join(), "2,2,-2,2");
  const x = Float64Array.of(3, -1, 0.2);
  is(nearestPyramid(x, 4, x), x);
  is(x.join(), "3,-1,0");
});

const stored = suite("pvq: stored codes");
for (const [size, most] of [
  [8, 14],
  [16, 12],
] as const) {
  for (let pulses = 1; pulses <= most; pulses++) {
    stored(`${size} columns, ${pulses} pulses: every combination and both ends of every digit`, () => {
      const code = pvqCode(size, pulses) as NonNullable<ReturnType<typeof pvqCode>>;
      const count = pyramidSize(size, pulses);
      const rng = random(`pvq codes ${size} ${pulses}`);
      const y = new Int8Array(size);
      const back = new Int8Array(size);
      const seen = new Set<number>();
      const check = (): void => {
        const one = code.encode(y, 0);
        ok(Number.isInteger(one) && one >= 0 && one < 2 ** 32, String(one));
        code.decode(one, back, 0);
        if (back.join() !== y.join()) throw new Error(`${y} became ${back}`);
        seen.add(one);
      };
      if (count < 100_000) {
        for (let i = 0; i < count; i++) {
          pyramidVector(i, size, pulses, new Int16Array(size)).forEach((v, c) => {
            y[c] = v;
          });
          check();
        }
        is(seen.size, count);
        return;
      }
      // Leaves whose number is the first, the last, one in the middle or any other, for all combinations.
      const leaves = size / 4;
      const shares = (left: number, n: number): number[][] =>
        n === 1
          ? [[left]]
          : Array.from({ length: left + 1 }, (_, k) => k).flatMap((k) => shares(left - k, n - 1).map((r) => [k, ...r]));
      for (const combination of shares(pulses, leaves)) {
        for (let pick = 0; pick < 4 ** leaves; pick++) {
          for (const [lane, k] of combination.entries()) {
            const n = pyramidSize(4, k);
            const kind = Math.floor(pick / 4 ** lane) % 4;
            const number = [0, n - 1, Math.floor(n / 2), rng.int(0, n - 1)][kind] as number;
            y.set(pyramidAt4(number, k), 4 * lane);
          }
          check();
        }
      }
    });
  }
}
const leafVectors = new Map<number, number[][]>();
function pyramidAt4(number: number, k: number): number[] {
  if (!leafVectors.has(k)) leafVectors.set(k, pyramidVectors(4, k));
  return (leafVectors.get(k) as number[][])[number] as number[];
}
stored("codes that do not fit 32 bits are none", () => {
  is(pvqCode(16, 13), undefined);
});
stored("golden codes", () => {
  const golden = JSON.parse(readFileSync(pvqVectorFile, "utf8")) as PvqVector[];
  is(JSON.stringify(golden), JSON.stringify(makePvqVectors()));
  for (const { vectorSize, pulses, y, index, stored: code } of golden) {
    is(pyramidIndex(y), index);
    is(pvqCode(vectorSize, pulses)?.encode(y, 0), code);
  }
});

const kernels = suite("pvq kernels");
for (const { variant, lb: one } of instances) {
  kernels(`${variant}: the largest sums`, () => {
    // All pulses on one column, and x the largest there and at its neighbours: the most that a 16-bit lane can hold.
    for (const [size, pulses] of [
      [16, 12],
      [16, 1],
      [8, 14],
    ] as const) {
      for (const cols of [size, 4 * size, 5 * size, 2048]) {
        const rows = 2 * size;
        const perRow = cols / size;
        const y = new Array<number>(size).fill(0);
        const indices = new Uint32Array(rows * perRow);
        const w = new Float64Array(rows * cols);
        for (let row = 0; row < rows; row++) {
          y.fill(0);
          y[row >> 1] = row & 1 ? -pulses : pulses;
          indices.fill(pyramidIndex(y), row * perRow, (row + 1) * perRow);
          for (let col = row >> 1; col < cols; col += size) w[row * cols + col] = row & 1 ? -pulses : pulses;
        }
        const matrix = pvq.pack(one, { rows, cols, vectorSize: size, pulses, indices, scales: Float32Array.of(1) });
        for (const sign of [1, -1]) {
          const x = new Float32Array(17 * cols).fill(127 * sign);
          const all = matrix.gemm(x, 17);
          const single = matrix.gemv(x.subarray(0, cols));
          for (let row = 0; row < rows; row++) {
            let expected = 0;
            for (let col = 0; col < cols; col++) expected += (w[row * cols + col] as number) * 127 * sign;
            is(single[row], expected, `${size}, ${cols} columns, row ${row}`);
            is(all[16 * rows + row], expected);
          }
        }
        matrix.dispose();
      }
    }
  });
  kernels(`${variant}: every leaf in every place`, () => {
    // x picks one column at a time; all leaves of up to 5 pulses, the rest on the last column of the vector.
    for (const [size, pulses] of [
      [16, 12],
      [8, 14],
    ] as const) {
      const all = [0, 1, 2, 3, 4, 5].flatMap((k) => pyramidVectors(4, k));
      for (let lane = 0; lane < size / 4 - 1; lane++) {
        const vectors = all.map((leaf) => {
          const y = new Array<number>(size).fill(0);
          for (let c = 0; c < 4; c++) y[4 * lane + c] = leaf[c] as number;
          y[size - 1] = pulses - leaf.reduce((sum, v) => sum + Math.abs(v), 0);
          return y;
        });
        const rows = vectors.length;
        const indices = Uint32Array.from(vectors, (y) => pyramidIndex(y));
        const options = { rows, cols: size, vectorSize: size, pulses, indices, scales: Float32Array.of(1) };
        const matrix = pvq.pack(one, options);
        const x = new Float32Array(size * size);
        for (let c = 0; c < size; c++) x[c * size + c] = 127;
        const products = matrix.gemm(x, size);
        const dense = matrix.dequantize();
        for (let row = 0; row < rows; row++) {
          for (let c = 0; c < size; c++) {
            const v = (vectors[row] as number[])[c] as number;
            if (products[c * rows + row] !== 127 * v || dense[row * size + c] !== v) {
              throw new Error(`row ${row}, column ${c}: expected ${v}, got ${products[c * rows + row]} / 127`);
            }
          }
        }
        matrix.dispose();
      }
    }
  });
}

const packing = suite("pvq.pack");
const count16 = pyramidSize(16, 12);
const small = (): Parameters<typeof pvq.pack>[1] => ({
  rows: 2,
  cols: 33,
  indices: Uint32Array.of(0, 1, 2, 3, 4, count16 - 1),
  scales: Float32Array.of(1, 2),
});
packing("indices come back, padding columns are dropped", () => {
  const matrix = pvq.pack(lb, small());
  const { indices, vectorSize, pulses } = pvq.unpack(matrix);
  is(indices.join(), small().indices.join());
  is(`${vectorSize} ${pulses} ${matrix.format}`, "16 12 pvq");
  const dense = matrix.dequantize();
  for (const [i, index] of Array.from(small().indices).entries()) {
    const row = Math.floor(i / 3);
    for (const [c, v] of pyramidAt(BigInt(index), 16, 12).entries()) {
      const col = 16 * (i % 3) + c;
      if (col < 33) is(dense[33 * row + col], (row + 1) * v);
    }
  }
  matrix.dispose();
  throwsWith(() => pvq.unpack(matrix), TypeError, /disposed/);
});
packing("tables are shared, and given back with the last matrix", () => {
  const before = lb.memory.used;
  const a = pvq.pack(lb, small());
  const first = lb.memory.used - before;
  const b = pvq.pack(lb, small());
  const second = lb.memory.used - before - first;
  ok(first > 90_000 && second < 2000, `${first} then ${second} bytes`);
  const c = a.with({ bias: new Float32Array(2) });
  b.dispose();
  is(c.gemv(new Float32Array(33).fill(1)).length, 2);
  c.dispose();
  c.dispose();
  is(lb.memory.used, before);
});
packing("errors name what works", () => {
  const before = lb.memory.used;
  const bad = (more: object, text: RegExp, kind: typeof RangeError | typeof TypeError = RangeError): void =>
    throwsWith(() => pvq.pack(lb, { ...small(), ...more } as never), kind, text);
  bad({ vectorSize: 12 }, /pvq\.pack: vectorSize: expected 8 or 16, got 12 \(16 is nearest\)/);
  bad({ vectorSize: 4 }, /got 4 \(8 is nearest\)/);
  bad({ vectorSize: "16" }, /vectorSize: expected 8 or 16, got "16"/, TypeError);
  bad({ pulses: 13 }, /pulses: expected an integer from 1 to 12, got 13 \(12 works, \d+ vectors are more than 2\^32\)/);
  bad({ pulses: 0 }, /got 0 \(1 works\)/);
  bad({ pulses: 1.5 }, /pulses: expected an integer from 1 to 12/);
  bad({ vectorSize: 8, pulses: 15 }, /pulses: expected an integer from 1 to 14, got 15 \(14 works\)/);
  bad(
    { indices: Uint32Array.of(0, 1, 2, 3, count16, 0) },
    /indices: expected 0 to 3575055359 .*, got 3575055360 at index 4/,
  );
  bad({ indices: new Uint32Array(5) }, /indices: expected length 6 \(rows 2 x 3 vectors of 16 columns\), got 5/);
  bad({ indices: new Float32Array(6) }, /indices: expected a Uint32Array/, TypeError);
  bad({ groupSize: 24 }, /groupSize: expected a multiple of 16, or cols \(33\) or more, got 24 \(32 works\)/);
  bad({ scales: Float32Array.of(1, Number.NaN) }, /scales: expected finite numbers, got NaN at index 1/);
  bad({ kernel: "gemv_e8p_int8_16x8" }, /kernel/);
  throwsWith(() => pvq.unpack({} as Matrix), TypeError, /pvq\.unpack: matrix: expected a matrix of pvq\.pack/);
  is(lb.memory.used, before);
});

const quantising = suite("pvq.quantize");
function gaussianMse(size: number, pulses: number, groupSize: number, rng: Random): number {
  const shape = { rows: 128, cols: 1024, groupSize };
  const w = rng.gaussians(shape.rows * shape.cols);
  const pyramid = { vectorSize: size, pulses };
  const search = pvqScales(w, shape, pyramid, 20);
  let step = search.next();
  while (!step.done) step = search.next();
  const rounder = new PvqRounder(shape, pyramid, step.value);
  const out = new Float64Array(size);
  let error = 0;
  for (let at = 0; at < w.length; at += size) {
    const v = Float64Array.from(w.subarray(at, at + size));
    rounder.encode(Math.floor(at / shape.cols), at % shape.cols, v, out);
    error += distance(v, out);
  }
  return error / w.length;
}
quantising("Gaussian weights: the known errors with the best scale a vector", () => {
  const rng = random("pvq mse", 1);
  for (const [size, pulses, known] of [
    [8, 6, 0.0864],
    [8, 7, 0.067],
    [16, 14, 0.0636],
  ] as const) {
    const mse = gaussianMse(size, pulses, size, rng);
    ok(Math.abs(mse / known - 1) < 0.03, `${size}, ${pulses}: ${mse}, known ${known}`);
  }
});
quantising("Gaussian weights: 2 and 4 bits with one scale a row", () => {
  const rng = random("pvq mse rows", 1);
  for (const [bits, most] of [
    [2, 0.109],
    [4, 0.0665],
  ] as const) {
    const rows = 64;
    const cols = 1024;
    const w = rng.gaussians(rows * cols);
    for (const rotate of [true, false]) {
      const matrix = pvq.quantize(lb, w, { rows, cols, bits, rotate });
      const error = nmse(matrix.dequantize(), w);
      ok(error < most && error > most * 0.9, `${bits} bits, rotate ${rotate}: ${error}`);
      is(pvq.unpack(matrix).indices.length, (rows * cols) / (32 / bits));
      ok(Math.abs(matrix.bitsPerWeight - bits) < (rotate ? 0.65 : 0.04), `${matrix.bitsPerWeight}`);
      matrix.dispose();
    }
  }
});
quantising("vectors are the nearest, scales the best for them", () => {
  const rng = random("pvq fit");
  const rows = 5;
  const cols = 72;
  const w = rng.gaussians(rows * cols);
  const options = { rows, cols, vectorSize: 8, pulses: 6, groupSize: 24, rotate: false, iterations: 100 } as const;
  const matrix = pvq.quantize(lb, w, options);
  const dense = matrix.dequantize();
  const { indices } = pvq.unpack(matrix);
  for (let group = 0; group < rows * 3; group++) {
    let product = 0;
    let norm = 0;
    const from = group * 24;
    const vectors = [0, 1, 2].map((i) => pyramidAt(BigInt(indices[group * 3 + i] as number), 8, 6));
    const y = vectors.flat();
    for (let i = 0; i < 24; i++) {
      product += (y[i] as number) * (w[from + i] as number);
      norm += (y[i] as number) ** 2;
    }
    const scale = product / norm;
    for (let i = 0; i < 24; i++)
      ok(Math.abs((dense[from + i] as number) - scale * (y[i] as number)) < 1e-3 * scale * 6);
    for (const [i, vector] of vectors.entries()) {
      const v = Array.from(w.subarray(from + 8 * i, from + 8 * i + 8), (x) => x / scale);
      ok(distance(v, vector) <= distance(v, pyramidNear(v, 6)) + 0.05);
    }
  }
  matrix.dispose();
});
quantising("hostile weights", () => {
  const rng = random("pvq hostile");
  const cases: [string, (i: number) => number][] = [
    ["zeros", () => 0],
    ["all equal", () => 0.3],
    ["denormals", (i) => (i % 3) * 1e-45],
    ["huge", (i) => (i % 2 ? 3e37 : -3e37)],
    ["one", (i) => (i === 7 ? -2 : 0)],
    ["wide", () => rng.gaussian() * 10 ** rng.int(-30, 30)],
  ];
  for (const [name, value] of cases) {
    for (const cols of [1, 15, 16, 17, 61]) {
      const w = Float32Array.from({ length: 3 * cols }, (_, i) => value(i));
      const matrix = pvq.quantize(lb, w, { rows: 3, cols, rotate: false });
      const dense = matrix.dequantize();
      ok(
        dense.every((v) => Number.isFinite(v)),
        name,
      );
      if (name === "zeros") ok(dense.every((v) => v === 0));
      else if (name === "one" && cols > 7) ok(Math.abs((dense[7] as number) + 2) < 0.4, `${cols}: ${dense[7]}`);
      matrix.dispose();
    }
  }
});
quantising("a Hessian lessens the error of the product", () => {
  const rng = random("pvq hessian", 2);
  const rows = 64;
  const cols = 128;
  const w = rng.gaussians(rows * cols);
  const tokens = 512;
  const x = new Float32Array(tokens * cols);
  for (let t = 0; t < tokens; t++) {
    let last = 0;
    for (let c = 0; c < cols; c++) {
      last = 0.9 * last + rng.gaussian();
      x[t * cols + c] = last;
    }
  }
  const hessian = hessianOf(x, cols);
  const errorOf = (v: Float32Array): number => {
    const d = v.map((value, i) => value - (w[i] as number));
    let sum = 0;
    for (let t = 0; t < 64; t++) {
      for (let row = 0; row < rows; row++) {
        let dot = 0;
        for (let c = 0; c < cols; c++) dot += (d[row * cols + c] as number) * (x[t * cols + c] as number);
        sum += dot * dot;
      }
    }
    return sum;
  };
  for (const rotate of [true, false]) {
    const plain = pvq.quantize(lb, w, { rows, cols, rotate });
    const fed = pvq.quantize(lb, w, { rows, cols, rotate, hessian });
    const ratio = errorOf(fed.dequantize()) / errorOf(plain.dequantize());
    ok(ratio < 0.85, `rotate ${rotate}: ${ratio}`);
    plain.dispose();
    fed.dispose();
  }
  // The same by hand.
  const quantizer = pvqQuantizer(w, { rows, cols });
  const { weights } = gptq(w, hessian, quantizer, { rows, cols });
  const { indices, scales } = quantizer;
  const matrix = pvq.pack(lb, { rows, cols, indices, scales });
  equalBits(matrix.dequantize(), weights, "gptq and pvq.pack");
  matrix.dispose();
});
quantising("rotates where sizes have a transform", () => {
  const w = random("pvq sizes").gaussians(64 * 64);
  const rotated = pvq.quantize(lb, w, { rows: 64, cols: 64 });
  const plain = pvq.quantize(lb, w.subarray(0, 63 * 64), { rows: 63, cols: 64 });
  throwsWith(() => hadamardOrder(63), RangeError, /63/);
  ok(rotated.byteLength > plain.byteLength, "signs are stored");
  ok(nmse(rotated.dequantize(), w) < 0.125);
  throwsEither(
    () => pvq.quantize(lb, w.subarray(0, 63 * 64), { rows: 63, cols: 64, rotate: true }),
    /pvq\.quantize: rows: /,
  );
  rotated.dispose();
  plain.dispose();
});
quantising("progress, signal, turns of the event loop", async () => {
  const w = random("pvq progress").gaussians(256 * 256);
  const seen: number[] = [];
  const options = { rows: 256, cols: 256, seed: 3 };
  const matrix = await pvq.quantizeAsync(lb, w, { ...options, onProgress: (done) => seen.push(done) });
  ok(seen.length > 5 && seen.at(-1) === 1 && seen.every((done, i) => done >= (seen[i - 1] ?? 0)), seen.join());
  const now = pvq.quantize(lb, w, options);
  equalBits(matrix.dequantize(), now.dequantize(), "at once");
  matrix.dispose();
  now.dispose();
  const before = lb.memory.used;
  const abort = new AbortController();
  const late = pvq.quantizeAsync(lb, w, {
    ...options,
    signal: abort.signal,
    onProgress: (done) => {
      if (done > 0.2) abort.abort(new RangeError("enough"));
    },
  });
  await rejectsWith(late, RangeError, /enough/);
  is(lb.memory.used, before);
});
quantising("errors", () => {
  const w = new Float32Array(64 * 64).fill(1);
  const bad = (more: object, text: RegExp, kind: typeof RangeError | typeof TypeError = RangeError): void =>
    throwsWith(() => pvq.quantize(lb, w, { rows: 64, cols: 64, ...more } as never), kind, text);
  bad({ bits: 3 }, /pvq\.quantize: bits: expected 2 or 4, got 3/);
  bad({ bits: "2" }, /bits: expected 2 or 4, got "2"/, TypeError);
  bad({ bits: 2, pulses: 3 }, /bits: expected none where vectorSize or pulses are given/);
  bad({ iterations: 0 }, /iterations: expected an integer from 1 to 100, got 0/);
  bad({ rotate: 1 }, /rotate: expected a boolean/, TypeError);
  bad({ seed: -1 }, /seed/);
  bad({ groupSize: 8 }, /groupSize: expected a multiple of 16/);
  bad({ hessian: new Float32Array(3) }, /hessian: expected length 4096/);
  bad({ activation: "lut8" }, /activation: expected "int8" \| "f32"/);
  const nan = w.slice();
  nan[5] = Number.NaN;
  throwsEither(() => pvq.quantize(lb, nan, { rows: 64, cols: 64 }), /w: expected finite weights, got NaN at index 5/);
  const hessian = new Float32Array(60 * 60);
  for (let i = 0; i < 60; i++) hessian[61 * i] = 1;
  const odd = { rows: 4, cols: 60, hessian };
  throwsEither(
    () => pvq.quantize(lb, w.subarray(0, 240), odd),
    /cols: expected a multiple of 16 \(vectorSize\) for a Hessian/,
  );
  throwsEither(
    () => pvqQuantizer(w, { rows: 64, cols: 64, groupSize: 24 }),
    /pvqQuantizer: groupSize: expected a multiple of 16/,
  );
});
quantising("one scale a vector: g · y / ‖y‖", () => {
  const rng = random("pvq gain");
  const cols = 64;
  const y = Array.from({ length: 4 }, () => pyramidAt(BigInt(Math.floor(rng.uniform() * count16)), 16, 12));
  const gains = [1, 2, 0.5, 3];
  const scales = Float32Array.from(gains, (g, i) => g / Math.sqrt(squares(y[i] as number[])));
  const indices = Uint32Array.from(y, (v) => pyramidIndex(v));
  const matrix = pvq.pack(lb, { rows: 1, cols, groupSize: 16, indices, scales });
  const dense = matrix.dequantize();
  for (const [i, g] of gains.entries()) {
    ok(Math.abs(Math.sqrt(squares(dense.subarray(16 * i, 16 * i + 16))) / g - 1) < 1e-6);
  }
  matrix.dispose();
});
