// lowbit/lattice: nearest points against all near ones, and rounding with feedback against GPTQ by the inverse Hessian.
import {
  babai,
  gptq,
  gptqAsync,
  hessianOf,
  latticeQuantizer,
  nearestD,
  nearestE8,
  nearestZ,
  type Quantizer,
  tableQuantizer,
  uniformQuantizer,
} from "../../src/lattice.ts";
import { equal, equalBits, is, nmseBelow, ok, rejectsWith, throwsWith } from "../lib/assert.ts";
import { codebook, init, uniform } from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { distanceToD, distanceToE8, quadraticError, roundWithFeedback, squaredDistance } from "../reference/lattice.ts";

const rng = random("lattice");
const points = suite("lattice points");

const gaussians = (n: number, scale = 1): Float64Array =>
  Float64Array.from({ length: n }, () => scale * rng.gaussian());
const isInE8 = (p: ArrayLike<number>): boolean => {
  const doubled = Array.from(p, (value) => 2 * value);
  const parity = Math.abs(doubled[0] as number) % 2;
  const sum = doubled.reduce((total, value) => total + value, 0);
  return sum % 4 === 0 && doubled.every((value) => Number.isInteger(value) && Math.abs(value) % 2 === parity);
};

points("Z^n: half to even", () => {
  equal([...nearestZ([0.5, 1.5, -0.5, 2.49, -3.51])], [0, 2, -0, 2, -4]);
});

points("D4 and D3: as near as the nearest of all neighbours, and with an even sum", () => {
  for (const n of [3, 4]) {
    for (let i = 0; i < 300; i++) {
      const x = gaussians(n, 3);
      const p = nearestD(x);
      ok(p.every(Number.isInteger) && p.reduce((a, b) => a + b, 0) % 2 === 0, `${p}`);
      ok(Math.abs(squaredDistance(x, p) - distanceToD(x)) < 1e-12, `${x}: ${p}`);
    }
  }
  equal([...nearestD([1, 0])], [2, 0]);
  equal([...nearestD([0.4, 0.9])], [1, 1]);
});

points("E8: as near as the nearest of all neighbours, and in E8", () => {
  for (let i = 0; i < 12; i++) {
    const x = gaussians(8, 2);
    const p = nearestE8(x);
    ok(isInE8(p), `${p}`);
    ok(Math.abs(squaredDistance(x, p) - distanceToE8(x)) < 1e-12, `${x}: ${p}`);
  }
  equal([...nearestE8(new Float64Array(8).fill(0.5))], new Array(8).fill(0.5));
  throwsWith(() => nearestE8([1, 2]), RangeError, "nearestE8: x: expected length 8, got 2");
});

points("mean square error of a uniform x: Z 0.0833, D4 0.0766, E8 0.0717 (per dimension, of volume 1)", () => {
  for (const [name, n, volume, nearest, expected] of [
    ["Z", 8, 1, nearestZ, 0.08333],
    ["D4", 4, 2, nearestD, 0.0766],
    ["E8", 8, 1, nearestE8, 0.07168],
  ] as const) {
    let sum = 0;
    const count = 20_000;
    for (let i = 0; i < count; i++) {
      const x = Float64Array.from({ length: n }, () => 8 * rng.uniform());
      sum += squaredDistance(x, nearest(x)) / n;
    }
    const measured = sum / count / volume ** (2 / n);
    ok(Math.abs(measured / expected - 1) < 0.02, `${name}: ${measured}`);
  }
});

// Rows of the usual generator matrix of E8 (Conway and Sloane 1988, chapter 4, equation 99), as columns.
const e8Basis = (): Float64Array => {
  const g = new Float64Array(64);
  const set = (row: number, col: number, value: number): void => {
    g[row * 8 + col] = value;
  };
  set(0, 0, 2);
  for (let col = 1; col < 7; col++) {
    set(col - 1, col, -1);
    set(col, col, 1);
  }
  for (let row = 0; row < 8; row++) set(row, 7, 0.5);
  return g;
};

