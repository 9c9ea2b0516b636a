// What callers do with the arguments and properties of a matrix: outputs that overlap inputs, memory that goes away during a
// call, arrays that lie, getters that free the matrix, and rows read one by one.
//
// Cases name their formats.

import vm from "node:vm";
import { mayOverlap, sharesMemory } from "../../src/lib/arrays.ts";
import { makeRotated } from "../../src/matrix/rotated.ts";
import { equalBits, is, match, ok, rejectsWith, throwsWith } from "../lib/assert.ts";
import { type AnyWeights, groupSizeNear, testFormats } from "../lib/formats.ts";
import {
  type Branches,
  binary,
  bitplane,
  type ComplexArray,
  complex,
  e8p,
  everyPair,
  fairy2i,
  glvq,
  init,
  type Lowbit,
  lift,
  type Matrix,
  onebit,
  packMatrix,
  pvq,
  ternary,
  trellis,
  uniform,
} from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

const lb: Lowbit = await init();
const threaded: Lowbit = await init({
  threads: 2,
  worker: new URL("../../dist/runtime/worker.js", import.meta.url),
});
const rng = random("arguments");

const w = (rows: number, cols: number): Float32Array => rng.gaussians(rows * cols);
function branchesOf(rows: number, cols: number): Branches {
  return {
    bias: rng.gaussians(rows),
    colScale: rng.gaussians(cols),
    lowRank: { a: rng.gaussians(rows * 3), b: rng.gaussians(3 * cols) },
    sparse: {
      rows: Uint32Array.from({ length: rows + 1 }, (_, r) => Math.ceil(r / 2)),
      cols: Uint32Array.from({ length: Math.ceil(rows / 2) }, (_, i) => i % cols),
      values: rng.gaussians(Math.ceil(rows / 2)),
      mode: "replace",
    },
  };
}

type Make = (lb: Lowbit, rows: number, cols: number) => Matrix;
const makers: Readonly<Record<string, Make>> = {
  binary: (lb, rows, cols) => binary.quantize(lb, w(rows, cols), { rows, cols }),
  "binary f32": (lb, rows, cols) => binary.quantize(lb, w(rows, cols), { rows, cols, activation: "f32" }),
  ternary: (lb, rows, cols) => ternary.quantize(lb, w(rows, cols), { rows, cols }),
  "ternary lut8": (lb, rows, cols) => ternary.quantize(lb, w(rows, cols), { rows, cols, activation: "lut8" }),
  uniform: (lb, rows, cols) => uniform.quantize(lb, w(rows, cols), { rows, cols, bits: 4, groupSize: 32 }),
  "uniform f32": (lb, rows, cols) => uniform.quantize(lb, w(rows, cols), { rows, cols, bits: 4, activation: "f32" }),
  "uniform with branches": (lb, rows, cols) =>
    uniform.quantize(lb, w(rows, cols), { rows, cols, bits: 4 }).with(branchesOf(rows, cols)),
  bitplane: (lb, rows, cols) => bitplane.quantize(lb, w(rows, cols), { rows, cols, bits: 2, activationBits: 4 }),
  onebit: (lb, rows, cols) => onebit.quantize(lb, w(rows, cols), { rows, cols }),
  fairy2i: (lb, rows, cols) => fairy2i.quantize(lb, w(rows, cols), { rows, cols }),
  lift: (lb, rows, cols) => lift.quantize(lb, w(rows, cols), { rows, cols, bits: 2, beam: 1 }),
  "rotated on both sides, with branches": (lb, rows, cols) =>
    makeRotated("test", lb, {
      ...{ label: "test", rows, cols },
      pre: [{ kind: "scale", by: rng.gaussians(cols) }],
      post: [{ kind: "scale", by: rng.gaussians(rows) }],
      inners: [
        { matrix: uniform.quantize(lb, w(rows, cols), { rows, cols, bits: 4 }) },
        { matrix: ternary.quantize(lb, w(rows, cols), { rows, cols }), factor: 0.3 },
      ],
    }).with(branchesOf(rows, cols)),
};

const o = suite("arguments: out and x in one memory");

