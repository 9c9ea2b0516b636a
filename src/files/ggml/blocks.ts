// What is in the blocks of ggml's types: a code a weight, a scale a group of columns, and of some an offset. The formulas are
// those of ggml's dequantize_row_* (ggml-quants.c). Every type is w = scale · level(code) + offset, where a scale is exact in
// float32 and so is its product with a level: halves have 11 bits, sub-scales at most 8, levels as many as are left of 24
// (Q6_K: 11 + 8 + 5, IQ4_XS: 11 + 6 + 7). So there is one rounding, of the sum, where there is an offset, and none elsewhere.

import { E2M1_DOUBLED } from "../../formats/codebook/published.ts";
import type { FormatName } from "../../kernels/types.ts";
import type { Parts, ScaleRecords } from "../../matrix/scale-records.ts";
import { IQ1, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS } from "./grid-data.ts";
import { type Grid, gridOf } from "./grids.ts";
import { nibble, u16, u32 } from "./numbers.ts";

export interface Blocks {
  /** Columns that share a scale. */
  readonly group: number;
  /** What kernels see it as, and what each of its codes stands for there. */
  readonly format: FormatName;
  readonly levels: readonly number[];
  /** Whether kernels look levels up in a table, and how wide its entries are. */
  readonly table?: "bytes" | "int16";
  readonly codes: Codes | CodeReader;
  /** How scales and offsets are kept; a record a block. */
  readonly records: ScaleRecords;
  readonly parts: Places | PartsReader;
}

/** Fields of `bits` bits from byte `at` of a block on: in every `apart` bytes, field j of byte i is column j · apart + i of them. */
export interface Fields {
  readonly at: number;
  readonly bits: 1 | 2 | 4 | 8;
  readonly apart: number;
}

/** code = (low | high << shift) ^ flip + more */
export interface Codes {
  readonly low: Fields;
  readonly high?: Fields & { readonly shift: number };
  readonly flip?: number;
  readonly more?: number;
}

/** Writes the codes of the block at `at`. */
export type CodeReader = (b: Uint8Array, at: number, out: Uint8Array, to: number) => void;

/** Where in a block its scales are: halves d and m, and a byte a group, or 8 scales and minima of 6 bits in 12 bytes. */
export interface Places {
  readonly d?: number;
  readonly m?: number;
  readonly bytes?: number;
  readonly sixes?: number;
}

/** Reads the record of the block at `at`. */
export type PartsReader = (b: Uint8Array, at: number, parts: Parts) => void;

/** A reader of codes, of `columns` columns a block. */
export function codeReader(codes: Codes | CodeReader, columns: number): CodeReader {
  if (typeof codes === "function") return codes;
  const { low, high, flip = 0, more = 0 } = codes;
  return (b, at, out, to) => {
    readFields(low, b, at, out, to, columns, 0);
    if (high) readFields(high, b, at, out, to, columns, high.shift);
    if (flip !== 0 || more !== 0) {
      for (let i = to; i < to + columns; i++) out[i] = ((out[i] as number) ^ flip) + more;
    }
  };
}

function readFields(
  { at: place, bits, apart }: Fields,
  b: Uint8Array,
  at: number,
  out: Uint8Array,
  to: number,
  columns: number,
  shift: number,
): void {
  const mask = (1 << bits) - 1;
  let from = at + place;
  for (let first = to; first < to + columns; first += (apart * 8) / bits, from += apart) {
    for (let i = 0; i < apart; i++) {
      const byte = b[from + i] as number;
      for (let j = 0, col = first + i; j < 8; j += bits, col += apart) {
        const code = ((byte >> j) & mask) << shift;
        out[col] = shift === 0 ? code : (out[col] as number) | code;
      }
    }
  }
}

