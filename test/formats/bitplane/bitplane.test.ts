// Bit planes: every pair of types against the oracle bit by bit, on shapes around every boundary of the layout and of the
// counters, and what the format shares with others (gemm, with, dequantize, errors).

import { candidates, kernels } from "../../../src/kernels/registry.ts";
// Not public: the table of kernels.
import { storedBytes } from "../../../src/matrix/stored.ts";
import { bytesFromHex, floatsFromHex } from "../../kernels/vectors.ts";
import { equal, equalBits, equalValues, is, nmseBelow, ok, rejectsWith, throwsWith } from "../../lib/assert.ts";
import {
  availableVariants,
  type Branches,
  binary,
  bitplane,
  init,
  type Lowbit,
  type Matrix,
  uniform,
} from "../../lib/library.ts";
import { hostileActivations, type Random, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import {
  type BitplaneWeights,
  codeValue,
  type Encoding,
  gemvBits,
  quantizeBitplane,
  quantizeBits,
} from "../../reference/bitplane.ts";
import { addBranches, scaleColumns } from "../../reference/branch.ts";
import { padRows } from "../../reference/layout.ts";
import { bitplaneVectorWeights, makeBitplaneVectors, readBitplaneVectors, zeroOffsets } from "./vectors.ts";

const { instances, missing } = await availableVariants();
const encodings: readonly Encoding[] = ["unsigned", "signed", "bipolar"];

/** Bits and encodings of both operands. */
interface Types {
  bits: number;
  encoding: Encoding;
  activationBits: number;
  activationEncoding: Encoding;
}

function* everyTypes(sizes: readonly number[]): Generator<Types> {
  for (const bits of sizes) {
    for (const activationBits of sizes) {
      for (const encoding of encodings) {
        for (const activationEncoding of encodings) {
          if (activationEncoding === "signed" && activationBits === 1) continue;
          yield { bits, encoding, activationBits, activationEncoding };
        }
      }
    }
  }
}

const corners = [...everyTypes([1, 2, 3, 7, 8])];

/** Pairs of types, another at each call, in an order of no pattern. */
function typesInTurn(rng: Random): () => Types {
  return () => corners[rng.int(0, corners.length - 1)] as Types;
}

type Packed = BitplaneWeights & { zeros?: Float32Array | undefined };

function randomWeights(rows: number, cols: number, types: Types, rng: Random, groupSize = cols): Packed {
  const { bits, encoding } = types;
  const count = rows * Math.ceil(cols / groupSize);
  const codes = Uint8Array.from({ length: rows * cols }, () => rng.int(0, 2 ** bits - 1));
  const scales = rng.gaussians(count);
  const zeros = rng.int(0, 2) > 0 ? undefined : Float32Array.from({ length: count }, () => rng.int(-9, 256) / 4);
  const offsets = zeros && zeroOffsets(scales, zeros);
  return { rows, cols, bits, encoding, codes, groupSize, scales, zeros, offsets };
}

function pack(lb: Lowbit, weights: Packed, types: Types, kernel?: string): Matrix {
  const { rows, cols, codes, scales, zeros, groupSize } = weights;
  const { bits, encoding, activationBits, activationEncoding } = types;
  return bitplane.pack(lb, {
    ...{ rows, cols, groupSize, bits, encoding, activationBits, activationEncoding, codes, scales },
    ...(zeros && { zeros }),
    ...(kernel !== undefined && { kernel }),
  });
}

/** The oracle sums integers without bound; the library keeps groups to 32768 columns, of which each is rounded once. */
function inParts(weights: Packed): Packed {
  const { rows, cols, groupSize, scales, offsets } = weights;
  const most = 32768;
  if (groupSize <= most) return weights;
  let size = most;
  if (groupSize < cols) while (groupSize % size !== 0) size -= 32;
  const groups = Math.ceil(cols / groupSize);
  const count = Math.ceil(cols / size);
  const repeat = (values: Float32Array): Float32Array =>
    Float32Array.from({ length: rows * count }, (_, i) => {
      return values[Math.floor(i / count) * groups + Math.floor(((i % count) * size) / groupSize)] as number;
    });
  return { ...weights, groupSize: size, scales: repeat(scales), offsets: offsets && repeat(offsets) };
}

const nameOf = ({ bits, encoding, activationBits, activationEncoding }: Types): string =>
  `${bits} ${encoding} x ${activationBits} ${activationEncoding}`;

/** Every kernel on every variant that has it. */
const runs = instances.flatMap(({ variant, lb }) =>
  candidates("gemv", "bitplane", "bits", variant).map(({ name }) => ({ variant, lb, kernel: name })),
);

/** Whole calls of every kernel against the oracle, and gemm against gemv. */
function check(weights: Packed, types: Types, tokens: readonly Float32Array[], label: string): void {
  const { rows, cols, groupSize } = weights;
  const parts = inParts(weights);
  const expected = tokens.map((x) => gemvBits(parts, quantizeBits(x, types.activationBits, types.activationEncoding)));
  const all = new Float32Array(tokens.length * cols);
  for (const [i, x] of tokens.entries()) all.set(x, i * cols);
  for (const { variant, lb, kernel } of runs) {
    const matrix = pack(lb, weights, types, kernel);
    try {
      const where = `${variant} ${kernel} ${nameOf(types)}, ${rows} x ${cols} group ${groupSize} ${label}`;
      const y = matrix.gemm(all, tokens.length);
      for (const [i, x] of tokens.entries()) {
        const alone = matrix.gemv(x);
        equalValues(alone, expected[i] as Float32Array, `${where}: token ${i}`);
        equalBits(y.subarray(i * rows, (i + 1) * rows), alone, `${where}: gemm, token ${i}`);
      }
    } finally {
      matrix.dispose();
    }
  }
}

const filled = (length: number, value: (k: number) => number): Float32Array =>
  Float32Array.from({ length }, (_, k) => value(k));

const t = suite("bitplane");
for (const { variant, reason } of missing) t.skip(variant, reason);

t("every pair of types, in groups and not", () => {
  const rng = random("bitplane types");
  for (const types of corners) {
    check(randomWeights(5, 70, types, rng), types, [rng.gaussians(70)], "");
    const tokens = [rng.gaussians(200), rng.gaussians(200).map(Math.abs), rng.gaussians(200).map((v) => v - 2)];
    check(randomWeights(18, 200, types, rng, 64), types, tokens, "");
  }
});

t("every number of bits", () => {
  const rng = random("bitplane bits");
  for (const types of everyTypes([4, 5, 6])) check(randomWeights(3, 100, types, rng), types, [rng.gaussians(100)], "");
});

t("columns around every boundary", () => {
  const rng = random("bitplane columns");
  const next = typesInTurn(rng);
  const cols = [1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 479, 480, 481, 511, 512, 513, 2047, 2049];
  for (let i = 992; i <= 1024; i++) cols.push(i);
  for (const n of cols) {
    for (const rows of [1, 5]) {
      const types = next();
      check(randomWeights(rows, n, types, rng), types, [rng.gaussians(n), rng.gaussians(n)], "");
    }
  }
});

t("rows around every boundary, and numbers of tokens", () => {
  const rng = random("bitplane rows");
  const next = typesInTurn(rng);
  let count = 0;
  for (const rows of [1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 131]) {
    const types = next();
    const n = [1, 2, 7, 8, 9, 17][count++ % 6] as number;
    const tokens = Array.from({ length: n }, () => rng.gaussians(65));
    check(randomWeights(rows, 65, types, rng, 32), types, tokens, "");
  }
});

t("group sizes, dividing the columns or not", () => {
  const rng = random("bitplane groups");
  const next = typesInTurn(rng);
  for (const groupSize of [32, 64, 96, 128, 480, 512, 544, 1024]) {
    for (const cols of [1, 33, 129, 520, 1031, 1600]) {
      const types = next();
      check(randomWeights(17, cols, types, rng, Math.min(groupSize, cols)), types, [rng.gaussians(cols)], "");
    }
  }
});

t("groups of more columns than integers take", () => {
  const rng = random("bitplane long groups");
  for (const [cols, groupSize] of [
    [40_000, 40_000],
    [70_000, 65_536],
    [70_000, 33_024],
  ] as const) {
    for (const encoding of encodings) {
      const types: Types = { bits: 8, encoding, activationBits: 8, activationEncoding: "unsigned" };
      check(randomWeights(2, cols, types, rng, groupSize), types, [rng.gaussians(cols)], "");
    }
  }
});

t("counters at their bounds", () => {
  // 496 words are a run of the byte counters, 16 words a step of the adder, 32768 columns the longest group.
  const around = [496 * 32, 2 * 496 * 32, 32768].flatMap((n) => [n - 1, n, n + 1]);
  const lengths = [15, 16, 17, 31, 32, 47].map((words) => words * 32).concat(around, 33056);
  // 255·255·33056 is beyond 2^31: two groups.
  const wide = [512, 992, 496 * 32, 32768, 33056];
  const pairs: Types[] = [
    { bits: 1, encoding: "bipolar", activationBits: 1, activationEncoding: "bipolar" },
    { bits: 8, encoding: "unsigned", activationBits: 8, activationEncoding: "unsigned" },
    { bits: 8, encoding: "signed", activationBits: 8, activationEncoding: "signed" },
    { bits: 8, encoding: "bipolar", activationBits: 8, activationEncoding: "bipolar" },
  ];
  for (const cols of lengths) {
    for (const types of pairs) {
      if (types.bits > 1 && !wide.includes(cols)) continue;
      const most = 2 ** types.bits - 1;
      // All bits meet: x all of one sign, w all its extremes; -1 has all bits of two's complement.
      const codes = Uint8Array.from({ length: 4 * cols }, (_, i) => {
        return [most, 0, 2 ** (types.bits - 1), (i & 1) * most][Math.floor(i / cols)] as number;
      });
      const weights: Packed = { rows: 4, cols, ...types, codes, groupSize: cols, scales: filled(4, () => 1) };
      const x = [1, -1, 0.001].map((value) => filled(cols, (k) => (k === 0 && value < 1 ? Math.sign(value) : value)));
      check(weights, types, cols > 20000 && types.bits > 1 ? x.slice(0, 2) : x, "extremes");
    }
  }
});

t("hostile activations", () => {
  const rng = random("bitplane hostile");
  for (const cols of [33, 520]) {
    const tokens = hostileActivations(cols, rng).map(({ x }) => x);
    for (const types of everyTypes([1, 2, 8])) {
      if (types.bits === 2 || types.encoding === "signed") continue;
      check(randomWeights(3, cols, types, rng), types, tokens, "hostile");
    }
  }
});

t("a kernel of its own is the one that suits the machine, and others run by name", () => {
  const types = corners[0] as Types;
  const weights = randomWeights(3, 40, types, random("bitplane kernels"));
  const rows = kernels.filter((k) => k.format === "bitplane");
  for (const { variant, lb } of instances) {
    const own = pack(lb, weights, types);
    is(own.kernel, rows.find((row) => (row.popcnt ?? "sliced") === lb.features.popcnt)?.name);
    own.dispose();
    for (const { name, needs } of rows) {
      if (needs === "relaxed" && variant === "simd") {
        throwsWith(() => pack(lb, weights, types, name), RangeError, 'bitplane.pack: kernel: expected "gemv_');
        continue;
      }
      const matrix = pack(lb, weights, types, name);
      is(matrix.kernel, name);
      is(matrix.gemmKernel, name);
      matrix.dispose();
    }
  }
});

t("quantize is the oracle's quantiser", () => {
  const rng = random("bitplane quantize");
  const rows = 5;
  const cols = 100;
  for (const groupSize of [32, 64, 100]) {
    for (const types of everyTypes([1, 2, 3, 8])) {
      if (types.encoding === "signed" && types.bits === 1) continue;
      const w = rng.gaussians(rows * cols);
      w.fill(0, 0, 32);
      w.fill(0.5, 32, 40);
      w.fill(1, 64, 100);
      const weights = quantizeBitplane(w, rows, cols, types.bits, types.encoding, groupSize);
      const x = rng.gaussians(cols);
      const expected = gemvBits(weights, quantizeBits(x, types.activationBits, types.activationEncoding));
      for (const { variant, lb } of instances) {
        const matrix = bitplane.quantize(lb, w, { rows, cols, groupSize, ...types });
        equalValues(matrix.gemv(x), expected, `${variant} ${nameOf(types)}`);
        equalValues(matrix.dequantize(), dequantized(weights), `${variant} ${nameOf(types)} dequantised`);
        matrix.dispose();
      }
    }
  }
});

function dequantized({ rows, cols, bits, encoding, codes, groupSize, scales, offsets }: BitplaneWeights): Float32Array {
  const groups = Math.ceil(cols / groupSize);
  return Float32Array.from({ length: rows * cols }, (_, i) => {
    const group = Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize);
    const offset = offsets ? (offsets[group] as number) : 0;
    return codeValue(codes[i] as number, bits, encoding) * (scales[group] as number) + offset;
  });
}