points(
  "Babai: lattice points within the bound; never nearer than the nearest; better than rounding in the mean",
  () => {
    const lattice = babai(e8Basis(), 8);
    for (let i = 0; i < 500; i++) {
      const x = gaussians(8, 3);
      const p = lattice.point(lattice.coefficients(x));
      ok(isInE8(p), `${p}`);
      ok(squaredDistance(x, p) >= squaredDistance(x, nearestE8(x)) - 1e-12);
    }
    const n = 6;
    let [near, rounded] = [0, 0];
    for (let i = 0; i < 200; i++) {
      const basis = gaussians(n * n);
      const { coefficients, point } = babai(basis, n);
      const z = Float64Array.from({ length: n }, () => rng.int(-9, 9));
      equalBits(coefficients(point(z)), z, "a lattice point is its own");
      const x = gaussians(n, 5);
      const found = coefficients(x);
      near += squaredDistance(x, point(found));
      rounded += squaredDistance(x, point(nearestZ(solve(basis, x, n))));
    }
    ok(near < rounded / 1.5, `nearest plane ${near}, rounding ${rounded}`);
  },
);

points("Babai by half-integers: a point within their range is its own, others stay in it and go to its corners", () => {
  const n = 8;
  for (let i = 0; i < 200; i++) {
    const basis = gaussians(n * n).map((g, at) => g / 4 + (at % (n + 1) === 0 ? 2 : 0));
    const { halves, point } = babai(basis, n);
    const most = 2 ** rng.int(0, 3) - 0.5;
    const z = Float64Array.from({ length: n }, () => rng.int(0, 2 * most) - most);
    equalBits(halves(point(z), most), z, "a lattice point is its own");
    const far = halves(gaussians(n, 100), most);
    ok(
      far.every((value) => Math.abs(value) <= most && Math.abs(value % 1) === 0.5),
      `${far} within ±${most}`,
    );
  }
  const unit = Float64Array.of(1, 0, 0, 1);
  equalBits(babai(unit, 2).halves([-9, 0.4], 1.5), Float64Array.of(-1.5, 0.5), "clamped, nearest");
});

/** G z = x by Cramer's elimination, for the comparison with rounding. */
function solve(basis: Float64Array, x: Float64Array, n: number): Float64Array {
  const rows = Array.from({ length: n }, (_, i) => [...basis.subarray(i * n, (i + 1) * n), x[i] as number]);
  for (let k = 0; k < n; k++) {
    const best = rows.slice(k).reduce((a, b) => (Math.abs(b[k] as number) > Math.abs(a[k] as number) ? b : a));
    rows.splice(rows.indexOf(best), 1);
    rows.splice(k, 0, best);
    for (const [i, row] of rows.entries()) {
      const factor = (row[k] as number) / (best[k] as number);
      if (i !== k) for (let j = 0; j <= n; j++) row[j] = (row[j] as number) - factor * (best[j] as number);
    }
  }
  return Float64Array.from(rows, (row, i) => (row[n] as number) / (row[i] as number));
}

points("Babai refuses what is no basis", () => {
  throwsWith(() => babai(Float64Array.of(1, 2, 2, 4), 2), RangeError, /babai: basis: expected an invertible matrix/);
  throwsWith(() => babai(new Float64Array(3), 2), RangeError, /length 4/);
  throwsWith(() => babai(Float64Array.of(1, Number.NaN, 0, 1), 2), RangeError, "NaN at index 1");
  throwsWith(() => babai([1] as unknown as Float64Array, 1), TypeError, /Float64Array/);
  // A column may be short without depending on the others.
  equal([...babai(Float64Array.of(1e9, 0, 0, 1e-9), 2).coefficients([3e9, -2e-9])], [3, -2]);
  const lattice = babai(Float64Array.of(1, 0, 0, 1), 2);
  throwsWith(() => lattice.coefficients([1]), RangeError, "coefficients: x: expected length 2 (n 2), got 1");
  throwsWith(() => lattice.point([1, 2, 3]), RangeError, "point: z: expected length 2 (n 2), got 3");
  throwsWith(() => nearestD([1]), RangeError, "nearestD: x: expected length 2 or more, got 1");
});

