// The public functions of bcq, ptqtp, onebit, uniform and codebook: what they make of weights and codes, what they refuse,
// and that nothing is left behind.
//
// Cases name their formats.
import { importAwq } from "../../../src/formats/uniform/from-awq.ts";
import { importGptq } from "../../../src/formats/uniform/from-gptq.ts";
import { halfToFloat } from "../../../src/lib/half.ts";
import { storedBytes } from "../../../src/matrix/stored.ts";
import { bytesFromHex } from "../../kernels/vectors.ts";
import { equalBits, equalValues, is, nmseBelow, ok, rejectsWith, throwsWith } from "../../lib/assert.ts";
import { bcq, codebook, init, type Lowbit, type Matrix, onebit, ptqtp, uniform } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { packSigns } from "../../reference/binary.ts";
import { e2m1Doubled, nf4Table } from "../../reference/table.ts";
import { rowTableBytes, wordBytes } from "../../reference/words.ts";
import { makeAwq, makeGptq } from "./import-vectors.ts";

const lb: Lowbit = await init({ variant: "simd" });
const rng = random("formats");
const f32 = Math.fround;

/** Dequantised, and the matrix disposed of. */
function weightsOf(matrix: Matrix): Float32Array {
  const w = matrix.dequantize();
  matrix.dispose();
  return w;
}

function noise(w: Float32Array, dense: Float32Array): number {
  let error = 0;
  let power = 0;
  for (let i = 0; i < w.length; i++) {
    error += ((w[i] as number) - (dense[i] as number)) ** 2;
    power += (w[i] as number) ** 2;
  }
  return error / power;
}

const rows = 37;
const cols = 200;
const w = rng.gaussians(rows * cols);
const x = rng.gaussians(cols);
const common = { rows, cols };

const quantised: Record<string, { make: () => Matrix; format: string; nmse: number; bits: number }> = {
  "bcq, 1 bit": { make: () => bcq.quantize(lb, w, { ...common, bits: 1 }), format: "bcq1", nmse: 0.4, bits: 1 },
  "bcq, 3 bits": { make: () => bcq.quantize(lb, w, { ...common, bits: 3 }), format: "bcq3", nmse: 0.05, bits: 3 },
  "bcq, 2 bits, groups and offset": {
    make: () => bcq.quantize(lb, w, { ...common, bits: 2, groupSize: 64, offset: true }),
    format: "bcq2",
    nmse: 0.13,
    bits: 2,
  },
  ptqtp: { make: () => ptqtp.quantize(lb, w, common), format: "ptqtp", nmse: 0.05, bits: 4 },
  onebit: { make: () => onebit.quantize(lb, w, common), format: "onebit", nmse: 0.4, bits: 1 },
  ...Object.fromEntries(
    ([2, 3, 4, 5, 6, 8] as const).map((bits) => [
      `uniform, ${bits} bits`,
      {
        make: () => uniform.quantize(lb, w, { ...common, bits, groupSize: 64, search: "mse" }),
        format: `uniform${bits}`,
        nmse: 4 ** -bits * 4,
        bits,
      },
    ]),
  ),
  "uniform, 4 bits, zero points": {
    make: () => uniform.quantize(lb, w, { ...common, bits: 4, groupSize: 32, symmetric: false }),
    format: "uniform4",
    nmse: 0.012,
    bits: 4,
  },
  "codebook, 2 bits a row": {
    make: () => codebook.quantize(lb, w, { ...common, bits: 2 }),
    format: "codebook2",
    nmse: 0.13,
    bits: 2,
  },
  "codebook, 3 bits a row": {
    make: () => codebook.quantize(lb, w, { ...common, bits: 3, importance: x.map(Math.abs) }),
    format: "codebook3",
    nmse: 0.06,
    bits: 3,
  },
  "codebook, 4 bits, one table": {
    make: () => codebook.quantize(lb, w, { ...common, table: "matrix" }),
    format: "codebook4",
    nmse: 0.011,
    bits: 4,
  },
  ...Object.fromEntries(
    (["nf4", "fp4", "mxfp4", "nvfp4"] as const).map((table) => [
      `codebook, ${table}`,
      { make: () => codebook.quantize(lb, w, { ...common, table }), format: table, nmse: 0.03, bits: 4 },
    ]),
  ),
};

