// Sums of complex kernels where they are largest: |x| all alike and weights that agree with it, at every number of columns
// at which a narrow accumulator is emptied.
import { kernels } from "../../../src/kernels/registry.ts";
import { equalBits } from "../../lib/assert.ts";
import { type Activation, activations, availableVariants } from "../../lib/library.ts";
import { outwardActivations, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { type Complex, fairy2iWeights, foldReal, gemvComplexInt8, gemvComplexLut8 } from "../../reference/complex.ts";
import {
  type ComplexCase,
  conjugates,
  equalComplex,
  expectation,
  packFairy2i,
  weightsOf,
  withComplex,
} from "./matrices.ts";

const { instances } = await availableVariants();

/** The code of the signs s and t: Re i^code = (s + t) / 2, Im i^code = (t - s) / 2. */
function codeOf(s: number, t: number): number {
  if (s > 0) return t > 0 ? 0 : 3;
  return t > 0 ? 1 : 2;
}

const filled = (length: number, value: (k: number) => number): Float32Array =>
  new Float32Array(length).map((_, k) => value(k));

/** Rows of weights that are alike, and of such whose signs are those of Re x or Im x, or the opposite. */
function extremeCodes(rows: number, cols: number, { re, im }: Complex): Uint8Array {
  const kinds: ((a: number, b: number) => number)[] = [
    () => 0,
    () => 1,
    () => 2,
    () => 3,
    (a, b) => codeOf(a, b),
    (a, b) => codeOf(b, a),
    (a) => codeOf(a, a),
    (_, b) => codeOf(-b, -b),
    (a) => codeOf(a, -a),
    (_, b) => codeOf(-b, b),
  ];
  const codes = new Uint8Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    const kind = kinds[row % kinds.length] as (a: number, b: number) => number;
    for (let col = 0; col < cols; col++) codes[row * cols + col] = kind(re[col] as number, im[col] as number);
  }
  return codes;
}

/** Every kernel of the activation gives what the oracle does. A gemm kernel gets the token twice. */
function check(activation: Activation, rows: number, x: Complex, label: string, groupSize?: number): void {
  const cols = x.re.length;
  const codes = extremeCodes(rows, cols, x);
  const count = groupSize === undefined ? 1 : Math.ceil(cols / groupSize);
  const scales = { re: filled(count, (i) => 1 + i), im: filled(count, (i) => -0.5 - i) };
  const conjugate = conjugates[cols % 3] as (typeof conjugates)[number];
  const granularity = groupSize === undefined ? "matrix" : "tile";
  const given: ComplexCase = { rows, cols, groupSize, granularity, codes, scales, conjugate };
  const expected = expectation(weightsOf(given), activation, x);
  const twice = { re: new Float32Array(2 * cols), im: new Float32Array(2 * cols) };
  for (const at of [0, cols]) {
    twice.re.set(x.re, at);
    twice.im.set(x.im, at);
  }
  for (const { variant, lb } of instances) {
    for (const { name, op, needs } of kernels.filter((k) => k.format === "complex" && k.activation === activation)) {
      if (needs === "relaxed" && variant === "simd") continue;
      const where = `${variant} ${name}, ${rows} x ${cols}: ${label}`;
      withComplex(
        lb,
        given,
        activation,
        (matrix) => {
          if (op === "gemv") return expected(matrix.gemv(x), where);
          const y = matrix.gemm(twice, 2);
          expected({ re: y.re.subarray(0, rows), im: y.im.subarray(0, rows) }, where);
          expected({ re: y.re.subarray(rows), im: y.im.subarray(rows) }, `${where}, second token`);
        },
        name,
      );
    }
  }
}

// Byte columns after which sums are emptied: int8 3 and 255; lut8 blocks of 8, 16 and 32; f32 128; gemm 64 steps of 4
// columns, of which 16-bit lanes take all.
const byteCols = [1, 2, 3, 4, 8, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129, 254, 255, 256, 257, 509, 510, 511, 1021];