const t = suite("gptq");

/** Inputs whose neighbours go together, with some columns larger than others. */
function correlated(tokens: number, cols: number, memory = 0.9): Float32Array {
  const x = new Float32Array(tokens * cols);
  for (let token = 0; token < tokens; token++) {
    let last = rng.gaussian();
    for (let c = 0; c < cols; c++) {
      last = memory * last + Math.sqrt(1 - memory ** 2) * rng.gaussian();
      x[token * cols + c] = last * (1 + (c % 7) / 4);
    }
  }
  return x;
}

const rowsOf = (h: Float64Array, n: number, added = 0): number[][] =>
  Array.from({ length: n }, (_, i) =>
    Array.from({ length: n }, (_, j) => (h[i * n + j] as number) + (i === j ? added : 0)),
  );

const meanDiagonal = (h: Float64Array, n: number): number => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += h[i * n + i] as number;
  return sum / n;
};

for (const blockSize of [1, 2, 4]) {
  for (const order of ["last", "first", "activation"] as const) {
    t(`blocks of ${blockSize}, ${order} first: the codes of GPTQ by the inverse Hessian`, () => {
      const [rows, cols] = [5, 24];
      const w = rng.gaussians(rows * cols);
      const h = hessianOf(correlated(60, cols), cols);
      const nearest = (x: ArrayLike<number>, out?: Float64Array): Float64Array =>
        blockSize === 4 ? nearestD(x, out) : nearestZ(x, out);
      const quantizer = latticeQuantizer({ rows, cols, dimension: blockSize, nearest, scales: Float32Array.of(0.5) });
      const { weights, error } = gptq(w, h, quantizer, { rows, cols, order, damping: 0.02 });
      const hessian = rowsOf(h, cols, 0.02 * meanDiagonal(h, cols));
      const blocks = Array.from({ length: cols / blockSize }, (_, b) =>
        Array.from({ length: blockSize }, (_, c) => b * blockSize + c),
      );
      const weightOf = (block: number[]): number => block.reduce((sum, c) => sum + (hessian[c]?.[c] as number), 0);
      if (order === "last") blocks.reverse();
      if (order === "activation") blocks.sort((a, b) => weightOf(b) - weightOf(a));
      let total = 0;
      for (let row = 0; row < rows; row++) {
        const line = [...w.subarray(row * cols, (row + 1) * cols)];
        const expected = roundWithFeedback(line, hessian, blocks, (values) =>
          Array.from(nearest(values.map((value) => value / 0.5)), (value) => value * 0.5),
        );
        equal([...weights.subarray(row * cols, (row + 1) * cols)], expected, `row ${row}`);
        total += quadraticError(
          line.map((value, c) => value - (expected[c] as number)),
          hessian,
        );
      }
      ok(Math.abs(error / total - 1) < 1e-9, `error ${error}, expected ${total}`);
      equalBits(
        weights,
        quantizer.points.map((value) => value * 0.5),
        "points",
      );
    });
  }
}

t("an unbounded grid: Babai's nearest plane on the factor of the Hessian", () => {
  const n = 12;
  const h = hessianOf(correlated(40, n), n);
  const w = rng.gaussians(n);
  const quantizer = latticeQuantizer({ rows: 1, cols: n, dimension: 1, nearest: nearestZ, scales: Float32Array.of(1) });
  gptq(w, h, quantizer, { rows: 1, cols: n, damping: 0 });
  // Any G with Gᵀ G = H: here Cholesky's, transposed.
  const g = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = h[i * n + j] as number;
      for (let k = 0; k < j; k++) sum -= (g[k * n + i] as number) * (g[k * n + j] as number);
      g[j * n + i] = i === j ? Math.sqrt(sum) : sum / (g[j * n + j] as number);
    }
  }
  const { coefficients, point } = babai(g, n);
  equalBits(
    Float64Array.from(quantizer.points),
    coefficients(point(w)).map((value) => value + 0),
    "z",
  );
});