const q = suite("quantize");
for (const [name, { make, format, nmse, bits }] of Object.entries(quantised)) {
  q(`${name}: near the weights, and gemv multiplies by what dequantize gives`, () => {
    const { used } = lb.memory;
    const matrix = make();
    is(matrix.format, format);
    const dense = matrix.dequantize();
    const error = noise(w, dense);
    ok(error <= nmse, `NMSE ${error}, at most ${nmse}`);
    const expected = Float64Array.from({ length: rows }, (_, r) => {
      let sum = 0;
      for (let c = 0; c < cols; c++) sum += (dense[r * cols + c] as number) * (x[c] as number);
      return sum;
    });
    nmseBelow(matrix.gemv(x), expected, 1e-3, name);
    ok(matrix.bitsPerWeight >= bits, `${matrix.bitsPerWeight} bits a weight`);
    is(matrix.bitsPerWeight, (matrix.byteLength * 8) / (rows * cols));
    matrix.dispose();
    make().dispose();
    ok(lb.memory.used - used < 65536, "what stays is working memory");
  });
}

const layout = suite("layout of words");
for (const bits of [2, 3, 4, 5, 6, 8] as const) {
  layout(`uniform, ${bits} bits`, () => {
    for (const [r, c] of [
      [1, 1],
      [17, 33],
      [40, 129],
    ] as const) {
      const codes = Uint8Array.from({ length: r * c }, () => rng.int(0, 2 ** bits - 1));
      const matrix = uniform.pack(lb, { rows: r, cols: c, bits, codes, scales: Float32Array.of(1) });
      const expected = wordBytes(codes, r, c, bits);
      equalBits(storedBytes(matrix).slice(0, expected.length), expected, `${r} x ${c}`);
      equalValues(
        weightsOf(matrix),
        Float32Array.from(codes, (code) => code - 2 ** (bits - 1)),
        "dequantised",
      );
    }
  });
}
for (const bits of [2, 3, 4] as const) {
  layout(`codebook, ${bits} bits`, () => {
    const [r, c] = [19, 140];
    const codes = Uint8Array.from({ length: r * c }, () => rng.int(0, 2 ** bits - 1));
    const shared = Float32Array.from({ length: 2 ** bits }, (_, i) => 8 * i - 3);
    const each = rng.gaussians(r * 2 ** bits);
    for (const [tables, bytes] of [
      [shared, wordBytes(codes, r, c, bits)],
      [shared.map((v) => f32(v / 3)), wordBytes(codes, r, c, bits)],
      [each, rowTableBytes(codes, r, c, bits)],
    ] as const) {
      const matrix = codebook.pack(lb, { rows: r, cols: c, bits, codes, tables });
      equalBits(storedBytes(matrix).slice(0, bytes.length), bytes, matrix.kernel);
      const entries = Float32Array.from(codes, (code, i) => {
        return tables[tables === each ? Math.floor(i / c) * 2 ** bits + code : code] as number;
      });
      const dense = weightsOf(matrix);
      // Entries of 16 bits are off by half a unit at most.
      ok(
        dense.every((v, i) => Math.abs(v - (entries[i] as number)) <= 200 / 65534),
        "dequantised",
      );
      if (tables === shared) equalValues(dense, entries, "whole numbers are exact");
    }
  });
}

const exact = suite("exact");

exact("uniform codes as planes of bcq are the same weights", () => {
  for (const bits of [1, 2, 3, 4, 5, 8]) {
    for (const groupSize of [200, 64]) {
      const groups = Math.ceil(cols / groupSize);
      const codes = Uint8Array.from({ length: rows * cols }, () => rng.int(0, 2 ** bits - 1));
      const scales = Float32Array.from({ length: rows * groups }, () => rng.int(-2000, 2000) / 1024);
      const zeros = Float32Array.from(scales, () => rng.int(0, 2 ** bits - 1));
      const matrix = bcq.fromUniform(lb, { ...common, bits, codes, scales, zeros, groupSize });
      const expected = Float32Array.from(codes, (code, i) => {
        const group = Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize);
        return (scales[group] as number) * (code - (zeros[group] as number));
      });
      equalValues(weightsOf(matrix), expected, `${bits} bits, groups of ${groupSize}`);
    }
  }
});

