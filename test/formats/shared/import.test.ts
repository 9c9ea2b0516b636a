// Packed tensors of published checkpoints, back to codes and scales: golden vectors, examples by hand, random layers that
// the packers of test/reference made, and everything that must be refused.
//
// Cases name their formats.
import { importMxfp4, type Mxfp4Tensors } from "../../../src/formats/codebook/mxfp4.ts";
import { type BnbTensors, type ImportedBnb, importBnb4 } from "../../../src/formats/codebook/nf4.ts";
import { importNvfp4, type Nvfp4Tensors } from "../../../src/formats/codebook/nvfp4.ts";
import { type AwqTensors, importAwq } from "../../../src/formats/uniform/from-awq.ts";
import { type GptqTensors, importGptq } from "../../../src/formats/uniform/from-gptq.ts";
import { type MatryoshkaCodes, sliceCodes } from "../../../src/formats/uniform/matryoshka.ts";
import { e4m3ToFloat, e8m0ToFloat, halfToFloat } from "../../../src/lib/half.ts";
import { bytesFromHex, floatsFromHex } from "../../kernels/vectors.ts";
import { equal, equalBits, equalValues, is, throwsWith } from "../../lib/assert.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { packAwq } from "../../reference/awq.ts";
import { packWords } from "../../reference/gptq.ts";
import { e2m1Of, e4m3Of, e8m0Of, halfValue } from "../../reference/half.ts";
import { bnbFp4Table, nf4Table } from "../../reference/table.ts";
import {
  type ImportVector,
  makeAwq,
  makeGptq,
  makeImportVectors,
  makeTable,
  readImportVectors,
  scatteredGroups,
} from "./import-vectors.ts";

const f32 = Math.fround;
const rng = random("import");
const int32 = (hex: string): Int32Array => new Int32Array(bytesFromHex(hex).buffer as ArrayBuffer);
const uint16 = (hex: string): Uint16Array => new Uint16Array(bytesFromHex(hex).buffer as ArrayBuffer);

/** Imports the vector and compares the weights with what its layout says they are. */
function check(vector: ImportVector, label: string): void {
  const { layout, rows, cols, groupSize } = vector;
  if (layout === "gptq" || layout === "awq") checkUniform(vector, label);
  else checkTable(vector, rows, cols, groupSize, label);
}

function checkUniform(vector: ImportVector, label: string): void {
  const { rows, cols, groupSize, bits, format } = vector;
  const zeros = vector.zeros as number[][];
  const scales = uint16(vector.scales);
  const gIdx = vector.gIdx === undefined ? undefined : int32(vector.gIdx);
  const tensors = {
    rows,
    cols,
    groupSize,
    qweight: int32(vector.packed),
    qzeros: int32(vector.qzeros as string),
    scales: halfToFloat("f", scales),
  };
  const imported =
    vector.layout === "awq" ? importAwq("f", tensors) : importGptq("f", { ...tensors, bits: bits as 4, format, gIdx });
  const groups = Math.ceil(cols / groupSize);
  const order = "columnOrder" in imported ? (imported.columnOrder as Uint32Array) : undefined;
  is(order !== undefined, gIdx !== undefined, `${label}: reordered`);
  is(imported.bits, bits);
  is(imported.groupSize, groupSize);
  const codes = bytesFromHex(vector.codes);
  // Weight by weight, in the order of the inputs, from the definition.
  const expected = new Float32Array(rows * cols);
  const actual = new Float32Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < cols; i++) {
      const col = order === undefined ? i : (order[i] as number);
      const group = gIdx === undefined ? Math.floor(col / groupSize) : (gIdx[col] as number);
      const zero = (zeros[group] as number[])[row] as number;
      const scale = halfValue(scales[group * rows + row] as number);
      expected[row * cols + col] = scale * ((codes[row * cols + col] as number) - zero);
      const mine = row * groups + Math.floor(i / groupSize);
      actual[row * cols + col] =
        (imported.scales[mine] as number) *
        ((imported.codes[row * cols + i] as number) - (imported.zeros[mine] as number));
    }
  }
  equalBits(actual, expected, `${label}: weights`);
}