t("dequantize is scale times value, less the zero point", () => {
  const rng = random("bitplane dequantize");
  for (const types of everyTypes([1, 3, 8])) {
    const weights = randomWeights(7, 130, types, rng, 64);
    for (const { lb } of instances) {
      const matrix = pack(lb, weights, types);
      equalValues(matrix.dequantize(), dequantized(weights), nameOf(types));
      matrix.dispose();
    }
  }
});

t("more bits come nearer to the product without rounding", () => {
  const rng = random("bitplane nmse", 1);
  const [rows, cols] = [64, 2048];
  const w = rng.gaussians(rows * cols);
  const x = rng.gaussians(cols);
  const exact = Float64Array.from({ length: rows }, (_, r) => {
    return x.reduce((sum, v, k) => sum + v * (w[r * cols + k] as number), 0);
  });
  for (const { lb } of instances) {
    for (const encoding of encodings) {
      for (const [bits, bound] of [
        [4, 0.1],
        [8, 1e-3],
      ] as const) {
        const options = { rows, cols, bits, encoding, activationBits: bits, activationEncoding: encoding };
        const matrix = bitplane.quantize(lb, w, { ...options, groupSize: 128 });
        nmseBelow(matrix.gemv(x), exact, bound, `${bits} ${encoding}`);
        matrix.dispose();
      }
    }
  }
});

