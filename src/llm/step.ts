// A call of a layer, and the addresses that calls share.
import type { KvCache } from "./cache.ts";

/** What a call of a layer is told: `n` tokens from `position` on, of a sequence of `length`. */
export interface Run {
  n: number;
  position: number;
  length: number;
  cache: KvCache;
}

export type Step = (run: Run) => void;

/** Tokens that are computed together at most. */
export const BATCH = 128;

/** Addresses of float32 [BATCH][…]. */
export interface Buffers {
  /** The residual stream. */
  readonly x: number;
  /** What a block reads. */
  readonly h: number;
  /** What a block adds. */
  readonly t: number;
  readonly qkv: number;
  readonly attended: number;
  readonly gateUp: number;
  readonly act: number;
}
