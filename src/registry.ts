// The one table of kernels. Dispatch, tests and benchmarks follow from its rows: nothing else lists kernels.

export type Variant = "relaxed" | "simd";
export type Activation = "int8" | "lut8" | "f32";
export type FormatName = "binary" | "ternary";

export const ACTIVATIONS: readonly Activation[] = ["int8", "lut8", "f32"];

/** Columns of one byte of a bit plane. */
export const BYTE_COLS = 8;
/** Rows are padded to a multiple of this; tiles are TILE_ROWS high, the last one may be lower. */
export const STRIP_ROWS = 16;
export const TILE_ROWS = 64;
/** Byte columns of the smallest lut8 block (lut8Block in assembly/lut/prepare.ts). */
export const LUT8_BLOCK = 8;

/** Bit planes of a format: binary w = ±1 is one, ternary w = (B0 + B1) / 2 is two. */
export const PLANES: Readonly<Record<FormatName, 1 | 2>> = { binary: 1, ternary: 2 };

/** Bytes of lookup tables for one byte column. */
export const TABLE_BYTES: Readonly<Record<Activation, number>> = { int8: 64, lut8: 32, f32: 128 };

export interface Kernel {
  /** `<op>_<format>_<activation>_<rows>x<cols or tokens>`: the name of the export in the binary. */
  readonly name: string;
  readonly op: "gemv" | "gemm";
  readonly format: FormatName;
  readonly activation: Activation;
  /** The binary that has it: both have the simd128 kernels. */
  readonly needs: "simd128" | "relaxed";
  /** Rows that one inner loop computes together, and columns (gemv) or tokens (gemm) of one step. */
  readonly tile: readonly [rows: number, inner: number];
  /**
   * gemm: from how many tokens on it is used; below, unpacking costs more than a lookup pass a token. Infinity: only
   * when it is asked for by name. Measured with `npm run bench`; both ways give the same bits.
   */
  readonly fromTokens?: number;
  /** gemm: "i32" for the twin with sums in 32-bit lanes, for machines where `features.dot` says so. */
  readonly dot?: "i32";
  /** Why its narrow accumulators cannot overflow. */
  readonly bound: string;
}

const gemmBound = "16-bit lanes take 2 columns a step, codes <= 2, |x| <= 127, 64 steps: 64·2·2·127 = 32512 <= 32767";
const gemm32Bound = "32-bit lanes: 2·127·cols < 2^31 for cols <= 8388608";
const f32Bound = "none: float32 sums";

export const kernels: readonly Kernel[] = [
  {
    name: "gemv_binary_int8_32x8",
    op: "gemv",
    format: "binary",
    activation: "int8",
    needs: "simd128",
    tile: [32, 8],
    bound: "bytes: |h low + h high| <= 112, 3·2·|l| <= 96; unsigned 16-bit: 255·255 = 65025 <= 65535",
  },
  {
    name: "gemv_binary_lut8_64x8",
    op: "gemv",
    format: "binary",
    activation: "lut8",
    needs: "simd128",
    tile: [64, 8],
    bound: "bytes: |low| + |high| <= 127; unsigned 16-bit: 32·255 = 8160 <= 32767; 32-bit: 4096·255·2047 < 2^31",
  },
  {
    name: "gemv_binary_f32_16x8",
    op: "gemv",
    format: "binary",
    activation: "f32",
    needs: "simd128",
    tile: [16, 8],
    bound: f32Bound,
  },
  {
    name: "gemv_ternary_int8_16x8",
    op: "gemv",
    format: "ternary",
    activation: "int8",
    needs: "simd128",
    tile: [16, 8],
    bound: "bytes: |h low + h high| <= 112, 3·2·|l| <= 96; 16-bit: 144·2·112 = 32256 <= 32767",
  },
  {
    name: "gemv_ternary_lut8_64x8",
    op: "gemv",
    format: "ternary",
    activation: "lut8",
    needs: "simd128",
    tile: [64, 8],
    bound: "bytes: |low| + |high| <= 127; 16-bit: 32·2·127 = 8128 <= 32767; 32-bit: 4096·2·127·2047 < 2^31",
  },
  {
    name: "gemv_ternary_f32_8x8",
    op: "gemv",
    format: "ternary",
    activation: "f32",
    needs: "simd128",
    tile: [8, 8],
    bound: f32Bound,
  },
  {
    name: "gemm_binary_int8_16x2",
    op: "gemm",
    format: "binary",
    activation: "int8",
    needs: "simd128",
    tile: [16, 2],
    fromTokens: Number.POSITIVE_INFINITY,
    bound: gemmBound,
  },
  {
    name: "gemm_ternary_int8_16x2",
    op: "gemm",
    format: "ternary",
    activation: "int8",
    needs: "simd128",
    tile: [16, 2],
    fromTokens: 12,
    bound: gemmBound,
  },
  {
    name: "gemm_binary_int8_16x2_i32",
    op: "gemm",
    format: "binary",
    activation: "int8",
    needs: "relaxed",
    tile: [16, 2],
    dot: "i32",
    fromTokens: 16,
    bound: gemm32Bound,
  },
  {
    name: "gemm_ternary_int8_16x2_i32",
    op: "gemm",
    format: "ternary",
    activation: "int8",
    needs: "relaxed",
    tile: [16, 2],
    dot: "i32",
    fromTokens: 8,
    bound: gemm32Bound,
  },
];

/** The rows that can do a job on a variant, the default first. */
export function candidates(
  op: Kernel["op"],
  format: FormatName,
  activation: Activation,
  variant: Variant,
): readonly Kernel[] {
  return kernels.filter(
    (k) =>
      k.op === op &&
      k.format === format &&
      k.activation === activation &&
      (k.needs === "simd128" || variant === "relaxed"),
  );
}
