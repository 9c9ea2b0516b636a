// What both products share.
import { type Kernel, TILE_ROWS } from "../kernels/types.ts";
import { viewOf } from "../lib/arrays.ts";
import { checkFinite, rangeError } from "../lib/check.ts";
import type { Engine, Pass } from "../runtime/engine.ts";
import type { MatrixSpec } from "./spec.ts";

/** How a matrix is multiplied by tokens. */
export interface Product {
  /** The kernels of gemv and of gemm with many tokens. */
  readonly kernel: string;
  readonly gemmKernel: string;
  /** Tokens of one pass, of a call with n. */
  passTokens(n: number): number;
  /**
   * Begins a pass: checks x and prepares it in scratch memory.
   * @param address of the stored bytes
   * @param x [tokens, cols]
   * @param y [tokens, rows], written when the pass is finished
   */
  begin(where: string, address: number, x: Float32Array, tokens: number, y: Float32Array): Pass;
}

/** Activations that are computed in linear memory, for a matrix without branches (src/matrix/rotated.ts). */
export interface TokenSource {
  /** Bytes of its working space, a multiple of 64. */
  readonly scratchBytes: number;
  /** Computes float32 [cols] in the space at `scratch`; room up to a multiple of 64 bytes follows. Returns the address. */
  load(scratch: number): number;
  /** What is wrong with a token whose numbers are not finite. */
  refusal(): Error;
}

// Tokens of one pass: more bring little, and their sums and results must stay near the processor.
export const PANEL_TOKENS = 128;
const FEW_TOKENS = 8;
// What all tokens of a pass are prepared to: beyond this it does not stay in a second-level cache.
const FEW_BYTES = 262144;
/** Results of a token up to which y may be an array of the caller's own, of which no method is called. */
export const SHORT = 1024;
// Weights that stay in a second-level cache while several tokens pass over them.
const TILE_BYTES = 131072;

/** The kernels of a job, and from how many tokens on that of gemm is used. */
export interface Choice {
  readonly gemv: Kernel;
  readonly gemm: Kernel | undefined;
  readonly fromTokens: number;
  readonly kernel: string;
  readonly gemmKernel: string;
}

export function chooseKernels(engine: Engine, { format, activation, kernel: forced }: MatrixSpec): Choice {
  const gemv = engine.kernel("gemv", format, activation, forced) as Kernel;
  const gemm = engine.kernel("gemm", format, activation, forced);
  let fromTokens = gemv.fromTokens ?? gemm?.fromTokens ?? Number.POSITIVE_INFINITY;
  if (forced !== undefined) fromTokens = forced === gemm?.name ? 2 : Number.POSITIVE_INFINITY;
  const gemmKernel = Number.isFinite(fromTokens) ? (gemm as Kernel).name : gemv.name;
  return { gemv, gemm, fromTokens, kernel: gemv.name, gemmKernel };
}

/** Tokens of a pass of a few, of which each is prepared to `bytes`. */
export function fewTokens(bytes: number): number {
  return Math.max(1, Math.min(FEW_TOKENS, Math.floor(FEW_BYTES / bytes)));
}

/** Rows, whole tiles, whose weights stay cached while several tokens meet them. */
export function cachedRows(rowBytes: number): number {
  return Math.max(TILE_ROWS, Math.floor(TILE_BYTES / rowBytes / TILE_ROWS) * TILE_ROWS);
}

/** Refuses NaN and Infinity by what absmax says of them, with scratch memory as it was before the call. */
export function checkLargest(
  engine: Engine,
  where: string,
  largest: number,
  x: Float32Array,
  scratchBytes: number,
): void {
  if (Number.isFinite(largest)) return;
  engine.shrinkScratch(scratchBytes);
  checkFinite(`${where}: x`, viewOf(x, "Float32Array"));
  throw rangeError(`${where}: x`, "numbers that stay finite when multiplied by colScale", String(largest));
}

/** The results of one token, from floats[start], to y[at]. */
export function copyResults(floats: Float32Array, start: number, count: number, y: Float32Array, at: number): void {
  if (count > SHORT) y.set(floats.subarray(start, start + count), at);
  else for (let i = 0; i < count; i++) y[at + i] = floats[start + i] as number;
}
