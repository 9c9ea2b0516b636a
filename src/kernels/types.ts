// What a row of the registry says.

// The one table of formats and kernels. Dispatch, tests and benchmarks follow from its rows: nothing else lists kernels.

export type Variant = "relaxed" | "simd";
/** "bits" is of bitplane, which has no other. */
export type Activation = "int8" | "lut8" | "f32" | "bits";

export const ACTIVATIONS: readonly Activation[] = ["int8", "lut8", "f32", "bits"];

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

/** What kernels tell apart. A public format may use several (codebook) and several may use one (ptqtp is bcq). */
export type FormatName =
  | "binary"
  | "ternary"
  | "bcq"
  | "bitplane"
  | "complex"
  | `uniform${UniformBits}`
  | `codebook${IndexBits}`
  | `codebook${IndexBits}_i16`
  | `codebook${IndexBits}_rows`
  | "e8p"
  | "e81b"
  | "glvq"
  | `pvq${8 | 16}`
  | `trellis${TrellisBits}`
  | `trellis${TrellisBits}_i16`
  | "dense32"
  | "dense16"
  | "denseb16";

export interface Format {
  /** How weights are stored: README.md in the folders of assembly/. */
  readonly layout: "planes" | "words" | "rowWords" | "bits" | "lattice" | "vectors" | "tiles" | "floats";
  /** Stored bits of a weight; of one plane where the number of planes varies. */
  readonly bits: number;
  /** Columns that the layout keeps together: columns are padded to it, and groups are a multiple of it. */
  readonly chunk: number;
  /** Columns of the longest group whose integer sums fit int32; a longer one is stored as several with one scale. */
  readonly maxGroup?: number;
  /**
   * What meets the weights in gemv: lookup tables of x; those of Re x and Im x; int8 x, for codes of 2 bits, others, or as
   * it is in both binaries; int16 x, as it is, for codes of a byte each, or twice; bit planes; tables of int8 x; x itself.
   */
  readonly operand:
    | "tables"
    | "halves"
    | "fields"
    | "quads"
    | "bytes"
    | "wide"
    | "bytePairs"
    | "twice"
    | "bits"
    | "lattice"
    | "floats";
  /** Groups only keep sums within 32 bits and share the scale of their row. */
  readonly rowScales?: boolean;
  /** Working space of gemv a row, beyond what every kernel has. */
  readonly workBytes?: number;
  /** What assembly/dot/gemm.ts calls the unpacking of it. */
  readonly unpack?: number;
}

/** Whether codes are int16 when they meet activations. */
export function isWide({ operand }: Format): boolean {
  return operand === "wide" || operand === "bytePairs" || operand === "twice";
}

// |Σ q·(c - 2^(bits-1))| <= 127·128·65536 < 2^31, and |q| <= 127 over int16 entries: 127·32767·512 < 2^31.
export const MAX_DOT_GROUP = 65536;

export interface Kernel {
  /** `<op>_<format>_<activation>_<rows>x<cols or tokens>` */
  readonly name: string;
  /** The export of the binary, where it serves several formats or activations. Default: `name`. */
  readonly export?: string;
  readonly op: "gemv" | "gemm";
  readonly format: FormatName;
  readonly activation: Activation;
  /** The binary that has it: both have the simd128 kernels. */
  readonly needs: "simd128" | "relaxed";
  /** Rows that one inner loop computes together, and columns (gemv) or tokens (gemm) of one step. */
  readonly tile: readonly [rows: number, inner: number];
  /**
   * gemm: from how many tokens on it is used; below, unpacking costs more than a pass a token. Infinity: only when it is
   * asked for by name. Measured with `npm run bench`; both ways give the same bits.
   */
  readonly fromTokens?: number;
  /** The twin for machines where `features.dot` says so: "i32" has sums in 32-bit lanes, "mul" adds 16-bit products. */
  readonly dot?: "i32" | "mul";
  /** What meets the weights, if not what its format says. */
  readonly operand?: "bytes";
  /** "native" for the twin without an adder, for machines where `features.popcnt` says so. */
  readonly popcnt?: "native";
  /** Why its narrow accumulators cannot overflow. */
  readonly bound: string;
}

/** What tells kernels of a job apart on a machine: features.dot and features.popcnt. */
export interface Machine {
  /** Dot products of int8: summed in 16-bit lanes, in 32-bit lanes, or products added where neither is one instruction. */
  readonly dot: "i16" | "i32" | "mul";
  readonly popcnt: "native" | "sliced";
}