// A buffer of its own, or one that two objects stand for.
function memories(bytes: number): [string, ArrayBufferLike, ArrayBufferLike][] {
  const own = new ArrayBuffer(bytes);
  const shared = new SharedArrayBuffer(bytes);
  const pages = Math.ceil(bytes / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages + 1, shared: true });
  const before = memory.buffer;
  memory.grow(1);
  return [
    ["ArrayBuffer", own, own],
    ["SharedArrayBuffer", shared, shared],
    ["SharedArrayBuffer and its clone", shared, structuredClone(shared)],
    ["WebAssembly.Memory before and after it grew", before, memory.buffer],
  ];
}

for (const [name, make] of Object.entries(makers)) {
  o(name, async () => {
    for (const [rows, cols] of [
      [96, 64],
      [64, 64],
      [34, 80],
    ] as const) {
      for (const from of [lb, threaded]) {
        const matrix = make(from, rows, cols);
        for (const n of [1, 2, 9, 131]) {
          const x = rng.gaussians(n * cols);
          const expected = n === 1 ? matrix.gemv(x) : matrix.gemm(x, n);
          const shifts = [0, 1, rng.int(1, cols), cols, rows, Math.min(n * cols, 3 * rows)];
          for (const [memory, a, b] of memories(4 * (n * (rows + cols) + 512))) {
            for (const shift of shifts) {
              for (const reversed of [false, true]) {
                const call = async (asynchronous: boolean): Promise<void> => {
                  const xs = new Float32Array(a, reversed ? shift * 4 : 0, n * cols);
                  const out = new Float32Array(b, reversed ? 0 : shift * 4, n * rows);
                  xs.set(x);
                  let y: Float32Array;
                  if (asynchronous) y = await (n === 1 ? matrix.gemvAsync(xs, out) : matrix.gemmAsync(xs, n, out));
                  else y = n === 1 ? matrix.gemv(xs, out) : matrix.gemm(xs, n, out);
                  is(y, out);
                  equalBits(out, expected, `${name} ${rows}x${cols} n ${n} ${memory} shift ${shift} ${reversed}`);
                };
                await call(false);
                if (shift === 1) await call(true);
              }
            }
          }
        }
        matrix.dispose();
      }
    }
  });
}

o("complex: x and out in any order, but parts of out that overlap are refused", async () => {
  const [rows, cols] = [24, 24];
  const weights = { re: w(rows, cols), im: w(rows, cols) };
  const matrix = complex.quantize(lb, weights, { rows, cols });
  for (const n of [1, 3, 140]) {
    const x = { re: rng.gaussians(n * cols), im: rng.gaussians(n * cols) };
    const expected = matrix.gemm(x, n);
    const size = n * cols;
    for (const [memory, a, b] of memories(16 * size + 4096)) {
      for (const [p, q, r, s] of [
        [0, size, 0, size],
        [0, size, size, 0],
        [0, size, 5, size + 5],
        [0, size, 2 * size, 1],
      ] as const) {
        const part = (buffer: ArrayBufferLike, at: number): Float32Array => new Float32Array(buffer, at * 4, size);
        const xs = { re: part(a, p), im: part(a, q) };
        const out = { re: part(b, r), im: part(b, s) };
        xs.re.set(x.re);
        xs.im.set(x.im);
        is(matrix.gemm(xs, n, out), out);
        equalBits(out.re, expected.re, `${memory} re`);
        equalBits(out.im, expected.im, `${memory} im`);
      }
      const out = { re: new Float32Array(a, 0, size), im: new Float32Array(b, 4 * (size - 1), size) };
      throwsWith(() => matrix.gemm(x, n, out), RangeError, /^complex\.gemm: out\.im: expected other memory/);
      await rejectsWith(matrix.gemmAsync(x, n, out), RangeError, /^complex\.gemmAsync: out\.im: expected other memory/);
    }
    const apart = () => new Float32Array(new SharedArrayBuffer(4 * size));
    matrix.gemm(x, n, { re: apart(), im: apart() });
  }
});

