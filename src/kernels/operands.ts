// What meets the weights in gemv, by name: how large it is and which export makes it of a token.
import type { Activation, Variant } from "./contract.ts";
import type { PrepareExports } from "./exports.ts";

/** A token on its way to a kernel: addresses and what is known of it. */
export interface Token {
  /** float32 [8 · byteCols], padded with zeros. */
  readonly x: number;
  /** The int8 of x, or a digit of it; operands that meet x itself have none. */
  readonly q: number;
  /** Where the operand is to be. */
  readonly at: number;
  /** What kernels read beside it: the steps of lookup tables, or the integer sums Σ q of groups. */
  readonly beside: number;
  /** float32 [groups], Σ x or Σ q: what offsets are multiplied by. */
  readonly sums: number;
  readonly byteCols: number;
  readonly groupByteCols: number;
  readonly activation: Activation;
  /** What makes x int8, and the power of two that brings it to 1..4. */
  readonly ratio: number;
  readonly power: number;
  /** Whether a weight is two planes of signs side by side. */
  readonly twoPlanes: boolean;
  /** The memory that all addresses are in. */
  readonly memory: Uint8Array;
}

export interface Operand {
  /** "integers": int8 q, or the three digits of float32 x in as many passes. "x": x itself, in one pass. */
  readonly meets: "integers" | "x";
  /** Bytes of a unit of 8 columns. */
  readonly bytes: (variant: Variant, activation: Activation) => number;
  /** Makes it. Missing where a token is prepared in another way: src/matrix/activations.ts says how. */
  readonly prepare?: (exports: PrepareExports, token: Token) => void;
}

/** Bytes where there is a byte dot product, int16 without. */
const panel = (variant: Variant): number => (variant === "relaxed" ? 8 : 16);
const int16 = (): number => 16;

/** Of lookups: 4 columns of int8 in 16 entries of two bytes, twice; of lut8 in one; of float32 in four. */
const TABLE_BYTES: Readonly<Record<Activation, number>> = { int8: 64, lut8: 32, f32: 128, bits: 0 };

type Sums = Pick<Token, "q" | "beside" | "sums" | "byteCols" | "groupByteCols">;

function sumGroups(exports: PrepareExports, { q, beside, sums, byteCols, groupByteCols }: Sums): void {
  exports.prepare_sums(q, beside, sums, byteCols, groupByteCols);
}

const table = {
  /** Lookup tables of sums of 4 columns with every pattern of signs. */
  tables: {
    meets: "x",
    bytes: (_, activation) => TABLE_BYTES[activation],
    prepare(exports, { x, at, beside, byteCols, groupByteCols, activation, ratio, power, twoPlanes }) {
      if (activation === "int8") exports.prepare_binary_int8(x, at, byteCols, ratio);
      else if (activation === "f32") exports.prepare_f32(x, at, byteCols, power);
      else if (twoPlanes) exports.prepare_ternary_lut8(x, at, beside, byteCols, groupByteCols, power);
      else exports.prepare_binary_lut8(x, at, beside, byteCols, groupByteCols, power);
    },
  },
  /** Lookup tables of Re x and of Im x; those of fixed-point activations have three bytes an entry. */
  halves: { meets: "x", bytes: (_, activation) => (activation === "f32" ? 96 : TABLE_BYTES[activation]) },
  /** int8 x, for codes of 2 bits: as they stay in their fields of a word, x is in the order that fields have. */
  fields: {
    meets: "integers",
    bytes: panel,
    prepare(exports, token) {
      sumGroups(exports, token);
      exports.prepare_fields(token.q, token.at, token.byteCols);
    },
  },
  /** int8 x, 4 columns of a row in neighbouring bytes. */
  quads: {
    meets: "integers",
    bytes: panel,
    prepare(exports, token) {
      sumGroups(exports, token);
      exports.prepare_quads(token.q, token.at, token.byteCols);
    },
  },
  /** int8 x as it is, in both binaries. */
  bytes: {
    meets: "integers",
    bytes: () => 8,
    prepare(exports, token) {
      sumGroups(exports, token);
      token.memory.copyWithin(token.at, token.q, token.q + 8 * token.byteCols);
    },
  },
  /** int16 x, as it is. */
  wide: {
    meets: "integers",
    bytes: int16,
    prepare(exports, token) {
      sumGroups(exports, token);
      exports.prepare_wide(token.q, token.at, token.byteCols);
    },
  },
  /** int16 factors of codes of a byte each: two columns in one (assembly/dot/README.md). */
  bytePairs: {
    meets: "integers",
    bytes: int16,
    prepare(exports, { q, at, beside, sums, byteCols, groupByteCols }) {
      exports.prepare_byte_pairs(q, at, beside, sums, byteCols, groupByteCols);
    },
  },
  /** int16 x, each twice. */
  twice: {
    meets: "integers",
    bytes: () => 32,
    prepare(exports, token) {
      sumGroups(exports, token);
      exports.prepare_twice(token.q, token.at, token.byteCols);
    },
  },
  /** Tables of int8 x that codes of E8 look up. */
  lattice: {
    meets: "integers",
    bytes: () => 112,
    prepare(exports, token) {
      sumGroups(exports, token);
      exports.prepare_lattice(token.q, token.at, token.byteCols);
    },
  },
  /** x itself. */
  floats: {
    meets: "x",
    bytes: () => 32,
    prepare: (exports, { x, at, byteCols, power }) => exports.model_scale(at, x, 8 * byteCols, power),
  },
  /** Bit planes of x: each word of 32 columns is stored four times. The size depends on how many planes there are. */
  bits: { meets: "x", bytes: () => 4 },
} as const satisfies Readonly<Record<string, Operand>>;

export type OperandName = keyof typeof table;

export const operands: Readonly<Record<OperandName, Operand>> = table;