t("with branches it is the product, then the branches", () => {
  const rng = random("bitplane with");
  const next = typesInTurn(rng);
  for (const [rows, cols] of [
    [5, 7],
    [67, 129],
    [33, 520],
  ] as const) {
    const sparse = { rows: filledPointers(rows), cols: new Uint32Array(rows - 1), values: rng.gaussians(rows - 1) };
    const all: Required<Branches> = {
      bias: rng.gaussians(rows),
      colScale: rng.gaussians(cols),
      lowRank: { a: rng.gaussians(rows * 3), b: rng.gaussians(3 * cols) },
      sparse,
    };
    for (const names of [["bias"], ["colScale"], ["lowRank"], ["sparse"], ["bias", "colScale", "lowRank", "sparse"]]) {
      const branches: Branches = Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name)));
      const types = next();
      const weights = randomWeights(rows, cols, types, rng, Math.min(cols, 64));
      const x = rng.gaussians(9 * cols);
      const first = x.subarray(0, cols);
      const scaled = branches.colScale ? scaleColumns(first, branches.colScale) : first;
      const q = quantizeBits(scaled, types.activationBits, types.activationEncoding);
      const expected = addBranches(gemvBits(weights, q), branches, first);
      for (const { variant, lb } of instances) {
        const matrix = pack(lb, weights, types).with(branches);
        const label = `${variant} ${nameOf(types)} ${names}`;
        equalValues(matrix.gemv(first), expected, label);
        const y = matrix.gemm(x, 9);
        for (let i = 0; i < 9; i++) {
          const alone = matrix.gemv(x.subarray(i * cols, (i + 1) * cols));
          equalBits(y.subarray(i * rows, (i + 1) * rows), alone, `${label}: token ${i}`);
        }
        matrix.dispose();
      }
    }
  }
});

