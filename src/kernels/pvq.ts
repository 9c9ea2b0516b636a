// Rows of assembly/pvq: vectors of a pyramid.
import { gemmKernels } from "./gemm.ts";
import { type Core, type Format, type Kernel, MAX_DOT_GROUP } from "./row.ts";

const vectors = { layout: "vectors", maxGroup: MAX_DOT_GROUP, operand: "quads", workBytes: 16, kind: "PVQ" } as const;

const formats = {
  pvq8: { ...vectors, bits: 4, chunk: 8 },
  pvq16: { ...vectors, bits: 2, chunk: 16 },
} as const satisfies Record<string, Format>;

/** Lookups of the leaves of a vector: int8, and float32 as three passes of it. */
function vectorKernels(size: 8 | 16): Kernel[] {
  return (["int8", "f32"] as const).map((activation) => ({
    name: `gemv_pvq${size}_${activation}_4x${size}`,
    export: `gemv_pvq${size}_int8_4x${size}`,
    op: "gemv",
    format: `pvq${size}`,
    activation,
    needs: "simd128",
    tile: [4, size],
    bound: "16-bit lanes: codes <= 2·14: 4·2·127·28 = 28448 <= 32767",
  }));
}

export const pvq: Core<keyof typeof formats> = {
  formats,
  kernels: [
    ...vectorKernels(8),
    ...vectorKernels(16),
    ...gemmKernels("pvq8", formats.pvq8, "int8", 3),
    ...gemmKernels("pvq8", formats.pvq8, "f32", 2),
    ...gemmKernels("pvq16", formats.pvq16, "int8", 3),
    ...gemmKernels("pvq16", formats.pvq16, "f32", 2),
  ],
  kinds: {
    // y + pulses, of which there are 14 at most.
    PVQ: {
      codes: "bytes",
      centre: { from: { "pvq/decode": ["pulsesOf"] }, text: "pulsesOf(table)" },
      largest: 28,
      unpack: {
        from: { "pvq/unpack": ["unpackPvq"] },
        text: "unpackPvq(w, row, height, byteCols, begin, n, out, extra)",
      },
    },
  },
};
