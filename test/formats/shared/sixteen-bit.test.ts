// Scales and weights of 16 bits, in the three ways of giving them, are the float32 numbers that they are: in every quantiser and pack.

import * as library from "../../../src/index.ts";
import { equal, equalBits, ok } from "../../lib/assert.ts";
import { init, type Matrix } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { CASES, COLS, dequantised, nameOf, ROWS } from "./quantise-cases.ts";

const { binary, ternary, uniform, bcq, bitplane, codebook, fairy2i, glvq, lift, minifloat, onebit, ptqtp, pvq } =
  library;
const lb = await init({ variant: "simd", threads: 1 });
const rng = random("sixteen bits");
const t = suite("sixteen bits");

/** Multiples of 1/8 up to 4: whole in 8 bits of mantissa, so that float16 and bfloat16 have them. */
const numbers = (length: number): Float32Array =>
  Float32Array.from({ length }, () => (rng.int(1, 32) / 8) * (rng.bits() & 1 ? 1 : -1));

/** The bits of such a number as bfloat16 and as float16, by their definitions. */
function bitsOf(value: number, exponentBits: number, mantissaBits: number): number {
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const fraction = Math.abs(value) / 2 ** exponent - 1;
  const biased = exponent + 2 ** (exponentBits - 1) - 1;
  return ((value < 0 ? 1 : 0) << 15) | (biased << mantissaBits) | (fraction * 2 ** mantissaBits);
}

const Float16Array = Reflect.get(globalThis, "Float16Array") as
  | { from(values: Iterable<number>): library.Float16ArrayLike }
  | undefined;

const FORMS: Readonly<Record<string, (values: Float32Array) => library.FloatTensor>> = {
  float16: (values) => ({ dtype: "float16", data: Uint16Array.from(values, (v) => bitsOf(v, 5, 10)) }),
  bfloat16: (values) => ({ dtype: "bfloat16", data: Uint16Array.from(values, (v) => bitsOf(v, 8, 7)) }),
  "bfloat16 bytes": (values) => ({
    dtype: "bfloat16",
    data: new Uint8Array(Uint16Array.from(values, (v) => bitsOf(v, 8, 7)).buffer),
  }),
  ...(Float16Array && { Float16Array: (values: Float32Array) => Float16Array.from(values) }),
};

if (Float16Array === undefined) t.skip("Float16Array", "this runtime has none");

for (const one of CASES) {
  // It takes a second each, and differs in nothing here.
  if (one.format === "trellis") continue;
  t(`weights: ${nameOf(one)}`, () => {
    const parts = (one.format === "complex" ? [0, 1] : [0]).map(() => numbers((one.rows ?? ROWS) * COLS));
    const want = dequantised(lb, one, parts);
    for (const [name, form] of Object.entries(FORMS)) {
      equalBits(dequantised(lb, one, parts.map(form) as unknown as Float32Array[]), want, `${nameOf(one)} of ${name}`);
    }
  });
}

type Form = (values: Float32Array) => library.FloatTensor;
const [rows, cols, groupSize] = [4, 64, 32];
const shape = { rows, cols };
const codes = Uint8Array.from({ length: rows * cols }, () => rng.int(0, 3));
const signs = rng.signs(rows * cols);
const [row, two, tables, columns, square] = [rows, 2 * rows, 4, cols, 64].map(numbers) as [
  Float32Array,
  Float32Array,
  Float32Array,
  Float32Array,
  Float32Array,
];
const grouped = { ...shape, groupSize };

/** Every pack, with all its floats in one form. */
const PACKS: Readonly<Record<string, (form: Form) => Pick<Matrix, "dequantize" | "dispose">>> = {
  binary: (f) => binary.pack(lb, { ...grouped, signs, scales: f(two) }),
  ternary: (f) => ternary.pack(lb, { ...grouped, codes: signs, scales: f(two) }),
  uniform: (f) => uniform.pack(lb, { ...grouped, bits: 2, codes, scales: f(two), zeros: f(two) }),
  bcq: (f) => bcq.pack(lb, { ...grouped, bits: 1, planes: codes.slice(0, 32), alphas: f(two), offsets: f(two) }),
  bitplane: (f) => bitplane.pack(lb, { ...grouped, bits: 2, activationBits: 2, codes, scales: f(two), zeros: f(two) }),
  codebook: (f) => codebook.pack(lb, { ...grouped, bits: 2, codes, tables: f(tables), scales: f(two) }),
  fairy2i: (f) => {
    const plane = { codes: codes.slice(0, 64), scales: { re: f(row.slice(0, 1)), im: f(row.slice(1, 2)) } };
    return fairy2i.pack(lb, { ...shape, stages: [{ u: plane, w: plane }] });
  },
  glvq: (f) => glvq.pack(lb, { ...shape, bits: 2, dimension: 8, codes, bases: f(square), scales: f(row) }),
  lift: (f) =>
    lift.pack(lb, {
      ...shape,
      packedWeight: codes.slice(0, (rows * 128) / 8),
      ...{ scale: f(row), a1: f(columns), a2: f(new Float32Array(128).fill(0.5)) },
      ...{ left: f(numbersOf(8 * 8)), right: f(numbersOf(16 * 8)) },
    }),
  minifloat: (f) => minifloat.pack(lb, { ...grouped, type: "e2m3", codes, scales: f(two) }),
  "minifloat FP8": (f) => minifloat.fromFp8(lb, { ...shape, weight: codes, scale: f(row) }),
  onebit: (f) => onebit.pack(lb, { ...shape, packed: codes.slice(0, 32), input: f(columns), output: f(row) }),
  ptqtp: (f) => ptqtp.pack(lb, { ...grouped, trits: [signs, signs], alphas: [f(two), f(two)] }),
  pvq: (f) =>
    pvq.pack(lb, { ...shape, vectorSize: 16, pulses: 12, indices: new Uint32Array(rows * 4).fill(77), scales: f(row) }),
};

/** The same numbers at every call. */
function numbersOf(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => ((i % 7) - 3.5) / 4);
}

for (const [name, pack] of Object.entries(PACKS)) {
  t(`pack: ${name}`, () => {
    const of = (form: Form): Float32Array => {
      const matrix = pack(form);
      const values = matrix.dequantize();
      matrix.dispose();
      return values;
    };
    const want = of((values) => values);
    ok(
      want.some((v) => v !== 0),
      name,
    );
    for (const [form, make] of Object.entries(FORMS)) equalBits(of(make), want, `${name} of ${form}`);
  });
}

t("bits alone are refused", () => {
  for (const [name, pack] of Object.entries(PACKS)) {
    let message = "taken";
    try {
      pack((values) => Uint16Array.from(values) as unknown as library.FloatTensor).dispose();
    } catch (error) {
      message = (error as Error).message;
    }
    equal(/float16" \| "bfloat16"|got Uint16Array/.test(message), true, `${name}: ${message}`);
  }
});
