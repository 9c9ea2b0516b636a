// Rows of assembly/codebook: indices into tables of bytes, of int16, and of int16 a row.
import { dotGemms, dotKernels, wholeGemvs, wideBound } from "./gemm.ts";
import { type Core, type Format, type IndexBits, type Kind, MAX_DOT_GROUP } from "./row.ts";

const INDEX_BITS: readonly IndexBits[] = [2, 3, 4];
// |q| <= 127 over int16 entries: 127·32767·512 < 2^31.
const MAX_I16_GROUP = 512;

// Tokens from which on gemm executes fewer instructions than as many gemvs (npm run count).
const GEMM_FROM: Readonly<Record<IndexBits, number>> = { 2: 8, 3: 4, 4: 6 };

const bytesBound = "16-bit lanes: 4 steps of 2·127·32 = 32512 <= 32767, or 1 of 2·127·127 for larger entries";

const bytes = { layout: "words", maxGroup: MAX_DOT_GROUP, operand: "quads" } as const;
const int16 = { layout: "words", maxGroup: MAX_I16_GROUP, operand: "wide", wide: true } as const;
const rows = { ...int16, layout: "rowWords" } as const;

const formats = {
  codebook2: { ...bytes, bits: 2, chunk: 16, kind: "CODEBOOK2" },
  codebook3: { ...bytes, bits: 3, chunk: 32, kind: "CODEBOOK3" },
  codebook4: { ...bytes, bits: 4, chunk: 8, kind: "CODEBOOK4" },
  codebook2_i16: { ...int16, bits: 2, chunk: 16, kind: "CODEBOOK2_I16" },
  codebook3_i16: { ...int16, bits: 3, chunk: 32, kind: "CODEBOOK3_I16" },
  codebook4_i16: { ...int16, bits: 4, chunk: 8, kind: "CODEBOOK4_I16" },
  codebook2_rows: { ...rows, bits: 2, chunk: 64, kind: "CODEBOOK2_ROWS" },
  codebook3_rows: { ...rows, bits: 3, chunk: 128, kind: "CODEBOOK3_ROWS" },
  codebook4_rows: { ...rows, bits: 4, chunk: 32, kind: "CODEBOOK4_ROWS" },
} as const satisfies Record<string, Format>;

const shared = (bits: IndexBits, wide: boolean) => ({
  from: { "dot/unpack": ["stripAt"], "codebook/unpack": ["unpackShared"] },
  text: `unpackShared(stripAt(w, row, byteCols, 0, ${bits}), byteCols, begin, n, height, out, extra, ${bits}, ${wide})`,
});

/** Entries less the least of them, which the table has behind its 16 bytes. */
function bytesKind(bits: IndexBits): Kind {
  return {
    codes: "bytes",
    centre: { from: {}, text: "-load<i32>(table, 16)" },
    largest: { from: { "codebook/unpack": ["tableDepth"] }, text: "tableDepth(table)" },
    unpack: shared(bits, false),
  };
}

function int16Kind(bits: IndexBits): Kind {
  return { codes: "int16", centre: 0, unpack: shared(bits, true) };
}

/** 32 bytes of table a row. */
function rowsKind(bits: IndexBits): Kind {
  return {
    codes: "int16",
    centre: 0,
    unpack: {
      from: { "dot/unpack": ["stripAt"], "codebook/unpack": ["unpackRows"] },
      text: `unpackRows(stripAt(w, row, byteCols, 0, ${bits}), byteCols, begin, n, height, out, extra + (<usize>row << 5), ${bits})`,
    },
  };
}

export const codebook: Core<keyof typeof formats> = {
  formats,
  kernels: [
    ...INDEX_BITS.flatMap((bits) => dotGemms(`codebook${bits}`, formats[`codebook${bits}`], GEMM_FROM[bits], 2)),
    ...INDEX_BITS.flatMap((bits) => dotGemms(`codebook${bits}_i16`, formats[`codebook${bits}_i16`], 4, 2)),
    ...INDEX_BITS.flatMap((bits) => dotGemms(`codebook${bits}_rows`, formats[`codebook${bits}_rows`], 4, 2)),
    ...INDEX_BITS.flatMap((bits) => dotKernels(`codebook${bits}`, formats[`codebook${bits}`], [16, 8], bytesBound)),
    ...INDEX_BITS.flatMap((bits) =>
      dotKernels(`codebook${bits}_i16`, formats[`codebook${bits}_i16`], [16, 8], wideBound),
    ),
    ...wholeGemvs("codebook4_i16", wideBound),
    ...INDEX_BITS.flatMap((bits) =>
      dotKernels(`codebook${bits}_rows`, formats[`codebook${bits}_rows`], [16, 8], wideBound),
    ),
  ],
  kinds: {
    CODEBOOK2: bytesKind(2),
    CODEBOOK3: bytesKind(3),
    CODEBOOK4: bytesKind(4),
    CODEBOOK2_I16: int16Kind(2),
    CODEBOOK3_I16: int16Kind(3),
    CODEBOOK4_I16: int16Kind(4),
    CODEBOOK2_ROWS: rowsKind(2),
    CODEBOOK3_ROWS: rowsKind(3),
    CODEBOOK4_ROWS: rowsKind(4),
  },
};