function importTable(vector: ImportVector): ImportedBnb {
  const { layout, rows, cols, globalScale } = vector;
  const packed = bytesFromHex(vector.packed);
  const shape = { rows, cols };
  if (layout === "mxfp4") return importMxfp4("f", { ...shape, blocks: packed, scales: bytesFromHex(vector.scales) });
  if (layout === "mxfp4-ggml") return importMxfp4("f", { ...shape, layout: "ggml", blocks: packed });
  if (layout === "nvfp4")
    return importNvfp4("f", { ...shape, packed, scales: bytesFromHex(vector.scales), globalScale });
  return importBnb4("f", { ...shape, type: layout as "nf4", packed, absmax: floatsFromHex(vector.scales) });
}

function checkTable(vector: ImportVector, rows: number, cols: number, block: number, label: string): void {
  const { layout } = vector;
  const { codes, scales, groupSize, table, rest } = importTable(vector);
  const given = bytesFromHex(vector.codes);
  if (rest === undefined) equalBits(codes, given, `${label}: codes`);
  const entryOf = (code: number): number =>
    layout === "nf4" ? (nf4Table[code] as number) : layout === "fp4" ? (bnbFp4Table[code] as number) : e2m1Of(code);
  const stored = bytesFromHex(vector.scales);
  const absmax = layout === "nf4" || layout === "fp4" ? floatsFromHex(vector.scales) : undefined;
  const scaleOf = (index: number): number => {
    if (absmax) return absmax[index] as number;
    if (layout !== "nvfp4") return e8m0Of(stored[index] as number);
    return f32(e4m3Of(stored[index] as number) * (vector.globalScale as number));
  };
  const groups = Math.ceil(cols / groupSize);
  is(scales.length, rows * groups);
  const actual = new Float32Array(rows * cols);
  const expected = new Float32Array(rows * cols);
  for (let i = 0; i < rows * cols; i++) {
    const group = Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize);
    const more = rest ? (rest.scales[group] as number) * (table[rest.codes[i] as number] as number) : 0;
    actual[i] = (scales[group] as number) * (table[codes[i] as number] as number) + more;
    expected[i] = scaleOf(Math.floor(i / block)) * entryOf(given[i] as number);
  }
  equalValues(actual, expected, `${label}: weights`);
}

const t = suite("import: golden vectors and random layers");

t("the file is what the packers make", () => {
  equal(readImportVectors(), JSON.parse(JSON.stringify(makeImportVectors())));
});

t("uniform and codebook: become the weights that they stand for", () => {
  for (const [i, vector] of readImportVectors().entries()) check(vector, `vector ${i}, ${vector.layout}`);
});

t("uniform: gptq of every width, with groups in and out of order", () => {
  for (const bits of [2, 3, 4, 8]) {
    for (const format of ["gptq", "gptq_v2"] as const) {
      for (const [rows, cols, groupSize] of [
        [32, 32, 32],
        [64, 96, 32],
        [160, 64, 24],
        [32, 64, 1],
      ] as const) {
        for (const scattered of [false, groupSize < cols]) {
          const vector = makeGptq(rng, { rows, cols, groupSize, bits }, format, scattered);
          check(vector, `gptq ${bits} bits ${format} ${rows} x ${cols} group ${groupSize}`);
        }
      }
    }
  }
});

t("uniform and codebook: awq and the tables of every shape", () => {
  for (const [rows, cols, groupSize] of [
    [8, 1, 1],
    [24, 50, 16],
    [64, 128, 128],
  ] as const) {
    check(makeAwq(rng, { rows, cols, groupSize }), `awq ${rows} x ${cols}`);
  }
  for (const [rows, cols] of [
    [1, 32],
    [5, 96],
    [16, 256],
  ] as const) {
    for (const layout of ["mxfp4", "mxfp4-ggml"] as const) check(makeTable(rng, layout, rows, cols, 32), layout);
    check(makeTable(rng, "nvfp4", rows, cols, 16), "nvfp4");
  }
  for (const [rows, cols] of [
    [1, 1],
    [3, 5],
    [7, 33],
    [2, 64],
    [5, 96],
    [4, 256],
  ] as const) {
    for (const layout of ["nf4", "fp4"] as const) check(makeTable(rng, layout, rows, cols, 64), `${layout} ${cols}`);
  }
});