t("with a diagonal Hessian it is rounding to nearest", () => {
  const [rows, cols] = [3, 16];
  const w = rng.gaussians(rows * cols);
  const h = new Float64Array(cols * cols);
  for (let i = 0; i < cols; i++) h[i * cols + i] = 1 + i;
  const quantizer = uniformQuantizer(w, { rows, cols, bits: 3 });
  const nearest = quantizer.codes.slice();
  gptq(w, h, quantizer, { rows, cols });
  equalBits(quantizer.codes, nearest, "codes");
});

t(
  "on correlated inputs the error is a quarter of that of rounding to nearest, with vectors of 8 two thirds",
  async () => {
    const lb = await init({ variant: "simd" });
    const [rows, cols] = [16, 128];
    const w = rng.gaussians(rows * cols);
    const x = correlated(512, cols, 0.95);
    const h = hessianOf(x, cols);
    const hessian = rowsOf(h, cols);
    const errorOf = (weights: Float32Array): number => {
      let sum = 0;
      for (let row = 0; row < rows; row++) {
        const at = row * cols;
        sum += quadraticError(
          Array.from({ length: cols }, (_, c) => (w[at + c] as number) - (weights[at + c] as number)),
          hessian,
        );
      }
      return sum;
    };
    const tables = Float32Array.of(-1.6, -0.9, -0.4, 0, 0.35, 0.75, 1.3, 2.1);
    const makers: [string, () => Quantizer][] = [
      ["uniform 3", () => uniformQuantizer(w, { rows, cols, bits: 3, groupSize: 64 })],
      ["uniform 2, zeros", () => uniformQuantizer(w, { rows, cols, bits: 2, groupSize: 32, symmetric: false })],
      ["codebook 3", () => tableQuantizer({ rows, cols, bits: 3, tables })],
      ["E8", () => latticeQuantizer({ rows, cols, dimension: 8, nearest: nearestE8, scales: Float32Array.of(0.7) })],
    ];
    const alone = new Float64Array(cols * cols).map((_, i) => (i % (cols + 1) === 0 ? 1 : 0));
    for (const [name, make] of makers) {
      // Within a vector nothing is made up for.
      const factor = name === "E8" ? 1.5 : 4;
      const plain = errorOf(gptq(w, alone, make(), { rows, cols }).weights);
      for (const order of ["last", "first", "activation"] as const) {
        const error = errorOf(gptq(w, h, make(), { rows, cols, order }).weights);
        ok(error < plain / factor, `${name}, ${order}: ${error}, rounding ${plain}`);
      }
    }
    const quantizer = uniformQuantizer(w, { rows, cols, bits: 3, groupSize: 64, symmetric: false });
    const { weights } = gptq(w, h, quantizer, { rows, cols });
    const matrix = uniform.pack(lb, { rows, cols, bits: 3, groupSize: 64, ...quantizer });
    nmseBelow(matrix.dequantize(), weights, 1e-13, "uniform.pack");
    const table = tableQuantizer({ rows, cols, bits: 3, tables });
    const coded = gptq(w, h, table, { rows, cols });
    const packed = codebook.pack(lb, { rows, cols, bits: 3, tables, codes: table.codes, scales: Float32Array.of(1) });
    nmseBelow(packed.dequantize(), coded.weights, 1e-7, "codebook.pack");
  },
);

