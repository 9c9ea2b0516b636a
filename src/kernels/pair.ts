// Rows of assembly/pair: complex planes, whose gemm unpacks SIGNS.
import { gemmKernels } from "./gemm.ts";
import { binaryInt8Bound, binaryLut8Bound } from "./lut.ts";
import type { Activation, Core, Format, Kernel } from "./row.ts";

const formats = {
  complex: { layout: "planes", bits: 1, chunk: 8, operand: "halves" },
} as const satisfies Record<string, Format>;

/** Kernels of complex planes: what is summed are signs. */
function complexKernels(): Kernel[] {
  const row = (activation: Activation, tile: readonly [number, number], bound: string): Kernel => ({
    name: `gemv_complex_${activation}_${tile.join("x")}`,
    op: "gemv",
    format: "complex",
    activation,
    needs: "simd128",
    tile,
    bound,
  });
  return [
    row("int8", [32, 8], `${binaryInt8Bound}; P + Q: 2·127·cols < 2^31 for cols <= 8388608`),
    row("lut8", [32, 8], `${binaryLut8Bound}; P + Q: 2·4096·127·2047 < 2^31`),
    row("f32", [16, 8], "bytes of 24-bit sums: 4·(2^21 - 1) < 2^23; unsigned 16-bit: 2·64·255 = 32640 <= 65535"),
    // By executed instructions lookup wins at every number of tokens, with the dot product instruction of ARM too.
    ...gemmKernels(
      "complex",
      formats.complex,
      "int8",
      Number.POSITIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      "gemm_complex_int8_16x2",
    ),
  ];
}

export const pair: Core<keyof typeof formats> = { formats, kernels: complexKernels(), kinds: {} };
