// The oracle against numbers worked out by hand, and the properties that the kernels' narrow integers rely on.

import { readdirSync, readFileSync } from "node:fs";
import { equal, equalBits, is, nmse, nmseBelow, ok, throwsWith } from "../lib/assert.ts";
import { hostileActivations, random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import {
  exponentField,
  type Lut8Activation,
  type Lut8Block,
  prepareInt8,
  prepareLut8,
} from "../reference/activation.ts";
import { packSigns, quantizeBinary } from "../reference/binary.ts";
import {
  fairy2iWeights,
  foldReal,
  gemvComplexExact,
  gemvComplexInt8,
  gemvComplexLut8,
  joinReal,
  makeComplex,
  phaseCode,
  quantizeFairy2i,
  quantizePhase,
  splitReal,
} from "../reference/complex.ts";
import { gemvInt8, gemvLut8, nibblePattern } from "../reference/gemv.ts";
import { padRows, stripScales, tileBytes, tileScales } from "../reference/layout.ts";
import { absMax, roundHalfEven } from "../reference/rounding.ts";
import { packCodes, quantizeTernary } from "../reference/ternary.ts";
import { dequantize, expandScales, gemvExact, makeWeights } from "../reference/weights.ts";
import { codesFromText, makeVectors, readVectors } from "./vectors.ts";

const f32 = Math.fround;
const floats = (...values: number[]): Float32Array => Float32Array.from(values);

const basics = suite("reference: rounding and weights");

basics("rounds half to even", () => {
  const cases = [
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, 0],
    [-1.5, -2],
    [-2.5, -2],
    [126.5, 126],
    [127.4999, 127],
    [0.49999999999999994, 0],
    [-0.50001, -1],
    [2251799813685248.5, 2251799813685248],
    [2251799813685249.5, 2251799813685250],
    [7, 7],
    [-7, -7],
    [0, 0],
  ] as const;
  for (const [value, expected] of cases) ok(roundHalfEven(value) === expected, `${value}`);
});

basics("finds the largest magnitude", () => {
  is(absMax([]), 0);
  is(absMax([1, -3, 2]), 3);
  is(absMax([-0]), 0);
});

basics("expands scales by their number", () => {
  equalBits(expandScales([2], 2, 3), floats(2, 2, 2, 2, 2, 2), "matrix");
  equalBits(expandScales([1, 2], 2, 3), floats(1, 1, 1, 2, 2, 2), "rows");
  equalBits(expandScales([1, 2, 3, 4, 5, 6], 2, 3), floats(1, 2, 3, 4, 5, 6), "groups");
  throwsWith(() => expandScales([1, 2, 3], 2, 3), RangeError, "3 scales");
});

basics("multiplies and dequantises by hand", () => {
  // [ 2 -2 | 0.5 ]     [1]   [2 - 4 + 1.5]
  // [ 0  8 |  -1 ]  x  [2] = [  16 -   3 ]   groups of two columns here, to keep it short
  const weights = makeWeights({
    rows: 2,
    cols: 3,
    planes: 2,
    codes: codesFromText(["+-+", "0+-"]),
    scales: [2, 0.5, 8, 1],
    groupSize: 2,
  });
  equalBits(dequantize(weights), floats(2, -2, 0.5, 0, 8, -1), "dequantised");
  equalBits(gemvExact(weights, floats(1, 2, 3)), Float64Array.of(-0.5, 13), "product");
});