t("Hessians that cannot be are named", () => {
  const [rows, cols] = [1, 3];
  const w = new Float32Array(3).fill(0.3);
  const run = (values: number[], damping = 0): unknown => {
    const quantizer = latticeQuantizer({ rows, cols, dimension: 1, nearest: nearestZ, scales: Float32Array.of(1) });
    return gptq(w, Float64Array.from(values), quantizer, { rows, cols, damping });
  };
  const singular = [1, 1, 0, 1, 1, 0, 0, 0, 1];
  throwsWith(() => run(singular), RangeError, /gptq: hessian: .*close to singular.*column 1/);
  run(singular, 0.01);
  throwsWith(() => run([1, 0, 0, 0, 0, 0, 0, 0, 1]), RangeError, /damping makes it so.*column 1/);
  run([1, 0, 0, 0, 0, 0, 0, 0, 1], 0.01);
  throwsWith(() => run([1, 0.999999999999, 0, 0.999999999999, 1, 0, 0, 0, 1]), RangeError, /close to singular/);
  throwsWith(() => run([1, 2, 0, 2, 1, 0, 0, 0, 1], 0.01), RangeError, /positive definite/);
  throwsWith(
    () => run([1, 0.5, 0, 0.4, 1, 0, 0, 0, 1]),
    RangeError,
    /symmetric matrix, got 0.4 at row 1, column 0 and 0.5/,
  );
  throwsWith(() => run([1, 0, 0, 0, -1, 0, 0, 0, 1]), RangeError, /from 0 on the diagonal, got -1 at row 1/);
  throwsWith(() => run([1, Number.NaN, 0, 0, 1, 0, 0, 0, 1]), RangeError, /NaN at row 0, column 1/);
  throwsWith(() => run(new Array(9).fill(0), 0.01), RangeError, /not all 0/);
  throwsWith(() => run([1, 2]), RangeError, /length 9/);
  throwsWith(() => run(singular, -1), RangeError, /damping/);
});

t("bad arguments are refused", () => {
  const [rows, cols] = [2, 12];
  const w = rng.gaussians(rows * cols);
  const h = new Float64Array(cols * cols).map((_, i) => (i % (cols + 1) === 0 ? 1 : 0));
  const scales = Float32Array.of(1);
  const e8 = latticeQuantizer({ rows, cols, dimension: 8, nearest: nearestE8, scales });
  throwsWith(() => gptq(w, h, e8, { rows, cols }), RangeError, /cols: expected a multiple of 8 .*12 \(8 and 16 work\)/);
  const one = uniformQuantizer(w, { rows, cols, bits: 4 });
  const nan = w.slice();
  nan[7] = Number.NaN;
  throwsWith(() => gptq(nan, h, one, { rows, cols }), RangeError, /NaN at index 7/);
  throwsWith(() => gptq(w, h, { blockSize: 1 } as Quantizer, { rows, cols }), TypeError, /encode/);
  throwsWith(() => gptq(w, h, one, { rows, cols, order: "up" as "first" }), RangeError, /order/);
  throwsWith(() => gptq(w, [] as unknown as Float64Array, one, { rows, cols }), TypeError, /hessian/);
  throwsWith(
    () => latticeQuantizer({ rows, cols, dimension: 1, nearest: nearestZ, scales: Float32Array.of(0) }),
    RangeError,
    /not 0/,
  );
  throwsWith(() => tableQuantizer({ rows, cols, bits: 2, tables: new Float32Array(5) }), RangeError, /length 4 or 8/);
  throwsWith(() => hessianOf(new Float32Array(5), 2), RangeError, /multiple of 2/);
});

t("turns for the event loop, progress, and an end by signal", async () => {
  const [rows, cols] = [64, 256];
  const w = rng.gaussians(rows * cols);
  const h = hessianOf(correlated(64, cols), cols);
  const make = (): Quantizer => uniformQuantizer(w, { rows, cols, bits: 4 });
  const seen: number[] = [];
  const onProgress = (done: number): void => {
    seen.push(done);
  };
  const later = await gptqAsync(w, h, make(), { rows, cols, onProgress });
  equalBits(later.weights, gptq(w, h, make(), { rows, cols }).weights, "weights");
  ok(seen.length > 1 && seen.every((v, i) => v > (seen[i - 1] ?? -1) && v <= 1), `${seen}`);
  is(seen.at(-1), 1);
  const signal = AbortSignal.abort(new RangeError("enough"));
  await rejectsWith(gptqAsync(w, h, make(), { rows, cols, signal }), RangeError, "enough");
});
