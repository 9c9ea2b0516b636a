// Rows of assembly/dense.
import type { FormatName, Kernel } from "./types.ts";

const bound = "float32: products of numbers of at most 4 and the weights, summed in blocks of 256 columns";

export function denseKernels(format: FormatName): Kernel[] {
  const common = { format, activation: "f32", needs: "simd128", bound } as const;
  return [
    { name: `gemv_${format}_f32_16x1`, op: "gemv", tile: [16, 1], ...common },
    { name: `gemm_${format}_f32_16x2`, op: "gemm", tile: [16, 2], fromTokens: 2, ...common },
  ];
}
