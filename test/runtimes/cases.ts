// What the conformance module runs: a line a format and set of options. Activations and kernels are found by asking.
// A format of src/index.ts without a line here fails test/runtimes/runtimes.test.ts; after adding one: `tsx test/runtimes/make-golden.ts`.

export interface Case {
  /** A format module of "lowbit", whose `quantize` is called. */
  readonly format: string;
  /** Besides rows, cols and activation. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Default 70 x 283: neither is a multiple of a tile or a byte. */
  readonly shape?: readonly [rows: number, cols: number];
}

/** Sizes that have a Hadamard transform and halves. */
const EVEN = [72, 288] as const;
/** The same, for quantisers that take long in an emulator. */
const SMALL = [48, 144] as const;
/** The least that has transforms of 128. */
const TILES = [128, 128] as const;

export const CASES: readonly Case[] = [
  { format: "binary" },
  { format: "binary", options: { groupSize: 64 } },
  { format: "ternary" },
  { format: "ternary", options: { groupSize: 64 } },
  { format: "bcq", options: { bits: 1, groupSize: 128 } },
  { format: "bcq", options: { bits: 3, groupSize: 64, offset: true } },
  { format: "ptqtp" },
  { format: "onebit" },
  { format: "uniform", options: { bits: 2, groupSize: 64 } },
  { format: "uniform", options: { bits: 3, groupSize: 64, symmetric: false } },
  { format: "uniform", options: { bits: 4, groupSize: 32, symmetric: false } },
  { format: "uniform", options: { bits: 5 } },
  { format: "uniform", options: { bits: 6, search: "mse" } },
  { format: "uniform", options: { bits: 8 } },
  { format: "codebook", options: { bits: 2 } },
  { format: "codebook", options: { bits: 3, table: "matrix" } },
  { format: "codebook", options: { table: "nf4" } },
  { format: "codebook", options: { table: "mxfp4" }, shape: EVEN },
  { format: "bitplane", options: { bits: 2, activationBits: 4, groupSize: 64 } },
  { format: "bitplane", options: { bits: 3, encoding: "unsigned", activationBits: 8, activationEncoding: "unsigned" } },
  { format: "complex" },
  { format: "complex", options: { conjugate: "x", scale: "row", groupSize: 64 } },
  { format: "fairy2i", shape: EVEN },
  { format: "lift", options: { bits: 2, beam: 4 }, shape: SMALL },
  { format: "glvq", options: { bits: 2 }, shape: SMALL },
  { format: "pvq", options: { bits: 2 }, shape: SMALL },
  { format: "trellis", options: { bits: 2, search: 8 }, shape: TILES },
  { format: "e8p", options: { bits: 2 }, shape: SMALL },
  { format: "e8p", options: { bits: 3 }, shape: SMALL },
  { format: "glvq", options: { bits: 3, groupSize: 32 }, shape: SMALL },
  { format: "glvq", options: { mu: 30 }, shape: SMALL },
  { format: "pvq", options: { groupSize: 64 } },
  { format: "pvq", options: { bits: 4, rotate: true }, shape: SMALL },
  { format: "trellis", options: { bits: 3, codebook: "mcg", search: 8 }, shape: TILES },
];

/** How a case is called in the golden file. */
export function nameOf({ format, options = {} }: Case): string {
  const shown = Object.entries(options).map(([key, value]) => `${key}=${value}`);
  return [format, ...shown].join(" ");
}
