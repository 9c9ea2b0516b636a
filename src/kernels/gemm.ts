// Rows that cores share: dot products of codes (assembly/dot), by gemv of their own and by gemm of unpacked tiles.
import type { Activation, Format, Kernel } from "./row.ts";

const gemmBound =
  "16-bit lanes: 2 columns a step, |x| <= 127, as many steps as 2·127·code allows (depth in dot/kinds.ts)";
const gemm32Bound = "32-bit lanes: 2·127·cols < 2^31 for cols <= 8388608";
export const wideBound = "32-bit lanes: |Σ| <= 127·Σ|w| of a group, which the longest group keeps below 2^31";

/** Kernels that unpack a tile to codes, which then meet many tokens. */
export function gemmKernels(
  format: string,
  { wide }: Format,
  activation: Activation,
  fromTokens: number,
  fromTokens32 = fromTokens,
  from = wide ? "gemm_wide_16x2" : "gemm_int8_16x2",
): Kernel[] {
  const gemm = { op: "gemm", format, activation, tile: [16, 2] } as const;
  const name = `gemm_${format}_${activation}_16x2`;
  const i16: Kernel = {
    name,
    export: from,
    ...gemm,
    needs: "simd128",
    fromTokens,
    bound: wide ? wideBound : gemmBound,
  };
  if (wide) return [i16];
  const i32: Kernel = {
    name: `${name}_i32`,
    export: `${from}_i32`,
    ...gemm,
    needs: "relaxed",
    dot: "i32",
    fromTokens: fromTokens32,
    bound: gemm32Bound,
  };
  return [i16, i32];
}

const byte = { needs: "relaxed", dot: "byte", operand: "bytes" } as const;

/** gemv of codes or entries as whole bytes, on machines whose dot products take them so. */
export function wholeGemvs(format: string, bound: string): Kernel[] {
  return (["int8", "f32"] as const).map((activation) => ({
    name: `gemv_${format}_${activation}_16x8_byte`,
    export: `gemv_${format}_int8_16x8_byte`,
    op: "gemv",
    format,
    activation,
    tile: [16, 8],
    bound,
    ...byte,
  }));
}

/** gemm likewise, of 8-bit codes. */
export function wholeGemms(format: string, bound: string): Kernel[] {
  return (["int8", "f32"] as const).map((activation) => ({
    name: `gemm_${format}_${activation}_16x2_byte`,
    export: "gemm_bytes_16x2",
    op: "gemm",
    format,
    activation,
    tile: [16, 2],
    fromTokens: activation === "int8" ? 8 : 3,
    bound,
    ...byte,
  }));
}

/** The shape of "i32" that AVX-VNNI wants. `core`: the format whose kernels they are. */
export function vnniKernels(format: string, bound: string, core = format): Kernel[] {
  return (["int8", "f32"] as const).map((activation) => ({
    name: `gemv_${format}_${activation}_16x8_u8`,
    export: `gemv_${core}_int8_16x8_u8`,
    op: "gemv",
    format,
    activation,
    needs: "relaxed",
    tile: [16, 8],
    dot: "u8",
    bound,
  }));
}

/** The same, of each activation from so many tokens on: with float32 activations a token counts three times. */
export function dotGemms(name: string, format: Format, int8 = 8, f32 = 3, int8With32 = int8): Kernel[] {
  return [...gemmKernels(name, format, "int8", int8, int8With32), ...gemmKernels(name, format, "f32", f32)];
}

/** Dot products of one format: int8, and float32 as three passes of it. `core`: the format whose kernels they are. */
export function dotKernels(
  format: string,
  { wide }: Format,
  tile: readonly [number, number],
  bound: string,
  core = format,
): Kernel[] {
  return bothActivations(format, core, tile, bound, (row, twin) => {
    if (wide) return [row];
    return [row, { ...twin("i32"), needs: "relaxed", dot: "i32", bound: gemm32Bound }];
  });
}

/** The twin of codes of 2, 4 or 8 bits that adds 16-bit products. */
export function productKernels(format: string, bound: string, core = format): Kernel[] {
  return bothActivations(format, core, [16, 8], bound, (_row, twin) => [
    { ...twin("mul"), dot: "mul", operand: "bytes" },
  ]);
}

function bothActivations(
  format: string,
  core: string,
  tile: readonly [number, number],
  bound: string,
  rows: (row: Kernel, twin: (suffix: string) => Kernel) => Kernel[],
): Kernel[] {
  return (["int8", "f32"] as const).flatMap((activation) => {
    const size = tile.join("x");
    const name = `gemv_${format}_${activation}_${size}`;
    const from = `gemv_${core}_int8_${size}`;
    const row: Kernel = { name, export: from, op: "gemv", format, activation, tile, needs: "simd128", bound };
    return rows(row, (suffix) => ({ ...row, name: `${name}_${suffix}`, export: `${from}_${suffix}` }));
  });
}
