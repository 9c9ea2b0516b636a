// Rows of assembly/lut.
import type { Activation, Kernel } from "./types.ts";

const f32Bound = "none: float32 sums";
export const binaryInt8Bound =
  "bytes: |h low + h high| <= 112, 3·2·|l| <= 96; unsigned 16-bit: 255·255 = 65025 <= 65535";
export const binaryLut8Bound =
  "bytes: |low| + |high| <= 127; 16-bit: 32·127 = 4064 <= 32767; 32-bit: 4096·127·2047 < 2^31 (biased bytes: 255)";

/** Kernels that meet sign planes: binary has one, bcq several. */
export function planeKernels(format: "binary" | "bcq"): Kernel[] {
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
