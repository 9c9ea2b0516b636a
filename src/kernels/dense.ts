// Rows of assembly/dense: numbers as they are.
import type { Core, Format, Kernel } from "./row.ts";

const bound = "float32: products of numbers of at most 4 and the weights, summed in blocks of 256 columns";

// No scales, and chunks of 64 bytes of x.
const floats = { layout: "floats", chunk: 16, operand: "floats" } as const;

const formats = {
  dense32: { ...floats, bits: 32 },
  dense16: { ...floats, bits: 16 },
  denseb16: { ...floats, bits: 16 },
} as const satisfies Record<string, Format>;

function denseKernels(format: keyof typeof formats): Kernel[] {
  const common = { format, activation: "f32", needs: "simd128", bound } as const;
  return [
    { name: `gemv_${format}_f32_16x1`, op: "gemv", tile: [16, 1], ...common },
    { name: `gemm_${format}_f32_16x2`, op: "gemm", tile: [16, 2], fromTokens: 2, ...common },
  ];
}

export const dense: Core<keyof typeof formats> = {
  formats,
  kernels: [...denseKernels("dense32"), ...denseKernels("dense16"), ...denseKernels("denseb16")],
  kinds: {},
};
