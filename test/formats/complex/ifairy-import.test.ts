// Master weights of iFairy and blocks of its port to llama.cpp: examples by hand, and everything that must be refused.
import { fromBlocks, fromMaster, type IfairyBlocks, type IfairyMaster } from "../../../src/formats/complex/ifairy.ts";
import { bfloat16ToFloat } from "../../../src/lib/half.ts";
import type { Settled } from "../../../src/lib/options.ts";
import { equalBits, is, throwsWith } from "../../lib/assert.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { halfValue } from "../../reference/half.ts";

const rng = random("ifairy-import");

const t = suite("import: bfloat16");

t("is the high half of a float32, bit by bit", () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const view = new DataView(new ArrayBuffer(4));
  const expected = Float32Array.from(bits, (half) => {
    view.setUint32(0, half * 65536);
    return view.getFloat32(0);
  });
  equalBits(bfloat16ToFloat("f", bits), expected, "bfloat16");
  is(bfloat16ToFloat("f", Uint16Array.of(0x3fc0))[0], 1.5);
  is(bfloat16ToFloat("f", Uint16Array.of(0xc2f7))[0], -123.5);
  is(bfloat16ToFloat("f", Uint16Array.of(0x0001))[0], 2 ** -133);
});

t("refuses other types", () => {
  const floats = new Float32Array(1) as unknown as Uint16Array;
  throwsWith(() => bfloat16ToFloat("f", floats), TypeError, "f: expected a Uint16Array of bfloat16 bits, got Float32");
});

const u = suite("import: master weights of iFairy");

u("become floats", () => {
  const real = Uint16Array.of(0x3f80, 0xbf80, 0x4000, 0x0000, 0x8000, 0x3e80);
  const imag = Float32Array.of(1, 2, 3, 4, 5, 6);
  const w = fromMaster("f", { rows: 2, cols: 3, weightReal: bfloat16ToFloat("f", real), weightImag: imag });
  equalBits(w.re, Float32Array.of(1, -1, 2, 0, -0, 0.25), "re");
  equalBits(w.im, imag, "im");
});

const v = suite("import: blocks of iFairy");

const BYTES = 68;

/** Blocks of bytes that say -1 (0), with the scales d_real 1.5 and d_imag 0.25. */
function makeBlocks(count: number): Uint8Array {
  const bytes = new Uint8Array(count * BYTES);
  for (let block = 0; block < count; block++) setScales(bytes, block, 0x3e00, 0x3400);
  return bytes;
}

function setScales(bytes: Uint8Array, block: number, real: number, imaginary: number): void {
  bytes.set([real & 255, real >> 8, imaginary & 255, imaginary >> 8], block * BYTES + 64);
}

v("by hand, runs of 16: the first byte is columns 0, 16, 32 and 48", () => {
  const blocks = makeBlocks(1);
  blocks[0] = 0b11_10_01_00; // -1, 1, -i, i from the lowest bits on
  blocks[1] = 0b00_00_00_11; // i in column 1
  blocks[15] = 0b01_00_00_00; // 1 in column 63
  blocks[16] = 0b00_00_00_01; // 1 in column 64
  blocks[63] = 0b10_00_00_00; // -i in column 255
  const { codes, scales, groupSize } = fromBlocks("f", { rows: 1, cols: 256, blocks, run: 16 });
  const expected = new Uint8Array(256).fill(2);
  expected[16] = 0;
  expected[32] = 3;
  expected[48] = 1;
  expected[1] = 1;
  expected[63] = 0;
  expected[64] = 0;
  expected[255] = 3;
  equalBits(codes, expected, "codes");
  equalBits(scales.re, Float32Array.of(1.5), "re");
  equalBits(scales.im, Float32Array.of(0.25), "im");
  is(groupSize, 256);
});

v("by hand, runs of 32: the first byte is columns 0, 32, 64 and 96", () => {
  const blocks = makeBlocks(1);
  blocks[0] = 0b11_10_01_00; // -1, 1, -i, i from the lowest bits on
  blocks[31] = 0b01_00_00_00; // 1 in column 127
  blocks[32] = 0b00_00_00_01; // 1 in column 128
  const { codes } = fromBlocks("f", { rows: 1, cols: 256, blocks });
  const expected = new Uint8Array(256).fill(2);
  expected[32] = 0;
  expected[64] = 3;
  expected[96] = 1;
  expected[127] = 0;
  expected[128] = 0;
  equalBits(codes, expected, "codes");
});

v("each column has a place of its own", () => {
  for (const run of [16, 32] as const) {
    for (let column = 0; column < 256; column++) {
      const blocks = makeBlocks(2);
      const at = BYTES + run * Math.floor(column / (4 * run)) + (column % run);
      blocks[at] = 3 << (2 * (Math.floor(column / run) % 4));
      const { codes } = fromBlocks("f", { rows: 2, cols: 256, blocks, run });
      is(codes.indexOf(1), 256 + column);
      is(codes.lastIndexOf(1), 256 + column);
    }
  }
});

