// Rows of assembly/vq: points of E8, and companded vectors of learned lattices.
import { gemmKernels } from "./gemm.ts";
import { type Core, type Format, type Kernel, MAX_DOT_GROUP } from "./row.ts";

const lattice = {
  layout: "lattice",
  chunk: 8,
  maxGroup: MAX_DOT_GROUP,
  operand: "lattice",
  workBytes: 64,
} as const;

const formats = {
  e8p: { ...lattice, bits: 2, kind: "E8P" },
  e81b: { ...lattice, bits: 1, kind: "E81B" },
  // Companded; without companding vectors are uniform codes behind a projection.
  glvq: { layout: "vectors", bits: 2, chunk: 32, maxGroup: MAX_DOT_GROUP, operand: "quads", kind: "COMPANDED" },
} as const satisfies Record<string, Format>;

/** Lookups of lattice codes: int8, and float32 as three passes of it. */
function latticeKernels(format: "e8p" | "e81b", bound: string): Kernel[] {
  return (["int8", "f32"] as const).map((activation) => ({
    name: `gemv_${format}_${activation}_16x8`,
    export: `gemv_${format}_int8_16x8`,
    op: "gemv",
    format,
    activation,
    needs: "simd128",
    tile: [16, 8],
    bound,
  }));
}

/** Companded vectors: int8, or float32 as three passes of it. */
function glvqKernels(activation: "int8" | "f32"): Kernel[] {
  const gemv = { op: "gemv", format: "glvq", activation, needs: "simd128", tile: [16, 4], bound: glvqBound } as const;
  return [{ name: `gemv_glvq_${activation}_16x4`, export: "gemv_glvq_int8_16x4", ...gemv }];
}

const e8pBound = "bytes: |h low + h high + h| <= 126, |l - 2·l| <= 104; 16-bit: 20·(104 + 1016) = 22400 <= 32767";
const e81bBound = "bytes: |h low + h high| <= 112, |l low + l high| <= 32; unsigned 16-bit: 64·255 = 16320 <= 65535";

const glvqBound = "bytes saturate; 16-bit lanes: 2·127·63 = 16002 <= 32767; 32-bit: 2·63·127·65536 < 2^31";

export const vq: Core<keyof typeof formats> = {
  formats,
  kernels: [
    ...latticeKernels("e8p", e8pBound),
    ...latticeKernels("e81b", e81bBound),
    ...gemmKernels("e8p", formats.e8p, "int8", 3),
    ...gemmKernels("e8p", formats.e8p, "f32", 2),
    ...gemmKernels("e81b", formats.e81b, "int8", 4),
    ...gemmKernels("e81b", formats.e81b, "f32", 2),
    ...glvqKernels("int8"),
    ...glvqKernels("f32"),
    ...gemmKernels("glvq", formats.glvq, "int8", 2),
    ...gemmKernels("glvq", formats.glvq, "f32", 2),
  ],
  kinds: {
    // 4w + 11
    E8P: {
      codes: "bytes",
      centre: 11,
      largest: 22,
      unpack: {
        from: { "dot/unpack": ["tileAt"], "vq/unpack": ["unpackE8p"] },
        text: "unpackE8p(w + 2 * tileAt(row, height, byteCols, begin), height, n, out)",
      },
    },
    // 2w + 4
    E81B: {
      codes: "bytes",
      centre: 4,
      largest: 8,
      unpack: {
        from: { "dot/unpack": ["tileAt"], "vq/unpack": ["unpackE81b"] },
        text: "unpackE81b(w + tileAt(row, height, byteCols, begin), height, n, out)",
      },
    },
    // The centre is of twice the code: weights are odd. All rows share scales, stored for one tile.
    COMPANDED: {
      codes: "bytes",
      centre: 63,
      largest: 63,
      unpack: {
        from: { "vq/glvq": ["unpackGlvq"] },
        text: "unpackGlvq(w, row, height, byteCols, begin, group, n, out, extra)",
      },
    },
  },
};
