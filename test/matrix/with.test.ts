// matrix.with(): a matrix and its branches in one call, for every format and activation, against the oracle.
//
// Cases name their formats.

import { formatOf } from "../../src/kernels/formats.ts";
import { operands } from "../../src/kernels/operands.ts";
import { equalBits, equalValues, is, ok, throwsWith } from "../lib/assert.ts";
import { type AnyWeights, groupSizeNear, testFormats } from "../lib/formats.ts";
import {
  type Activation,
  availableVariants,
  type Branches,
  bcq,
  binary,
  everyPair,
  type FormatName,
  init,
  type Lowbit,
  type Matrix,
  packMatrix,
  type SparseBranch,
  uniform,
} from "../lib/library.ts";
import { type Random, random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { addBranches, scaleColumns } from "../reference/branch.ts";
import { gemvDigits } from "../reference/digits.ts";
import { gemvInt8, gemvLut8 } from "../reference/gemv.ts";

const { instances } = await availableVariants();
const lb: Lowbit = await init({ variant: "simd" });

/** About one weight in `every`, at least one in the first row and none in the second. */
function randomSparse(rows: number, cols: number, rng: Random, every = 7): SparseBranch {
  const pointers = new Uint32Array(rows + 1);
  const list: number[] = [];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) if (r !== 1 && (rng.int(1, every) === 1 || (r === 0 && c === 0))) list.push(c);
    pointers[r + 1] = list.length;
  }
  return { rows: pointers, cols: Uint32Array.from(list), values: rng.gaussians(list.length) };
}

function randomBranches(rows: number, cols: number, rng: Random): Required<Branches> {
  const rank = rng.int(1, 9);
  return {
    lowRank: { a: rng.gaussians(rows * rank), b: rng.gaussians(rank * cols) },
    sparse: randomSparse(rows, cols, rng),
    bias: rng.gaussians(rows),
    colScale: rng.gaussians(cols),
  };
}

/** The oracle; undefined where the product of the weights themselves has only a bound (sums of float32). */
function oracle(
  weights: AnyWeights,
  format: FormatName,
  activation: Activation,
  branches: Branches,
  x: Float32Array,
): Float32Array | undefined {
  const scaled = branches.colScale ? scaleColumns(x, branches.colScale) : x;
  const inFloats = operands[formatOf(format, activation).operand].meets !== "integers";
  if (activation === "f32" && inFloats) return undefined;
  const compute = activation === "int8" ? gemvInt8 : activation === "lut8" ? gemvLut8 : gemvDigits;
  return addBranches(compute(weights, scaled), branches, x);
}

const subsets: (keyof Branches)[][] = [
  ["bias"],
  ["colScale"],
  ["lowRank"],
  ["sparse"],
  ["lowRank", "sparse", "bias", "colScale"],
];

for (const { format, activation } of everyPair) {
  const t = suite(`with ${format} ${activation}`);
  const { random: randomWeights, grouped } = testFormats[format];

  t("is the product, then bias, low rank and sparse, bit by bit", () => {
    const rng = random(`with ${format} ${activation}`);
    for (const [rows, cols] of [
      [5, 7],
      [67, 129],
      [33, 520],
    ] as const) {
      const weights = randomWeights(rows, cols, rng, grouped ? groupSizeNear(format, activation, 64) : undefined);
      const all = randomBranches(rows, cols, rng);
      for (const names of subsets) {
        const branches = Object.fromEntries(names.map((name) => [name, all[name]])) as Branches;
        const n = 17;
        const x = rng.gaussians(n * cols);
        const first = x.subarray(0, cols);
        const expected = oracle(weights, format, activation, branches, first);
        for (const { variant, lb: handle } of instances) {
          const matrix = packMatrix(handle, format, weights, activation).with(branches);
          const label = `${variant} ${rows} x ${cols} ${names}`;
          const y = matrix.gemv(first);
          if (expected) equalValues(y, expected, label);
          else {
            // The product alone has its own test: what the branches add to it is exact.
            const bare = packMatrix(handle, format, weights, activation);
            const product = bare.gemv(branches.colScale ? scaleColumns(first, branches.colScale) : first);
            equalValues(y, addBranches(product, branches, first), label);
            bare.dispose();
          }
          const all = matrix.gemm(x, n);
          for (let i = 0; i < n; i++) {
            const alone = matrix.gemv(x.subarray(i * cols, (i + 1) * cols));
            equalBits(all.subarray(i * rows, (i + 1) * rows), alone, `${label}: token ${i}`);
          }
          matrix.dispose();
        }
      }
    }
  });
}