/** A reader of records. */
export function partsReader(places: Places | PartsReader, { kind, groups, offsets }: ScaleRecords): PartsReader {
  if (typeof places === "function") return places;
  const { d, m, bytes, sixes } = places;
  return (b, at, parts) => {
    if (d !== undefined) parts.d = u16(b, at + d);
    if (m !== undefined) parts.m = u16(b, at + m);
    for (let g = 0; g < groups; g++) {
      if (sixes !== undefined) readSix(b, at + sixes, g, parts);
      if (bytes === undefined) continue;
      const byte = b[at + bytes + g] as number;
      parts.s[g] = kind === "nibbles" ? byte & 15 : byte;
      if (offsets) parts.o[g] = byte >> 4;
    }
  };
}

/** Scale g and minimum g: Q4_K and Q5_K. */
function readSix(b: Uint8Array, at: number, g: number, { s, o }: Parts): void {
  const byte = (i: number): number => b[at + i] as number;
  s[g] = g < 4 ? byte(g) & 63 : (byte(4 + g) & 15) | ((byte(g - 4) >> 6) << 4);
  o[g] = g < 4 ? byte(4 + g) & 63 : (byte(4 + g) >> 4) | ((byte(g) >> 6) << 4);
}

const ONE: ScaleRecords = { kind: "halves", groups: 1, factor: 1, offsets: false };
const TWO: ScaleRecords = { ...ONE, offsets: true };
const records = (kind: ScaleRecords["kind"], groups: number, factor = 1, offsets = false): ScaleRecords => ({
  kind,
  groups,
  factor,
  offsets,
});

/** Levels of uniform codes as the kernels see them: less half of their number. */
const centred = (bits: number): readonly number[] => Array.from({ length: 2 ** bits }, (_, i) => i - 2 ** (bits - 1));
/** Codes as they are. */
const counted = (bits: number): readonly number[] => Array.from({ length: 2 ** bits }, (_, i) => i);

// 3 is +2. Kernels take codes less 2, so they are negated, and with them the scale; level 0 is -0 then, as -d · -0 = d · 0.
const NEGATED = [-2, -1, -0, 1] as const;
const NEGATE = 3;

/** IQ4: no rule gives it (ggml-common.h, kvalues_iq4nl). */
const IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;
// An integer table, without the -0 of E2M1.
const FP4: readonly number[] = E2M1_DOUBLED.map((level) => level + 0);

/** Levels of a grid and, behind as many as `signAt`, their negatives: code = level + signAt · (1 for minus). */
function signed(levels: readonly number[], signAt: number): readonly number[] {
  const all = new Array<number>(2 * signAt).fill(0);
  for (const [i, level] of levels.entries()) {
    all[i] = level;
    all[signAt + i] = -level;
  }
  return all;
}

const IQ2_LEVELS = /* @__PURE__ */ signed([8, 25, 43], 4);
const IQ3_XXS_LEVELS = /* @__PURE__ */ signed([4, 12, 20, 28, 36, 44, 52, 62], 8);
const IQ3_S_LEVELS = /* @__PURE__ */ signed([1, 3, 5, 7, 9, 11, 13, 15], 8);
/** 8 · grid + 1, and from 4 on 8 · grid - 1. */
const IQ1_LEVELS: readonly number[] = [-7, 1, 9, 0, -9, -1, 7, 0];

/** The eighth sign makes the number of minus signs even. */
function evenSigns(seven: number): number {
  let parity = seven ^ (seven >> 4);
  parity ^= parity >> 2;
  return seven | (((parity ^ (parity >> 1)) & 1) << 7);
}

/** Point `index` with signs, bit i of `signs` being that of column i. */
function point(points: Grid, dims: number, index: number, signs: number, signAt: number, out: Uint8Array, to: number) {
  for (let i = 0, from = index * dims; i < dims; i++, from++) {
    out[to + i] = (points[from] as number) + ((signs >> i) & 1) * signAt;
  }
}

/** A half in front, and 2 S + 1 of n nibbles S. */
function nibbleParts(place: number, n: number): PartsReader {
  return (b, at, parts) => {
    parts.d = u16(b, at);
    for (let g = 0; g < n; g++) parts.s[g] = 2 * nibble(b, at + place, g) + 1;
  };
}