exact("ptqtp: two trit planes are four sign planes", () => {
  const trits = [rng.trits(rows * cols), rng.trits(rows * cols)] as const;
  const alphas = [rng.gaussians(rows * 4), rng.gaussians(rows * 4)] as const;
  const matrix = ptqtp.pack(lb, { ...common, groupSize: 64, trits, alphas });
  const expected = Float32Array.from({ length: rows * cols }, (_, i) => {
    const group = Math.floor(i / cols) * 4 + Math.floor((i % cols) / 64);
    const [t1, t2] = [trits[0][i] as number, trits[1][i] as number];
    return (alphas[0][group] as number) * t1 + (alphas[1][group] as number) * t2;
  });
  equalValues(weightsOf(matrix), expected, "dequantised");
});

exact("OneBit's bits are 1 for -1", () => {
  const signs = rng.signs(rows * cols);
  const bytes = packSigns(signs, rows, cols).map((byte) => ~byte);
  const [input, output] = [rng.gaussians(cols), rng.gaussians(rows)];
  const matrix = onebit.pack(lb, { ...common, packed: bytes, input, output });
  const expected = Float32Array.from(signs, (sign, i) => {
    return sign * (output[Math.floor(i / cols)] as number) * (input[i % cols] as number);
  });
  equalValues(weightsOf(matrix), expected, "dequantised");
});

exact("uniform: GPTQ with act-order and AWQ are what their importers say, in the order of the inputs", () => {
  for (const bits of [2, 3, 4, 8] as const) {
    const shape = { rows: 32, cols: 96, groupSize: 32 };
    const vector = makeGptq(rng, { ...shape, bits }, "gptq", true);
    const tensors = {
      ...shape,
      bits,
      qweight: new Int32Array(bytesFromHex(vector.packed).buffer as ArrayBuffer),
      qzeros: new Int32Array(bytesFromHex(vector.qzeros as string).buffer as ArrayBuffer),
      scales: { dtype: "float16", data: new Uint16Array(bytesFromHex(vector.scales).buffer as ArrayBuffer) } as const,
      gIdx: new Int32Array(bytesFromHex(vector.gIdx as string).buffer as ArrayBuffer),
    };
    const { codes, scales, zeros, columnOrder } = importGptq("test", {
      ...tensors,
      scales: halfToFloat("test", tensors.scales.data),
    });
    const matrix = uniform.fromGptq(lb, { ...tensors, activation: "f32" });
    const dense = matrix.dequantize();
    for (let i = 0; i < dense.length; i++) {
      const [row, stored] = [Math.floor(i / 96), i % 96];
      const group = row * 3 + Math.floor(stored / 32);
      const value = (scales[group] as number) * ((codes[i] as number) - (zeros[group] as number));
      is(dense[row * 96 + (columnOrder?.[stored] ?? stored)], f32(value));
    }
    const x96 = rng.gaussians(96);
    const expected = Float64Array.from({ length: 32 }, (_, r) => {
      let sum = 0;
      for (let c = 0; c < 96; c++) sum += (dense[r * 96 + c] as number) * (x96[c] as number);
      return sum;
    });
    nmseBelow(matrix.gemv(x96), expected, 1e-10, `${bits} bits`);
    matrix.dispose();
  }
  const vector = makeAwq(rng, { rows: 32, cols: 96, groupSize: 32 });
  const tensors = {
    rows: 32,
    cols: 96,
    groupSize: 32,
    qweight: new Int32Array(bytesFromHex(vector.packed).buffer as ArrayBuffer),
    qzeros: new Int32Array(bytesFromHex(vector.qzeros as string).buffer as ArrayBuffer),
    scales: { dtype: "float16", data: new Uint16Array(bytesFromHex(vector.scales).buffer as ArrayBuffer) } as const,
  };
  const { codes, scales, zeros } = importAwq("test", { ...tensors, scales: halfToFloat("test", tensors.scales.data) });
  const expected = Float32Array.from(codes, (code, i) => {
    const group = Math.floor(i / 96) * 3 + Math.floor((i % 96) / 32);
    return (scales[group] as number) * (code - (zeros[group] as number));
  });
  equalValues(weightsOf(uniform.fromAwq(lb, tensors)), expected, "AWQ");
});

