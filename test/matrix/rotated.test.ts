// Matrices between chains of steps: against the dense float64 product of what the chains say.
import { makeRotated, type RotatedSpec } from "../../src/matrix/rotated.ts";
import { hadamardMatrix } from "../../src/transforms/index.ts";
import type { Step } from "../../src/transforms/steps.ts";
import { equalBits, is, nmseBelow, ok, throwsWith } from "../lib/assert.ts";
import { availableVariants, type Branches, binary, type Lowbit, type Matrix, uniform } from "../lib/library.ts";
import { type Random, random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { hadamardExact, kroneckerExact } from "../reference/hadamard.ts";

const t = suite("rotated");
const { instances } = await availableVariants();
const rng = random("rotated");
const { lb } = instances[0] as (typeof instances)[0];

const product = (w: ArrayLike<number>, x: ArrayLike<number>): Float64Array =>
  Float64Array.from({ length: w.length / x.length }, (_, row) => {
    let sum = 0;
    for (let c = 0; c < x.length; c++) sum += (w[row * x.length + c] as number) * (x[c] as number);
    return sum;
  });
const times = (x: ArrayLike<number>, by: ArrayLike<number>): Float64Array =>
  Float64Array.from(x, (value, i) => value * (by[i] as number));
const innerOf = (lb: Lowbit, rows: number, cols: number, rng: Random): Matrix =>
  uniform.quantize(lb, rng.gaussians(rows * cols), { rows, cols, bits: 4, activation: "f32" });

/** Both ways to multiply and the dense matrix, against y = exact(x). */
function compare(matrix: Matrix, exact: (x: Float32Array) => Float64Array, label: string): void {
  const { rows, cols } = matrix;
  const x = rng.gaussians(3 * cols);
  const y = matrix.gemm(x, 3);
  const dense = matrix.dequantize();
  for (let token = 0; token < 3; token++) {
    const one = x.subarray(token * cols, (token + 1) * cols);
    const expected = exact(one);
    nmseBelow(y.subarray(token * rows, (token + 1) * rows), expected, 1e-10, `${label}: gemm`);
    nmseBelow(product(dense, one), expected, 1e-11, `${label}: dequantize`);
    equalBits(matrix.gemv(one), y.slice(token * rows, (token + 1) * rows), `${label}: gemv`);
  }
}

for (const { variant, lb } of instances) {
  t(`${variant}: signs and Hadamard transforms on both sides`, () => {
    const [rows, cols] = [24, 56];
    const [su, sv] = [rng.gaussians(cols), rng.gaussians(rows)];
    const inner = innerOf(lb, rows, cols, rng);
    const w = inner.dequantize();
    const matrix = makeRotated("test", lb, {
      ...{ label: "test", rows, cols, inners: [{ matrix: inner }] },
      pre: [{ kind: "scale", by: su }, { kind: "hadamard" }],
      post: [
        { kind: "hadamard", inverse: true },
        { kind: "scale", by: sv },
      ],
    });
    compare(
      matrix,
      (x) => {
        const rotated = hadamardExact(times(x, su), hadamardMatrix(28), 2);
        return times(hadamardExact(product(w, rotated), hadamardMatrix(12), 2, true), sv);
      },
      "QuIP#",
    );
    matrix.dispose();
  });

  t(`${variant}: padding, Kronecker pair with a wide right factor, scales`, () => {
    const [rows, cols, t1, t2, m2] = [9, 30, 8, 4, 10];
    const [left, right] = [rng.gaussians(t1 * t1), rng.gaussians(m2 * t2)];
    const [a1, a2] = [rng.gaussians(t1 * t2), rng.gaussians(t1 * m2)];
    const inner = innerOf(lb, rows, t1 * m2, rng);
    const w = inner.dequantize();
    const matrix = makeRotated("test", lb, {
      ...{ label: "test", rows, cols, post: [], inners: [{ matrix: inner }] },
      pre: [
        { kind: "resize", length: t1 * t2 },
        { kind: "scale", by: a1 },
        { kind: "right", matrix: right, out: m2, inner: t2 },
        { kind: "left", matrix: left, out: t1, inner: t1 },
        { kind: "scale", by: a2 },
      ],
    });
    const exact = (x: Float32Array): Float64Array => {
      const padded = Float64Array.from({ length: t1 * t2 }, (_, i) => x[i] ?? 0);
      return product(w, times(kroneckerExact(times(padded, a1), left, right, t1, t2), a2));
    };
    compare(matrix, exact, "lift");
    const branches = { bias: rng.gaussians(rows), colScale: rng.gaussians(cols) };
    const lowRank = { a: rng.gaussians(rows * 2), b: rng.gaussians(2 * cols) };
    const sparse = { rows: Uint32Array.from({ length: rows + 1 }, (_, r) => r), cols: new Uint32Array(rows).fill(3) };
    const values = rng.gaussians(rows);
    const added: Branches = { ...branches, lowRank, sparse: { ...sparse, values, mode: "replace" } };
    const before = exact(Float32Array.from({ length: cols }, (_, i) => (i === 3 ? 1 : 0)));
    const replaced = matrix.with(added);
    const y = (x: Float32Array): Float64Array => {
      const scaled = exact(x.map((value, c) => value * (branches.colScale[c] as number)));
      const ranks = product(lowRank.b, x);
      return scaled.map((value, r) => {
        const delta = (values[r] as number) - (before[r] as number) * (branches.colScale[3] as number);
        const low =
          (lowRank.a[2 * r] as number) * (ranks[0] as number) + (lowRank.a[2 * r + 1] as number) * (ranks[1] as number);
        return value + delta * (x[3] as number) + low;
      });
    };
    const x = rng.gaussians(cols);
    nmseBelow(product(replaced.dequantize(), x), y(x), 1e-10, "dequantize with branches");
    nmseBelow(
      replaced.gemv(x),
      y(x).map((value, r) => value + (branches.bias[r] as number)),
      1e-10,
      "with branches",
    );
    throwsWith(() => matrix.gemv(x), TypeError, "was taken over by with()");
    throwsWith(() => replaced.with({ bias: branches.bias }), RangeError, /a second bias/);
    replaced.dispose();
  });

  t(`${variant}: several inner matrices with factors, several right factors`, () => {
    const [rows, cols, groups, d] = [11, 32, 4, 4];
    const g = rng.gaussians(groups * d * d);
    const inners = [1, 0.25].map((factor) => ({ matrix: innerOf(lb, rows, cols, rng), factor }));
    const dense = inners.map(({ matrix }) => matrix.dequantize());
    const matrix = makeRotated("test", lb, {
      ...{ label: "test", rows, cols, inners, post: [] },
      pre: [{ kind: "right", matrix: g, out: d, inner: d, groups }],
    });
    compare(
      matrix,
      (x) => {
        const rotated = new Float64Array(cols);
        for (let v = 0; v < cols / d; v++) {
          const group = Math.floor((v * groups) / (cols / d));
          rotated.set(product(g.subarray(group * d * d, (group + 1) * d * d), x.subarray(v * d, (v + 1) * d)), v * d);
        }
        const second = product(dense[1] as Float32Array, rotated);
        return product(dense[0] as Float32Array, rotated).map((value, r) => value + (second[r] as number) / 4);
      },
      "groups",
    );
    matrix.dispose();
  });
}

t("int8 gives the same bits on both binaries", () => {
  const [first, second] = instances;
  if (!first || !second) return;
  const [rows, cols] = [16, 5120];
  const w = rng.gaussians(rows * cols);
  const x = rng.gaussians(cols);
  const [a, b] = [first.lb, second.lb].map((one) => {
    const matrix = makeRotated("test", one, {
      ...{ label: "test", rows, cols, pre: [{ kind: "hadamard", choice: "quarot" }], post: [{ kind: "hadamard" }] },
      inners: [{ matrix: binary.quantize(one, w, { rows, cols }) }],
    } as RotatedSpec);
    return matrix.gemv(x);
  });
  equalBits(a as Float32Array, b as Float32Array, "y");
});

t("counts all bytes, and gives all back", () => {
  const before = lb.memory.used;
  const inner = innerOf(lb, 16, 64, rng);
  const held = lb.memory.used;
  const pre: Step[] = [{ kind: "scale", by: rng.gaussians(64) }];
  const spec: RotatedSpec = { label: "test", rows: 16, cols: 64, pre, post: [], inners: [{ matrix: inner }] };
  const matrix = makeRotated("test", lb, spec);
  is(matrix.byteLength, inner.byteLength + 256);
  is(lb.memory.used, held + 256);
  const scratch = (): number => lb.memory.used - held - 256;
  matrix.gemv(new Float32Array(64));
  const kept = scratch();
  const wrong = new Float32Array(64);
  wrong[9] = Number.NaN;
  throwsWith(() => matrix.gemv(wrong), RangeError, "test.gemv: x: expected finite numbers, got NaN at index 9");
  wrong.fill(3e38);
  ok(Number.isFinite(matrix.gemv(new Float32Array(64).fill(1))[0]));
  is(scratch(), kept);
  const taller = matrix.with({ bias: new Float32Array(16) });
  taller.dispose();
  taller.dispose();
  throwsWith(() => inner.gemv(new Float32Array(64)), TypeError, /was disposed/);
  is(lb.memory.used, before + kept);
});

t("steps that do not fit are named, and the inner matrices are given back", () => {
  const attempt = (pre: Step[], text: RegExp): void => {
    const before = lb.memory.used;
    const inner = innerOf(lb, 4, 32, rng);
    const spec: RotatedSpec = { label: "test", rows: 4, cols: 24, pre, post: [], inners: [{ matrix: inner }] };
    throwsWith(() => makeRotated("test.pack", lb, spec), RangeError, text);
    is(lb.memory.used, before);
  };
  attempt([], /^test\.pack: pre: steps: expected a result of length 32, got one of length 24$/);
  attempt([{ kind: "resize", length: 19 }, { kind: "hadamard" }], /pre: step 1: n: .*16 and 20/);
  attempt(
    [{ kind: "right", matrix: new Float32Array(35), out: 7, inner: 5 }],
    /pre: n: .*multiple of 5 \(inner\), got 24/,
  );
  attempt([{ kind: "scale", by: new Float32Array(24).fill(Number.POSITIVE_INFINITY) }], /pre: by: expected finite/);
});
