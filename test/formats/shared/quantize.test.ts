// From floats to packed weights: codes, scales and what they multiply by, against the oracle.
//
// Cases name their formats.

import { equalBits, equalValues, is, match, ok, throwsWith } from "../../lib/assert.ts";
import {
  activations,
  binary,
  expectation,
  formats,
  init,
  type Lowbit,
  type Matrix,
  packMatrix,
  randomWeights,
  ternary,
} from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { packSigns, quantizeBinary } from "../../reference/binary.ts";
import { packCodes, quantizeTernary } from "../../reference/ternary.ts";
import { dequantize, makeWeights, type Weights } from "../../reference/weights.ts";

const lb: Lowbit = await init({ variant: "simd", threads: 1 });
const rng = random("quantize");

/** The matrix dequantises to the reference and multiplies like it, in each mode. */
function check(make: (activation: (typeof activations)[number]) => Matrix, weights: Weights, label: string): void {
  const x = rng.gaussians(weights.cols);
  for (const activation of activations) {
    const matrix = make(activation);
    equalValues(matrix.dequantize(), dequantize(weights), `${label}: dequantised`);
    expectation(weights, activation, x)(matrix.gemv(x), `${label}: ${activation} gemv`);
    matrix.dispose();
  }
}

const shapes = [
  [1, 1],
  [3, 5],
  [16, 8],
  [17, 33],
  [64, 64],
  [70, 131],
] as const;

const t = suite("binary.quantize");

t("is sign and mean magnitude, of rows and of groups", () => {
  for (const [rows, cols] of shapes) {
    const w = rng.gaussians(rows * cols);
    for (const groupSize of [undefined, 8, 24, 64, 1000]) {
      const options = { rows, cols, ...(groupSize !== undefined && { groupSize }) };
      check(
        (activation) => binary.quantize(lb, w, { ...options, activation }),
        quantizeBinary(w, rows, cols, groupSize),
        `${rows} x ${cols} group ${groupSize}`,
      );
    }
  }
});

t("takes 0 and -0 for +1, and anything below for -1", () => {
  const w = Float32Array.of(0, -0, 1e-45, -1e-45, 1e30, -1e30, 0, 0);
  check((activation) => binary.quantize(lb, w, { rows: 1, cols: 8, activation }), quantizeBinary(w, 1, 8), "zeros");
  // With a scale near the end of float32 a product may overflow on the way (docs/numerics.md), the weights do not.
  const huge = Float32Array.of(0, -0, 1e-45, -1e-45, 3.4e38, -3.4e38, 0, 0);
  const extreme = binary.quantize(lb, huge, { rows: 1, cols: 8 });
  equalValues(extreme.dequantize(), dequantize(quantizeBinary(huge, 1, 8)), "extremes");
  extreme.dispose();
  const matrix = binary.quantize(lb, new Float32Array(10), { rows: 2, cols: 5 });
  equalValues(matrix.dequantize(), new Float32Array(10), "all zero");
  matrix.dispose();
});

const u = suite("ternary.quantize");

u("is absmean, of the matrix, of rows and of groups", () => {
  for (const [rows, cols] of shapes) {
    const w = rng.gaussians(rows * cols);
    const options = { rows, cols };
    const label = `${rows} x ${cols}`;
    check(
      (activation) => ternary.quantize(lb, w, { ...options, activation }),
      quantizeTernary(w, rows, cols, "matrix"),
      `${label} by default`,
    );
    for (const scale of ["matrix", "row"] as const) {
      check(
        (activation) => ternary.quantize(lb, w, { ...options, scale, activation }),
        quantizeTernary(w, rows, cols, scale),
        `${label} ${scale}`,
      );
    }
    for (const groupSize of [16, 48, 64, 1000]) {
      check(
        (activation) => ternary.quantize(lb, w, { ...options, groupSize, activation }),
        quantizeTernary(w, rows, cols, "group", groupSize),
        `${label} group ${groupSize}`,
      );
    }
  }
});

u("takes a number as the scale", () => {
  const w = rng.gaussians(60);
  for (const scale of [1, 0.1, 1e-20, 3e5, 0.7]) {
    check(
      (activation) => ternary.quantize(lb, w, { rows: 6, cols: 10, scale, activation }),
      quantizeTernary(w, 6, 10, scale),
      `scale ${scale}`,
    );
  }
});

u("rounds half to even: a half is 0", () => {
  const w = Float32Array.of(0.5, -0.5, 0.50000006, -0.50000006, 1.5, -1.5, 0, -0);
  check(
    (activation) => ternary.quantize(lb, w, { rows: 1, cols: 8, scale: 1, activation }),
    quantizeTernary(w, 1, 8, 1),
    "halves",
  );
});

u("gives zeros a scale", () => {
  const w = new Float32Array(12);
  check(
    (activation) => ternary.quantize(lb, w, { rows: 3, cols: 4, activation }),
    quantizeTernary(w, 3, 4, "matrix"),
    "0",
  );
  const tiny = new Float32Array(12).fill(1e-7);
  check(
    (activation) => ternary.quantize(lb, tiny, { rows: 3, cols: 4, scale: "row", activation }),
    quantizeTernary(tiny, 3, 4, "row"),
    "below the smallest scale",
  );
});

u("leaves its input alone", () => {
  const w = rng.gaussians(70);
  const before = w.slice();
  ternary.quantize(lb, w, { rows: 7, cols: 10 }).dispose();
  binary.quantize(lb, w, { rows: 7, cols: 10 }).dispose();
  equalBits(w, before, "w");
});