exact("uniform: slices of 8-bit codes", () => {
  const codes = Uint8Array.from({ length: rows * cols }, () => rng.int(0, 255));
  const scales = Float32Array.of(0.5);
  for (const bits of [2, 3, 4, 6, 8]) {
    const step = 2 ** (8 - bits);
    for (const extraPrecision of [false, true]) {
      const top = 2 ** bits - (extraPrecision ? 0 : 1);
      const matrix = uniform.slice(lb, { ...common, codes, scales, bits, extraPrecision });
      const expected = Float32Array.from(codes, (code) => {
        return 0.5 * (Math.min(Math.floor(code / step + 0.5), top) * step - 128);
      });
      equalValues(weightsOf(matrix), expected, `${bits} bits, extra precision ${extraPrecision}`);
    }
  }
});

exact("codebook: published tables", () => {
  const codes = Uint8Array.from({ length: 4 * 64 }, () => rng.int(0, 15));
  const bytes = Uint8Array.from({ length: codes.length / 2 }, (_, i) => {
    return (codes[2 * i] as number) | ((codes[2 * i + 1] as number) << 4);
  });
  const exponents = Uint8Array.from({ length: 8 }, () => rng.int(120, 130));
  const mx = codebook.fromMxfp4(lb, { rows: 4, cols: 64, blocks: bytes, scales: exponents });
  is(mx.format, "mxfp4");
  const expected = Float32Array.from(codes, (code, i) => {
    return ((e2m1Doubled[code] as number) / 2) * 2 ** ((exponents[Math.floor(i / 32)] as number) - 127);
  });
  equalValues(weightsOf(mx), expected, "MXFP4");
  const high = bytes.map((byte) => (byte << 4) | (byte >> 4));
  const absmax = Float32Array.of(1, 2, 3, 4);
  const nf4 = weightsOf(codebook.fromBitsAndBytes(lb, { rows: 4, cols: 64, packed: high, absmax }));
  for (let i = 0; i < nf4.length; i++) {
    const value = (nf4Table[codes[i] as number] as number) * (absmax[Math.floor(i / 64)] as number);
    ok(Math.abs((nf4[i] as number) - value) <= 4 / 65534, `NF4 at ${i}`);
  }
});

const errors = suite("errors of formats");
const codes = new Uint8Array(rows * cols);
const one = Float32Array.of(1);

/** Each call throws that, and leaves memory as it was. */
function refuses(cases: readonly (readonly [() => unknown, typeof TypeError | typeof RangeError, string])[]): void {
  for (const [call, kind, message] of cases) {
    const { used } = lb.memory;
    throwsWith(call, kind, message);
    is(lb.memory.used, used, message);
  }
}

const loose = <T>(value: T): never => value as never;

