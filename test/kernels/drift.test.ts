// f32 sums of up to a million columns in small groups: x and weights all alike, so that every rounding of a running float32
// sum goes the same way, which is where an error grows with the square of the number of groups.
import { nmseBelow, ok } from "../lib/assert.ts";
import {
  availableVariants,
  bcq,
  binary,
  codebook,
  complex,
  type Lowbit,
  type Matrix,
  ternary,
  uniform,
} from "../lib/library.ts";
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

/** One huge term, then terms that each addition in float32 loses, or takes for twice what they are; and scales over 2^60. */
const PATTERNS: Readonly<Record<string, (group: number) => number>> = {
  "lost behind a huge one": (group) => (group === 0 ? 1 : 2 ** -25 * 0.99),
  "lost behind a huge one of all bits": (group) => (group === 0 ? 2 - 2 ** -23 : 2 ** -24 * 0.99),
  "rounded up behind a huge one": (group) => (group === 0 ? 1 : 2 ** -24 * 1.01),
  "a huge one in the middle": (group) => (group === 79 ? 1 : 2 ** -25 * 0.99),
  "over 2^60": (group) => 2 ** -((group * 7) % 61),
  "of both signs, over 2^60": (group) => (group % 3 === 0 ? -1 : 1) * 2 ** -((group * 7) % 61),
};

/** |y - W x| of each row is at most `units` 2^-24 of Σ |w x|, with weights as they are dequantised. */
function within(matrix: Matrix, x: Float32Array, units: number, label: string): void {
  const { rows, cols } = matrix;
  const w = matrix.dequantize();
  const y = matrix.gemv(x);
  for (let row = 0; row < rows; row++) {
    let [sum, all] = [0, 0];
    for (let col = 0; col < cols; col++) {
      const term = (w[row * cols + col] as number) * (x[col] as number);
      sum += term;
      all += Math.abs(term);
    }
    const error = Math.abs((y[row] as number) - sum) / all / 2 ** -24;
    ok(error <= units, `${label}: off by ${error} of 2^-24, at most ${units}`);
  }
  matrix.dispose();
}

t("integers: 160 groups a row, 80 with zeros, are within 166 roundings, whatever their scales", () => {
  const groupSize = 32;
  for (const [pattern, scaleOf] of Object.entries(PATTERNS)) {
    for (const groups of [160, 80]) {
      const cols = groups * groupSize;
      const shape = { rows: 1, cols, groupSize, activation: "f32" } as const;
      const scales = Float32Array.from({ length: groups }, (_, group) => scaleOf(group));
      // Of all digits, and 24 bits of the largest x.
      const x = filled(cols, 0.7).fill(1, cols - 1);
      eachVariant((lb, variant) => {
        const label = `${variant}, ${groups} groups, ${pattern}`;
        const codes = new Uint8Array(cols).fill(3);
        if (groups === 80) {
          const zeros = filled(groups, 0.3);
          within(uniform.pack(lb, { ...shape, bits: 4, codes, scales, zeros }), x, 166, `zeros, ${label}`);
          return;
        }
        for (const bits of [2, 4, 8] as const) {
          within(uniform.pack(lb, { ...shape, bits, codes, scales }), x, 166, `uniform${bits}, ${label}`);
        }
        const tables = Float32Array.from({ length: 16 }, (_, i) => i - 7);
        within(codebook.pack(lb, { ...shape, bits: 4, codes, tables, scales }), x, 166, `codebook4, ${label}`);
        const trits = new Int8Array(cols).fill(-1);
        within(ternary.pack(lb, { ...shape, codes: trits, scales }), x, 166, `ternary, ${label}`);
      });
    }
  }
});

t("sign planes: thousands of groups are within 75 roundings, whatever their scales", () => {
  for (const [pattern, scaleOf] of Object.entries(PATTERNS)) {
    for (const [cols, groupSize] of [
      [32768, 8],
      [28672, 32],
    ] as const) {
      const groups = cols / groupSize;
      const scales = Float32Array.from({ length: groups }, (_, group) => scaleOf(group));
      const signs = Int8Array.from({ length: cols }, (_, i) => (pattern.length % 2 === 0 && i % 64 === 1 ? -1 : 1));
      const x = token(cols, 0.7);
      eachVariant((lb, variant) => {
        const matrix = binary.pack(lb, { rows: 1, cols, groupSize, activation: "f32", signs, scales });
        within(matrix, x, 75, `binary, ${variant}, groups of ${groupSize}, ${pattern}`);
      });
    }
  }
});

t("branches: what each adds is within as many roundings as the page says", () => {
  const [cols, rank] = [28672, 64];
  eachVariant((lb, variant) => {
    const matrix = uniform
      .pack(lb, {
        ...{ rows: 1, cols, bits: 4, activation: "f32" },
        codes: new Uint8Array(cols).fill(9),
        scales: filled(1, 2 ** -10),
      })
      .with({
        lowRank: { a: filled(rank, 0.1), b: filled(rank * cols, 0.1) },
        sparse: {
          rows: Uint32Array.of(0, 40),
          cols: Uint32Array.from({ length: 40 }, (_, i) => 7 * i),
          values: filled(40, 0.3),
        },
        colScale: filled(cols, 0.9),
      });
    // 64 + 3 + 56 of a sum of 28672 in blocks of 512, 64 of rank 64, 2 of products, 2 of additions: of all terms together.
    within(matrix, token(cols, 0.7), 64 + 3 + 56 + rank + 4, `${variant}: low rank`);
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