/** The same where S is the four highest bits of words that are `apart` bytes from each other. */
function wordParts(place: number, apart: number): PartsReader {
  return (b, at, parts) => {
    parts.d = u16(b, at);
    for (let g = 0; g < 8; g++) parts.s[g] = 2 * (u32(b, at + place + g * apart) >>> 28) + 1;
  };
}

const five = { format: "uniform6", levels: /* @__PURE__ */ centred(6) } as const;
const table4 = { format: "codebook4", table: "bytes" } as const;
const table3 = { format: "codebook3", table: "bytes" } as const;
const iq4 = { format: "codebook4_i16", table: "int16", levels: IQ4, group: 32 } as const;
const plain4 = { ...table4, levels: /* @__PURE__ */ counted(4), group: 32 } as const;
const ternary = { format: "ternary", levels: /* @__PURE__ */ centred(2), group: 256 } as const;
const twos = { format: "uniform2", levels: NEGATED } as const;
/** Levels that fill the table of 16 entries, where groups of 16 columns rule out codes of 3 bits. */
const fill = (levels: readonly number[]): readonly number[] => [
  ...levels,
  ...new Array<number>(16 - levels.length).fill(0),
];

/** Fields of 4 bits: column i of 2 · apart in the low nibble of byte i, column i + apart in its high one. */
const nibbles = (at: number, apart = 16): Fields => ({ at, bits: 4, apart });
const pairs = (at: number, apart = 32): Fields => ({ at, bits: 2, apart });
const bits = (at: number, apart: number, shift: number): Fields & { shift: number } => ({ at, bits: 1, apart, shift });

/** TQ2_0 with codes 3, which its quantiser never writes. */
export const WIDE_TQ2_0: Blocks = {
  ...twos,
  group: 256,
  codes: { low: { at: 0, bits: 2, apart: 32 }, flip: NEGATE },
  records: { ...ONE, factor: -1 },
  parts: { d: 64 },
};

