// Rows of assembly/lut: sign planes, and ternary weights for lut8 (as words they are rows of dot.ts).
import { gemmKernels } from "./gemm.ts";
import type { Activation, Core, Format, Kernel } from "./row.ts";

const f32Bound = "none: float32 sums";
export const binaryInt8Bound =
  "bytes: |h low + h high| <= 112, 3·2·|l| <= 96; unsigned 16-bit: 255·255 = 65025 <= 65535";
export const binaryLut8Bound =
  "bytes: |low| + |high| <= 127; 16-bit: 32·127 = 4064 <= 32767; 32-bit: 4096·127·2047 < 2^31 (biased bytes: 255)";

/** Kernels that meet sign planes: binary has one, bcq several. */
function planeKernels(format: "binary" | "bcq"): Kernel[] {
  const gemv = { op: "gemv", format, needs: "simd128" } as const;
  const row = (activation: Activation, size: string, tile: readonly [number, number], bound: string): Kernel => {
    const name = `gemv_${format}_${activation}_${size}`;
    return {
      name,
      ...(format === "bcq" && { export: `gemv_binary_${activation}_${size}` }),
      ...gemv,
      activation,
      tile,
      bound,
    };
  };
  return [
    row("int8", "32x8", [32, 8], binaryInt8Bound),
    row("lut8", "64x8", [64, 8], binaryLut8Bound),
    row("f32", "16x8", [16, 8], f32Bound),
  ];
}

const formats = {
  binary: { layout: "planes", bits: 1, chunk: 8, operand: "tables", kind: "SIGNS" },
  bcq: { layout: "planes", bits: 1, chunk: 8, operand: "tables" },
} as const satisfies Record<string, Format>;

export const lut: Core<keyof typeof formats> = {
  formats,
  kernels: [
    ...planeKernels("binary"),
    {
      name: "gemv_ternary_lut8_64x8",
      op: "gemv",
      format: "ternary",
      activation: "lut8",
      needs: "simd128",
      tile: [64, 8],
      bound: "bytes: |low| + |high| <= 127; 16-bit: 32·2·127 = 8128 <= 32767; 32-bit: 4096·2·127·2047 < 2^31",
    },
    ...planeKernels("bcq"),
    ...gemmKernels("binary", formats.binary, "int8", Number.POSITIVE_INFINITY, 16),
  ],
  kinds: {
    // w + 1
    SIGNS: {
      codes: "bytes",
      centre: 1,
      largest: 2,
      unpack: {
        from: { "dot/unpack": ["tileAt", "unpackPlane"] },
        text: "unpackPlane(w + tileAt(row, height, byteCols, begin), height, n, out)",
      },
    },
  },
};
