// BitNet's packed tensors, written here from their definitions, and what is refused.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseSafetensors, type Tensor } from "../../../src/files/safetensors.ts";
import { equalBits, throwsWith } from "../../lib/assert.ts";
import { init, ternary } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";

const lb = await init();
const rng = random("ternary imports");
const t = suite("ternary: published layouts");

const trits = (count: number): Int8Array => rng.trits(count);
const weights = (codes: Int8Array, scale: (row: number) => number, cols: number): Float32Array =>
  Float32Array.from(codes, (code, i) => code * scale(Math.floor(i / cols)));

/** Bits 2i and 2i + 1 of byte [r, c] are w + 1 of row i · ceil(rows / 4) + r; where there is no row, `rest`. */
function packBitnet(codes: Int8Array, rows: number, cols: number, rest = 0): Uint8Array {
  const quarter = Math.ceil(rows / 4);
  return Uint8Array.from({ length: quarter * cols }, (_, at) => {
    let byte = 0;
    for (let i = 0; i < 4; i++) {
      const row = i * quarter + Math.floor(at / cols);
      byte |= (row < rows ? (codes[row * cols + (at % cols)] as number) + 1 : rest) << (2 * i);
    }
    return byte;
  });
}

t("bitnet: rows in four blocks, the last one short or missing; either meaning of the scale", () => {
  for (const [rows, cols] of [
    [64, 64],
    [4, 1],
    [1, 40],
    [2, 7],
    [5, 33],
    [7, 16],
    [130, 24],
  ] as const) {
    const codes = trits(rows * cols);
    const packed = packBitnet(codes, rows, cols, 3);
    const shape = { rows, cols, packed };
    const scale = Math.fround(0.37);
    const multiplied = weights(codes, () => scale, cols);
    const name = `${rows} x ${cols}`;
    equalBits(ternary.fromBitnet(lb, { ...shape, scales: scale }).dequantize(), multiplied, name);
    const auto = { ...shape, weightScale: Float32Array.of(scale), linearClass: "autobitlinear" as const };
    equalBits(ternary.fromBitnet(lb, auto).dequantize(), multiplied, `${name}, autobitlinear`);
    const divided = weights(codes, () => Math.fround(1 / scale), cols);
    equalBits(ternary.fromBitnet(lb, { ...shape, weightScale: scale }).dequantize(), divided, `${name}, bitlinear`);
    const each = Float32Array.from({ length: rows }, (_, row) => row + 0.5);
    const byRow = weights(codes, (row) => row + 0.5, cols);
    equalBits(ternary.fromBitnet(lb, { ...shape, scale: each }).dequantize(), byRow, `${name}, a scale a row`);
    // One tensor under both of its names is one tensor.
    const twice = { rows, cols, packed, weight: packed, scale: 2, scales: Float32Array.of(2) };
    equalBits(
      ternary.fromBitnet(lb, twice).dequantize(),
      weights(codes, () => 2, cols),
      `${name}, both names`,
    );
  }
});

t("bitnet: the names of checkpoints, and activations", () => {
  const codes = trits(16 * 32);
  const weight = packBitnet(codes, 16, 32);
  const options = {
    rows: 16,
    cols: 32,
    weight,
    weight_scale: 2,
    linear_class: "bitlinear",
    activation: "lut8",
  } as const;
  const matrix = ternary.fromBitnet(lb, options as never);
  equalBits(
    matrix.dequantize(),
    weights(codes, () => 0.5, 32),
    "by their names",
  );
});

/** Byte m of a run of `step` has columns m, step + m, 2 step + m, 3 step + m, from the highest bits down. */
function packColumns(codes: Int8Array, step: number): Uint8Array {
  return Uint8Array.from({ length: codes.length / 4 }, (_, i) => {
    const first = 4 * step * Math.floor(i / step) + (i % step);
    return [0, 1, 2, 3].reduce((byte, j) => byte | (((codes[first + j * step] as number) + 1) << (6 - 2 * j)), 0);
  });
}

