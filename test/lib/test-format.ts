// What the tests over all kernels need of a format: random and extreme weights, and how they are packed. test/formats/<format>/case.ts
// has it for the formats of the registry that a public one uses.
import type { Lowbit, Matrix, Activation as Registered } from "../../src/index.ts";
import type { Codes, Weights } from "../reference/weights.ts";
import type { Random } from "./random.ts";

export type AnyWeights = Weights<Codes>;
export type Activation = Exclude<Registered, "bits">;

export interface CommonPack {
  rows: number;
  cols: number;
  groupSize: number;
  activation: Activation;
  kernel?: string;
}

export interface TestFormat {
  /** The least and the largest integer that a weight can be, and others worth trying. */
  readonly levels: readonly number[];
  /** Whether the format has scales of groups of columns. */
  readonly grouped: boolean;
  random(rows: number, cols: number, rng: Random, groupSize?: number): AnyWeights;
  /** Weights that are these integers, with these scales. */
  of(rows: number, cols: number, codes: ArrayLike<number>, scales: ArrayLike<number>, groupSize?: number): AnyWeights;
  pack(lb: Lowbit, weights: AnyWeights, common: CommonPack): Matrix;
}

export function groupsOf(cols: number, groupSize: number | undefined): number {
  return Math.ceil(cols / (groupSize ?? cols));
}

/**
 * Integer sums fit 32 bits up to `most` columns: a longer group counts as several, of as many columns as divide it or, of a
 * whole row, as fit. The scales that were given are kept for packing.
 */
export function inParts(weights: AnyWeights, most: number, chunk: number): AnyWeights {
  const { rows, cols, groupSize, groups, scales, offsets } = weights;
  if (groupSize <= most) return weights;
  let size = most;
  if (groupSize < cols) while (groupSize % size !== 0) size -= chunk;
  const count = Math.ceil(cols / size);
  const repeat = (values: Float32Array): Float32Array =>
    Float32Array.from({ length: rows * count }, (_, i) => {
      const group = Math.floor(((i % count) * size) / groupSize);
      return values[Math.floor(i / count) * groups + group] as number;
    });
  const parts = { groupSize: size, groups: count, scales: repeat(scales), offsets: offsets && repeat(offsets) };
  return Object.assign({ given: { groupSize, scales } }, weights, parts);
}

/** What was given to inParts. */
export function whole(weights: AnyWeights): { groupSize: number; scales: Float32Array } {
  return (weights as AnyWeights & { given?: { groupSize: number; scales: Float32Array } }).given ?? weights;
}
