// f32 sums of up to a million columns in small groups: x and weights all alike, so that every rounding of a running float32
// sum goes the same way, which is where an error grows with the square of the number of groups.
import { nmseBelow, ok } from "../lib/assert.ts";
import { availableVariants, bcq, binary, complex, type Lowbit } from "../lib/library.ts";
import { suite } from "../lib/suite.ts";

const { instances } = await availableVariants();
const t = suite("f32 drift");

const BOUND = 1e-10;
const ROWS = 17;

function eachVariant(body: (lb: Lowbit, variant: string) => void): void {
  for (const { lb, variant } of instances) body(lb, variant);
}

const filled = (length: number, value: number): Float32Array => new Float32Array(length).fill(value);
const same = (value: number): number[] => new Array(ROWS).fill(value);

/** All columns but one are `value`, the last is 1, so that `value` fills the mantissa of a fixed point, too. */
function token(cols: number, value: number): Float32Array {
  const x = filled(cols, value);
  x[cols - 1] = 1;
  return x;
}
const total = (x: Float32Array): number => x.reduce((sum, value) => sum + value, 0);

const SIZES: [cols: number, groupSize: number][] = [
  [4096, 8],
  [28672, 32],
  [65536, 8],
  [65544, 504],
  [66560, 520],
  [262144, 16],
  [1048576, 8],
];

t("binary, bcq with two planes and with an offset", () => {
  eachVariant((lb, variant) => {
    for (const [cols, groupSize] of SIZES) {
      const rows = cols > 100_000 ? 1 : ROWS;
      const groups = Math.ceil(cols / groupSize);
      const x = token(cols, 0.7);
      const expected = (weight: number): number[] => same(weight * total(x)).slice(0, rows);
      const where = `${variant}, ${cols} columns in groups of ${groupSize}`;
      const one = binary.pack(lb, {
        ...{ rows, cols, groupSize, activation: "f32" },
        signs: new Int8Array(rows * cols).fill(1),
        scales: filled(rows * groups, 0.1),
      });
      nmseBelow(one.gemv(x), expected(Math.fround(0.1)), BOUND, `binary, ${where}`);
      one.dispose();
      const planes = new Uint8Array((2 * rows * cols) / 8).fill(255);
      const alphas = filled(2 * rows * groups, 0.1).fill(0.03, rows * groups);
      for (const offsets of [undefined, filled(rows * groups, 0.013)]) {
        const two = bcq.pack(lb, {
          ...{ rows, cols, groupSize, bits: 2, planes, alphas, activation: "f32" },
          ...(offsets && { offsets }),
        });
        const weight = Math.fround(0.1) + Math.fround(0.03) + (offsets?.[0] ?? 0);
        nmseBelow(two.gemv(x), expected(weight), BOUND, `bcq, ${offsets ? "offsets, " : ""}${where}`);
        two.dispose();
      }
    }
  });
});

t("complex", () => {
  eachVariant((lb, variant) => {
    for (const [cols, groupSize] of SIZES) {
      const rows = cols > 100_000 ? 1 : ROWS;
      const groups = Math.ceil(cols / groupSize);
      const where = `${variant}, ${cols} columns in groups of ${groupSize}`;
      const count = rows * groups;
      const matrix = complex.pack(lb, {
        ...{ rows, cols, groupSize, activation: "f32" },
        // i^0 = 1
        codes: new Uint8Array(rows * cols),
        scales: { re: filled(count, 0.1), im: filled(count, 0.3) },
      });
      const x = { re: token(cols, 0.7), im: token(cols, 0.3) };
      const y = matrix.gemv(x);
      nmseBelow(y.re, same(Math.fround(0.1) * total(x.re)).slice(0, rows), BOUND, `re, ${where}`);
      nmseBelow(y.im, same(Math.fround(0.1) * total(x.im)).slice(0, rows), BOUND, `im, ${where}`);
      matrix.dispose();
    }
  });
});

t("sums beyond float32 are infinite, not NaN", () => {
  eachVariant((lb, variant) => {
    const matrix = binary.pack(lb, {
      ...{ rows: 1, cols: 1024, groupSize: 64, activation: "f32" },
      signs: new Int8Array(1024).fill(-1),
      scales: filled(16, 3e38),
    });
    ok(matrix.gemv(filled(1024, 1))[0] === Number.NEGATIVE_INFINITY, variant);
    ok(matrix.gemv(filled(1024, 0))[0] === 0, variant);
    matrix.dispose();
  });
});