const t = suite("with");
const rng = random("with");
const rows = 20;
const cols = 50;
const w = rng.gaussians(rows * cols);
const make = (): Matrix => uniform.quantize(lb, w, { rows, cols, bits: 4 });

t("dequantize includes the branches", () => {
  const branches = randomBranches(rows, cols, rng);
  const { lowRank, sparse, colScale } = branches;
  const plain = make();
  const dense = Float64Array.from(plain.dequantize());
  plain.dispose();
  const rank = lowRank.a.length / rows;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) {
      let value = (dense[r * cols + c] as number) * (colScale[c] as number);
      for (let j = 0; j < rank; j++) value += (lowRank.a[r * rank + j] as number) * (lowRank.b[j * cols + c] as number);
      for (let i = sparse.rows[r] as number; i < (sparse.rows[r + 1] as number); i++) {
        if (sparse.cols[i] === c) value += sparse.values[i] as number;
      }
      dense[r * cols + c] = value;
    }
  }
  const matrix = make().with(branches);
  equalValues(matrix.dequantize(), Float32Array.from(dense), "dequantised");
  matrix.dispose();
});

t("replace takes the place of the dense weight", () => {
  const sparse = { ...randomSparse(rows, cols, rng), mode: "replace" } as const;
  for (const colScale of [undefined, rng.gaussians(cols)]) {
    const matrix = make().with({ sparse, ...(colScale && { colScale }) });
    const values = matrix.dequantize();
    for (let r = 0; r < rows; r++) {
      for (let i = sparse.rows[r] as number; i < (sparse.rows[r + 1] as number); i++) {
        const got = values[r * cols + (sparse.cols[i] as number)] as number;
        const wanted = sparse.values[i] as number;
        ok(Math.abs(got - wanted) <= 1e-6 * Math.max(1, Math.abs(wanted)), `${got} for ${wanted}`);
      }
    }
    matrix.dispose();
  }
});

t("takes the matrix over, and gives everything back", () => {
  const { used } = lb.memory;
  const plain = make();
  const { byteLength } = plain;
  const matrix = plain.with({ bias: rng.gaussians(rows) });
  ok(matrix.byteLength > byteLength);
  is(matrix.bitsPerWeight, (matrix.byteLength * 8) / (rows * cols));
  throwsWith(() => plain.gemv(new Float32Array(cols)), TypeError, "taken over by with()");
  plain.dispose();
  const more = matrix.with({ colScale: rng.gaussians(cols) });
  throwsWith(() => matrix.dequantize(), TypeError, "taken over by with()");
  more.gemv(new Float32Array(cols));
  const working = lb.memory.used;
  more.dispose();
  more.dispose();
  ok(lb.memory.used < working);
  throwsWith(() => more.gemv(new Float32Array(cols)), TypeError, "was disposed");
  // What is left is the working memory of gemv.
  const again = make()
    .with({ bias: rng.gaussians(rows) })
    .with({ colScale: rng.gaussians(cols) });
  again.dispose();
  ok(lb.memory.used - used < 65536);
});

t("branches added one by one are those added at once", () => {
  const { lowRank, sparse, bias, colScale } = randomBranches(rows, cols, rng);
  const x = rng.gaussians(cols);
  const once = make().with({ lowRank, sparse, bias, colScale });
  const steps = make().with({ sparse }).with({ lowRank, bias }).with({ colScale });
  equalBits(steps.gemv(x), once.gemv(x), "gemv");
  equalBits(steps.dequantize(), once.dequantize(), "dequantised");
  throwsWith(() => steps.with({ bias }), RangeError, "uniform4.with: bias: expected a branch that");
  once.dispose();
  steps.dispose();
});