o("overlap is told from neighbourhood", () => {
  const buffer = new ArrayBuffer(64);
  const at = (start: number, length: number, b: ArrayBufferLike = buffer): Float32Array =>
    new Float32Array(b, start * 4, length);
  ok(mayOverlap(at(0, 4), at(3, 4)));
  ok(!mayOverlap(at(0, 4), at(4, 4)));
  ok(!mayOverlap(at(0, 4), at(0, 4, new ArrayBuffer(64))));
  const shared = new SharedArrayBuffer(64);
  ok(mayOverlap(at(0, 4, shared), at(3, 4, structuredClone(shared))));
  ok(sharesMemory(at(0, 4, shared), at(3, 4, structuredClone(shared))));
  ok(!sharesMemory(at(0, 4, shared), at(3, 4, new SharedArrayBuffer(64))));
});

const a = suite("arguments: while an asynchronous call runs");

a("an out that is detached or shrunk: an error that names the call, and nothing written", async () => {
  for (const from of [lb, threaded]) {
    for (const [name, make] of Object.entries(makers)) {
      const [rows, cols] = [64, 64];
      const matrix = make(from, rows, cols);
      for (const n of [1, 3, 300]) {
        const x = rng.gaussians(n * cols);
        const op = n === 1 ? "gemvAsync" : "gemmAsync";
        const start = (out: Float32Array): Promise<Float32Array> =>
          n === 1 ? matrix.gemvAsync(x, out) : matrix.gemmAsync(x, n, out);
        const where = new RegExp(`^${matrix.format}\\.${op}: out: expected length ${n * rows} until the call is done`);
        const transferred = new Float32Array(n * rows);
        const first = start(transferred);
        structuredClone(transferred.buffer, { transfer: [transferred.buffer] });
        await rejectsWith(first, RangeError, where);
        type Resizable = ArrayBuffer & { resize(bytes: number): void };
        const Buffer = ArrayBuffer as unknown as new (bytes: number, options: object) => Resizable;
        const buffer = new Buffer(n * rows * 4, { maxByteLength: n * rows * 8 });
        const whole = new Float32Array(buffer);
        const second = start(whole);
        buffer.resize(rows * 4 - 4);
        await rejectsWith(second, RangeError, where);
        ok(whole.every((value) => value === 0));
        buffer.resize(n * rows * 4);
        const third = start(whole);
        buffer.resize(n * rows * 8);
        await third;
        equalBits(whole.slice(0, n * rows), matrix.gemm(x, n), `${name}: grown`);
      }
      matrix.dispose();
    }
  }
});

a("x is what it was when the call was made", async () => {
  const matrix = uniform.quantize(threaded, w(64, 64), { rows: 64, cols: 64, bits: 4 });
  for (const n of [1, 300]) {
    const x = rng.gaussians(n * 64);
    const expected = matrix.gemm(x, n);
    const result = n === 1 ? matrix.gemvAsync(x) : matrix.gemmAsync(x, n);
    structuredClone(x.buffer, { transfer: [x.buffer] });
    equalBits(await result, expected, `n ${n}`);
    throwsWith(() => matrix.gemm(x, n), TypeError, /^uniform4\.gemm: x: .*detached/);
  }
});

a("complex: parts of out that are gone are named", async () => {
  const [rows, cols] = [64, 64];
  const matrix = complex.quantize(lb, { re: w(rows, cols), im: w(rows, cols) }, { rows, cols });
  const x = { re: rng.gaussians(cols), im: rng.gaussians(cols) };
  for (const part of ["re", "im"] as const) {
    const out = { re: new Float32Array(rows), im: new Float32Array(rows) };
    const promise = matrix.gemvAsync(x, out);
    structuredClone(out[part].buffer, { transfer: [out[part].buffer] });
    await rejectsWith(promise, RangeError, new RegExp(`^complex\\.gemvAsync: out\\.${part}: expected length 64 until`));
  }
});

const p = suite("arguments: a matrix as JavaScript sees it");

const surface = [
  ...["format", "rows", "cols", "bitsPerWeight", "byteLength", "activation", "kernel", "gemmKernel"],
  ...["gemv", "gemm", "gemvAsync", "gemmAsync", "dequantize", "dequantizeRows", "dispose"],
];

function propertiesOf(object: object): Set<string> {
  const names = new Set<string>();
  for (let at: object | null = object; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  }
  names.delete("constructor");
  return names;
}