function packRows(codes: Int8Array, cols: number): Uint8Array {
  return Uint8Array.from({ length: codes.length / 4 }, (_, i) => {
    const first = 4 * Math.floor(i / cols) * cols + (i % cols);
    return [0, 1, 2, 3].reduce((byte, j) => byte | (((codes[first + j * cols] as number) + 1) << (6 - 2 * j)), 0);
  });
}

function withScale(packed: Uint8Array, scale: number): Uint8Array {
  const out = new Uint8Array(packed.length + 32).fill(0xaa);
  out.set(packed);
  new DataView(out.buffer).setFloat32(packed.length, scale, true);
  return out;
}

t("i2_s: each of the three layouts, its scale behind it or apart", () => {
  const [rows, cols] = [12, 256];
  const codes = trits(rows * cols);
  const scale = Math.fround(1.7);
  for (const [layout, packed] of [
    ["x86", packColumns(codes, 32)],
    ["arm", packColumns(codes, 16)],
    ["rows", packRows(codes, cols)],
  ] as const) {
    const expected = weights(codes, () => scale, cols);
    const got = ternary.fromI2s(lb, { rows, cols, layout, packed: withScale(packed, scale) });
    equalBits(got.dequantize(), expected, layout);
    // At any address.
    const moved = new Uint8Array(packed.length + 1).subarray(1);
    moved.set(packed);
    equalBits(
      ternary.fromI2s(lb, { rows, cols, layout, packed: moved, scale }).dequantize(),
      expected,
      `${layout}, apart`,
    );
  }
});

t("refuse what does not fit", () => {
  const packed = packBitnet(trits(64 * 64), 64, 64);
  const bitnet = (change: object) => () =>
    ternary.fromBitnet(lb, { rows: 64, cols: 64, packed, scales: 1, ...change } as never);
  const bad = packed.slice();
  bad[70] = 0xff;
  for (const [call, kind, message] of [
    [bitnet({ packed: packed.slice(1) }), RangeError, "fromBitnet: packed: expected length 1024"],
    [bitnet({ packed: bad }), RangeError, "fromBitnet: packed: expected codes 0, 1 or 2, got 3 at row 1, column 6"],
    [bitnet({ packed: undefined }), TypeError, "fromBitnet: packed: expected a Uint8Array, got undefined"],
    [bitnet({ weight: bad }), RangeError, "fromBitnet: weight: expected packed or weight"],
    [bitnet({ scales: undefined }), TypeError, "fromBitnet: weightScale: expected a number"],
    [bitnet({ weightScale: 2 }), RangeError, "fromBitnet: scales: expected scales or weightScale, got both"],
    [bitnet({ scales: undefined, weightScale: 0 }), RangeError, "weightScale: expected numbers to divide by"],
    [bitnet({ scale: 2 }), RangeError, "fromBitnet: scale: expected scales or scale"],
    [bitnet({ scales: new Float32Array(3) }), RangeError, "scales: expected length 1 or 64"],
    [bitnet({ scales: Number.NaN }), RangeError, "scales: expected finite"],
    [bitnet({ linearClass: "bitlinear" }), RangeError, "linearClass: expected it together with weightScale"],
    [bitnet({ scales: undefined, weightScale: 1, linearClass: "linear" }), RangeError, "linearClass: expected"],
    [bitnet({ groupSize: 32 }), TypeError, 'got unknown option "groupSize"'],
  ] as const) {
    throwsWith(call, kind, message);
  }
  const i2s = (change: object) => () =>
    ternary.fromI2s(lb, { rows: 8, cols: 128, layout: "x86", packed: new Uint8Array(288), ...change } as never);
  for (const [call, kind, message] of [
    [i2s({ layout: undefined }), TypeError, 'fromI2s: layout: expected "x86" | "arm" | "rows", got undefined'],
    [i2s({ cols: 64, packed: new Uint8Array(160) }), RangeError, "cols: expected a multiple of 128"],
    [i2s({ rows: 6, layout: "rows" }), RangeError, "rows: expected a multiple of 4"],
    [
      i2s({ packed: new Uint8Array(256) }),
      RangeError,
      "packed: expected length 288 (rows 8 x cols 128 / 4 + 32), got 256",
    ],
    [
      i2s({ packed: withScale(new Uint8Array(256).fill(255), 1) }),
      RangeError,
      "got 3 at row 0, column 0; another layout",
    ],
    [i2s({ packed: withScale(new Uint8Array(256), Infinity) }), RangeError, "expected a finite number, got Infinity"],
  ] as const) {
    throwsWith(call, kind, message);
  }
  // What pack says of bytes whose number is that of another layout.
  const pack = (codes: Uint8Array) => () => ternary.pack(lb, { rows: 8, cols: 6, codes, scales: Float32Array.of(1) });
  throwsWith(
    pack(new Uint8Array(12)),
    RangeError,
    "8 x 2 bytes of 4 neighbouring columns; four rows in a byte are for ternary.fromBitnet",
  );
  throwsWith(pack(new Uint8Array(48)), RangeError, "one byte a code is an Int8Array");
  throwsWith(pack(new Uint8Array(44)), RangeError, "I2_S with its scale is for ternary.fromI2s");
});