/** Row pointers of one entry in each row but the second. */
function filledPointers(rows: number): Uint32Array {
  return Uint32Array.from({ length: rows + 1 }, (_, r) => (r < 2 ? r : r - 1));
}

t("says what it is", async () => {
  const lb = await init({ variant: "simd" });
  const w = random("bitplane labels").gaussians(32 * 64);
  const matrix = bitplane.quantize(lb, w, { rows: 32, cols: 64, bits: 3, activationBits: 5 });
  is(matrix.format, "bitplane3x5");
  is(matrix.activation, "bits");
  is(matrix.kernel, "gemv_bitplane_bits_16x32");
  is(matrix.byteLength, (32 * 64 * 3) / 8 + 32 * 4);
  is(matrix.bitsPerWeight, 3.5);
  const x = new Float32Array(64);
  equalValues(matrix.gemv(x), new Float32Array(32), "of zeros");
  x[7] = Number.NaN;
  throwsWith(() => matrix.gemv(x), RangeError, "bitplane3x5.gemv: x: expected finite numbers, got NaN at index 7");
  throwsWith(() => matrix.gemv(x.subarray(1)), RangeError, "bitplane3x5.gemv: x: expected length 64");
  matrix.dispose();
  throwsWith(() => matrix.gemv(x), TypeError, "was disposed");
});