v("rows of blocks, with one pair of scales or one a block", () => {
  const [rows, cols] = [3, 512];
  const blocks = makeBlocks(6);
  const parts = [
    [-1, 0],
    [1, 0],
    [0, -1],
    [0, 1],
  ] as const;
  // The weights themselves, and their codes in the blocks.
  const weights = Array.from({ length: rows * cols }, (_, i) => {
    const code = rng.int(0, 3);
    const [block, column] = [Math.floor(i / 256), i % 256];
    const at = block * BYTES + Math.floor(column / 128) * 32 + (column % 32);
    blocks[at] = (blocks[at] as number) | (code << (2 * (Math.floor(column / 32) % 4)));
    return parts[code] as readonly [number, number];
  });
  const powers = [
    [1, 0],
    [0, 1],
    [-1, 0],
    [0, -1],
  ] as const;
  const check = (codes: Uint8Array): void => {
    weights.forEach(([re, im], i) => {
      const power = powers[codes[i] as 0 | 1 | 2 | 3];
      is(power.join(), [re, im].join(), `weight ${i}`);
    });
  };
  const same = fromBlocks("f", { rows, cols, blocks });
  check(same.codes);
  is(same.groupSize, cols);
  is(same.scales.re.join(), "1.5");
  is(same.scales.im.join(), "0.25");
  for (let block = 0; block < 6; block++) setScales(blocks, block, 0x3c00 + block, 0xb800 - block);
  const each = fromBlocks("f", { rows, cols, blocks });
  check(each.codes);
  is(each.groupSize, 256);
  equalBits(
    each.scales.re,
    Float32Array.from({ length: 6 }, (_, block) => halfValue(0x3c00 + block)),
    "re",
  );
  equalBits(
    each.scales.im,
    Float32Array.from({ length: 6 }, (_, block) => halfValue(0xb800 - block)),
    "im",
  );
  // It is enough that one of the parts differs.
  const part = makeBlocks(6);
  setScales(part, 5, 0x3e00, 0x3401);
  is(fromBlocks("f", { rows, cols, blocks: part }).scales.re.join(), "1.5,1.5,1.5,1.5,1.5,1.5");
});

v("scales that are 0, NaN or infinite are refused with their block", () => {
  for (const [bits, shown] of [
    [0x0000, "0"],
    [0x8000, "0"],
    [0x7e00, "NaN"],
    [0x7c00, "Infinity"],
    [0xfc00, "-Infinity"],
  ] as const) {
    const real = makeBlocks(6);
    setScales(real, 4, bits, 0x3400);
    const message = (name: string, block: number): string =>
      `f: blocks: expected finite ${name}, not 0, got ${shown} in block ${block}`;
    throwsWith(() => fromBlocks("f", { rows: 3, cols: 512, blocks: real }), RangeError, message("d_real", 4));
    const imaginary = makeBlocks(6);
    setScales(imaginary, 5, 0x3400, bits);
    throwsWith(() => fromBlocks("f", { rows: 3, cols: 512, blocks: imaginary }), RangeError, message("d_imag", 5));
  }
});

const x = suite("import: iFairy refuses");

type Case = [string, unknown, typeof Error, string];

const shapes: Case[] = [
  ["rows", 0, RangeError, "expected an integer from 1"],
  ["rows", "8", TypeError, "expected an integer from 1"],
  ["cols", 1.5, RangeError, "expected an integer from 1"],
  ["cols", undefined, TypeError, "expected an integer from 1"],
];
const blocks: IfairyBlocks = { rows: 2, cols: 256, blocks: makeBlocks(2) };
const master: IfairyMaster = { rows: 2, cols: 2, weightReal: new Float32Array(4), weightImag: new Float32Array(4) };

const targets: [string, (value: unknown) => unknown, object, Case[]][] = [
  [
    "fromBlocks",
    (value) => fromBlocks("f", value as IfairyBlocks),
    blocks,
    [
      ["cols", 128, RangeError, "expected a multiple of 256 (whole blocks), got 128"],
      ["cols", 300, RangeError, "expected a multiple of 256 (whole blocks), got 300"],
      ["blocks", makeBlocks(1), RangeError, "expected length 136 (rows 2 x blocks of a row 1 x 68), got 68"],
      ["blocks", new Int8Array(136), TypeError, "expected a Uint8Array, got Int8Array of length 136"],
      ["run", 8, RangeError, "expected 16 or 32, got 8"],
      ["run", "32", TypeError, "expected 16 or 32"],
    ],
  ],
  [
    "fromMaster",
    (value) => fromMaster("f", value as Settled<IfairyMaster>),
    master,
    [
      ["weightReal", new Float32Array(3), RangeError, "expected length 4 (rows 2 x cols 2), got 3"],
      ["weightReal", new Float64Array(4), TypeError, "expected a Float32Array"],
      ["weightReal", Float32Array.of(0, NaN, 0, 0), RangeError, "expected finite weights, got NaN at index 1"],
      ["weightImag", new Float32Array(5), RangeError, "expected length 4 (rows 2 x cols 2), got 5"],
      ["weightImag", new Uint16Array(4), TypeError, "expected a Float32Array, or 16-bit numbers whose type is named"],
      [
        "weightImag",
        Float32Array.of(0, 0, 0, Infinity),
        RangeError,
        "expected finite weights, got Infinity at index 3",
      ],
      ["weightImag", undefined, TypeError, "expected a Float32Array"],
    ],
  ],
];

for (const [name, call, good, cases] of targets) {
  x(`${name}: nothing that is good`, () => {
    call(good);
  });
  for (const [key, value, kind, message] of [...shapes, ...cases]) {
    x(`${name}: ${key} ${message}`, () =>
      throwsWith(() => call({ ...good, [key]: value }), kind, `f: ${key}: ${message}`),
    );
  }
}
