// Minifloats: every code, published values, what quantize chooses, and FP8 checkpoints. Products: test/kernels.

import { init, minifloat } from "../../../src/index.ts";
import { equal, equalValues, is, ok, rejectsWith, throwsWith } from "../../lib/assert.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { codesOf, minifloat as numberOf } from "../../reference/minifloat.ts";

const TYPES = ["e2m3", "e3m2", "e2m2", "e2m1", "e3m0", "e1m2", "e3m1", "e4m3", "e5m2"] as const;
const lb = await init({ variant: "simd", threads: 1 });
const t = suite("minifloat");
const one = Float32Array.of(1);

t("the oracle: largest and smallest numbers as published, and magnitudes of e3m2 and e2m3 as integers", () => {
  const published = {
    ...{ e2m1: [6, 0.5], e2m2: [7, 0.25], e2m3: [7.5, 0.125], e3m1: [24, 0.125], e3m2: [28, 0.0625] },
    ...{ e4m3: [448, 2 ** -9], e5m2: [57344, 2 ** -16] },
  };
  for (const [type, [most, least]] of Object.entries(published)) {
    const values = codesOf(type).map((code) => numberOf(type, code));
    is(Math.max(...values), most, type);
    is(Math.min(...values.filter((value) => value > 0)), least, type);
  }
  const magnitudes = (type: string, factor: number): number[] =>
    Array.from({ length: 32 }, (_, code) => factor * numberOf(type, code));
  equal(magnitudes("e3m2", 16), [
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112],
    ...[128, 160, 192, 224, 256, 320, 384, 448],
  ]);
  equal(magnitudes("e2m3", 8), [
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 26, 28, 30],
    ...[32, 36, 40, 44, 48, 52, 56, 60],
  ]);
  is(codesOf("e4m3").length, 254);
  is(codesOf("e5m2").length, 248);
});

for (const type of TYPES) {
  t(`${type}: every code is its number, and its own nearest`, () => {
    const codes = codesOf(type);
    const values = Float32Array.from(codes, (code) => numberOf(type, code));
    const shape = { rows: 1, cols: codes.length, type };
    const matrix = minifloat.pack(lb, { ...shape, codes: Uint8Array.from(codes), scales: one });
    equalValues(matrix.dequantize(), values, type);
    is(matrix.format, `minifloat ${type}`);
    matrix.dispose();
    // The largest weight is the largest number, so the scale is 1.
    const again = minifloat.quantize(lb, values, shape);
    equalValues(again.dequantize(), values, type);
    again.dispose();
  });

  t(`${type}: codes are nearest, half to even, and saturate`, () => {
    const rng = random(`minifloat ${type}`);
    const values = [...new Set(codesOf(type).map((code) => Math.abs(numberOf(type, code))))].sort((a, b) => a - b);
    const most = values.at(-1) as number;
    const middles = values.slice(1).map((value, i) => (value + (values[i] as number)) / 2);
    const w = Float32Array.from([most, ...middles, ...rng.gaussians(200).map((x) => (x * most) / 4)], (x) =>
      Math.max(-most, Math.min(most, x)),
    );
    const matrix = minifloat.quantize(lb, w, { rows: 1, cols: w.length, type });
    const got = matrix.dequantize();
    w.forEach((x, i) => {
      const distances = values.map((value) => Math.abs(value - Math.abs(x)));
      const least = Math.min(...distances);
      const best = distances.flatMap((distance, index) => (distance === least ? [index] : []));
      const index = best.find((one) => best.length === 1 || one % 2 === 0) as number;
      is(got[i], Math.sign(x) * (values[index] as number) + 0, `${x}`);
    });
    matrix.dispose();
  });
}

t("scales of E8M0 and float16 are such numbers", () => {
  const w = random("minifloat scales").gaussians(4 * 64);
  for (const [scaleType, whole] of [
    ["e8m0", (s: number) => Number.isInteger(Math.log2(s))],
    ["float16", (s: number) => Number.isInteger(s / 2 ** (Math.floor(Math.log2(s)) - 10))],
  ] as const) {
    const matrix = minifloat.quantize(lb, w, { rows: 4, cols: 64, groupSize: 32, type: "e2m3", scaleType });
    const got = matrix.dequantize();
    for (let group = 0; group < 8; group++) {
      const values = Array.from(got.subarray(32 * group, 32 * group + 32));
      // Numbers are s · k / 8, so that the smallest steps are multiples of s / 8.
      const extent = Math.max(...w.subarray(32 * group, 32 * group + 32).map(Math.abs));
      const scale =
        scaleType === "e8m0"
          ? 2 ** (Math.floor(Math.log2(extent)) - 2)
          : (Math.max(...values.map(Math.abs)) as number) / 7.5;
      ok(whole(scale), `${scaleType} ${scale}`);
      for (const value of values) ok(Number.isInteger((8 * value) / scale), `${scaleType}: ${value} of ${scale}`);
    }
    matrix.dispose();
  }
});

