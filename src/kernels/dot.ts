// Rows of assembly/dot: uniform codes, and ternary weights as codes w + 2.
import { dotGemms, dotKernels, productKernels, vnniKernels, wholeGemms, wholeGemvs, wideBound } from "./gemm.ts";
import { type Core, type Format, type Kind, MAX_DOT_GROUP, UNIFORM_BITS, type UniformBits } from "./row.ts";

// In simd128 sums are 64 times too large (assembly/dot/README.md): 64·127·2^18 = 2130706432 < 2^31.
const MAX_TERNARY_GROUP = 262144;

const UNIFORM_DEPTH: Readonly<Record<UniformBits, string>> = {
  2: "16-bit lanes: 5·2 steps of 2·127·12 = 30480 <= 32767; simd128, 32-bit: 64·2·127·65536 < 2^31",
  3: "16-bit lanes: 8 steps of 2·127·7 = 14224 <= 32767",
  4: "16-bit lanes: 8 steps of 2·127·15 = 30480 <= 32767",
  5: "16-bit lanes: 4 steps of 2·127·31 = 31496 <= 32767",
  6: "16-bit lanes: 2 steps of 2·127·63 = 32004 <= 32767",
  8: `int16 factors: |x1 - 256·x0| <= 257·127 = 32639 <= 32767; ${wideBound}`,
};

/**
 * Tokens from which on gemm is faster: int8, f32, and int8 with 32-bit sums. Timed on x86 without AVX-VNNI in turns with as many gemvs
 * of weights in a second-level cache, in both binaries; with 32-bit sums from counts (assembly/dot/README.md).
 */
const GEMM_FROM: Readonly<Record<UniformBits, readonly [number, number, number]>> = {
  2: [8, 3, 8],
  3: [2, 2, 4],
  4: [8, 4, 8],
  5: [2, 2, 4],
  6: [4, 2, 4],
  8: [10, 4, 10],
};

const products2 = "16-bit lanes: 10·2 products of 127·12 = 30480 <= 32767";
const products4 = "16-bit lanes: 8·2 products of 127·15 = 30480 <= 32767";
const products8 = "16-bit lanes: 2 products of 127·128 = 32512 <= 32767";
const bytesBound = "32-bit lanes: 255·127·65536 = 2122383360 < 2^31";
const twosBound = "32-bit lanes: 4·3·127 of every second 4 columns, 12·127·65536 < 2^31";

const words = { layout: "words", maxGroup: MAX_DOT_GROUP } as const;
const uniform2 = { ...words, bits: 2, chunk: 16, operand: "fields", kind: "UNIFORM2" } as const;

const formats = {
  ternary: {
    ...uniform2,
    maxGroup: MAX_TERNARY_GROUP,
    lut8: { layout: "planes", bits: 2, chunk: 8, operand: "tables" },
  },
  uniform2,
  uniform3: { ...words, bits: 3, chunk: 32, operand: "quads", kind: "UNIFORM3" },
  uniform4: { ...words, bits: 4, chunk: 8, operand: "quads", kind: "UNIFORM4" },
  uniform5: { ...words, bits: 5, chunk: 32, operand: "quads", kind: "UNIFORM5" },
  uniform6: { ...words, bits: 6, chunk: 16, operand: "quads", kind: "UNIFORM6" },
  uniform8: { ...words, bits: 8, chunk: 8, operand: "bytePairs", wide: true, kind: "UNIFORM8" },
} as const satisfies Record<string, Format>;

/** Codes of 2 to 6 bits. */
function uniformKind(bits: Exclude<UniformBits, 8>): Kind {
  return {
    codes: "bytes",
    centre: 2 ** (bits - 1),
    largest: 2 ** bits - 1,
    ...(bits === 5 && { depth: 2 }),
    unpack: {
      from: { "dot/decode": ["unitBytes"], "dot/unpack": ["stripAt", "unpackWords"] },
      text: `unpackWords(stripAt(w, row, byteCols, begin, ${bits}), <usize>byteCols * unitBytes(${bits}), height, n, out, ${bits})`,
    },
  };
}

export const dot: Core<keyof typeof formats> = {
  formats,
  kernels: [
    ...dotKernels("ternary", formats.ternary, [16, 8], UNIFORM_DEPTH[2], "uniform2"),
    ...UNIFORM_BITS.flatMap((bits) =>
      dotKernels(`uniform${bits}`, formats[`uniform${bits}`], [16, 8], UNIFORM_DEPTH[bits]),
    ),
    ...productKernels("ternary", products2, "uniform2"),
    ...productKernels("uniform2", products2),
    ...productKernels("uniform4", products4),
    ...productKernels("uniform8", products8),
    ...vnniKernels("ternary", twosBound, "uniform2"),
    ...vnniKernels("uniform2", twosBound),
    ...vnniKernels("uniform4", "32-bit lanes: high nibbles in their places, 240·127·65536 = 1997537280 < 2^31"),
    ...wholeGemvs("uniform8", bytesBound),
    ...wholeGemms("uniform8", bytesBound),
    ...dotGemms("ternary", formats.ternary),
    ...UNIFORM_BITS.flatMap((bits) => dotGemms(`uniform${bits}`, formats[`uniform${bits}`], ...GEMM_FROM[bits])),
  ],
  kinds: {
    UNIFORM2: uniformKind(2),
    UNIFORM3: uniformKind(3),
    UNIFORM4: uniformKind(4),
    UNIFORM5: uniformKind(5),
    UNIFORM6: uniformKind(6),
    // Less 128.
    UNIFORM8: {
      codes: "int16",
      centre: 0,
      unpack: {
        from: { "dot/unpack": ["stripAt", "unpackBytes"] },
        text: "unpackBytes(stripAt(w, row, byteCols, begin, 8), byteCols, height, n, out)",
      },
    },
  },
};