for (const activation of activations) {
  const name = `complex bounds ${activation}`;
  const t = suite(name);
  const rng = random(name);
  const sign = (): number => (rng.bits() & 1 ? 1 : -1);

  t("around every number of columns", () => {
    for (const bytes of byteCols) {
      for (const cols of [8 * bytes - 1, 8 * bytes, 8 * bytes + 1]) {
        const most = filled(cols, () => 3);
        check(activation, 10, { re: most, im: most }, "all alike");
        check(activation, 10, { re: most, im: most.map((value) => -value) }, "im negative");
        check(activation, 21, { re: filled(cols, () => 7 * sign()), im: filled(cols, () => sign()) }, "signs");
      }
    }
  });

  t("in groups", () => {
    for (const groupSize of [8, 64, 248, 256, 264, 1016, 1024, 1032, 2040, 2048]) {
      for (const cols of [groupSize + 1, 2 * groupSize - 8, 3 * groupSize + 5]) {
        const x = { re: filled(cols, () => sign()), im: filled(cols, () => -2) };
        check(activation, 10, x, `groups of ${groupSize}`, groupSize);
      }
    }
  });

  t("every height of a tile", () => {
    const x = { re: filled(2056, () => 3 * sign()), im: filled(2056, () => sign()) };
    for (const rows of [5, 16, 21, 37, 53, 64, 69, 117]) check(activation, rows, x, "+-3");
  });

  t("every magnitude that an activation can have", () => {
    // x is an integer and the last one 127, so int8 keeps x as it is: whatever digits the kernels split it into, each
    // value of them fills the narrow sums once.
    for (let value = 1; value <= 127; value += activation === "int8" ? 1 : 9) {
      const re = filled(2049, (k) => (k === 2048 ? 127 : value));
      check(activation, 4, { re, im: re.map((v, k) => (k === 2048 ? v : 128 - v)) }, `all ${value}`);
    }
  });

  t("table entries that all round outwards", () => {
    for (const { name, alone, spread } of outwardActivations(520)) {
      check(activation, 10, { re: alone, im: spread }, name);
      check(activation, 10, { re: spread, im: alone }, `${name}, the other way`);
    }
  });

  t("segments of 32768 columns", () => {
    for (const cols of [32767, 32768, 32769, 32776, 65536, 65544]) {
      check(activation, 2, { re: filled(cols, () => 1), im: filled(cols, () => -1) }, "all 1");
    }
  });

  t("132,000 columns", () => {
    const cols = 132_000;
    const vectors: Record<string, Complex> = {
      "all 1": { re: filled(cols, () => 1), im: filled(cols, () => 1) },
      // Sums that round the same way in every addition: in float32 they drift unless they are kept in parts.
      "all 1/3": { re: filled(cols, () => 1 / 3), im: filled(cols, () => -1 / 3) },
      signs: { re: filled(cols, sign), im: filled(cols, sign) },
      gaussian: { re: rng.gaussians(cols), im: rng.gaussians(cols) },
    };
    for (const [label, x] of Object.entries(vectors)) {
      check(activation, label === "signs" ? 6 : 2, x, label);
      check(activation, 2, x, `${label}, in groups`, 1024);
    }
  });

  t("four stages of fairy2i", () => {
    if (activation === "f32") return;
    const [rows, cols] = [10, 33_000];
    const x = filled(2 * cols, () => sign());
    const codes = extremeCodes(rows, cols, foldReal(x));
    const plane = { codes, scales: { re: Float32Array.of(3), im: Float32Array.of(5) } };
    const shape = { rows, cols, granularity: "matrix" } as const;
    const weights = fairy2iWeights(new Array(4).fill({ u: plane, w: plane }), 2 * rows, 2 * cols);
    const folded = foldReal(x);
    const expected = activation === "int8" ? gemvComplexInt8(weights, folded, true) : gemvComplexLut8(weights, folded);
    for (const { variant, lb } of instances) {
      const matrix = packFairy2i(lb, shape, new Array(8).fill(plane), activation);
      const y = matrix.gemv(x);
      equalComplex({ re: y.slice(0, rows), im: y.slice(rows) }, expected, variant);
      equalBits(matrix.gemm(x, 1), y, variant);
      matrix.dispose();
    }
  });
}