const v = suite("bitplane vectors");

v("are what the oracle makes", () => equal(readBitplaneVectors(), makeBitplaneVectors()));

for (const vector of readBitplaneVectors()) {
  const { rows, cols, groupSize } = vector;
  v(`${nameOf(vector)}, ${rows} x ${cols} group ${groupSize}`, () => {
    const weights: Packed = bitplaneVectorWeights(vector);
    if (vector.zeros !== undefined) weights.zeros = floatsFromHex(vector.zeros);
    for (const { variant, lb } of instances) {
      const matrix = pack(lb, weights, vector);
      const bytes = storedBytes(matrix);
      const words = bytesFromHex(vector.words);
      equalBits(bytes.slice(0, words.length), words, `${variant} words`);
      const values = [weights.scales, ...(weights.offsets ? [weights.offsets] : [])].map((one) => byRows(one, rows));
      const expected = Float32Array.from(values.flatMap((one) => Array.from(one)));
      equalValues(new Float32Array(bytes.buffer.slice(words.length)), expected, `${variant} scales, offsets`);
      equalValues(matrix.gemv(floatsFromHex(vector.x)), floatsFromHex(vector.y), `${variant} y`);
      matrix.dispose();
    }
  });
}

/** [rows, groups] as [groups, padded rows]. */
function byRows(values: Float32Array, rows: number): Float32Array {
  const groups = values.length / rows;
  const padded = padRows(rows);
  const out = new Float32Array(groups * padded);
  for (const [i, value] of values.entries()) out[(i % groups) * padded + Math.floor(i / groups)] = value;
  return out;
}

const e = suite("bitplane errors");
const lb: Lowbit = await init({ variant: "simd" });
const rng = random("bitplane errors");
const [rows, cols] = [4, 40];
const good = {
  ...{ rows, cols, bits: 2, activationBits: 4 },
  codes: Uint8Array.from({ length: rows * cols }, (_, i) => i % 4),
  scales: Float32Array.of(1),
};
const w = rng.gaussians(rows * cols);
const { codes: _, scales: __, ...types } = good;

type Changes = Record<string, unknown>;