const u = suite("import: by hand");

const ones = (length: number): Float32Array => new Float32Array(length).fill(1);

u("uniform: gptq: 0x76543210 is inputs 0..7 of one output, 0x77777777 is the symmetric zero point", () => {
  const qweight = Int32Array.from({ length: 8 }, () => 0x76543210);
  const shape = { rows: 8, cols: 8, groupSize: 8, bits: 4, scales: ones(8) } as const;
  const old = importGptq("f", { ...shape, qweight, qzeros: Int32Array.of(0x77777777) });
  is(old.codes.subarray(0, 8).join(), "0,1,2,3,4,5,6,7");
  is(old.zeros.join(), "8,8,8,8,8,8,8,8");
  is(old.symmetric, true);
  is(old.columnOrder, undefined);
  const v2 = importGptq("f", { ...shape, qweight, qzeros: Int32Array.of(0x77777777), format: "gptq_v2" });
  is(v2.zeros[0], 7);
  is(v2.symmetric, false);
  is(importGptq("f", { ...shape, qweight }).symmetric, true);
});

u("uniform: gptq: a stored zero point of all ones wraps to 0", () => {
  const qweight = new Int32Array(8);
  const shape = { rows: 8, cols: 8, groupSize: 8, bits: 4, scales: ones(8) } as const;
  is(importGptq("f", { ...shape, qweight, qzeros: Int32Array.of(-1) }).zeros.join(), "0,0,0,0,0,0,0,0");
  is(importGptq("f", { ...shape, qweight, qzeros: Int32Array.of(-1), format: "gptq_v2" }).zeros[7], 15);
});

u("uniform: gptq: 3-bit codes 10 and 21 of 32 straddle words", () => {
  const codes = new Array<number>(32).fill(0);
  codes[10] = 0b101;
  codes[21] = 0b110;
  const words = [0x40000000, 0x00000001, 0x00000003];
  equal(packWords(codes, 3), words);
  const { codes: unpacked } = importGptq("f", {
    rows: 1,
    cols: 32,
    groupSize: 32,
    bits: 3,
    qweight: Int32Array.from(words),
    scales: ones(1),
  });
  is(unpacked.join(), codes.join());
});

u("uniform: gptq: columns of a group keep their order", () => {
  const { columnOrder, codes } = importGptq("f", {
    rows: 8,
    cols: 8,
    groupSize: 4,
    bits: 4,
    qweight: new Int32Array(8).fill(0x76543210),
    scales: ones(16),
    gIdx: Int32Array.of(1, 0, 1, 0, 0, 1, 0, 1),
  });
  is(columnOrder?.join(), "1,3,4,6,0,2,5,7");
  is(codes.subarray(0, 8).join(), "1,3,4,6,0,2,5,7");
});

u("uniform: awq: 0x75316420 is outputs 0..7", () => {
  is((packAwq([[0, 1, 2, 3, 4, 5, 6, 7]])[0] as number) >>> 0, 0x75316420);
  const { codes, zeros } = importAwq("f", {
    rows: 8,
    cols: 1,
    groupSize: 1,
    qweight: Int32Array.of(0x75316420),
    qzeros: Int32Array.of(0x75316420),
    scales: ones(8),
  });
  is(codes.join(), "0,1,2,3,4,5,6,7");
  is(zeros.join(), "0,1,2,3,4,5,6,7");
});