p("it has what is documented and nothing else, and none of it can be assigned", () => {
  const weights = { re: w(64, 64), im: w(64, 64) };
  const matrices: [object, string[]][] = Object.values(makers).map((make) => [make(lb, 64, 64), [...surface, "with"]]);
  matrices.push([complex.quantize(lb, weights, { rows: 64, cols: 64 }), [...surface, "conjugate"]]);
  for (const [matrix, names] of matrices) {
    is([...propertiesOf(matrix)].sort().join(), [...names].sort().join());
    for (const name of Object.keys(matrix)) {
      throwsWith(() => Object.assign(matrix, { [name]: 2 }), TypeError, /read only/);
    }
    throwsWith(() => structuredClone(matrix), Error, /could not be cloned/);
  }
});

p("a prototype whose methods are put on another object refuses it", () => {
  const matrix = binary.quantize(lb, w(64, 64), { rows: 64, cols: 64 });
  const fake = Object.create(Object.getPrototypeOf(matrix), { rows: { value: 64 }, cols: { value: 64 } }) as Matrix;
  throwsWith(() => fake.gemv(new Float32Array(64)), TypeError, /./);
});

p("arrays that lie about themselves", () => {
  const [rows, cols] = [64, 64];
  const matrix = binary.quantize(lb, w(rows, cols), { rows, cols });
  const x = rng.gaussians(cols);
  const expected = matrix.gemv(x);
  const other = vm.runInNewContext("new Float32Array(64)") as Float32Array;
  other.set(x);
  equalBits(matrix.gemv(other), expected, "another realm");
  class Lying extends Float32Array {
    override get length(): number {
      return cols;
    }
    override subarray(): never {
      throw new Error("called");
    }
    override set(): never {
      throw new Error("called");
    }
  }
  throwsWith(() => matrix.gemv(new Lying(512)), RangeError, /^binary\.gemv: x: expected length 64 .*got 512$/);
  const own = Object.defineProperties(x.slice(), {
    length: { get: () => rng.int(0, 9) },
    subarray: { value: () => new Float32Array(100000) },
    buffer: { value: lb },
    constructor: { value: Lying },
  });
  equalBits(matrix.gemv(own), expected, "own properties");
  equalBits(matrix.gemm(own, 1), expected, "own properties, gemm");
  const large = uniform.quantize(lb, w(1100, cols), { rows: 1100, cols, bits: 4 });
  for (const [m, r] of [
    [matrix, rows],
    [large, 1100],
  ] as const) {
    const out = Object.defineProperty(new Float32Array(r), "set", { value: () => {} });
    is(m.gemv(own, out), out);
    equalBits(out.slice(), m.gemv(x), "out");
  }
  for (const wrong of [new Proxy(x, {}), new Float64Array(64), new DataView(new ArrayBuffer(256)), [0], null]) {
    throwsWith(() => matrix.gemv(wrong as Float32Array), TypeError, /^binary\.gemv: x: expected a Float32Array/);
  }
});

p("with(): what is given is read once, and a matrix that a getter frees is refused", () => {
  const [rows, cols] = [64, 64];
  const matrix = binary.quantize(lb, w(rows, cols), { rows, cols });
  const { used } = lb.memory;
  const frees = {
    get bias() {
      matrix.dispose();
      return new Float32Array(rows);
    },
  };
  throwsWith(() => matrix.with(frees), TypeError, /^binary\.with: this binary matrix \(64 x 64\) was disposed$/);
  ok(lb.memory.used < used);
  let reads = 0;
  const once = {
    get bias() {
      return new Float32Array(reads++ === 0 ? rows : 4096);
    },
  };
  const other = binary.quantize(lb, w(rows, cols), { rows, cols });
  const before = lb.memory.used;
  const shared = (values: number[]): Uint32Array => {
    const array = new Uint32Array(new SharedArrayBuffer(4 * values.length));
    array.set(values);
    return array;
  };
  const wrong = { rows: shared([...new Array(rows).fill(0), 1]), cols: shared([64]), values: Float32Array.of(1) };
  throwsWith(() => other.with({ sparse: wrong }), RangeError, /^binary\.with: sparse: cols: /);
  throwsWith(
    () => other.with({ lowrank: 3 } as Branches),
    TypeError,
    /^binary\.with: branches: .*"lowRank".*"lowrank"/,
  );
  is(lb.memory.used, before);
  other.with(once).dispose();
  is(reads, 1);
});