/** pack and quantize refuse it, and memory stays as it was. */
function refuses(changes: Changes, kind: typeof TypeError | typeof RangeError, message: string): void {
  const before = lb.memory.used;
  throwsWith(() => bitplane.pack(lb, { ...good, ...changes }), kind, `bitplane.pack: ${message}`);
  is(lb.memory.used, before);
  if ("codes" in changes || "scales" in changes || "zeros" in changes) return;
  throwsWith(() => bitplane.quantize(lb, w, { ...types, ...changes }), kind, `bitplane.quantize: ${message}`);
  is(lb.memory.used, before);
}

e("a good call works", () => {
  bitplane.pack(lb, good).dispose();
  bitplane.quantize(lb, w, types).dispose();
});

e("lb and options", () => {
  for (const value of [undefined, null, 5, {}]) {
    throwsWith(() => bitplane.pack(value as never, good), TypeError, "bitplane.pack: lb: expected what init()");
    throwsWith(
      () => bitplane.quantize(value as never, w, types),
      TypeError,
      "bitplane.quantize: lb: expected what init()",
    );
  }
  for (const value of [undefined, null, 5, "text", []]) {
    throwsWith(() => bitplane.pack(lb, value as never), TypeError, "bitplane.pack: options: expected an object");
    throwsWith(
      () => bitplane.quantize(lb, w, value as never),
      TypeError,
      "bitplane.quantize: options: expected an obj",
    );
  }
});

e("shape, bits and encodings", () => {
  for (const name of ["rows", "cols", "bits", "activationBits"]) {
    for (const value of [undefined, null, "4", {}]) {
      refuses({ [name]: value }, TypeError, `${name}: expected an integer from 1 to`);
    }
    for (const value of [0, -1, 1.5, Number.NaN])
      refuses({ [name]: value }, RangeError, `${name}: expected an integer`);
  }
  for (const name of ["bits", "activationBits"]) {
    refuses({ [name]: 9 }, RangeError, `${name}: expected an integer from 1 to 8, got 9`);
  }
  for (const name of ["encoding", "activationEncoding"]) {
    for (const value of [null, 1, {}]) refuses({ [name]: value }, TypeError, `${name}: expected "unsigned" | "signed"`);
    for (const value of ["", "Signed", "int8"]) refuses({ [name]: value }, RangeError, `${name}: expected "unsigned"`);
  }
  const signed = 'expected an integer from 2 to 8 with "signed", got 1';
  refuses({ activationBits: 1, activationEncoding: "signed" }, RangeError, `activationBits: ${signed}`);
  throwsWith(
    () => bitplane.quantize(lb, w, { rows, cols, bits: 1, encoding: "signed", activationBits: 4 }),
    RangeError,
    `bitplane.quantize: bits: ${signed}`,
  );
});

e("group sizes", () => {
  for (const value of [null, "8"]) refuses({ groupSize: value }, TypeError, "groupSize: expected an integer");
  for (const value of [0, -32, 1.5]) refuses({ groupSize: value }, RangeError, "groupSize: expected an integer");
  for (const [value, near] of [
    [1, 32],
    [8, 32],
    [31, 32],
    [33, 32],
  ] as const) {
    const message = `groupSize: expected a multiple of 32, or cols (40) or more, got ${value} (${near} works)`;
    refuses({ groupSize: value }, RangeError, message);
  }
});

e("the activation is its own, and no other format's", () => {
  refuses({ activation: "int8" }, RangeError, 'activation: expected "bits", got "int8"');
  const options = { rows, cols, activation: "bits" } as const;
  throwsWith(() => binary.quantize(lb, w, options), RangeError, 'binary.quantize: activation: expected "int8"');
  throwsWith(() => uniform.quantize(lb, w, { ...options, bits: 4 }), RangeError, "uniform.quantize: activation: expec");
});

e("kernel", () => {
  refuses({ kernel: 5 }, TypeError, 'kernel: expected "gemv_bitplane');
  refuses({ kernel: "gemv_binary_int8_32x8" }, RangeError, 'kernel: expected "gemv_bitplane_bits_16x32", got');
});