t("MSE of Gaussians, blocks of 32: as measured for float32 and E8M0 scales", () => {
  const w = random("minifloat mse").gaussians(64 * 512);
  const mse = (options: Partial<minifloat.MinifloatQuantizeOptions> & { type: minifloat.Minifloat }): number => {
    const matrix = minifloat.quantize(lb, w, { rows: 64, cols: 512, groupSize: 32, ...options });
    const got = matrix.dequantize();
    matrix.dispose();
    return w.reduce((sum, x, i) => sum + (x - (got[i] as number)) ** 2, 0) / w.length;
  };
  // Blocks of 2^k, blocks of floats.
  const measured: Readonly<Record<string, readonly [number, number]>> = {
    ...{ e2m1: [0.0132, 0.0102], e2m2: [0.0033, 0.0024], e2m3: [0.00081, 0.00059], e3m1: [0.0118, 0.0093] },
    ...{ e3m2: [0.0029, 0.0023], e4m3: [0.00086, 0.00057], e5m2: [0.0029, 0.0023] },
  };
  for (const [name, [power, float]] of Object.entries(measured)) {
    const type = name as minifloat.Minifloat;
    const [a, b] = [mse({ type, scaleType: "e8m0" }), mse({ type })];
    ok(Math.abs(a / power - 1) < 0.12, `${type}, E8M0: ${a}, expected ${power}`);
    ok(Math.abs(b / float - 1) < 0.12, `${type}, float32: ${b}, expected ${float}`);
    const searched = mse({ type, bias: "search" });
    ok(searched <= b, `${type}: ${searched} with a bias that is searched, ${b} without`);
  }
});

t("a bias makes every number a power of two as large, whole or not", () => {
  const codes = Uint8Array.from(codesOf("e2m1"));
  const pack = (bias?: number) =>
    minifloat.pack(lb, { rows: 1, cols: 16, type: "e2m1", codes, scales: one, ...(bias !== undefined && { bias }) });
  const usual = pack().dequantize();
  equalValues(
    pack(3).dequantize(),
    usual.map((value) => value / 4),
    "bias 3",
  );
  equalValues(
    pack(0.5).dequantize(),
    usual.map((value) => value * Math.fround(Math.SQRT2)),
    "bias 1/2",
  );
});

t("fromFp8: a scale of all, of rows, and of blocks of 128 x 128, which need not fill the last", () => {
  const [rows, cols] = [200, 264];
  const rng = random("minifloat fp8");
  const known = codesOf("e4m3");
  const weight = Uint8Array.from({ length: rows * cols }, () => known[rng.int(0, known.length - 1)] as number);
  const expected = (scaleAt: (row: number, col: number) => number): Float32Array =>
    Float32Array.from(weight, (code, i) => numberOf("e4m3", code) * scaleAt(Math.floor(i / cols), i % cols));
  const check = (options: object, scaleAt: (row: number, col: number) => number): void => {
    for (const activation of ["int8", "f32"] as const) {
      const given = { rows, cols, weight, activation, ...options } as unknown as minifloat.Fp8Options;
      const matrix = minifloat.fromFp8(lb, given);
      equalValues(matrix.dequantize(), expected(scaleAt), activation);
      matrix.dispose();
    }
  };
  check({ weight_scale: Float32Array.of(0.25) }, () => 0.25);
  const perRow = Float32Array.from({ length: rows }, (_, row) => 2 ** -(row % 5));
  check({ scale: perRow }, (row) => perRow[row] as number);
  const blocks = Float32Array.of(1, 2, 4, 8, 16, 32);
  check({ weight_scale_inv: blocks }, (row, col) => blocks[3 * (row >> 7) + (col >> 7)] as number);
  check({ scale: { dtype: "bfloat16", data: Uint16Array.of(0x3e80) } }, () => 0.25);
  check({ scale: Uint8Array.of(125) }, () => 0.25);
  throwsWith(
    () => check({ scale: Float32Array.of(1, 2, 3) }, () => 1),
    RangeError,
    "minifloat.fromFp8: scale: expected length 1, 200 (rows), or 6 (2 x 3 blocks of 128 x 128), got 3",
  );
  const nan = weight.slice();
  nan[7] = 0xff;
  throwsWith(() => check({ weight: nan, scale: one }, () => 1), RangeError, "got 255 at index 7");
});

t("what is refused", async () => {
  const codes = new Uint8Array(16);
  const options = { rows: 1, cols: 16, type: "e2m3", codes, scales: one } as const;
  throwsWith(() => minifloat.pack(lb, { ...options, type: "e4m2" as "e4m3" }), RangeError, "minifloat.pack: type: ");
  throwsWith(() => minifloat.pack(lb, { ...options, codes: codes.map(() => 64) }), RangeError, "64 at index 0");
  throwsWith(
    () => minifloat.pack(lb, { ...options, type: "e5m2", activation: "int8" }),
    RangeError,
    'activation: expected "f32"',
  );
  throwsWith(() => minifloat.pack(lb, { ...options, bias: Number.NaN }), RangeError, "minifloat.pack: bias: ");
  throwsWith(() => minifloat.pack(lb, { ...options, scael: one } as typeof options), TypeError, '"scale"');
  await rejectsWith(
    minifloat.quantizeAsync(lb, new Float32Array(15), { rows: 1, cols: 16, type: "e2m3" }),
    RangeError,
    "minifloat.quantizeAsync: w: ",
  );
});

t("quantizeAsync is quantize", async () => {
  const w = random("minifloat async").gaussians(3 * 100);
  const options = { rows: 3, cols: 100, groupSize: 32, type: "e3m2", bias: "search" } as const;
  const [a, b] = [minifloat.quantize(lb, w, options), await minifloat.quantizeAsync(lb, w, options)];
  equalValues(b.dequantize(), a.dequantize(), "e3m2");
});
