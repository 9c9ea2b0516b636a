// Types of ggml as matrices: their floats against ggml's own and against the definition, and what they multiply.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { ggml, parseSafetensors } from "../../src/files/index.ts";
import { init } from "../../src/index.ts";
import { equal, equalBits, is, nmseBelow, ok, throwsWith } from "../lib/assert.ts";
import { availableVariants } from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { BLOCK, decodeBlocks, gridsOf } from "../reference/ggml.ts";
import { halfValue } from "../reference/half.ts";

const t = suite("ggml");
const rng = random("ggml");
const json = (name: string) => JSON.parse(readFileSync(new URL(`ggml/${name}`, import.meta.url), "utf8"));
const grids = gridsOf(json("grids.json"));
interface Vector {
  readonly rows: number;
  readonly cols: number;
  readonly blocks: string;
  readonly sha256: string;
}
const vectors = json("vectors.json") as Record<string, Vector>;
const types = Object.keys(BLOCK);
const { instances, missing } = await availableVariants();
for (const { variant, reason } of missing) t.skip(variant, reason);
const [{ lb }] = instances as [(typeof instances)[number]];

const hashOf = (values: Float32Array): string =>
  createHash("sha256")
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex");
const floatsOf = (data: Uint8Array): Float32Array => new Float32Array(new Uint8Array(data).buffer);

/** Halves of a block, by their places: where a random one must be finite. */
const HALVES: Readonly<Record<string, readonly number[]>> = {
  Q4_1: [0, 2],
  Q5_1: [0, 2],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q2_K: [80, 82],
  Q3_K: [108],
  Q6_K: [208],
  TQ1_0: [52],
  TQ2_0: [64],
  MXFP4: [],
  NVFP4: [],
  IQ1_M: [],
};

/** Random blocks whose halves are finite, from tiny to large, of both signs; zero now and then. */
function randomBlocks(type: string, count: number): Uint8Array {
  const [, bytes] = BLOCK[type] as readonly [number, number];
  const data = Uint8Array.from({ length: count * bytes }, () => rng.int(0, 255));
  for (let block = 0; block < count; block++) {
    for (const place of HALVES[type] ?? [0]) {
      let bits = rng.int(0, 0xffff);
      while (!Number.isFinite(halfValue(bits))) bits = rng.int(0, 0xffff);
      if (rng.int(0, 15) === 0) bits &= 0x8000;
      data[block * bytes + place] = bits & 255;
      data[block * bytes + place + 1] = bits >> 8;
    }
    // The half of IQ1_M is in the high nibbles of four words.
    if (type === "IQ1_M") data[block * bytes + 55] = (data[block * bytes + 55] as number) & 0xb7;
    // Above 2^123 products with 12 are Infinity in ggml, too.
    if (type === "MXFP4") data[block * bytes] = rng.int(0, 251);
  }
  return data;
}

for (const type of types) {
  t(`${type}: ggml's floats bit for bit`, () => {
    const { rows, cols, blocks, sha256 } = vectors[type] as Vector;
    const data = new Uint8Array(Buffer.from(blocks, "base64"));
    is(hashOf(decodeBlocks(type, data, grids)), sha256, "the reference");
    is(hashOf(ggml.decode({ type, rows, cols, data })), sha256, "decode");
    const matrix = ggml.matrix(lb, { type, rows, cols, data });
    is(hashOf(matrix.dequantize()), sha256, "dequantize");
    is(matrix.format, type);
    matrix.dispose();
  });

  t(`${type}: the definition bit for bit, and products of it`, () => {
    const [columns] = BLOCK[type] as readonly [number, number];
    for (const [rows, blocks] of [
      [1, 1],
      [17, 3],
      [67, 2],
    ] as const) {
      const cols = blocks * columns;
      const data = randomBlocks(type, rows * blocks);
      const want = decodeBlocks(type, data, grids);
      equalBits(ggml.decode({ type, rows, cols, data }), want, "decode");
      // A huge scale beside tiny ones leaves no bits of them in a sum, so what is multiplied has scales near each other.
      const near = type === "MXFP4" ? nearScales(data) : nearHalves(type, data);
      const weights = decodeBlocks(type, near, grids);
      const x = rng.gaussians(cols * 9);
      const exact = exactProduct(weights, x, rows, cols, 9);
      const results = new Map<string, Float32Array>();
      for (const { lb: one, variant } of instances) {
        const whole = ggml.matrix(one, { type, rows, cols, data });
        equalBits(whole.dequantize(), want, `${variant}: dequantize`);
        whole.dispose();
        for (const activation of ["int8", "f32"] as const) {
          const matrix = ggml.matrix(one, { type, rows, cols, data: near, activation });
          const y = matrix.gemm(x, 9);
          for (let i = 0; i < 9; i++) {
            equalBits(
              matrix.gemv(x.subarray(i * cols, (i + 1) * cols)),
              y.subarray(i * rows, (i + 1) * rows),
              `${variant} ${activation}: token ${i}`,
            );
          }
          nmseBelow(y, exact, activation === "f32" ? 1e-11 : 1e-3, `${variant} ${activation}`);
          const before = results.get(activation);
          if (before) equalBits(y, before, `${activation}: both variants`);
          results.set(activation, y);
          matrix.dispose();
        }
      }
    }
  });
}