t("a call that fails leaves the matrix and memory as they were", () => {
  const matrix = make();
  const { used } = lb.memory;
  const sparse = randomSparse(rows, cols, rng);
  const bad: [Branches, typeof RangeError | typeof TypeError, string][] = [
    [5 as never, TypeError, "with: branches: expected an object"],
    [{ bias: new Float32Array(rows - 1) }, RangeError, `with: bias: expected length ${rows}`],
    [
      { bias: new Float32Array(rows).fill(Number.NaN) },
      RangeError,
      "bias: expected finite numbers, got NaN at index 0",
    ],
    [{ colScale: [1] as never }, TypeError, "with: colScale: expected a Float32Array"],
    [
      { lowRank: { a: new Float32Array(rows * 2), b: new Float32Array(cols) } },
      RangeError,
      "lowRank: b: expected length",
    ],
    [{ lowRank: { a: new Float32Array(rows + 1), b: new Float32Array(cols) } }, RangeError, "lowRank: a: expected"],
    [{ sparse: { ...sparse, rows: sparse.rows.slice(1) } }, RangeError, "sparse: rows: expected length"],
    [{ sparse: { ...sparse, cols: sparse.cols.map(() => cols) } }, RangeError, "sparse: cols: expected ascending"],
    [{ sparse: { ...sparse, mode: "both" as never } }, RangeError, 'sparse: mode: expected "add" | "replace"'],
  ];
  for (const [branches, kind, message] of bad) throwsWith(() => matrix.with(branches), kind, message);
  is(lb.memory.used, used);
  equalValues(matrix.gemv(new Float32Array(cols)), new Float32Array(rows), "still works");
  matrix.dispose();
});

t("x that colScale makes infinite is refused", () => {
  const matrix = make().with({ colScale: new Float32Array(cols).fill(1e30) });
  const x = new Float32Array(cols).fill(1e30);
  throwsWith(() => matrix.gemv(x), RangeError, "uniform4.gemv: x: expected numbers that stay finite");
  matrix.dispose();
});

t("on matrices with reordered columns", () => {
  // Every column has the group of its parity: sorted by group they are even, then odd.
  const gIdx = Int32Array.from({ length: 64 }, (_, k) => k % 2);
  const qweight = Int32Array.from({ length: 8 * rows }, () => rng.bits() | 0);
  const scales = rng.gaussians(2 * rows);
  const shape = { rows, cols: 64, groupSize: 32, bits: 4, qweight, scales, gIdx } as const;
  const branches = randomBranches(rows, 64, rng);
  const x = rng.gaussians(64);
  const matrix = uniform.fromGptq(lb, { ...shape, activation: "f32" }).with(branches);
  const dense = matrix.dequantize();
  const y = matrix.gemv(x);
  const expected = Float64Array.from({ length: rows }, (_, r) => {
    let sum = branches.bias[r] as number;
    for (let k = 0; k < 64; k++) sum += (dense[r * 64 + k] as number) * (x[k] as number);
    return sum;
  });
  let error = 0;
  let power = 0;
  for (let r = 0; r < rows; r++) {
    error += ((y[r] as number) - (expected[r] as number)) ** 2;
    power += (expected[r] as number) ** 2;
  }
  ok(error <= 1e-10 * power, `NMSE ${error / power}`);
  matrix.dispose();
});

t("binary and bcq matrices take them too, of real size", () => {
  const size = 1024;
  const weights = rng.gaussians(size * size);
  for (const matrix of [
    binary.quantize(lb, weights, { rows: size, cols: size }),
    bcq.quantize(lb, weights, { rows: size, cols: size, bits: 2, iterations: 1 }),
  ]) {
    const sparse = randomSparse(size, size, rng, 200);
    const full = matrix.with({ sparse, bias: rng.gaussians(size) });
    const x = rng.gaussians(size);
    equalBits(full.gemm(x, 1), full.gemv(x), full.format);
    full.dispose();
  }
});