/** By the name of the type. */
export const blocks: Readonly<Record<string, Blocks>> = {
  Q1_0: {
    group: 128,
    format: "binary",
    levels: [-1, 1],
    codes: { low: { at: 2, bits: 1, apart: 1 } },
    records: ONE,
    parts: { d: 0 },
  },
  Q2_0: {
    ...twos,
    group: 64,
    codes: { low: pairs(2, 1), flip: NEGATE },
    records: { ...ONE, factor: -1 },
    parts: { d: 0 },
  },
  TQ1_0: {
    ...ternary,
    codes: (b, at, out, to) => {
      let column = to;
      const trits = (first: number, bytes: number, n: number): void => {
        for (let k = 0, power = 1; k < n; k++, power *= 3) {
          for (let m = 0; m < bytes; m++) out[column++] = 1 + (((((b[first + m] as number) * power) & 255) * 3) >> 8);
        }
      };
      trits(at, 32, 5);
      trits(at + 32, 16, 5);
      trits(at + 48, 4, 4);
    },
    records: ONE,
    parts: { d: 52 },
  },
  TQ2_0: {
    ...ternary,
    codes: { low: pairs(0), more: 1 },
    records: ONE,
    parts: { d: 64 },
  },
  Q4_0: {
    format: "uniform4",
    levels: /* @__PURE__ */ centred(4),
    group: 32,
    codes: { low: nibbles(2) },
    records: ONE,
    parts: { d: 0 },
  },
  Q4_1: { ...plain4, codes: { low: nibbles(4) }, records: TWO, parts: { d: 0, m: 2 } },
  Q5_0: {
    format: "uniform5",
    levels: /* @__PURE__ */ centred(5),
    group: 32,
    codes: { low: nibbles(6), high: bits(2, 1, 4) },
    records: ONE,
    parts: { d: 0 },
  },
  Q5_1: {
    ...five,
    group: 32,
    codes: { low: nibbles(8), high: bits(4, 1, 4), more: 32 },
    records: TWO,
    parts: { d: 0, m: 2 },
  },
  Q8_0: {
    format: "uniform8",
    levels: /* @__PURE__ */ centred(8),
    group: 32,
    codes: { low: { at: 2, bits: 8, apart: 32 }, flip: 0x80 },
    records: ONE,
    parts: { d: 0 },
  },
  Q2_K: {
    format: "codebook2",
    table: "bytes",
    levels: /* @__PURE__ */ counted(2),
    group: 16,
    codes: { low: pairs(16) },
    records: /* @__PURE__ */ records("nibbles", 16, 1, true),
    parts: { d: 80, m: 82, bytes: 0 },
  },
  Q3_K: {
    format: "uniform4",
    levels: /* @__PURE__ */ centred(4),
    group: 16,
    // -4 to 3 are codes 4 to 11 of four bits.
    codes: { low: pairs(32), high: bits(0, 32, 2), more: 4 },
    records: /* @__PURE__ */ records("bytes", 16),
    parts: (b, at, parts) => {
      parts.d = u16(b, at + 108);
      for (let g = 0; g < 16; g++) {
        const low = ((b[at + 96 + (g & 7)] as number) >> (4 * (g >> 3))) & 15;
        const high = ((b[at + 104 + (g & 3)] as number) >> (2 * (g >> 2))) & 3;
        parts.s[g] = (low | (high << 4)) - 32;
      }
    },
  },
  Q4_K: {
    ...plain4,
    codes: { low: nibbles(16, 32) },
    records: /* @__PURE__ */ records("bytes", 8, 1, true),
    parts: { d: 0, m: 2, sixes: 4 },
  },
  Q5_K: {
    ...five,
    group: 32,
    codes: { low: nibbles(48, 32), high: bits(16, 32, 4), more: 32 },
    records: /* @__PURE__ */ records("bytes", 8, 1, true),
    parts: { d: 0, m: 2, sixes: 4 },
  },
  Q6_K: {
    format: "uniform6",
    levels: /* @__PURE__ */ centred(6),
    group: 16,
    codes: { low: nibbles(0, 64), high: { ...pairs(128), shift: 4 } },
    records: /* @__PURE__ */ records("bytes", 16),
    parts: { d: 208, bytes: 192 },
  },
  IQ4_NL: { ...iq4, codes: { low: nibbles(2) }, records: ONE, parts: { d: 0 } },
  IQ4_XS: {
    ...iq4,
    codes: { low: nibbles(8) },
    records: /* @__PURE__ */ records("bytes", 8),
    parts: (b, at, parts) => {
      parts.d = u16(b, at);
      const high = u16(b, at + 2);
      for (let g = 0; g < 8; g++) parts.s[g] = (nibble(b, at + 4, g) | (((high >> (2 * g)) & 3) << 4)) - 32;
    },
  },
  MXFP4: {
    ...table4,
    levels: FP4,
    group: 32,
    codes: { low: nibbles(1) },
    records: /* @__PURE__ */ records("e8m0", 1),
    parts: { bytes: 0 },
  },
  NVFP4: {
    ...table4,
    levels: FP4,
    group: 16,
    codes: { low: nibbles(4, 8) },
    records: /* @__PURE__ */ records("e4m3", 4),
    parts: { bytes: 0 },
  },
  IQ2_XXS: {
    ...table3,
    levels: IQ2_LEVELS,
    group: 32,
    codes: (b, at, out, to) => {
      const points = gridOf(IQ2_XXS);
      for (let v = 0; v < 32; v++) {
        const group = at + 2 + 8 * (v >> 2);
        const signs = evenSigns((u32(b, group + 4) >>> (7 * (v & 3))) & 127);
        point(points, 8, b[group + (v & 3)] as number, signs, 4, out, to + 8 * v);
      }
    },
    records: /* @__PURE__ */ records("bytes", 8, 1 / 8),
    parts: wordParts(6, 8),
  },
  IQ2_XS: {
    ...table4,
    levels: /* @__PURE__ */ fill(IQ2_LEVELS),
    group: 16,
    codes: (b, at, out, to) => {
      const points = gridOf(IQ2_XS);
      for (let v = 0; v < 32; v++) {
        const word = u16(b, at + 2 + 2 * v);
        point(points, 8, word & 511, evenSigns(word >> 9), 4, out, to + 8 * v);
      }
    },
    records: /* @__PURE__ */ records("bytes", 16, 1 / 8),
    parts: nibbleParts(66, 16),
  },
  IQ2_S: {
    ...table4,
    levels: /* @__PURE__ */ fill(IQ2_LEVELS),
    group: 16,
    codes: (b, at, out, to) => {
      const points = gridOf(IQ2_S);
      for (let v = 0; v < 32; v++) {
        const high = ((b[at + 66 + (v >> 2)] as number) >> (2 * (v & 3))) & 3;
        point(points, 8, (b[at + 2 + v] as number) | (high << 8), b[at + 34 + v] as number, 4, out, to + 8 * v);
      }
    },
    records: /* @__PURE__ */ records("bytes", 16, 1 / 8),
    parts: nibbleParts(74, 16),
  },
  IQ3_XXS: {
    ...table4,
    levels: IQ3_XXS_LEVELS,
    group: 32,
    codes: (b, at, out, to) => {
      const points = gridOf(IQ3_XXS);
      for (let v = 0; v < 64; v++) {
        const signs = evenSigns((u32(b, at + 66 + 4 * (v >> 3)) >>> (7 * ((v >> 1) & 3))) & 127);
        point(points, 4, b[at + 2 + v] as number, signs >> (4 * (v & 1)), 8, out, to + 4 * v);
      }
    },
    records: /* @__PURE__ */ records("bytes", 8, 1 / 4),
    parts: wordParts(66, 4),
  },
  IQ3_S: {
    ...table4,
    levels: IQ3_S_LEVELS,
    group: 32,
    codes: (b, at, out, to) => {
      const points = gridOf(IQ3_S);
      for (let v = 0; v < 64; v++) {
        const high = ((b[at + 66 + (v >> 3)] as number) >> (v & 7)) & 1;
        const signs = (b[at + 74 + (v >> 1)] as number) >> (4 * (v & 1));
        point(points, 4, (b[at + 2 + v] as number) | (high << 8), signs, 8, out, to + 4 * v);
      }
    },
    records: /* @__PURE__ */ records("bytes", 8),
    parts: nibbleParts(106, 8),
  },
  IQ1_S: {
    ...table3,
    levels: IQ1_LEVELS,
    group: 32,
    codes: (b, at, out, to) => {
      const points = gridOf(IQ1);
      for (let v = 0; v < 32; v++) {
        const word = u16(b, at + 34 + 2 * (v >> 2));
        const index = (b[at + 2 + v] as number) | (((word >> (3 * (v & 3))) & 7) << 8);
        point(points, 8, index, word & 0x8000 ? 0xff : 0, 4, out, to + 8 * v);
      }
    },
    records: /* @__PURE__ */ records("bytes", 8, 1 / 8),
    parts: (b, at, parts) => {
      parts.d = u16(b, at);
      for (let g = 0; g < 8; g++) parts.s[g] = 2 * ((u16(b, at + 34 + 2 * g) >> 12) & 7) + 1;
    },
  },
  IQ1_M: {
    ...table4,
    levels: /* @__PURE__ */ fill(IQ1_LEVELS),
    group: 16,
    codes: (b, at, out, to) => {
      const points = gridOf(IQ1);
      for (let v = 0; v < 32; v++) {
        const bits = nibble(b, at + 32, v);
        point(points, 8, (b[at + v] as number) | ((bits & 7) << 8), bits & 8 ? 0xff : 0, 4, out, to + 8 * v);
      }
    },
    records: /* @__PURE__ */ records("bytes", 16, 1 / 8),
    parts: (b, at, parts) => {
      parts.d = 0;
      for (let i = 3; i >= 0; i--) parts.d = (parts.d << 4) | (u16(b, at + 48 + 2 * i) >> 12);
      for (let g = 0; g < 16; g++) parts.s[g] = 2 * ((u16(b, at + 48 + 2 * (g >> 2)) >> (3 * (g & 3))) & 7) + 1;
    },
  },
};