errors("uniform", () => {
  const pack = (change: object): (() => Matrix) => {
    return () => uniform.pack(lb, loose({ ...common, bits: 4, codes, scales: one, ...change }));
  };
  const bad = codes.slice();
  bad[77] = 16;
  refuses([
    [pack({ bits: 7 }), RangeError, "uniform.pack: bits: expected 2, 3, 4, 5, 6, 8, got 7"],
    [pack({ bits: 1 }), RangeError, "uniform.pack: bits: expected an integer from 2 to 8, got 1"],
    [pack({ bits: "4" }), TypeError, 'uniform.pack: bits: expected an integer from 2 to 8, got "4"'],
    [pack({ groupSize: 12 }), RangeError, "groupSize: expected a multiple of 8, or cols (200) or more, got 12"],
    [
      pack({ bits: 3, groupSize: 36 }),
      RangeError,
      "expected a multiple of 8, or cols (200) or more, got 36 (40 works)",
    ],
    [pack({ codes: bad }), RangeError, "uniform.pack: codes: expected 0 to 15, got 16 at index 77"],
    [pack({ codes: codes.slice(1) }), RangeError, "codes: expected length 7400 (rows 37 x cols 200), got 7399"],
    [pack({ codes: Array.from(codes) }), TypeError, "codes: expected a Uint8Array, got Array"],
    [pack({ scales: new Float32Array(3) }), RangeError, "scales: expected length 1 or 37"],
    [pack({ scales: Float32Array.of(Number.NaN) }), RangeError, "scales: expected finite numbers, got NaN at index 0"],
    [pack({ zeros: new Float32Array(2) }), RangeError, "zeros: expected length 1 or 37"],
    [pack({ zeros: Float32Array.of(Infinity) }), RangeError, "zeros: expected finite numbers, got Infinity at index 0"],
    [pack({ activation: "lut8" }), RangeError, 'activation: expected "int8" | "f32", got "lut8"'],
    [() => uniform.pack(lb, loose(null)), TypeError, "uniform.pack: options: expected an object, got null"],
    [() => uniform.quantize(lb, w, loose({ ...common, bits: 4, search: "best" })), RangeError, "search: expected"],
    [
      () => uniform.quantize(lb, w, loose({ ...common, bits: 4, symmetric: 1 })),
      TypeError,
      "symmetric: expected a boolean",
    ],
    [() => uniform.quantize(lb, w.slice(1), { ...common, bits: 4 }), RangeError, "w: expected length 7400"],
    [() => uniform.slice(lb, { ...common, codes, scales: one, bits: 9 }), RangeError, "uniform.slice: bits: expected"],
  ]);
});

errors("bcq, ptqtp and onebit", () => {
  const bytes = new Uint8Array(2 * rows * 25);
  const two = Float32Array.of(1, 1);
  const pack = (change: object): (() => Matrix) => {
    return () => bcq.pack(lb, loose({ ...common, bits: 2, planes: bytes, alphas: two, ...change }));
  };
  const trits = [rng.trits(rows * cols), rng.trits(rows * cols)] as const;
  const wrong = trits[1].slice();
  wrong[9] = 2;
  const vectors = { packed: bytes.slice(0, rows * 25), input: rng.gaussians(cols), output: rng.gaussians(rows) };
  const broken = new Float32Array(cols);
  broken[3] = Number.NaN;
  const scales = Float32Array.of(1);
  refuses([
    [pack({ bits: 9 }), RangeError, "bcq.pack: bits: expected an integer from 1 to 8, got 9"],
    [pack({ planes: bytes.slice(1) }), RangeError, "bcq.pack: planes: expected length 1850"],
    [pack({ alphas: new Float32Array(3) }), RangeError, "bcq.pack: alphas: expected length"],
    [pack({ alphas: Float32Array.of(1, Infinity) }), RangeError, "alphas: expected finite numbers, got Infinity"],
    [pack({ offsets: new Float32Array(5) }), RangeError, "bcq.pack: offsets: expected length 1 or 37"],
    [
      () => bcq.fromUniform(lb, { ...common, bits: 2, codes: codes.map(() => 4), scales }),
      RangeError,
      "codes: expected",
    ],
    [() => ptqtp.pack(lb, { ...common, trits: [trits[0], wrong], alphas: [one, one] }), RangeError, "got 2 at index 9"],
    [() => ptqtp.pack(lb, loose({ ...common, trits, alphas: one })), TypeError, "alphas: expected an array of two"],
    [
      () => onebit.pack(lb, { ...common, ...vectors, input: broken }),
      RangeError,
      "input: expected finite numbers, got NaN",
    ],
    [() => onebit.pack(lb, { ...common, ...vectors, output: one }), RangeError, "output: expected length 37"],
  ]);
});

