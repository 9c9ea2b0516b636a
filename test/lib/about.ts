// What is said of a public format beside its tests: test/formats/<format>/about.ts. The tables of docs/formats.md, the list in the
// README and the cases of the conformance module are generated from it.
import type { FormatName } from "../../src/kernels/types.ts";

export const FAMILIES = ["signs", "codes", "complex weights", "vectors", "bit planes", "numbers"] as const;

export interface Case {
  /** Of `quantize`, besides rows, cols and activation. */
  readonly options?: Readonly<Record<string, string | number | boolean>>;
  /** Default 70 x 283: neither is a multiple of a tile or a byte. */
  readonly shape?: readonly [rows: number, cols: number];
}

export interface About {
  readonly family: (typeof FAMILIES)[number];
  /** What follows the name in the README's list, in a few words. */
  readonly summary: string;
  /** Columns of the table of docs/formats.md. */
  readonly bits: string;
  readonly weight: string;
  readonly scales: string;
  /** The formats of the registry that it uses: their activations are its own. */
  readonly kernels: readonly FormatName[];
  /** What the conformance module runs with `quantize`; none of a format without. */
  readonly cases: readonly Case[];
  /** Functions that take published tensors, and their layout. */
  readonly imports?: Readonly<Record<string, string>>;
}