p("complex: getters of x and out", () => {
  const [rows, cols] = [64, 64];
  const matrix = complex.quantize(lb, { re: w(rows, cols), im: w(rows, cols) }, { rows, cols });
  let reads = 0;
  const x = { re: rng.gaussians(cols), im: rng.gaussians(cols) };
  const out = {
    im: new Float32Array(rows),
    get re() {
      reads++;
      return this.im.subarray(0, 0).length === 0 && reads === 1 ? first : new Float32Array(3);
    },
  };
  const first = new Float32Array(rows);
  matrix.gemv(x, out);
  is(reads, 1);
  equalBits(first, matrix.gemv(x).re, "re");
  const frees: ComplexArray = {
    re: new Float32Array(rows),
    get im() {
      matrix.dispose();
      return new Float32Array(rows);
    },
  };
  throwsWith(() => matrix.gemv(x, frees), TypeError, /^complex\.gemv: this complex matrix \(64 x 64\) was disposed$/);
});

p("a refused call leaves memory and out as they were", async () => {
  const [rows, cols] = [64, 64];
  for (const [name, make] of Object.entries(makers)) {
    const matrix = make(lb, rows, cols);
    matrix.gemv(rng.gaussians(cols));
    const { used } = lb.memory;
    for (const n of [1, 5, 300]) {
      const x = rng.gaussians(n * cols);
      x[n * cols - 1] = Number.NaN;
      const out = new Float32Array(n * rows).fill(7);
      throwsWith(() => (n === 1 ? matrix.gemv(x, out) : matrix.gemm(x, n, out)), RangeError, /: x: expected finite/);
      await rejectsWith(matrix.gemmAsync(x, n, out), RangeError, /Async: x: expected finite/);
      ok(
        out.every((value) => value === 7),
        name,
      );
      is(lb.memory.used, used, `${name} n ${n}`);
      if (!name.includes("branches")) continue;
      // Finite, but not when scaled: found only in the last pass.
      x.fill(3e38, n * cols - cols);
      const big = matrix.format === "test" ? 1 : 0;
      if (big === 0) throwsWith(() => matrix.gemm(x, n, out), RangeError, /: x: expected numbers that stay finite/);
      ok(out.every((value) => value === 7) || big === 1, name);
    }
    matrix.dispose();
  }
});

const d = suite("arguments: rows one by one");

function sameRows(matrix: Matrix, label: string): void {
  const { rows, cols } = matrix;
  const all = matrix.dequantize();
  const ids = Array.from({ length: 7 }, () => rng.int(0, rows - 1));
  ids.push(0, rows - 1, ids[0] as number);
  const got = matrix.dequantizeRows(ids);
  for (const [i, id] of ids.entries()) {
    const [row, expected] = [got.subarray(i * cols, (i + 1) * cols), all.subarray(id * cols, (id + 1) * cols)];
    equalBits(row, expected, `${label} row ${id}`);
  }
}

for (const { format, activation } of everyPair) {
  d(`the bits of dequantize(): ${format} ${activation}`, () => {
    const [rows, cols] = [77, 72];
    const { grouped } = testFormats[format];
    const groupSize = grouped ? groupSizeNear(format, activation, 32) : undefined;
    const weights = testFormats[format].random(rows, cols, rng, groupSize);
    const matrix = packMatrix(lb, format, weights as AnyWeights, activation);
    sameRows(matrix, `${format} ${activation}`);
    const branched = matrix.with(branchesOf(rows, cols));
    sameRows(branched, `${format} ${activation} with branches`);
    branched.dispose();
  });
}