u("half, E4M3 and E8M0 are their definitions, bit by bit", () => {
  const halfBits = Uint16Array.from({ length: 65536 }, (_, i) => i);
  equalBits(halfToFloat("f", halfBits), Float32Array.from(halfBits, halfValue), "half");
  const bytes = Uint8Array.from({ length: 255 }, (_, i) => i);
  equalBits(e8m0ToFloat("f", bytes), Float32Array.from(bytes, e8m0Of), "e8m0");
  const finite = bytes.filter((byte) => byte !== 127);
  equalBits(e4m3ToFloat("f", finite), Float32Array.from(finite, e4m3Of), "e4m3");
  is(e4m3ToFloat("f", Uint8Array.of(0x7e))[0], 448);
  is(halfToFloat("f", Uint16Array.of(0x3555))[0], 0.333251953125);
});

u("uniform: matryoshka: the high bits, rounded; with and without clamp", () => {
  const codes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const from = { rows: 1, cols: 256, groupSize: 256, codes, scales: Float32Array.of(0.5), zeros: Float32Array.of(77) };
  for (let bits = 1; bits <= 8; bits++) {
    for (const extraPrecision of [false, true]) {
      const sliced = sliceCodes("f", from, bits, { extraPrecision });
      const step = 2 ** (8 - bits);
      const most = extraPrecision && bits < 8 ? 2 ** bits : 2 ** bits - 1;
      const label = `${bits} bits, ${extraPrecision}`;
      const expected = codes.map((code) => Math.min(Math.floor(code / step + 0.5), most));
      equalBits(sliced.codes, expected, label);
      const stored = [2, 3, 4, 5, 6, 8].find((b) => 2 ** b - 1 >= most);
      is(sliced.bits, stored, label);
      is(sliced.scales[0], 0.5 * step);
      is(sliced.zeros?.[0], 77 / step);
    }
  }
  // 234 / 64 rounds up to 4, which only extra precision can hold.
  is(sliceCodes("f", from, 2).codes[234], 3);
  is(sliceCodes("f", from, 2, { extraPrecision: true }).codes[234], 4);
});

u("uniform: matryoshka: symmetric codes stay symmetric unless a bit is added", () => {
  const from = { rows: 1, cols: 2, groupSize: 2, codes: Uint8Array.of(0, 255), scales: Float32Array.of(1) };
  is(sliceCodes("f", from, 4).zeros, undefined);
  const extra = sliceCodes("f", from, 4, { extraPrecision: true });
  is(extra.bits, 5);
  is(extra.zeros?.[0], 8);
  is(extra.codes[1], 16);
});

type Loose = (where: string, ...rest: unknown[]) => unknown;

function refuse(name: string, call: Loose, good: object, cases: [string, unknown, typeof Error, string][]): void {
  const v = suite(`import: ${/Gptq|Awq|slice/.test(name) ? "uniform" : "codebook"}: ${name} refuses`);
  v("nothing that is good", () => {
    call("f", good);
  });
  for (const [key, value, kind, message] of cases) {
    v(`${key} ${message}`, () => throwsWith(() => call("f", { ...good, [key]: value }), kind, `f: ${key}: ${message}`));
  }
}