// What other programs wrote: reference material beside the checkout, where it is there.
const shared = (path: string): string => fileURLToPath(new URL(`../../../../shared/${path}`, import.meta.url));
const read = (path: string) => parseSafetensors(new Uint8Array(readFileSync(shared(path))), path).tensors;
const data = (tensor: Tensor | undefined): Uint8Array => (tensor as Tensor).data;
const floats = (tensor: Tensor | undefined): Float32Array => new Float32Array(data(tensor).slice().buffer);

const i2sName = "a matrix that BitNet's own code packed in all three layouts";
const i2sPath = "gguf/ggml-vectors/bitnet.safetensors";
if (!existsSync(shared(i2sPath))) t.skip(i2sName, "skipped: ../shared is absent");
else {
  t(i2sName, () => {
    const tensors = read(i2sPath);
    const expected = Float32Array.from(new Int8Array(data(tensors.get("codes"))), (c) => c * Math.fround(0.731));
    for (const [layout, name] of [
      ["x86", "i2_s_x86"],
      ["arm", "i2_s_arm"],
      ["rows", "i2_s_x86_rows4"],
    ] as const) {
      const got = ternary.fromI2s(lb, { rows: 32, cols: 256, layout, packed: data(tensors.get(name)) });
      equalBits(got.dequantize(), expected, layout);
    }
  });
}

for (const linearClass of ["bitlinear", "autobitlinear"] as const) {
  const folder = `hf-quant/bitnet-${linearClass}`;
  const name = `a checkpoint of the class ${linearClass}`;
  if (!existsSync(shared(folder))) t.skip(name, "skipped: ../shared is absent");
  else {
    t(name, () => {
      const tensors = read(`${folder}/model.safetensors`);
      const wanted = read(`${folder}/expected.safetensors`);
      const layer = "model.layers.0.self_attn.q_proj";
      const packed = data(tensors.get(`${layer}.weight`));
      // bfloat16: the high half of a float32.
      const half = data(tensors.get(`${layer}.weight_scale`));
      const weightScale = new DataView(Uint8Array.of(0, 0, half[0] as number, half[1] as number).buffer).getFloat32(
        0,
        true,
      );
      const matrix = ternary.fromBitnet(lb, { rows: 256, cols: 256, packed, weightScale, linearClass });
      equalBits(matrix.dequantize(), floats(wanted.get(`${layer}.weight`)), layer);
    });
  }
}
