// The branches beside a matrix: their kernels against the oracle, bit by bit, and how they are checked and stored.

import { readFileSync } from "node:fs";
import {
  branchAddresses,
  branchLayout,
  lowRankFloats,
  readBranches,
  writeBranches,
} from "../../src/matrix/branch-bytes.ts";
import { addBranches, type Branches, checkBranches, type SparseBranch, toAdded } from "../../src/matrix/branches.ts";
import { acceptsRelaxed } from "../../src/runtime/features.ts";
import { equalBits, equalValues, is, nmseBelow, ok, throwsWith } from "../lib/assert.ts";
import { type Random, random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { lowRankInput, addBranches as referenceAdd, scaleColumns } from "../reference/branch.ts";

type Kernel = (...args: number[]) => void;

interface Instance {
  variant: string;
  memory: WebAssembly.Memory;
  kernel(name: string): Kernel;
}

function instantiate(variant: string): Instance {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const bytes = Uint8Array.from(readFileSync(new URL(`../../dist/wasm/${variant}.wasm`, import.meta.url)));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  return { variant, memory, kernel: (name) => exports[name] as Kernel };
}

const instances = ["simd", ...(acceptsRelaxed() ? ["relaxed"] : [])].map(instantiate);

/** CSR with count(row) entries a row, at random places. */
function randomSparse(rows: number, cols: number, rng: Random, count: (row: number) => number): SparseBranch {
  const pointers = new Uint32Array(rows + 1);
  const list: number[] = [];
  for (let r = 0; r < rows; r++) {
    let left = Math.min(cols, count(r));
    // Each column is taken with the probability that leaves the rest evenly likely.
    for (let c = 0; left > 0; c++) {
      if (rng.uniform() * (cols - c) >= left) continue;
      list.push(c);
      left--;
    }
    pointers[r + 1] = list.length;
  }
  return { rows: pointers, cols: Uint32Array.from(list), values: rng.gaussians(list.length) };
}

/** y with branches added by the kernels, `tile` rows a call; what surrounds the operands is NaN. */
function run(instance: Instance, branches: Branches, x: Float32Array, y: Float32Array, tile: number): Float32Array {
  const [rows, cols] = [y.length, x.length];
  const layout = branchLayout(branches, rows, cols);
  const padded = layout.byteCols * 8;
  const align = (bytes: number): number => Math.ceil(bytes / 16) * 16 + 64;
  const xs = 1024;
  const scaled = xs + align(padded * 4);
  const ts = scaled + align(padded * 4);
  const ys = ts + align(lowRankFloats(layout) * 4);
  const base = ys + align(layout.paddedRows * 4);
  const end = base + layout.bytes + 64;
  const { memory } = instance;
  if (end > memory.buffer.byteLength) memory.grow(Math.ceil((end - memory.buffer.byteLength) / 65536));
  const floats = new Float32Array(memory.buffer);
  floats.fill(Number.NaN);
  writeBranches(new Uint8Array(memory.buffer, base, layout.bytes), branches, layout);
  const at = branchAddresses(layout, base);
  floats.fill(0, xs / 4, xs / 4 + padded).set(x, xs / 4);
  floats.fill(0, ys / 4, ys / 4 + layout.paddedRows).set(y, ys / 4);
  if (branches.colScale) {
    instance.kernel("prepare_scaled")(xs, at.colScale, scaled, layout.byteCols);
    const actual = floats.slice(scaled / 4, scaled / 4 + cols);
    equalBits(actual, scaleColumns(x, branches.colScale), `${instance.variant} scaled x`);
    instance.kernel("prepare_scaled")(xs, at.colScale, xs, layout.byteCols);
    equalBits(floats.slice(xs / 4, xs / 4 + cols), actual, `${instance.variant} scaled x in place`);
    floats.set(x, xs / 4);
  }
  if (branches.lowRank) {
    instance.kernel("prepare_lowrank")(xs, at.b, ts, layout.rank, layout.byteCols);
    const t = lowRankInput(branches.lowRank.b, x, layout.rank);
    equalValues(floats.slice(ts / 4, ts / 4 + layout.rank), t, `${instance.variant} t`);
  }
  for (let row = 0; row < layout.paddedRows; row += tile) {
    const rowEnd = Math.min(row + tile, layout.paddedRows);
    const operands = [at.bias, ts, at.a, layout.rank, at.sparse, layout.colBytes, xs];
    instance.kernel("branch_add")(ys, row, rowEnd, layout.paddedRows, ...operands);
  }
  ok(Number.isNaN(floats[ys / 4 + layout.paddedRows]), "nothing is written beyond y");
  ok(Number.isNaN(floats[ts / 4 + lowRankFloats(layout)]), "nothing is written beyond t");
  const stored = readBranches(new Uint8Array(memory.buffer, base, layout.bytes), layout);
  const same = (a: Branches[keyof Branches], b: typeof a): boolean => JSON.stringify(a) === JSON.stringify(b);
  for (const key of ["lowRank", "sparse", "bias", "colScale"] as const) {
    ok(same(stored[key], branches[key]), `${key} comes back from its region`);
  }
  return floats.slice(ys / 4, ys / 4 + rows);
}

function check(branches: Branches, rows: number, cols: number, rng: Random, tiles: number[]): void {
  checkBranches("with", branches, rows, cols);
  const [x, y] = [rng.gaussians(cols), rng.gaussians(rows)];
  const expected = referenceAdd(y, branches, x);
  for (const instance of instances) {
    for (const tile of tiles) {
      const label = `${instance.variant} ${rows} x ${cols}, ${tile} rows a call`;
      equalValues(run(instance, branches, x, y, tile), expected, label);
    }
  }
}

const t = suite("branches");

t("are the oracle's on shapes around every boundary", () => {
  const rng = random("branches");
  const ranks = [1, 3, 4, 5, 16, 17, 64];
  let shape = 0;
  for (const rows of [1, 15, 16, 17, 31, 32, 33, 48, 49, 63, 64, 65, 80, 112, 129, 200]) {
    for (const cols of [1, 8, 9, 65, 511, 512, 513, 1025]) {
      const rank = ranks[shape++ % ranks.length] as number;
      const lowRank = { a: rng.gaussians(rows * rank), b: rng.gaussians(rank * cols) };
      const count = [
        () => 0, // no entries at all
        (r: number) => (r === rows >> 1 ? cols : 0), // one row with all columns
        () => rng.int(0, 9),
        (r: number) => (r % 3 === 0 ? 4 : 0),
        (r: number) => (r === rows - 1 ? cols : rng.int(0, 30)),
      ][shape % 5] as (row: number) => number;
      const sparse = randomSparse(rows, cols, rng, count);
      const [bias, colScale] = [rng.gaussians(rows), rng.gaussians(cols)];
      check({ lowRank, sparse, bias, colScale }, rows, cols, rng, [64, 128]);
      check([{ lowRank }, { sparse }, { bias }, { bias, sparse }, {}][shape % 5] as Branches, rows, cols, rng, [64]);
    }
  }
});

t("take 16-bit and 32-bit columns", () => {
  const rng = random("branches columns");
  for (const cols of [65535, 65536, 65537, 70001]) {
    const sparse = randomSparse(33, cols, rng, (r) => (r === 5 ? cols : r % 2 ? 20 : 0));
    is(branchLayout({ sparse }, 33, cols).colBytes, cols <= 65536 ? 2 : 4);
    check({ sparse }, 33, cols, rng, [64]);
  }
});

t("b x is within an NMSE of 1e-12 of float64 at 11008 columns", () => {
  const rng = random("branches nmse", 1);
  const [x, b] = [rng.gaussians(11008), rng.gaussians(16 * 11008)];
  const exact = Float64Array.from({ length: 16 }, (_, j) =>
    x.reduce((sum, value, k) => sum + value * (b[j * 11008 + k] as number), 0),
  );
  nmseBelow(lowRankInput(b, x, 16), exact, 1e-12, "t");
});

t("add up to W0 diag(colScale) + a b + sparse", () => {
  const sparse = { rows: Uint32Array.of(0, 1, 1), cols: Uint32Array.of(2), values: Float32Array.of(100) };
  const lowRank = { a: Float32Array.of(1, 2), b: Float32Array.of(10, 20, 30) };
  const colScale = Float32Array.of(2, 1, 0.5);
  const w = Float32Array.of(1, 2, 3, 4, 5, 6);
  addBranches(w, { lowRank, sparse, colScale }, Uint32Array.of(0, 1), 2, 3);
  equalBits(w, Float32Array.of(12, 22, 131.5, 28, 45, 63), "W");
});

t("replace a dense weight by what it lacks", () => {
  const parts = { rows: Uint32Array.of(0, 1, 2), cols: Uint32Array.of(2, 0), values: Float32Array.of(7, -1) };
  const w0 = Float32Array.of(1, 2, 3, 4, 5, 6);
  const colScale = Float32Array.of(2, 1, 0.5);
  const at = (row: number, col: number): number => w0[row * 3 + col] as number;
  is(toAdded("with", parts, at), parts);
  const added = toAdded("with", { ...parts, mode: "replace" }, at, colScale);
  equalBits(added.values, Float32Array.of(5.5, -9), "deltas");
  const w = w0.slice();
  addBranches(w, { sparse: added, colScale }, Uint32Array.of(0, 1), 2, 3);
  equalBits(w, Float32Array.of(2, 2, 7, -1, 5, 3), "W");
  throwsWith(() => toAdded("with", { ...parts, mode: "replace" }, () => 1e39), RangeError, "-Infinity at index 0");
});

t("are refused with the reason", () => {
  const f = (...values: number[]): Float32Array => Float32Array.from(values);
  const u = (...values: number[]): Uint32Array => Uint32Array.from(values);
  const good = { rows: u(0, 2, 3), cols: u(0, 2, 1), values: f(1, 2, 3) };
  const cases: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [3, TypeError, "with: branches: expected an object, got 3"],
    [{ bias: [1, 2] }, TypeError, "with: bias: expected a Float32Array, got Array"],
    [{ bias: f(1) }, RangeError, "with: bias: expected length 2 (rows 2), got 1"],
    [{ bias: f(1, Number.NaN) }, RangeError, "with: bias: expected finite numbers, got NaN at index 1"],
    [{ colScale: f(1, 2) }, RangeError, "with: colScale: expected length 3 (cols 3), got 2"],
    [{ lowRank: f(1) }, TypeError, "with: lowRank: expected an object"],
    [{ lowRank: { b: f(1) } }, TypeError, "with: lowRank: a: expected a Float32Array, got undefined"],
    [
      { lowRank: { a: f(1, 2, 3), b: f(1) } },
      RangeError,
      "with: lowRank: a: expected a length that is a multiple of 2",
    ],
    [{ lowRank: { a: f(), b: f() } }, RangeError, "with: lowRank: a: expected a length that is a multiple of 2"],
    [{ lowRank: { a: f(1, 2), b: f(1) } }, RangeError, "b: expected length 3 (rank 1 of a x cols 3), got 1"],
    [{ sparse: { ...good, mode: "set" } }, RangeError, 'with: sparse: mode: expected "add" | "replace", got "set"'],
    [{ sparse: { ...good, rows: [0, 2, 3] } }, TypeError, "with: sparse: rows: expected a Uint32Array, got Array"],
    [{ sparse: { ...good, rows: u(0, 3) } }, RangeError, "with: sparse: rows: expected length 3 (rows 2 + 1), got 2"],
    [{ sparse: { ...good, cols: f(0, 2, 1) } }, TypeError, "with: sparse: cols: expected a Uint32Array"],
    [{ sparse: { ...good, values: f(1, 2) } }, RangeError, "with: sparse: values: expected length 3"],
    [{ sparse: { ...good, values: f(1, Infinity, 2) } }, RangeError, "got Infinity at index 1"],
    [{ sparse: { ...good, rows: u(1, 2, 3) } }, RangeError, "with: sparse: rows: expected 0 at index 0, got 1"],
    [{ sparse: { ...good, rows: u(0, 4, 3) } }, RangeError, "that do not decrease, got 3 after 4 at index 2"],
    [{ sparse: { ...good, rows: u(0, 2, 2) } }, RangeError, "rows: expected 3 (length of cols) at the end, got 2"],
    [
      { sparse: { ...good, cols: u(2, 0, 1) } },
      RangeError,
      "with: sparse: cols: expected ascending columns below 3 in each row, got 0 after 2 at index 1",
    ],
    [{ sparse: { ...good, cols: u(1, 1, 1) } }, RangeError, "got 1 after 1 at index 1"],
    [{ sparse: { ...good, cols: u(0, 2, 3) } }, RangeError, "below 3 in each row, got 3 at index 2"],
  ];
  checkBranches("with", { sparse: good }, 2, 3);
  for (const [branches, kind, text] of cases) throwsWith(() => checkBranches("with", branches, 2, 3), kind, text);
});
