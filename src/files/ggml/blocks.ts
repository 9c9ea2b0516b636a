// What is in the blocks of ggml's types: a code a weight, a scale a group of columns, and of some an offset. The formulas are
// those of ggml's dequantize_row_* (ggml-quants.c). Every type is w = scale · level(code) + offset, where a scale is exact in
// float32 and so is its product with a level: halves have 11 bits, sub-scales at most 8, levels as many as are left of 24
// (Q6_K: 11 + 8 + 5, IQ4_XS: 11 + 6 + 7). So there is one rounding, of the sum, where there is an offset, and none elsewhere.

import { E2M1_DOUBLED } from "../../formats/codebook/published.ts";
import type { FormatName } from "../../kernels/types.ts";
import type { Parts, ScaleRecords } from "../../matrix/scale-records.ts";
import { type GridData, IQ1, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS } from "./grid-data.ts";
import { gridOf } from "./grids.ts";
import { nibble, nibbles, u16, u32 } from "./numbers.ts";

export interface Blocks {
  /** Columns that share a scale. */
  readonly group: number;
  /** What kernels see it as, and what each of its codes stands for there. */
  readonly format: FormatName;
  readonly levels: readonly number[];
  /** Whether kernels look levels up in a table, and how wide its entries are. */
  readonly table?: "bytes" | "int16";
  /** Writes the codes of the block at `at`. */
  readonly codes: (b: Uint8Array, at: number, out: Uint8Array, to: number) => void;
  /** How scales and offsets are kept; a record a block. */
  readonly records: ScaleRecords;
  /** Reads the record of the block at `at`. */
  readonly parts: (b: Uint8Array, at: number, parts: Parts) => void;
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

/** A half of the block. */
function half(place: number): Blocks["parts"] {
  return (b, at, parts) => {
    parts.d = u16(b, at + place);
  };
}
/** Two halves in front of it. */
const halves: Blocks["parts"] = (b, at, parts) => {
  parts.d = u16(b, at);
  parts.m = u16(b, at + 2);
};

/** Fields of 2 bits, four columns that are `apart` in a byte. */
function pairs(b: Uint8Array, at: number, bytes: number, apart: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < bytes; i++) {
    const byte = b[at + i] as number;
    const first = to + 4 * (i - (i % apart)) + (i % apart);
    for (let j = 0; j < 4; j++) out[first + j * apart] = (byte >> (2 * j)) & 3;
  }
}

/** Adds `more` to n codes. */
function add(out: Uint8Array, to: number, n: number, more: number): void {
  for (let i = to; i < to + n; i++) out[i] = (out[i] as number) + more;
}

/** Nibbles and a bit of `high` each. */
function fives(b: Uint8Array, high: number, at: number, out: Uint8Array, to: number, more: number): void {
  nibbles(b, at, out, to);
  const bits = u32(b, high);
  for (let j = 0; j < 32; j++) out[to + j] = (out[to + j] as number) + (((bits >>> j) & 1) << 4) + more;
}

/** Scale g and minimum g of 6 bits each, of the 12 bytes at `at`: Q4_K and Q5_K. */
function sixes(b: Uint8Array, at: number, g: number): [scale: number, minimum: number] {
  const s = (i: number): number => b[at + i] as number;
  if (g < 4) return [s(g) & 63, s(4 + g) & 63];
  return [(s(4 + g) & 15) | ((s(g - 4) >> 6) << 4), (s(4 + g) >> 4) | ((s(g) >> 6) << 4)];
}

const superParts: Blocks["parts"] = (b, at, parts) => {
  halves(b, at, parts);
  for (let g = 0; g < 8; g++) {
    const [scale, minimum] = sixes(b, at + 4, g);
    parts.s[g] = scale;
    parts.o[g] = minimum;
  }
};

// 3 is +2. Kernels take codes less 2, so they are negated, and with them the scale; level 0 is -0 then, as -d · -0 = d · 0.
const NEGATED = [-2, -1, -0, 1] as const;
const negate = (out: Uint8Array, to: number, n: number): void => {
  for (let i = to; i < to + n; i++) out[i] = 3 - (out[i] as number);
};

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
function point(grid: GridData, index: number, signs: number, signAt: number, out: Uint8Array, to: number): void {
  const { dims } = grid;
  const points = gridOf(grid);
  for (let i = 0; i < dims; i++) {
    out[to + i] = (points[index * dims + i] as number) + ((signs >> i) & 1) * signAt;
  }
}

