// Rows of assembly/vq.
import type { Kernel } from "./types.ts";

/** Lookups of lattice codes: int8, and float32 as three passes of it. */
export function latticeKernels(format: "e8p" | "e81b", bound: string): Kernel[] {
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
export function glvqKernels(activation: "int8" | "f32"): Kernel[] {
  const gemv = { op: "gemv", format: "glvq", activation, needs: "simd128", tile: [16, 4], bound: glvqBound } as const;
  return [{ name: `gemv_glvq_${activation}_16x4`, export: "gemv_glvq_int8_16x4", ...gemv }];
}

export const e8pBound =
  "bytes: |h low + h high + h| <= 126, |l - 2·l| <= 104; 16-bit: 20·(104 + 1016) = 22400 <= 32767";
export const e81bBound =
  "bytes: |h low + h high| <= 112, |l low + l high| <= 32; unsigned 16-bit: 64·255 = 16320 <= 65535";

const glvqBound = "bytes saturate; 16-bit lanes: 2·127·63 = 16002 <= 32767; 32-bit: 2·63·127·65536 < 2^31";
