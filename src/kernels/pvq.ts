// Rows of assembly/pvq.
import type { Kernel } from "./types.ts";

/** Lookups of the leaves of a vector: int8, and float32 as three passes of it. */
export function vectorKernels(size: 8 | 16): Kernel[] {
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
