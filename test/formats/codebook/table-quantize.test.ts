// From floats to the nearest entries of a table: NF4, FP4, MXFP4, NVFP4 and any other, against the oracle, bit for bit.
import { mxfp4Codes, nvfp4Codes, type TableCodes, tableCodes } from "../../../src/formats/codebook/grid.ts";
import { BNB_FP4, E2M1_DOUBLED, NF4 } from "../../../src/formats/codebook/published.ts";
import { runNow, type Steps } from "../../../src/lib/progress.ts";
import { equalBits, equalValues, is, nmse, ok, throwsWith } from "../../lib/assert.ts";
import { hostileActivations, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import {
  absmaxScale,
  bnbFp4Table,
  e2m1Doubled,
  mxfp4Scale,
  nf4Table,
  nvfp4Global,
  nvfp4Scale,
  quantizeTable,
} from "../../reference/table.ts";

const rng = random("table-quantize");
type Shape = [rows: number, cols: number, groupSize: number];

const kinds = [
  ...(
    [
      ["nf4", NF4, nf4Table],
      ["fp4", BNB_FP4, bnbFp4Table],
      ["e2m1", E2M1_DOUBLED, e2m1Doubled],
      ["a table out of order", [3, -1, 0.5, 100, -1], [3, -1, 0.5, 100, -1]],
      ["a table without zero", [1, 2], [1, 2]],
      ["one entry, twice", [5, 5], [5, 5]],
      ["200 entries", Array.from({ length: 200 }, (_, i) => (i - 90) ** 3), undefined],
    ] as [string, readonly number[], readonly number[] | undefined][]
  ).map(([name, table, reference]) => ({
    name,
    table,
    reference: reference ?? table,
    run: (w: Float32Array, [rows, cols, groupSize]: Shape) => tableCodes("f", w, { rows, cols, groupSize }, table),
    scaleOf: () => (extent: number) => absmaxScale(extent, reference ?? table),
  })),
  {
    name: "mxfp4",
    table: E2M1_DOUBLED,
    reference: e2m1Doubled,
    run: (w: Float32Array, [rows, cols, groupSize]: Shape) => mxfp4Codes("f", w, { rows, cols, groupSize }),
    scaleOf: () => mxfp4Scale,
  },
  {
    name: "nvfp4",
    table: E2M1_DOUBLED,
    reference: e2m1Doubled,
    run: (w: Float32Array, [rows, cols, groupSize]: Shape) => nvfp4Codes("f", w, { rows, cols, groupSize }),
    scaleOf: (w: Float32Array) => {
      const global = nvfp4Global(w);
      return (extent: number) => nvfp4Scale(extent, global);
    },
  },
];

const run = (steps: Steps<TableCodes>): TableCodes => runNow("f", steps);

function check(kind: (typeof kinds)[number], w: Float32Array, shape: Shape, label: string): Float32Array {
  const [rows, cols, groupSize] = shape;
  const { codes, scales } = run(kind.run(w, shape));
  const expected = quantizeTable(w, rows, cols, Math.min(groupSize, cols), kind.reference, kind.scaleOf(w));
  equalBits(scales, expected.scales, `${kind.name}, ${label}: scales`);
  equalBits(codes, expected.codes, `${kind.name}, ${label}: codes`);
  const groups = Math.ceil(cols / Math.min(groupSize, cols));
  return Float32Array.from(codes, (code, i) => {
    const group = Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize);
    return (scales[group] as number) * (kind.table[code] as number);
  });
}

const t = suite("tableCodes, mxfp4Codes, nvfp4Codes");

t("have the tables that the formats define", () => {
  equalValues(Float32Array.from(NF4), Float32Array.from(nf4Table), "nf4");
  equalValues(Float32Array.from(BNB_FP4), Float32Array.from(bnbFp4Table), "fp4");
  equalValues(Float32Array.from(E2M1_DOUBLED), Float32Array.from(e2m1Doubled), "e2m1");
  for (const table of [NF4, BNB_FP4]) ok(table.every((v) => v === Math.fround(v)));
});

t("equal the oracle on Gaussian weights of every shape", () => {
  const shapes: Shape[] = [
    [1, 1, 1],
    [3, 5, 5],
    [4, 64, 16],
    [5, 70, 32],
    [3, 130, 1000],
  ];
  for (const shape of shapes) {
    const w = rng.gaussians(shape[0] * shape[1]);
    for (const kind of kinds) check(kind, w, shape, shape.join(" x "));
  }
});