errors("codebook", () => {
  const tables = Float32Array.from({ length: 8 }, (_, i) => i);
  const pack = (change: object): (() => Matrix) => {
    return () => codebook.pack(lb, loose({ ...common, bits: 3, codes, tables, ...change }));
  };
  const bad = codes.slice();
  bad[5] = 8;
  const broken = tables.slice();
  broken[2] = Number.NaN;
  refuses([
    [pack({ bits: 5 }), RangeError, "codebook.pack: bits: expected an integer from 2 to 4, got 5"],
    [pack({ codes: bad }), RangeError, "codebook.pack: codes: expected 0 to 7, got 8 at index 5"],
    [pack({ tables: broken }), RangeError, "codebook.pack: tables: expected finite numbers, got NaN at index 2"],
    [
      pack({ tables: tables.slice(1) }),
      RangeError,
      "codebook.pack: tables: expected length 296 (2^3, or rows 37 x 2^3)",
    ],
    [pack({ tables: new Float32Array(rows * 8), groupSize: 128 }), RangeError, "expected no groups with a table a row"],
    [pack({ scales: new Float32Array(4) }), RangeError, "codebook.pack: scales: expected length 1 or 37"],
    [
      () => codebook.quantize(lb, w, loose({ ...common, table: "nf5" })),
      RangeError,
      'table: expected "rows" | "matrix"',
    ],
    [
      () => codebook.quantize(lb, w, { ...common, table: "nf4", bits: 3 }),
      RangeError,
      'bits: expected 4 for table "nf4"',
    ],
    [
      () => codebook.quantize(lb, w, { ...common, table: "mxfp4", groupSize: 64 }),
      RangeError,
      "groupSize: expected 32",
    ],
    [() => codebook.quantize(lb, w, { ...common, groupSize: 64 }), RangeError, 'no groups with table "rows"'],
    [
      () => codebook.quantize(lb, w, { ...common, importance: new Float32Array(3) }),
      RangeError,
      "importance: expected",
    ],
  ]);
});

const long = suite("long work");

long("tells its progress, and stops when it is told to", async () => {
  const size = 256;
  const weights = rng.gaussians(size * size);
  const shape = { rows: size, cols: size };
  const works: Record<string, (options: object) => Promise<Matrix>> = {
    bcq: (options) => bcq.quantizeAsync(lb, weights, { ...shape, bits: 3, ...options }),
    uniform: (options) => uniform.quantizeAsync(lb, weights, { ...shape, bits: 4, search: "mse", ...options }),
    codebook: (options) => codebook.quantizeAsync(lb, weights, { ...shape, bits: 4, ...options }),
    ptqtp: (options) => ptqtp.quantizeAsync(lb, weights, { ...shape, ...options }),
    onebit: (options) => onebit.quantizeAsync(lb, weights, { ...shape, ...options }),
  };
  for (const [name, work] of Object.entries(works)) {
    const seen: number[] = [];
    const matrix = await work({ onProgress: (done: number) => seen.push(done) });
    is(seen.at(-1), 1, name);
    ok(
      seen.every((done, i) => i === 0 || done >= (seen[i - 1] as number)),
      `${name}: ${seen}`,
    );
    matrix.dispose();
    const { used } = lb.memory;
    const controller = new AbortController();
    const reason = new Error("enough");
    const stopped = work({ signal: controller.signal, onProgress: () => controller.abort(reason) });
    await rejectsWith(stopped, Error, "enough");
    is(lb.memory.used, used, name);
    await rejectsWith(work({ signal: 5 }), TypeError, "signal: expected an AbortSignal, got 5");
  }
  const controller = new AbortController();
  controller.abort();
  throwsWith(
    () => bcq.quantize(lb, weights, { ...shape, bits: 2, signal: controller.signal }),
    DOMException as never,
    "aborted",
  );
});

long("gives the same matrix either way", async () => {
  const weights = rng.gaussians(64 * 64);
  const now = bcq.quantize(lb, weights, { rows: 64, cols: 64, bits: 2 });
  const later = await bcq.quantizeAsync(lb, weights, { rows: 64, cols: 64, bits: 2 });
  equalBits(storedBytes(later), storedBytes(now), "bcq");
  now.dispose();
  later.dispose();
});