const withNumber = (array: Float32Array, index: number, value: number): Float32Array => {
  const out = array.slice();
  out[index] = value;
  return out;
};
const shapeCases: [string, unknown, typeof Error, string][] = [
  ["rows", 0, RangeError, "expected an integer from 1"],
  ["rows", "8", TypeError, "expected an integer from 1"],
  ["cols", 1.5, RangeError, "expected an integer from 1"],
  ["cols", undefined, TypeError, "expected an integer from 1"],
];
const gptq: GptqTensors = {
  rows: 16,
  cols: 24,
  groupSize: 16,
  bits: 4,
  qweight: new Int32Array(48),
  qzeros: new Int32Array(4),
  scales: ones(32),
  gIdx: scatteredGroups(random("refused", 1), 24, 16),
};
refuse("importGptq", importGptq as Loose, gptq, [
  ...shapeCases,
  ["groupSize", -2, RangeError, "expected an integer from 1"],
  ["bits", 5, RangeError, "expected 2, 3, 4 or 8, got 5"],
  ["bits", "4", TypeError, "expected an integer"],
  ["format", "gptq_v3", RangeError, 'expected "gptq" | "gptq_v2", got "gptq_v3"'],
  ["qweight", new Int32Array(47), RangeError, "expected length 48 (3 words x rows 16), got 47"],
  ["qweight", new Float32Array(48), TypeError, "expected an Int32Array, got Float32Array of length 48"],
  ["qzeros", new Int32Array(5), RangeError, "expected length 4 (groups of a row 2 x 2 words), got 5"],
  ["scales", ones(31), RangeError, "expected length 32 (groups of a row 2 x rows 16), got 31"],
  ["scales", withNumber(ones(32), 9, NaN), RangeError, "expected finite numbers, got NaN at index 9"],
  [
    "scales",
    new Uint16Array(32),
    TypeError,
    "expected a Float32Array, or 16-bit numbers whose type is named, { dtype:",
  ],
  ["scales", new Float64Array(32), TypeError, "expected a Float32Array, got Float64Array of length 32"],
  ["symmetric", 1, TypeError, "expected a boolean, got 1"],
  ["actOrder", "yes", TypeError, "expected a boolean"],
  ["gIdx", new Int32Array(23), RangeError, "expected length 24"],
  ["gIdx", new Float32Array(24), TypeError, "expected an Int32Array"],
  ["gIdx", new Int32Array(24).fill(2), RangeError, "expected group numbers from 0 to 1, got 2 at index 0"],
  ["gIdx", new Int32Array(24).fill(-1, 5), RangeError, "expected group numbers from 0 to 1, got -1 at index 5"],
  ["gIdx", new Int32Array(24), RangeError, "expected 16 columns of group 0 (groupSize 16), got 24"],
]);

const settings = suite("import: settings of GPTQ say which tensors are there");
settings("sym and desc_act", () => {
  const call = (changes: object) => () => importGptq("f", { ...gptq, ...changes } as never);
  const { qzeros: _, ...rest } = gptq as { qzeros?: unknown };
  const without = { ...rest, qzeros: undefined };
  throwsWith(call({ ...without, symmetric: false }), RangeError, "f: qzeros: expected a tensor (symmetric is false)");
  throwsWith(call({ gIdx: undefined, actOrder: true }), RangeError, "f: gIdx: expected a tensor (actOrder is true)");
  call({ ...without, symmetric: true, actOrder: false })();
});

const awq: AwqTensors = {
  rows: 16,
  cols: 24,
  groupSize: 16,
  qweight: new Int32Array(48),
  qzeros: new Int32Array(4),
  scales: ones(32),
};
refuse("importAwq", importAwq as Loose, awq, [
  ...shapeCases,
  ["rows", 12, RangeError, "expected a multiple of 8 (whole words of 4-bit codes), got 12"],
  ["qweight", new Int32Array(49), RangeError, "expected length 48 (cols 24 x 2 words), got 49"],
  ["qzeros", undefined, TypeError, "expected an Int32Array, got undefined"],
  ["scales", withNumber(ones(32), 31, -Infinity), RangeError, "expected finite numbers, got -Infinity at index 31"],
]);

const mxfp4: Mxfp4Tensors = { rows: 2, cols: 64, blocks: new Uint8Array(64), scales: new Uint8Array(4) };
refuse("importMxfp4", importMxfp4 as Loose, mxfp4, [
  ...shapeCases,
  ["cols", 48, RangeError, "expected a multiple of 32 (whole blocks), got 48"],
  ["layout", "split", RangeError, 'expected "interleaved" | "ggml"'],
  ["blocks", new Uint8Array(68), RangeError, "expected length 64 (rows 2 x blocks of a row 2 x 16), got 68"],
  ["blocks", new Int8Array(64), TypeError, "expected a Uint8Array"],
  ["scales", Uint8Array.of(1, 2, 255, 3), RangeError, "expected no NaN, got 255, which is NaN, at index 2"],
  ["scales", undefined, TypeError, "expected a Uint8Array, got undefined"],
]);
const ggml = { rows: 2, cols: 64, layout: "ggml", blocks: new Uint8Array(68) };
refuse("importMxfp4 of ggml", importMxfp4 as Loose, ggml, [
  ["blocks", new Uint8Array(64), RangeError, "expected length 68"],
  ["scales", new Uint8Array(4), RangeError, 'expected none with layout "ggml"'],
]);

