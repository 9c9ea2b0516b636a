// What a core of assembly/ says of itself: its formats, its kernels, and the kinds of codes that gemm unpacks. Dispatch,
// tests, counts, benchmarks and generated lists follow from these rows (cores.ts): nothing else lists kernels.
import type { Activation } from "./contract.ts";
import type { OperandName } from "./operands.ts";

export * from "./contract.ts";

/** Rows are padded to a multiple of this; tiles are TILE_ROWS high, the last one may be lower. */
export const STRIP_ROWS = 16;
export const TILE_ROWS = 64;

/** Bits of a uniform code. */
export const UNIFORM_BITS = [2, 3, 4, 5, 6, 8] as const;
export type UniformBits = (typeof UNIFORM_BITS)[number];
export type IndexBits = 2 | 3 | 4;

/** Bits of a trellis code. */
export const TRELLIS_BITS = [1, 2, 3, 4, 5, 6, 7, 8] as const;
export type TrellisBits = (typeof TRELLIS_BITS)[number];

export interface Format {
  /** How weights are stored: README.md in the folders of assembly/. */
  readonly layout: "planes" | "words" | "rowWords" | "bits" | "lattice" | "vectors" | "tiles" | "floats";
  /** Stored bits of a weight; of one plane where the number of planes varies. */
  readonly bits: number;
  /** Columns that the layout keeps together: columns are padded to it, and groups are a multiple of it. */
  readonly chunk: number;
  /** Columns of the longest group whose integer sums fit int32; a longer one is stored as several with one scale. */
  readonly maxGroup?: number;
  /** What meets the weights in gemv. */
  readonly operand: OperandName;
  /** Codes are int16 when gemm unpacks them. */
  readonly wide?: true;
  /** Groups only keep sums within 32 bits and share the scale of their row. */
  readonly rowScales?: boolean;
  /** Working space of gemv a row, beyond what every kernel has. */
  readonly workBytes?: number;
  /** The kind of codes that gemm unpacks it to: a row of `kinds` of its core or another. */
  readonly kind?: string;
  /** How it is stored for the contract lut8, where that is another way. */
  readonly lut8?: Format;
}

// |Σ q·(c - 2^(bits-1))| <= 127·128·65536 < 2^31.
export const MAX_DOT_GROUP = 65536;

export interface Kernel<Name extends string = string> {
  /** `<op>_<format>_<activation>_<rows>x<cols or tokens>` */
  readonly name: string;
  /** The export of the binary, where it serves several formats or activations. Default: `name`. */
  readonly export?: string;
  readonly op: "gemv" | "gemm";
  readonly format: Name;
  readonly activation: Activation;
  /** The binary that has it: both have the simd128 kernels. */
  readonly needs: "simd128" | "relaxed";
  /** Rows that one inner loop computes together, and columns (gemv) or tokens (gemm) of one step. */
  readonly tile: readonly [rows: number, inner: number];
  /**
   * gemm: from how many tokens on it is used; below, unpacking costs more than a pass a token. Infinity: only when it is
   * asked for by name. Measured with `npm run bench`; both ways give the same bits. gemv: the same where this twin runs, if that is
   * another number.
   */
  readonly fromTokens?: number;
  /**
   * The twin for machines where `features.dot` says so: "i32" has sums in 32-bit lanes, "mul" adds 16-bit products, "byte"
   * meets codes of a whole byte, "u8" is "i32" or "byte" in the shape that AVX-VNNI wants. Which of several: registry.ts.
   */
  readonly dot?: "i32" | "mul" | "byte" | "u8";
  /** What meets the weights, if not what its format says. */
  readonly operand?: OperandName;
  /** "native" for the twin without an adder, for machines where `features.popcnt` says so. */
  readonly popcnt?: "native";
  /** Why its narrow accumulators cannot overflow. */
  readonly bound: string;
}

/** What tells kernels of a job apart on a machine: features.dot and features.popcnt. */
export interface Machine {
  /**
   * Dot products of int8: summed in 16-bit lanes, in 32-bit lanes, or products added where neither is one instruction. In
   * 32-bit lanes codes beyond 127 may count as unsigned bytes ("u8": AVX-VNNI) or as signed ones ("s8": ARM).
   */
  readonly dot: "i16" | "i32" | "u8" | "s8" | "mul";
  readonly popcnt: "native" | "sliced";
}

/** An expression of AssemblyScript and the modules of assembly/ that it takes names from. */
export interface Expression {
  /** `from["pvq/unpack"]` are the names that it imports from assembly/pvq/unpack.ts. */
  readonly from: Readonly<Record<string, readonly string[]>>;
  readonly text: string;
}

/**
 * A kind of codes that gemm unpacks tiles of weights to. `npm run generate` makes assembly/dot/kinds.ts of these rows, where a
 * kind is the constant of its name.
 */
export interface Kind {
  /** "bytes" for gemm_int8 (operand 2 of a relaxed dot product), "int16" for gemm_wide. */
  readonly codes: "bytes" | "int16";
  /** The code of weight zero, of all or of the table at `table`: Σ (code - centre)·x = Σ code·x - centre · Σ x. */
  readonly centre: number | Expression;
  /** Bytes: the largest code, which says how many steps 16-bit lanes take (depthOf); or that number, of a table. */
  readonly largest?: number | Expression;
  /** Fewer steps than that, where it is cheaper: at 2 sums stay in registers, which below 8 may take less than 4 do. */
  readonly depth?: 2;
  /**
   * A call that unpacks n units from unit `begin` on of the tile of `height` rows from `row` on to `out`. Names that it may use:
   * w, row, height, byteCols, begin, n, out, extra (what the matrix has besides: a table), group.
   */
  readonly unpack: Expression;
}

/** The rows of a core. */
export interface Core<Name extends string = string> {
  readonly formats: Readonly<Record<Name, Format>>;
  readonly kernels: readonly Kernel[];
  /** By the name of their constant. */
  readonly kinds: Readonly<Record<string, Kind>>;
}

/**
 * Steps that 16-bit lanes take before they are added to 32-bit ones, 2 columns of |x| <= 127 a step: a power of two, at most the 64
 * of a block. At 1 every step goes to 32 bits.
 */
export function depthOf(largest: number): number {
  const steps = Math.floor(32767 / (2 * 127 * largest));
  return Math.min(64, 2 ** (31 - Math.clz32(steps)));
}