e("codes", () => {
  for (const codes of [undefined, null, Array.from(good.codes), Int8Array.from(good.codes), new Float32Array(160)]) {
    refuses({ codes }, TypeError, "codes: expected a Uint8Array, got");
  }
  const length = "codes: expected length 160 (rows 4 x cols 40), got";
  for (const n of [0, 159, 161]) refuses({ codes: new Uint8Array(n) }, RangeError, `${length} ${n}`);
  for (const index of [0, 57, 159]) {
    const codes = good.codes.slice();
    codes[index] = 4;
    refuses({ codes }, RangeError, `codes: expected 0 to 3, got 4 at index ${index}`);
  }
});

e("scales and zeros", () => {
  for (const name of ["scales", "zeros"]) {
    for (const value of [null, 1, [1], new Float64Array(1)]) {
      refuses({ [name]: value }, TypeError, `${name}: expected a Float32Array`);
    }
    for (const n of [0, 2, 5, 8]) refuses({ [name]: new Float32Array(n) }, RangeError, `${name}: expected length`);
    const values = new Float32Array(rows);
    values[2] = Number.NaN;
    refuses({ [name]: values }, RangeError, `${name}: expected finite numbers, got NaN at index 2`);
  }
  refuses({ scales: undefined }, TypeError, "scales: expected a Float32Array, got undefined");
});

e("scales and zeros of any of the lengths", () => {
  const x = rng.gaussians(cols);
  const groupSize = 32;
  const of = (length: number, value: (i: number) => number): Float32Array => filled(length, value);
  for (const scaleCount of [1, rows, 2 * rows]) {
    for (const zeroCount of [1, rows, 2 * rows]) {
      const scales = of(scaleCount, (i) => i + 1);
      const zeros = of(zeroCount, (i) => i / 2);
      const at = (values: Float32Array, i: number): number =>
        values[values.length === 1 ? 0 : values.length === rows ? i >> 1 : i] as number;
      const matrix = bitplane.pack(lb, { ...good, groupSize, scales, zeros });
      const all = of(2 * rows, (i) => at(scales, i));
      const offsets = zeroOffsets(
        all,
        of(2 * rows, (i) => at(zeros, i)),
      );
      const weights: BitplaneWeights = { ...good, encoding: "bipolar", groupSize, scales: all, offsets };
      equalValues(matrix.gemv(x), gemvBits(weights, quantizeBits(x, 4, "bipolar")), `${scaleCount}, ${zeroCount}`);
      matrix.dispose();
    }
  }
});

e("weights", () => {
  const quantize = (value: unknown) => () => bitplane.quantize(lb, value as Float32Array, types);
  throwsWith(quantize([1]), TypeError, "bitplane.quantize: w: expected a Float32Array");
  throwsWith(
    quantize(w.subarray(1)),
    RangeError,
    "bitplane.quantize: w: expected length 160 (rows 4 x cols 40), got 159",
  );
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const broken = w.slice();
    broken[77] = bad;
    throwsWith(quantize(broken), RangeError, `bitplane.quantize: w: expected finite weights, got ${bad} at index 77`);
  }
});

e("progress, and the quantiser with turns", async () => {
  const done: number[] = [];
  const big = rng.gaussians(600 * 512);
  const options = { rows: 600, cols: 512, bits: 4, activationBits: 4 };
  const now = bitplane.quantize(lb, big, { ...options, onProgress: (part) => done.push(part) });
  ok(done.length > 2 && done.at(-1) === 1 && done.every((part, i) => i === 0 || part > (done[i - 1] as number)));
  const later = await bitplane.quantizeAsync(lb, big, options);
  equalBits(later.dequantize(), now.dequantize(), "the same");
  now.dispose();
  later.dispose();
  const signal = AbortSignal.abort(new Error("enough"));
  throwsWith(() => bitplane.quantize(lb, big, { ...options, signal }), Error, "enough");
  await rejectsWith(
    bitplane.quantizeAsync(lb, big, { ...options, bits: 0 }),
    RangeError,
    "bitplane.quantizeAsync: bits:",
  );
});