const nvfp4: Nvfp4Tensors = { rows: 2, cols: 32, packed: new Uint8Array(32), scales: new Uint8Array(4) };
refuse("importNvfp4", importNvfp4 as Loose, nvfp4, [
  ...shapeCases,
  ["cols", 24, RangeError, "expected a multiple of 16 (whole blocks), got 24"],
  ["packed", new Uint8Array(33), RangeError, "expected length 32"],
  ["scales", Uint8Array.of(1, 127, 0, 0), RangeError, "expected no NaN, got 127, which is NaN, at index 1"],
  ["globalScale", "1", TypeError, "expected a number, or a tensor of one"],
  ["globalScale", ones(2), RangeError, "expected length 1 (a number, or a tensor of one), got 2"],
  ["globalDivisor", 1e-38, RangeError, "expected a number that leaves scales finite"],
  ["globalScale", NaN, RangeError, "expected a number that leaves scales finite, got NaN"],
  ["globalScale", 1e38, RangeError, "expected a number that leaves scales finite"],
]);

const bnb: BnbTensors = { rows: 3, cols: 50, packed: new Uint8Array(75), absmax: ones(3) };
refuse("importBnb4", importBnb4 as Loose, bnb, [
  ...shapeCases,
  ["type", "int4", RangeError, 'expected "nf4" | "fp4"'],
  ["blockSize", 0, RangeError, "expected an integer from 1"],
  ["packed", new Uint8Array(76), RangeError, "expected length 75"],
  ["absmax", ones(4), RangeError, "expected length 3"],
  ["absmax", withNumber(ones(3), 2, NaN), RangeError, "expected finite numbers, got NaN at index 2"],
]);

const matryoshka: MatryoshkaCodes = { rows: 2, cols: 8, groupSize: 4, codes: new Uint8Array(16), scales: ones(4) };
refuse("sliceCodes", ((where: string, from: MatryoshkaCodes) => sliceCodes(where, from, 2)) as Loose, matryoshka, [
  ...shapeCases,
  ["codes", new Uint8Array(15), RangeError, "expected length 16"],
  ["codes", new Int8Array(16), TypeError, "expected a Uint8Array"],
  ["scales", ones(5), RangeError, "expected length 4"],
  [
    "scales",
    withNumber(ones(4), 1, 3e38),
    RangeError,
    "expected less than 2^122, got 3.0000000054977558e+38 at index 1",
  ],
  ["zeros", withNumber(ones(4), 1, NaN), RangeError, "expected finite numbers, got NaN at index 1"],
]);

const w = suite("import: uniform: sliceCodes refuses options");
w("bits and extraPrecision that are wrong", () => {
  for (const bits of [0, 9, 2.5]) throwsWith(() => sliceCodes("f", matryoshka, bits), RangeError, "f: bits: expected");
  throwsWith(() => sliceCodes("f", matryoshka, "2" as unknown as number), TypeError, "f: bits: expected");
  const options = { extraPrecision: 1 } as unknown as { extraPrecision: boolean };
  throwsWith(() => sliceCodes("f", matryoshka, 2, options), TypeError, "f: extraPrecision: expected a boolean");
});

const x = suite("import: small floats refuse");
x("NaN and other types", () => {
  throwsWith(() => e8m0ToFloat("f", Uint8Array.of(0, 255)), RangeError, "f: expected no NaN, got 255, which is NaN");
  throwsWith(() => e4m3ToFloat("f", Uint8Array.of(0, 1, 255)), RangeError, "at index 2");
  throwsWith(() => halfToFloat("f", new Float32Array(1) as unknown as Uint16Array), TypeError, "f: expected a Uint16");
});