/** The same with halves between 1/16 and 1/8 and minima of the same size. */
function nearHalves(type: string, data: Uint8Array): Uint8Array {
  const [, bytes] = BLOCK[type] as readonly [number, number];
  const out = data.slice();
  for (let block = 0; block < out.length; block += bytes) {
    for (const place of HALVES[type] ?? [0])
      out[block + place + 1] = 0x2c | ((out[block + place + 1] as number) & 0x83);
    if (type === "IQ1_M") {
      out[block + 53] = ((out[block + 53] as number) & 0x0f) | 0xc0;
      out[block + 55] = ((out[block + 55] as number) & 0x0f) | 0x20;
    }
    if (type === "NVFP4") for (let g = 0; g < 4; g++) out[block + g] = 0x38 | ((out[block + g] as number) & 7);
  }
  return out;
}

function nearScales(data: Uint8Array): Uint8Array {
  const out = data.slice();
  for (let block = 0; block < out.length; block += 17) out[block] = 120 + ((out[block] as number) & 3);
  return out;
}

function exactProduct(w: Float32Array, x: Float32Array, rows: number, cols: number, n: number): Float64Array {
  return Float64Array.from({ length: n * rows }, (_, i) => {
    const token = Math.floor(i / rows) * cols;
    const row = (i % rows) * cols;
    let sum = 0;
    for (let col = 0; col < cols; col++) sum += (w[row + col] as number) * (x[token + col] as number);
    return sum;
  });
}

t("records of scales on several threads: the same bits", async () => {
  const pooled = await init({ threads: 3 });
  for (const type of ["Q4_0", "Q4_K", "Q2_K", "NVFP4"]) {
    const [columns] = BLOCK[type] as readonly [number, number];
    const [rows, cols] = [700, 4 * Math.max(256, columns)];
    const data = nearHalves(type, randomBlocks(type, (rows * cols) / columns));
    const x = rng.gaussians(9 * cols);
    const one = ggml.matrix(lb, { type, rows, cols, data });
    const many = ggml.matrix(pooled, { type, rows, cols, data });
    for (let i = 0; i < 40; i++)
      equalBits(many.gemv(x.subarray(0, cols)), one.gemv(x.subarray(0, cols)), `${type} gemv`);
    for (let i = 0; i < 10; i++) equalBits(many.gemm(x, 9), one.gemm(x, 9), `${type} gemm`);
    one.dispose();
    many.dispose();
  }
  pooled.dispose();
});

t("most types take no more memory than in the file, but for 5 %", () => {
  const larger = [..."Q1_0 TQ1_0 Q5_1 Q5_K Q3_K IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S".split(" ")];
  for (const type of types) {
    const [columns, bytes] = BLOCK[type] as readonly [number, number];
    const [rows, cols] = [64, 4 * columns];
    const matrix = ggml.matrix(lb, { type, rows, cols, data: new Uint8Array(rows * 4 * bytes) });
    // A table is 32 bytes.
    const bits = ((matrix.byteLength - 32) * 8) / (rows * cols);
    is(bits > (1.05 * 8 * bytes) / columns, larger.includes(type), `${type}: ${bits} bits`);
    matrix.dispose();
  }
});

t("numbers without blocks", () => {
  const values = Float32Array.of(1, -2.5, 0, -0, 3.140625, 1024);
  const bytes = (array: ArrayBufferView): Uint8Array =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const halves = Uint16Array.of(0x3c00, 0xc100, 0, 0x8000, 0x4248, 0x6400);
  const b16 = Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
  for (const [type, data] of [
    ["F32", bytes(values)],
    ["F16", bytes(halves)],
    ["BF16", bytes(b16)],
  ] as const) {
    // At an odd place of its buffer, as bytes of files are.
    const moved = new Uint8Array(data.length + 1).subarray(1);
    moved.set(data);
    equalBits(ggml.decode({ type, rows: 2, cols: 3, data: moved }), values, type);
    const matrix = ggml.matrix(lb, { type, rows: 2, cols: 3, data: moved });
    equalBits(matrix.dequantize(), values, type);
    is(matrix.activation, "f32");
    matrix.dispose();
  }
  const whole = [-3, 7, 127, 0];
  for (const [type, array] of [
    ["I8", Int8Array.from(whole)],
    ["I16", Int16Array.from(whole)],
    ["I32", Int32Array.from(whole)],
    ["I64", BigInt64Array.from(whole, BigInt)],
    ["F64", Float64Array.from(whole)],
  ] as const) {
    equal([...ggml.decode({ type, rows: 1, cols: 4, data: bytes(array) })], whole, type);
    throwsWith(
      () => ggml.matrix(lb, { type, rows: 1, cols: 4, data: bytes(array) }),
      RangeError,
      /which has no matrix/,
    );
  }
});