t("equal the oracle on hostile weights, and stay finite", () => {
  for (const { name, x } of hostileActivations(3 * 40, rng)) {
    for (const kind of kinds) {
      const back = check(kind, x, [3, 40, 16], name);
      ok(back.every(Number.isFinite), `${kind.name}, ${name}: weights are finite`);
    }
  }
  const ends = Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38, 3e38, 0, 0, 0, 0, -1e-45);
  for (const kind of kinds) {
    ok(check(kind, ends, [2, 4, 4], "the ends").every(Number.isFinite), `${kind.name}: the ends`);
  }
});

t("round ties to the even code", () => {
  // Scale 1 for each: the largest entry is there.
  const doubled = Float32Array.of(12, 0.5, 1.5, 2.5, 3.5, 5, 7, 10, -0.5, -1.5, -2.5, -3.5, -5, -7, -10, 0);
  const { codes, scales } = run(tableCodes("f", doubled, { rows: 1, cols: 16, groupSize: 16 }, E2M1_DOUBLED));
  is(scales[0], 1);
  is(codes.join(), "7,0,2,2,4,4,6,6,0,10,10,12,12,14,14,0");
  const halves = doubled.map((v) => v / 2);
  is(run(mxfp4Codes("f", halves, { rows: 1, cols: 16, groupSize: 16 })).codes.join(), codes.join());
});

t("find each entry again", () => {
  for (const table of [NF4, BNB_FP4, E2M1_DOUBLED]) {
    for (const scale of [1, 2 ** -20, 2 ** 90]) {
      const w = Float32Array.from(table, (v) => v * scale);
      const { codes, scales } = run(tableCodes("f", w, { rows: 1, cols: 16, groupSize: 16 }, table));
      is(scales[0], scale);
      equalValues(
        Float32Array.from(codes, (code) => table[code] as number),
        Float32Array.from(table),
        "entries",
      );
    }
  }
});

t("mxfp4: scales are floor powers of two, 2^-128 and up", () => {
  const scaleOf = (extent: number): number =>
    run(mxfp4Codes("f", Float32Array.of(extent), { rows: 1, cols: 1, groupSize: 32 })).scales[0] as number;
  is(scaleOf(6), 0.5);
  is(scaleOf(7.999999), 0.5);
  is(scaleOf(8), 1);
  is(scaleOf(4), 0.5);
  is(scaleOf(3.9999998), 0.25);
  is(scaleOf(0), 2 ** -128);
  is(scaleOf(1e-45), 2 ** -128);
  is(scaleOf(2 ** -125), 2 ** -128);
  is(scaleOf(2 ** -124), 2 ** -127);
  is(scaleOf(3.4028234663852886e38), 2 ** 124);
});

t("have errors of the expected size on Gaussian weights", () => {
  const w = rng.gaussians(64 * 1024);
  // 40 samples: 0.00834 to 0.00857 (nf4), 0.0131 to 0.0134 (mxfp4), 0.00886 to 0.00918 (nvfp4).
  for (const [name, groupSize, bound] of [
    ["nf4", 64, 0.0095],
    ["mxfp4", 32, 0.0155],
    ["nvfp4", 16, 0.0105],
  ] as const) {
    const kind = kinds.find((k) => k.name === name) as (typeof kinds)[number];
    const error = nmse(check(kind, w, [64, 1024, groupSize], "Gaussian"), w);
    ok(error < bound, `${name}: ${error}`);
  }
});

t("refuse what they cannot take", () => {
  const w = rng.gaussians(100);
  for (const kind of kinds) {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const x = w.slice();
      x[17] = bad;
      const message = new RegExp(`^f: w: expected finite.*got ${bad} at index 17$`);
      throwsWith(() => run(kind.run(x, [10, 10, 5])), RangeError, message);
    }
    throwsWith(() => run(kind.run(w, [10, 9, 5])), RangeError, "f: w: expected length 90");
    const doubles = new Float64Array(100) as unknown as Float32Array;
    throwsWith(() => run(kind.run(doubles, [10, 10, 5])), TypeError, "f: w: expected a Float32Array");
  }
  const shape = { rows: 10, cols: 10, groupSize: 5 };
  for (const table of [[], [1], [0, 0], [1, NaN], [1, 1e39], new Array(257).fill(1), null, 5]) {
    throwsWith(() => run(tableCodes("f", w, shape, table as number[])), RangeError, "f: table: expected ");
  }
});