for (const format of formats) {
  const quantize = format === "binary" ? binary.quantize : ternary.quantize;
  const v = suite(`${format}: floats and codes`);

  v("refuses NaN and Infinity, and says where", () => {
    const used = lb.memory.used;
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const index of [0, 17, 99]) {
        const w = rng.gaussians(100);
        w[index] = bad;
        const options = { rows: 10, cols: 10 };
        const message = new RegExp(`^${format}\\.quantize: w: expected finite.*got ${bad} at index ${index}$`);
        throwsWith(() => quantize(lb, w, options), RangeError, message);
        throwsWith(() => quantize(lb, w, { ...options, groupSize: 16 }), RangeError, message);
        if (format === "ternary") {
          throwsWith(() => ternary.quantize(lb, w, { ...options, scale: 2 }), RangeError, message);
          throwsWith(() => ternary.quantize(lb, w, { ...options, scale: "row" }), RangeError, message);
        }
      }
    }
    is(lb.memory.used, used);
  });

  v("packs Int8Array and bytes alike", () => {
    for (const [rows, cols] of [...shapes, [5, 4], [2, 15], [130, 66]] as const) {
      const weights = randomWeights(format, rows, cols, rng);
      const { codes, scales } = weights;
      const bytes = format === "binary" ? packSigns(codes, rows, cols) : packCodes(codes, rows, cols);
      const common = { rows, cols, scales };
      const a = packMatrix(lb, format, weights, "int8");
      const b =
        format === "binary"
          ? binary.pack(lb, { ...common, signs: bytes })
          : ternary.pack(lb, { ...common, codes: bytes });
      equalBits(b.dequantize(), a.dequantize(), `${rows} x ${cols}`);
      equalValues(a.dequantize(), dequantize(weights), `${rows} x ${cols} against the reference`);
      a.dispose();
      b.dispose();
    }
  });

  v("ignores what stands in the padding bits of packed bytes", () => {
    const weights = randomWeights(format, 3, 5, rng);
    const { codes, scales } = weights;
    const bytes = format === "binary" ? packSigns(codes, 3, 5) : packCodes(codes, 3, 5);
    const mask = format === "binary" ? 0xe0 : 0xfc;
    const width = bytes.length / 3;
    for (let r = 0; r < 3; r++) bytes[(r + 1) * width - 1] = (bytes[(r + 1) * width - 1] as number) | mask;
    const common = { rows: 3, cols: 5, scales };
    const matrix =
      format === "binary"
        ? binary.pack(lb, { ...common, signs: bytes })
        : ternary.pack(lb, { ...common, codes: bytes });
    equalValues(matrix.dequantize(), dequantize(weights), "dequantised");
    const x = rng.gaussians(5);
    expectation(weights, "int8", x)(matrix.gemv(x), "gemv");
    matrix.dispose();
  });

  v("takes scales of the matrix, of rows and of groups by their number", () => {
    const rows = 6;
    const cols = 40;
    const { codes } = randomWeights(format, rows, cols, rng);
    for (const groupSize of [undefined, 16]) {
      const groups = Math.ceil(cols / (groupSize ?? cols));
      for (const length of [1, rows, rows * groups]) {
        const scales = rng.gaussians(length);
        const common = { rows, cols, scales, ...(groupSize !== undefined && { groupSize }) };
        const matrix =
          format === "binary" ? binary.pack(lb, { ...common, signs: codes }) : ternary.pack(lb, { ...common, codes });
        const planes = format === "binary" ? 1 : 2;
        const weights = makeWeights({ rows, cols, planes, codes, scales, groupSize });
        equalValues(matrix.dequantize(), dequantize(weights), `group ${groupSize}, ${length} scales`);
        matrix.dispose();
      }
    }
  });

  v("dequantises to what a round trip gives again", () => {
    const w = rng.gaussians(20 * 48);
    const first = quantize(lb, w, { rows: 20, cols: 48, groupSize: 16 });
    const values = first.dequantize();
    const codes = Int8Array.from(values, Math.sign);
    const scales = quantizedScales(values, 20, 48, 16);
    const common = { rows: 20, cols: 48, groupSize: 16, scales };
    const second =
      format === "binary" ? binary.pack(lb, { ...common, signs: codes }) : ternary.pack(lb, { ...common, codes });
    equalValues(second.dequantize(), values, "again");
    first.dispose();
    second.dispose();
  });

  v("tells its size", () => {
    const matrix = packMatrix(lb, format, randomWeights(format, 64, 128, rng), "int8");
    const planes = format === "binary" ? 1 : 2;
    is(matrix.byteLength, 64 * 16 * planes + 64 * 4);
    is(matrix.bitsPerWeight, (matrix.byteLength * 8) / (64 * 128));
    match(matrix.kernel, new RegExp(`^gemv_${format}_int8_`));
    ok(matrix.dequantize().length === 64 * 128);
    matrix.dispose();
  });
}

/** The magnitude in each group; 0 where all its values are 0. */
function quantizedScales(values: Float32Array, rows: number, cols: number, groupSize: number): Float32Array {
  const groups = cols / groupSize;
  return Float32Array.from({ length: rows * groups }, (_, i) => {
    const start = Math.floor(i / groups) * cols + (i % groups) * groupSize;
    return Math.max(...values.subarray(start, start + groupSize).map(Math.abs));
  });
}