t("TQ2_0 without codes 3 is ternary, for lookups too", () => {
  const data = randomBlocks("TQ2_0", 20).map((byte, i) => (i % 66 < 64 ? byte & ~(byte & (byte >> 1) & 0x55) : byte));
  const want = decodeBlocks("TQ2_0", data, grids);
  const given = { type: "TQ2_0", rows: 10, cols: 512, data };
  const matrix = ggml.matrix(lb, given);
  ok(matrix.kernel.includes("ternary"), matrix.kernel);
  equalBits(matrix.dequantize(), want, "ternary");
  const tables = ggml.matrix(lb, { ...given, activation: "lut8" });
  equal(
    [...tables.dequantize()],
    [...want].map((w) => w + 0),
  );
});

t("I2_S in the layout that the caller names", () => {
  const scale = 0.731;
  const codes = rng.trits(8 * 256);
  const data = new Uint8Array(8 * 64 + 32);
  for (let i = 0; i < codes.length; i++) {
    const at = 32 * Math.floor(i / 128) + (i % 32);
    data[at] = (data[at] as number) | (((codes[i] as number) + 1) << (6 - 2 * (Math.floor(i / 32) % 4)));
  }
  new DataView(data.buffer).setFloat32(512, scale, true);
  const want = Float32Array.from(codes, (code) => Math.fround(scale) * code);
  const given = { type: "I2_S", rows: 8, cols: 256, data, layout: "x86" } as const;
  equal([...ggml.matrix(lb, given).dequantize()], [...want]);
  equal([...ggml.decode(given)], [...want]);
  const { layout, ...unnamed } = given;
  is(layout, "x86");
  throwsWith(() => ggml.matrix(lb, unnamed), TypeError, /layout/);
});

t("what does not fit is refused by the tensor's name", () => {
  const data = new Uint8Array(18);
  const given = { type: "Q4_0", rows: 1, cols: 32, data, name: "blk.0.attn_q.weight" };
  throwsWith(
    () => ggml.matrix(lb, { ...given, type: "TL1" }),
    RangeError,
    /^ggml\.matrix: blk\.0\.attn_q\.weight: type: /,
  );
  throwsWith(() => ggml.matrix(lb, { ...given, cols: 33 }), RangeError, /a multiple of 32 for Q4_0, got 33/);
  throwsWith(() => ggml.matrix(lb, { ...given, rows: 2 }), RangeError, /expected length 36 .*got 18/);
  throwsWith(() => ggml.matrix(lb, { ...given, data: Float32Array.of(1) as never }), TypeError, /data/);
  throwsWith(() => ggml.matrix(lb, { ...given, activation: "lut8" }), RangeError, /activation/);
  const infinite = data.slice();
  infinite.set([0, 0x7c]);
  throwsWith(
    () => ggml.matrix(lb, { ...given, data: infinite }),
    RangeError,
    /scales of which weights are finite, got Infinity in block 0/,
  );
});

const shared = new URL("../../../shared/gguf/ggml-vectors/", import.meta.url);
if (existsSync(shared)) {
  t("all vectors of ../shared", () => {
    const files = readdirSync(shared).filter((name) => name.endsWith(".safetensors") && !/^(source|bitnet)/.test(name));
    is(files.length, types.length);
    for (const file of files) {
      const type = file.replace(".safetensors", "").toUpperCase();
      const { tensors } = parseSafetensors(readFileSync(new URL(file, shared)), file);
      for (const [key, { shape, data: floats }] of tensors) {
        if (!key.endsWith("values")) continue;
        const [rows, cols] = shape as [number, number];
        const { data } = tensors.get(key.replace("values", "blocks")) as { data: Uint8Array };
        const matrix = ggml.matrix(lb, { type, rows, cols, data });
        equalBits(matrix.dequantize(), floatsOf(floats), `${type} ${key}`);
        equalBits(ggml.decode({ type, rows, cols, data }), floatsOf(floats), `${type} ${key}`);
        matrix.dispose();
      }
    }
  });
} else {
  t.skip("all vectors of ../shared", "../shared is not there");
}