basics("imports nothing from src", () => {
  const directory = new URL("../reference/", import.meta.url);
  const files = readdirSync(directory).filter((name) => name.endsWith(".ts"));
  ok(files.length >= 7);
  for (const name of files) {
    const text = readFileSync(new URL(name, directory), "utf8");
    const targets = Array.from(text.matchAll(/\b(?:from|import)\s*\(?\s*["']([^"']+)["']/g), (match) => match[1]);
    for (const target of targets) {
      ok(/^\.\/[a-z0-9]+\.ts$/.test(target as string), `${name} imports ${target}: only its neighbours are allowed`);
    }
  }
});

const int8 = suite("reference: int8");

int8("quantises by hand", () => {
  // ratio 127: 127, -63.5 (a tie, to -64), 31.75
  const { q, scale } = prepareInt8(floats(1, -0.5, 0.25));
  equalBits(q, Int32Array.of(127, -64, 32), "q");
  is(scale, f32(1 / 127));
  // -0 stays 0, and zeros have no scale.
  equalBits(prepareInt8(floats(0, -0)).q, Int32Array.of(0, 0), "zeros");
  is(prepareInt8(floats(0, -0)).scale, 0);
});

int8("quantises within -127..127 whatever the input", () => {
  const rng = random("reference int8 range");
  for (const { name, x } of hostileActivations(257, rng)) {
    const { q } = prepareInt8(x);
    ok(absMax(q) <= 127, name);
    if (absMax(x) > 0) is(absMax(q), 127, name);
  }
});

int8("multiplies by hand", () => {
  const x = floats(1, -0.5, 0.25);
  const weights = makeWeights({ rows: 2, cols: 3, planes: 2, codes: codesFromText(["+-+", "0-0"]), scales: [2, 3] });
  // 127 + 64 + 32 = 223, and 64
  equalBits(gemvInt8(weights, x), floats(f32(446) * f32(1 / 127), f32(192) * f32(1 / 127)), "y");
});

int8("adds the groups in order, in float32", () => {
  // Three groups of 8 columns whose integers are 127 each. 2^24 + 1 is no float32: the middle term is lost.
  const codes = codesFromText(["+0000000+0000000-0000000"]);
  const x = new Float32Array(24);
  x[0] = x[8] = x[16] = 127;
  const scales = [2 ** 24, 1 / 127, 2 ** 24];
  const weights = makeWeights({ rows: 1, cols: 24, planes: 2, codes, scales, groupSize: 8 });
  equalBits(gemvInt8(weights, x), floats(0), "y");
});

const lut8 = suite("reference: lut8");

lut8("reads the exponent of a float32", () => {
  is(exponentField(0), 0);
  is(exponentField(1e-45), 0);
  is(exponentField(2 ** -126), 1);
  is(exponentField(1), 127);
  is(exponentField(1.999), 127);
  is(exponentField(2), 128);
  is(exponentField(3.4e38), 254);
});

lut8("makes tables by hand", () => {
  // Times 1/2: 1.5 0.5 0 0 | 0 0 0 -1. One byte with sum 3, so z = 42 x': 63 21 0 0 | 0 0 0 -42.
  const { unit, segments, inversePower } = prepareLut8(floats(3, 1, 0, 0, 0, 0, 0, -2), 8);
  is(inversePower, 2);
  is(segments.length, 1);
  const { blocks } = segments[0] as Lut8Activation["segments"][0];
  is(blocks.length, 1);
  const block = blocks[0] as Lut8Block;
  is(unit, f32(f32(3 / 126) / 2047));
  is(block.weight, 2047);
  equalBits(block.entries.slice(0, 4), Int32Array.of(-84, 42, -42, 84), "signs of the first two columns");
  equalBits(block.entries.slice(12, 16), Int32Array.of(-84, 42, -42, 84), "columns of zeros do not matter");
  is(block.entries[16 + 0], 42);
  is(block.entries[16 + 8], -42);
});

function onlyBlock(x: Float32Array): Lut8Block {
  const [segment] = prepareLut8(x, 8).segments;
  return segment?.blocks[0] as Lut8Block;
}

lut8("rounds table entries to integers", () => {
  // Sum 1.25; 126 / 1.25 = 100.8, so z = 100.8 25.2: their difference 75.6 becomes 76.
  const block = onlyBlock(floats(1, 0.25));
  is(block.length, 8);
  equalBits(block.entries.slice(0, 4), Int32Array.of(-126, 76, -76, 126), "entries");
  // Sum 126 / 128, so z = 128 x': 62.5 in one nibble, halves up, and 63.5 in the other, halves down.
  const x = floats(62.5 / 128, 0, 0, 0, 63.5 / 128, 0, 0, 0);
  const tie = onlyBlock(x);
  const entries = [0, 1, 16, 17].map((at) => tie.entries[at] as number);
  equalBits(Int32Array.from(entries), Int32Array.of(-62, 63, -64, 63), "ties");
});

lut8("multiplies by hand", () => {
  const x = floats(3, 1, 0, 0, 0, 0, 0, -2);
  const binary = makeWeights({
    rows: 2,
    cols: 8,
    planes: 1,
    codes: codesFromText(["++++++++", "-++++++-"]),
    scales: [1],
  });
  // (84 - 42) and (-42 + 42) steps of 2047 units, times 2
  const unit = f32(f32(3 / 126) / 2047);
  equalBits(gemvLut8(binary, x), floats(f32(42 * 2047 * (unit * 2)), 0), "binary");
  const ternary = makeWeights({
    rows: 2,
    cols: 8,
    planes: 2,
    codes: codesFromText(["+0000000", "00000000"]),
    scales: [1],
  });
  // Plane 0 (w >= 0) is all plus: 84 - 42. Plane 1 (w > 0) is plus in the first column only: 42 + 42. Halved by factor.
  equalBits(gemvLut8(ternary, x), floats(f32(126 * 2047 * unit) * 1, 0), "ternary");
});

lut8("splits columns into segments and blocks, anew at each group", () => {
  const starts = (cols: number, groupSize: number): string =>
    prepareLut8(new Float32Array(cols).fill(1), groupSize)
      .segments.map(
        ({ group, blocks }) => `${group}: ${blocks.map(({ start, length }) => `${start}+${length}`).join(" ")}`,
      )
      .join("; ");
  is(starts(7, 7), "0: 0+8");
  is(starts(64, 64), "0: 0+64");
  is(starts(130, 130), "0: 0+64 64+64 128+8");
  is(starts(504, 504).split(" ").length, 9);
  is(starts(512, 512), "0: 0+128 128+128 256+128 384+128");
  is(starts(513, 513), "0: 0+128 128+128 256+128 384+128 512+8");
  is(starts(20, 8), "0: 0+8; 1: 8+8; 2: 16+8");
  is(starts(300, 136), "0: 0+64 64+64 128+8; 1: 136+64 200+64 264+8; 2: 272+32");
  // The row says how long blocks are, not the group.
  is(starts(1024, 512).slice(0, 30), "0: 0+128 128+128 256+128 384+1");
  const long = prepareLut8(new Float32Array(32768 + 9).fill(1), 32768 + 9).segments;
  is(long.map(({ blocks }) => blocks.length).join(), "128,1");
  is(long[1]?.blocks[0]?.length, 16);
  // Blocks are longer from 64, and again from 512 bytes of columns on.
  is(prepareLut8(new Float32Array(4088), 4088).segments[0]?.blocks.length, 32);
  is(prepareLut8(new Float32Array(4089), 4089).segments[0]?.blocks.length, 16);
});

lut8("weighs blocks by their largest sums, rounded up", () => {
  const x = new Float32Array(128 * 4);
  x[0] = 1;
  x[128] = -0.5;
  x[256] = 2 ** -20;
  const [segment] = prepareLut8(x, 512).segments;
  // 2047, 1023.5, 2047 / 2^20, 0
  is(segment?.blocks.map(({ weight }) => weight).join(), "2047,1024,1,1");
});

lut8("has one unit, so that what is far below the largest x is zero", () => {
  const x = new Float32Array(1024).fill(1e-35, 0, 512).fill(1, 512);
  const { unit, segments } = prepareLut8(x, 512);
  is(absMax(segments[0]?.blocks[0]?.entries ?? [1]), 0);
  is(unit, f32(f32(8 / 126) / 2047));
  // The same small numbers alone are normalised first, and nothing but zeros has no unit.
  ok(prepareLut8(x.slice(0, 512), 512).unit > 0);
  is(prepareLut8(new Float32Array(9), 9).unit, 0);
});

lut8("reads sign patterns", () => {
  const weights = makeWeights({ rows: 1, cols: 6, planes: 2, codes: codesFromText(["+0-+0-"]), scales: [1] });
  is(nibblePattern(weights, 0, 0, 0), 0b1011);
  is(nibblePattern(weights, 0, 0, 1), 0b1001);
  is(nibblePattern(weights, 0, 4, 0), 0b01);
  is(nibblePattern(weights, 0, 4, 1), 0b00);
});

/** The largest |e_low| + |e_high| over the bytes of all blocks. */
function widestByte(activation: Lut8Activation): number {
  let widest = 0;
  for (const { entries } of activation.segments.flatMap(({ blocks }) => blocks)) {
    for (let at = 0; at < entries.length; at += 32) {
      widest = Math.max(widest, absMax(entries.subarray(at, at + 16)) + absMax(entries.subarray(at + 16, at + 32)));
    }
  }
  return widest;
}

lut8("keeps the two entries of a byte within 127 together", () => {
  // Proof: the two exact sums are at most M / step <= 126 together, up to a relative error of some 2^-22; each is rounded
  // by at most 1/2, so the integers sum to at most 126 + 1 + 2^-15, that is 127. Here is the attempt to refute it.
  const rng = random("reference pair bound");
  let widest = 0;
  const attempt = (name: string, x: Float32Array): void => {
    const width = widestByte(prepareLut8(x, x.length));
    widest = Math.max(widest, width);
    ok(width <= 127, `${name}: ${width}`);
  };
  for (const { name, x } of hostileActivations(1031, rng)) attempt(name, x);
  for (let i = 0; i < 200; i++) attempt("gaussian", rng.gaussians(64));
  for (let i = 0; i < 4000; i++) {
    // One byte alone reaches M itself; halves of steps are where both entries round outwards.
    const x = Float32Array.from({ length: 8 }, () => rng.int(-40, 40) / 2);
    attempt("halves", x);
    attempt("gaussian byte", rng.gaussians(8));
    attempt(
      "neighbours of halves",
      x.map((value) => value * (1 + rng.int(-2, 2) * 2 ** -23)),
    );
  }
  ok(widest >= 126, `the attempts came near the bound: ${widest}`);
});

lut8("meets its error bound on Gaussian input", () => {
  // Of single tokens, not in the mean: `tsx bench/error.ts` shows how they scatter.
  const rng = random("reference nmse", 1);
  for (const planes of [1, 2] as const) {
    for (const [cols, rows, tokens] of [
      [512, 256, 4],
      [4096, 200, 2],
      [11008, 200, 1],
    ] as const) {
      const codes = planes === 1 ? rng.signs(rows * cols) : rng.trits(rows * cols);
      const weights = makeWeights({ rows, cols, planes, codes, scales: [1] });
      for (let token = 0; token < tokens; token++) {
        const x = rng.gaussians(cols);
        const actual = gemvLut8(weights, x);
        const expected = gemvExact(weights, x);
        nmseBelow(actual, expected, 2e-4, `${planes} planes, ${cols} columns`);
        // And it is an approximation: an oracle that passes as exact tests nothing.
        ok(nmse(actual, expected) > 1e-6);
      }
    }
  }
});

const quantisers = suite("reference: quantisers");

quantisers("binary by hand", () => {
  const w = floats(1, -2, 0, -0, 3, -4);
  const rows = quantizeBinary(w, 2, 3);
  equalBits(rows.codes, codesFromText(["+-+", "++-"]), "codes");
  equalBits(rows.scales, floats(1, 7 / 3), "scales");
  const groups = quantizeBinary(w, 1, 6, 4);
  equalBits(groups.scales, floats(3 / 4, 7 / 2), "scales of groups, the last one short");
});

quantisers("ternary by hand", () => {
  // Mean 1: a half rounds to 0, one and a half clamps to 1.
  const w = floats(0.5, -0.5, 1.5, -1.5, 0.75, 1.25);
  const matrix = quantizeTernary(w, 2, 3, "matrix");
  equalBits(matrix.scales, floats(1, 1), "scale");
  equalBits(matrix.codes, codesFromText(["00+", "-++"]), "codes");
  const rows = quantizeTernary(floats(1, 3, 10, 30), 2, 2, "row");
  equalBits(rows.scales, floats(2, 20), "row scales");
  equalBits(rows.codes, codesFromText(["0+", "0+"]), "row codes");
  const groups = quantizeTernary(floats(1, 3, 10), 1, 3, "group", 2);
  equalBits(groups.scales, floats(2, 10), "group scales");
  const given = quantizeTernary(w, 2, 3, 0.1);
  equalBits(given.scales, floats(0.1, 0.1), "the scale given, as a float32");
  equalBits(given.codes, codesFromText(["+-+", "-++"]), "its codes");
  const zeros = quantizeTernary(new Float32Array(4), 2, 2, "matrix");
  equalBits(zeros.scales, floats(1e-5, 1e-5), "the smallest scale");
  equalBits(zeros.codes, new Int8Array(4), "zeros");
});

quantisers("interchange bytes by hand", () => {
  // Row 0: + - + + - - - + | +   ->  1000 1101, 1. Row 1: - x 8 | -
  equalBits(packSigns(codesFromText(["+-++---++", "---------"]), 2, 9), Uint8Array.of(0x8d, 1, 0, 0), "signs");
  // Row: + - 0 + | 0  ->  10 01 00 10 read from the right, then 01
  equalBits(packCodes(codesFromText(["+-0+0"]), 1, 5), Uint8Array.of(0b10_01_00_10, 0b01), "codes");
});

const complex = suite("reference: complex");

complex("codes by hand", () => {
  // Every 45 degrees, from 0 on; then zeros.
  const points = [
    [1, 0],
    [1, 1],
    [0, 1],
    [-1, 1],
    [-1, 0],
    [-1, -1],
    [0, -1],
    [1, -1],
    [0, 0],
    [-0, -0],
    [-1, -0],
  ] as const;
  const codes = (ties: "sector" | "imaginary"): string => points.map(([re, im]) => phaseCode(re, im, ties)).join("");
  is(codes("sector"), "01122330002");
  is(codes("imaginary"), "01112333112");
  // The last place decides.
  const below = 1 - 2 ** -24;
  is(phaseCode(1, below, "sector"), 0);
  is(phaseCode(below, 1, "sector"), 1);
  is(phaseCode(-below, -1, "sector"), 3);
  is(phaseCode(-1, -below, "sector"), 2);
});

complex("scales by hand", () => {
  // 1+0.5i -> 1, 0.5-3i -> -i, -4+2i -> -1
  // 0+0i   -> 1,    8i  -> i,    1-2i -> -i
  const w = { re: floats(1, 0.5, -4, 0, 0, 1), im: floats(0.5, -3, 2, 0, 8, -2) };
  const run = (scale: "matrix" | "row" | "tile", groupSize?: number) =>
    quantizePhase(w, 2, 3, { scale, ties: "sector", least: 0.125, ...(groupSize && { groupSize }) });
  equalBits(run("matrix").codes, Uint8Array.of(0, 3, 2, 0, 1, 3), "codes");
  equalBits(run("matrix").scales.re, floats(5 / 3), "matrix, re");
  equalBits(run("matrix").scales.im, floats(13 / 3), "matrix, im");
  equalBits(run("row").scales.re, floats(2.5, 0.125), "rows, re");
  equalBits(run("row").scales.im, floats(3, 5), "rows, im");
  equalBits(run("row", 2).scales.re, floats(1, 4, 0.125, 0.125), "groups, re");
  equalBits(run("row", 2).scales.im, floats(3, 0.125, 8, 2), "groups, im");
  equalBits(run("tile", 2).scales.re, floats(0.5, 4), "tiles, re");
  equalBits(run("tile", 2).scales.im, floats(5.5, 2), "tiles, im");
});

complex("multiplies by hand, with each conjugate", () => {
  // [2i, -3] x (1 + 2i, 3 - i): 2i - 4 - 9 + 3i
  const product = (conjugate: "none" | "x" | "w") => {
    const scales = { re: floats(3), im: floats(2) };
    const weights = makeComplex({ rows: 1, cols: 2, planes: [{ codes: Uint8Array.of(1, 2), scales, conjugate }] });
    const { re, im } = gemvComplexExact(weights, { re: floats(1, 3), im: floats(2, -1) });
    return [re[0], im[0]].join();
  };
  is(product("none"), "-13,5");
  is(product("x"), "-5,-1"); // 2i (1 - 2i) - 3 (3 + i) = 2i + 4 - 9 - 3i
  is(product("w"), "-5,1"); // -2i (1 + 2i) - 3 (3 - i) = -2i + 4 - 9 + 3i
});

complex("int8 by hand: scales of both parts, or one", () => {
  const scales = { re: floats(3), im: floats(2) };
  const weights = makeComplex({ rows: 1, cols: 2, planes: [{ codes: Uint8Array.of(1, 2), scales }] });
  const x = { re: floats(1, 4), im: floats(2, -1) };
  // Re x: 32 (31.75), 127 in units of 4 / 127; Im x: 127, -64 (a tie) in units of 2 / 127.
  const [a, b] = [f32(4 / 127), f32(2 / 127)];
  const y = gemvComplexInt8(weights, x);
  equalBits(y.re, floats(f32(-127 * 3 * a) + f32(-127 * 2 * b)), "re");
  equalBits(y.im, floats(f32(64 * 3 * b) + f32(32 * 2 * a)), "im");
  // With one scale Im x is 64 (63.5, a tie), -32 (-31.75).
  const one = gemvComplexInt8(weights, x, true);
  equalBits(one.re, floats(f32(-127 * 3 * a) + f32(-64 * 2 * a)), "one scale, re");
  equalBits(one.im, floats(f32(32 * 3 * a) + f32(32 * 2 * a)), "one scale, im");
});

complex("int8 and lut8 come near the product, plane by plane and group by group", () => {
  // One sample: of 3 sums of 24 terms one may well cancel, and the error is relative to what is left.
  const rng = random("reference complex", 1);
  for (const [rows, cols, groupSize] of [
    [3, 8, 8],
    [5, 100, 24],
    [4, 1000, 1000],
    [1, 40000, 40000],
  ] as const) {
    const groups = Math.ceil(cols / groupSize);
    const planes = (["none", "x", "w"] as const).map((conjugate) => ({
      codes: Uint8Array.from({ length: rows * cols }, () => rng.int(0, 3)),
      scales: { re: rng.gaussians(rows * groups), im: rng.gaussians(rows * groups) },
      conjugate,
    }));
    const weights = makeComplex({ rows, cols, groupSize, planes });
    const x = { re: rng.gaussians(cols), im: rng.gaussians(cols).map((v) => v * 1e-3) };
    const exact = gemvComplexExact(weights, x);
    const flat = (y: { re: ArrayLike<number>; im: ArrayLike<number> }): number[] => [
      ...Array.from(y.re),
      ...Array.from(y.im),
    ];
    nmseBelow(flat(gemvComplexInt8(weights, x)), flat(exact), 3e-3, `int8, ${cols} columns`);
    nmseBelow(flat(gemvComplexLut8(weights, x)), flat(exact), 3e-3, `lut8, ${cols} columns`);
  }
});

complex("lut8 is exact where its tables are, and adds segments one by one", () => {
  // One value in every byte of 8 columns, so that entries are multiples of it: 126 to a byte, weight 2047.
  const cols = 65544;
  const spread = (value: number): Float32Array => Float32Array.from({ length: cols }, (_, k) => (k % 8 ? 0 : value));
  const x = { re: spread(126), im: spread(-252) };
  const codes = Uint8Array.from({ length: cols }, (_, k) => (k >> 3) % 3);
  const one = floats(1);
  const weights = makeComplex({ rows: 1, cols, planes: [{ codes, scales: { re: one, im: one } }] });
  const exact = gemvComplexExact(weights, x);
  const y = gemvComplexLut8(weights, x);
  nmseBelow([y.re[0] as number, y.im[0] as number], [exact.re[0] as number, exact.im[0] as number], 1e-12, "y");
});

complex("splits a real matrix by hand, and joins it again", () => {
  // [1 2]  U = 1/2 (1 + 8 + (4 - 2) i)  W = 1/2 (1 - 8 + (2 + 4) i)
  // [4 8]
  const a = floats(1, 2, 4, 8);
  const { u, w } = splitReal(a, 2, 2);
  is([u.re[0], u.im[0], w.re[0], w.im[0]].join(), "4.5,1,-3.5,3");
  equalBits(joinReal(u, w, 2, 2), Float64Array.from(a), "joined");
  const rng = random("reference split");
  const large = rng.gaussians(6 * 10);
  const parts = splitReal(large, 6, 10);
  equalBits(Float32Array.from(joinReal(parts.u, parts.w, 6, 10)), large, "a larger one");
  // y = U x + W conj(x) is A x.
  const x = rng.gaussians(10);
  const folded = foldReal(x);
  for (let row = 0; row < 3; row++) {
    let [re, im] = [0, 0];
    for (let k = 0; k < 5; k++) {
      const at = row * 5 + k;
      const [xr, xi] = [folded.re[k], folded.im[k]] as [number, number];
      const [ur, ui, wr, wi] = [parts.u.re, parts.u.im, parts.w.re, parts.w.im].map((p) => p[at]) as number[] as [
        number,
        number,
        number,
        number,
      ];
      re += ur * xr - ui * xi + wr * xr + wi * xi;
      im += ur * xi + ui * xr + wi * xr - wr * xi;
    }
    const dot = (r: number): number => x.reduce((sum, v, k) => sum + v * (large[r * 10 + k] as number), 0);
    ok(Math.abs(re - dot(row)) < 1e-12 && Math.abs(im - dot(row + 3)) < 1e-12, `row ${row}`);
  }
});

complex("the planes of fairy2i multiply as the joined matrix does", () => {
  const rng = random("reference fairy2i");
  const [rows, cols] = [6, 10];
  const stages = quantizeFairy2i(rng.gaussians(rows * cols), rows, cols, 2, "sector");
  const weights = fairy2iWeights(stages, rows, cols);
  is(weights.planes.map((plane) => plane.conjugate).join(), "none,x,none,x");
  const sum = (of: "u" | "w") => {
    const total = { re: new Float64Array(15), im: new Float64Array(15) };
    for (const stage of stages) {
      stage[of].codes.forEach((code, i) => {
        const part = code % 2 === 0 ? "re" : "im";
        total[part][i] = (total[part][i] as number) + (code < 2 ? 1 : -1) * (stage[of].scales[part][0] as number);
      });
    }
    return total;
  };
  const joined = joinReal(sum("u"), sum("w"), rows, cols);
  const x = rng.gaussians(cols);
  const y = gemvComplexExact(weights, foldReal(x));
  for (let row = 0; row < rows; row++) {
    const expected = x.reduce((total, v, k) => total + v * (joined[row * cols + k] as number), 0);
    const actual = (row < 3 ? y.re[row] : y.im[row - 3]) as number;
    ok(Math.abs(actual - expected) < 1e-12, `row ${row}: ${actual}, expected ${expected}`);
  }
});

const layout = suite("reference: layout");

layout("binary by hand", () => {
  // 2 rows of 10 columns: one tile of 16 rows, two byte columns. Each byte column holds its 16 rows, one byte each: row 0
  // first, row 1 fifth.
  //   row 0: + - - - - - - + | + -   ->  1000 0001, 01
  //   row 1: - + - - + - - - | - +   ->  0001 0010, 10
  const bytes = tileBytes(codesFromText(["+------++-", "-+--+----+"]), 2, 10, 1);
  const expected = new Uint8Array(32);
  expected[0] = 0x81;
  expected[4] = 0x12;
  expected[16 + 0] = 0x01;
  expected[16 + 4] = 0x02;
  equalBits(bytes, expected, "tiles");
  // A row at a time: its byte among the 16.
  const places = Array.from({ length: 16 }, (_, row) => {
    const codes = new Int8Array(16).fill(-1);
    codes[row] = 1;
    return tileBytes(codes, 16, 1, 1).indexOf(1);
  });
  is(places.join(), "0,4,8,12,2,6,10,14,1,5,9,13,3,7,11,15");
});

layout("ternary by hand", () => {
  // Plane 0 (w >= 0) and plane 1 (w > 0) of a row lie side by side.
  //   row 0: + 0 - + 0 0 0 -  ->  0111 1011, 0000 1001
  //   row 1: - - - - - - - 0  ->  1000 0000, 0
  const bytes = tileBytes(codesFromText(["+0-+000-", "-------0"]), 2, 8, 2);
  const expected = new Uint8Array(32);
  expected.set([0x7b, 0x09, 0x80, 0x00]);
  equalBits(bytes, expected, "tiles");
});

layout("tiles have 64 rows, the last one what is left", () => {
  is(padRows(1), 16);
  is(padRows(16), 16);
  is(padRows(17), 32);
  is(padRows(130), 144);
  // 130 rows of 16 columns, all minus but three: tiles of 64, 64 and 16 rows begin at bytes 0, 128 and 256.
  const codes = new Int8Array(130 * 16).fill(-1);
  codes[0 * 16 + 3] = 1; // tile 0, byte column 0, row 0
  codes[65 * 16 + 8] = 1; // tile 1, byte column 1, row 1
  codes[129 * 16 + 15] = 1; // tile 2 of 16 rows, byte column 1, row 1
  const expected = new Uint8Array(144 * 2);
  expected[0] = 0x08;
  expected[128 + 64 + 4] = 0x01;
  expected[256 + 16 + 4] = 0x80;
  equalBits(tileBytes(codes, 130, 16, 1), expected, "tiles");
});

layout("scales lie group by group", () => {
  const weights = makeWeights({
    rows: 2,
    cols: 20,
    planes: 1,
    codes: new Int8Array(40).fill(1),
    scales: [1, 2, 3, 4, 5, 6],
    groupSize: 8,
  });
  const expected = new Float32Array(48);
  expected.set([1, 4], 0);
  expected.set([2, 5], 16);
  expected.set([3, 6], 32);
  equalBits(tileScales(weights), expected, "scales");
});

layout("of 17 rows the last starts a strip but no tile", () => {
  const scales = Float32Array.from({ length: 34 }, (_, i) => i);
  const weights = { rows: 17, groups: 2, scales };
  const tile = new Float32Array(64);
  const strip = new Float32Array(64);
  for (let row = 0; row < 17; row++) {
    tile.set([2 * row], row);
    tile.set([2 * row + 1], 32 + row);
    strip.set([2 * row], row < 16 ? row : 32);
    strip.set([2 * row + 1], row < 16 ? 16 + row : 48);
  }
  equalBits(tileScales(weights), tile, "tiles");
  equalBits(stripScales(weights), strip, "strips");
});

for (const format of ["binary", "ternary"] as const) {
  layout(`the checked-in ${format} vectors are the oracle's`, () => {
    equal(readVectors(format), makeVectors(format));
  });
}