/** A half in front, and 2 S + 1 of n nibbles S. */
function nibbleParts(place: number, n: number): Blocks["parts"] {
  return (b, at, parts) => {
    parts.d = u16(b, at);
    for (let g = 0; g < n; g++) parts.s[g] = 2 * nibble(b, at + place, g) + 1;
  };
}

/** The same where S is the four highest bits of words that are `apart` bytes from each other. */
function wordParts(place: number, apart: number): Blocks["parts"] {
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

const tq2: Blocks["codes"] = (b, at, out, to) => pairs(b, at, 64, 32, out, to);

/** TQ2_0 with codes 3, which its quantiser never writes. */
export const WIDE_TQ2_0: Blocks = {
  ...twos,
  group: 256,
  codes: (b, at, out, to) => {
    tq2(b, at, out, to);
    negate(out, to, 256);
  },
  records: { ...ONE, factor: -1 },
  parts: half(64),
};

/** By the name of the type. */
export const blocks: Readonly<Record<string, Blocks>> = {
  Q1_0: {
    group: 128,
    format: "binary",
    levels: [-1, 1],
    codes: (b, at, out, to) => {
      for (let i = 0; i < 128; i++) out[to + i] = ((b[at + 2 + (i >> 3)] as number) >> (i & 7)) & 1;
    },
    records: ONE,
    parts: half(0),
  },
  Q2_0: {
    ...twos,
    group: 64,
    codes: (b, at, out, to) => {
      pairs(b, at + 2, 16, 1, out, to);
      negate(out, to, 64);
    },
    records: { ...ONE, factor: -1 },
    parts: half(0),
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
    parts: half(52),
  },
  TQ2_0: {
    ...ternary,
    codes: (b, at, out, to) => {
      tq2(b, at, out, to);
      add(out, to, 256, 1);
    },
    records: ONE,
    parts: half(64),
  },
  Q4_0: {
    format: "uniform4",
    levels: /* @__PURE__ */ centred(4),
    group: 32,
    codes: (b, at, out, to) => nibbles(b, at + 2, out, to),
    records: ONE,
    parts: half(0),
  },
  Q4_1: { ...plain4, codes: (b, at, out, to) => nibbles(b, at + 4, out, to), records: TWO, parts: halves },
  Q5_0: {
    format: "uniform5",
    levels: /* @__PURE__ */ centred(5),
    group: 32,
    codes: (b, at, out, to) => fives(b, at + 2, at + 6, out, to, 0),
    records: ONE,
    parts: half(0),
  },
  Q5_1: {
    ...five,
    group: 32,
    codes: (b, at, out, to) => fives(b, at + 4, at + 8, out, to, 32),
    records: TWO,
    parts: halves,
  },
  Q8_0: {
    format: "uniform8",
    levels: /* @__PURE__ */ centred(8),
    group: 32,
    codes: (b, at, out, to) => {
      for (let i = 0; i < 32; i++) out[to + i] = (b[at + 2 + i] as number) ^ 0x80;
    },
    records: ONE,
    parts: half(0),
  },
  Q2_K: {
    format: "codebook2",
    table: "bytes",
    levels: /* @__PURE__ */ counted(2),
    group: 16,
    codes: (b, at, out, to) => pairs(b, at + 16, 64, 32, out, to),
    records: /* @__PURE__ */ records("nibbles", 16, 1, true),
    parts: (b, at, parts) => {
      halves(b, at + 80, parts);
      for (let g = 0; g < 16; g++) {
        parts.s[g] = (b[at + g] as number) & 15;
        parts.o[g] = (b[at + g] as number) >> 4;
      }
    },
  },
  Q3_K: {
    format: "uniform4",
    levels: /* @__PURE__ */ centred(4),
    group: 16,
    codes: (b, at, out, to) => {
      pairs(b, at + 32, 64, 32, out, to);
      // The third bit of column 32 k + l is bit k of byte l; -4 to 3 are codes 4 to 11 of four bits.
      for (let i = 0; i < 256; i++) {
        out[to + i] = (out[to + i] as number) + 4 + 4 * (((b[at + (i & 31)] as number) >> (i >> 5)) & 1);
      }
    },
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
    codes: (b, at, out, to) => {
      for (let i = 0; i < 4; i++) nibbles(b, at + 16 + 32 * i, out, to + 64 * i, 32);
    },
    records: /* @__PURE__ */ records("bytes", 8, 1, true),
    parts: superParts,
  },
  Q5_K: {
    ...five,
    group: 32,
    codes: (b, at, out, to) => {
      for (let i = 0; i < 4; i++) nibbles(b, at + 48 + 32 * i, out, to + 64 * i, 32);
      for (let i = 0; i < 256; i++) {
        const high = ((b[at + 16 + (i & 31)] as number) >> (i >> 5)) & 1;
        out[to + i] = (out[to + i] as number) + 16 * high + 32;
      }
    },
    records: /* @__PURE__ */ records("bytes", 8, 1, true),
    parts: superParts,
  },
  Q6_K: {
    format: "uniform6",
    levels: /* @__PURE__ */ centred(6),
    group: 16,
    codes: (b, at, out, to) => {
      for (let n = 0; n < 2; n++) {
        nibbles(b, at + 64 * n, out, to + 128 * n, 64);
        for (let i = 0; i < 128; i++) {
          const high = ((b[at + 128 + 32 * n + (i & 31)] as number) >> (2 * (i >> 5))) & 3;
          out[to + 128 * n + i] = (out[to + 128 * n + i] as number) | (high << 4);
        }
      }
    },
    records: /* @__PURE__ */ records("bytes", 16),
    parts: (b, at, parts) => {
      parts.d = u16(b, at + 208);
      for (let g = 0; g < 16; g++) parts.s[g] = b[at + 192 + g] as number;
    },
  },
  IQ4_NL: { ...iq4, codes: (b, at, out, to) => nibbles(b, at + 2, out, to), records: ONE, parts: half(0) },
  IQ4_XS: {
    ...iq4,
    codes: (b, at, out, to) => {
      for (let g = 0; g < 8; g++) nibbles(b, at + 8 + 16 * g, out, to + 32 * g);
    },
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
    codes: (b, at, out, to) => nibbles(b, at + 1, out, to),
    records: /* @__PURE__ */ records("e8m0", 1),
    parts: (b, at, parts) => {
      parts.s[0] = b[at] as number;
    },
  },
  NVFP4: {
    ...table4,
    levels: FP4,
    group: 16,
    codes: (b, at, out, to) => {
      for (let g = 0; g < 4; g++) nibbles(b, at + 4 + 8 * g, out, to + 16 * g, 8);
    },
    records: /* @__PURE__ */ records("e4m3", 4),
    parts: (b, at, parts) => {
      for (let g = 0; g < 4; g++) parts.s[g] = b[at + g] as number;
    },
  },
  IQ2_XXS: {
    ...table3,
    levels: IQ2_LEVELS,
    group: 32,
    codes: (b, at, out, to) => {
      for (let v = 0; v < 32; v++) {
        const group = at + 2 + 8 * (v >> 2);
        const signs = evenSigns((u32(b, group + 4) >>> (7 * (v & 3))) & 127);
        point(IQ2_XXS, b[group + (v & 3)] as number, signs, 4, out, to + 8 * v);
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
      for (let v = 0; v < 32; v++) {
        const word = u16(b, at + 2 + 2 * v);
        point(IQ2_XS, word & 511, evenSigns(word >> 9), 4, out, to + 8 * v);
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
      for (let v = 0; v < 32; v++) {
        const high = ((b[at + 66 + (v >> 2)] as number) >> (2 * (v & 3))) & 3;
        point(IQ2_S, (b[at + 2 + v] as number) | (high << 8), b[at + 34 + v] as number, 4, out, to + 8 * v);
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
      for (let v = 0; v < 64; v++) {
        const signs = evenSigns((u32(b, at + 66 + 4 * (v >> 3)) >>> (7 * ((v >> 1) & 3))) & 127);
        point(IQ3_XXS, b[at + 2 + v] as number, signs >> (4 * (v & 1)), 8, out, to + 4 * v);
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
      for (let v = 0; v < 64; v++) {
        const high = ((b[at + 66 + (v >> 3)] as number) >> (v & 7)) & 1;
        const signs = (b[at + 74 + (v >> 1)] as number) >> (4 * (v & 1));
        point(IQ3_S, (b[at + 2 + v] as number) | (high << 8), signs, 8, out, to + 4 * v);
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
      for (let v = 0; v < 32; v++) {
        const word = u16(b, at + 34 + 2 * (v >> 2));
        const index = (b[at + 2 + v] as number) | (((word >> (3 * (v & 3))) & 7) << 8);
        point(IQ1, index, word & 0x8000 ? 0xff : 0, 4, out, to + 8 * v);
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
      for (let v = 0; v < 32; v++) {
        const bits = nibble(b, at + 32, v);
        point(IQ1, (b[at + v] as number) | ((bits & 7) << 8), bits & 8 ? 0xff : 0, 4, out, to + 8 * v);
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