d("and of those that rotate", () => {
  const rotated: Readonly<Record<string, Make>> = {
    ...makers,
    pvq: (lb, rows, cols) => pvq.quantize(lb, w(rows, cols), { rows, cols, bits: 2 }),
    e8p: (lb, rows, cols) => e8p.quantize(lb, w(rows, cols), { rows, cols, bits: 4 }),
    glvq: (lb, rows, cols) => glvq.quantize(lb, w(rows, cols), { rows, cols }),
    trellis: (lb, rows, cols) => trellis.quantize(lb, w(rows, cols), { rows, cols, bits: 2 }),
    "blocks of 64 rows": (lb, rows, cols) =>
      makeRotated("test", lb, {
        ...{ label: "test", rows, cols },
        pre: [
          { kind: "scale", by: rng.gaussians(cols) },
          { kind: "hadamard", block: 32 },
        ],
        post: [
          { kind: "hadamard", block: 64, inverse: true },
          { kind: "scale", by: rng.gaussians(rows) },
        ],
        inners: [{ matrix: uniform.quantize(lb, w(rows, cols), { rows, cols, bits: 4 }) }],
      }),
  };
  for (const [name, make] of Object.entries(rotated)) {
    const matrix = make(lb, 256, 128);
    sameRows(matrix, name);
    // onebit has a colScale already.
    if (!/branches|onebit/.test(name)) sameRows(matrix.with(branchesOf(256, 128)), `${name} with branches`);
  }
});

d("complex: re and im, not conjugated", () => {
  const [rows, cols] = [30, 20];
  for (const conjugate of ["none", "x", "w"] as const) {
    const matrix = complex.quantize(lb, { re: w(rows, cols), im: w(rows, cols) }, { rows, cols, conjugate });
    const all = matrix.dequantize();
    const out = { re: new Float32Array(2 * cols), im: new Float32Array(2 * cols) };
    is(matrix.dequantizeRows([29, 3], out), out);
    for (const part of ["re", "im"] as const) {
      equalBits(out[part].subarray(0, cols), all[part].subarray(29 * cols, 30 * cols), part);
      equalBits(out[part].subarray(cols), all[part].subarray(3 * cols, 4 * cols), part);
    }
  }
});

d("ids of any integer array, checked, and in the memory of out", () => {
  const [rows, cols] = [40, 16];
  const matrix = uniform.quantize(lb, w(rows, cols), { rows, cols, bits: 4 });
  const expected = matrix.dequantizeRows([3, 39]);
  const arrays = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array];
  for (const kind of arrays) equalBits(matrix.dequantizeRows(kind.of(3, 39)), expected, kind.name);
  equalBits(matrix.dequantizeRows(BigInt64Array.of(3n, 39n)), expected, "BigInt64Array");
  equalBits(matrix.dequantizeRows(BigUint64Array.of(3n, 39n)), expected, "BigUint64Array");
  equalBits(matrix.dequantizeRows([3n, 39n]), expected, "bigint");
  is(matrix.dequantizeRows([]).length, 0);
  const endless = new Proxy([0], { get: (_, key) => (key === "length" ? 2 ** 40 : 0) });
  throwsWith(() => matrix.dequantizeRows(endless), RangeError, /: ids: length: expected an integer from 0 to /);
  const buffer = new ArrayBuffer(4 * 2 * cols);
  const ids = new Uint32Array(buffer, 4, 2);
  ids.set([3, 39]);
  equalBits(matrix.dequantizeRows(ids, new Float32Array(buffer)), expected, "ids in out");
  for (const [wrong, error, text] of [
    [[40], RangeError, /^uniform4\.dequantizeRows: ids\[0\]: expected an integer from 0 to 39, got 40$/],
    [[0, -1], RangeError, /ids\[1\]: expected an integer from 0 to 39, got -1$/],
    [[0.5], RangeError, /ids\[0\]: /],
    [["1"], TypeError, /ids\[0\]: /],
    [[undefined], TypeError, /ids\[0\]: /],
    [[2n ** 64n], RangeError, /ids\[0\]: /],
    [Float32Array.of(1), TypeError, /ids: expected an array of integers/],
    [3, TypeError, /ids: expected an array of integers/],
    [{ length: 1, 0: 1 }, TypeError, /ids: expected an array of integers/],
    ["12", TypeError, /ids: expected an array of integers/],
  ] as const) {
    throwsWith(() => matrix.dequantizeRows(wrong as unknown as number[]), error as typeof RangeError, text);
  }
  throwsWith(
    () => matrix.dequantizeRows([1], new Float32Array(3)),
    RangeError,
    /out: expected length 16 .ids 1 x cols 16/,
  );
  const frees: number[] = [1];
  Object.defineProperty(frees, 0, {
    get: () => {
      matrix.dispose();
      return 1;
    },
  });
  throwsWith(() => matrix.dequantizeRows(frees), TypeError, /was disposed$/);
  match(String(matrix.rows), /40/);
});
