// lowbit/transforms: the orthogonal and dense transforms that rotated formats put around their weights, by WebAssembly
// kernels. x is always [tokens, n] row-major, and each token is transformed by itself.
import { mayOverlap } from "../lib/arrays.ts";
import { checkArray, checkChoice, checkFinite, checkInteger, checkLength, MAX_COLS, rangeError } from "../lib/check.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";
import { HADAMARD_CHOICES, type HadamardChoice } from "../numeric/hadamard.ts";
import { invert } from "../numeric/invert.ts";
import { engineOf } from "../runtime/engine.ts";
import type { Lowbit } from "../runtime/features.ts";
import { Plan, type Step } from "./steps.ts";

export { HADAMARD_ORDERS, type HadamardChoice, hadamardMatrix, hadamardOrder } from "../numeric/hadamard.ts";

export interface HadamardOptions {
  /** The order K of the matrix that goes with a size K · 2^m. Default "quip". */
  readonly choice?: HadamardChoice;
  /** Each run of so many numbers is transformed by itself: 128 for EXL3. Default: all n. */
  readonly block?: number;
}

const HADAMARD: OptionNames<HadamardOptions> = { choice: [], block: [] };

/** y = vec(L X Rᵀ) for x as X [t1, t2]: (L ⊗ R) x. */
export interface KroneckerPair {
  /** L [m1, t1] row-major. */
  readonly left: Float32Array;
  /** R [m2, t2] row-major. */
  readonly right: Float32Array;
  readonly t1: number;
  readonly t2: number;
}

const PAIR: OptionNames<KroneckerPair> = { left: [], right: [], t1: [], t2: [] };

/**
 * The orthonormal Walsh-Hadamard transform (H_K ⊗ H_2 ⊗ … ⊗ H_2) x / √n, in Sylvester's order.
 *
 * @param x [tokens, n]
 * @param n K · 2^m: `hadamardOrder`; with `block`, a multiple of it
 * @param out [tokens, n], written and returned; may overlap x; a new array without it
 * @throws TypeError, RangeError for a wrong argument, a size that does not exist (the nearest that do are named), NaN or
 * Infinity in x; OutOfMemoryError
 */
export function hadamard(
  lb: Lowbit,
  x: Float32Array,
  n: number,
  options: HadamardOptions = {},
  out?: Float32Array,
): Float32Array {
  return rotate("hadamard", lb, x, n, options, false, out);
}

/** The inverse of `hadamard` with the same options: its transpose. */
export function hadamardInverse(
  lb: Lowbit,
  x: Float32Array,
  n: number,
  options: HadamardOptions = {},
  out?: Float32Array,
): Float32Array {
  return rotate("hadamardInverse", lb, x, n, options, true, out);
}

function rotate(
  where: string,
  lb: Lowbit,
  x: Float32Array,
  n: number,
  options: HadamardOptions,
  inverse: boolean,
  out: Float32Array | undefined,
): Float32Array {
  const { choice, block } = readOptions(where, options, HADAMARD);
  if (choice !== undefined) checkChoice(`${where}: choice`, choice, HADAMARD_CHOICES);
  checkInteger(`${where}: n`, n, 1, MAX_COLS);
  return apply(where, lb, x, n, [{ kind: "hadamard", inverse, choice, block }], block ?? n, out);
}

/**
 * (L ⊗ R) x for two dense factors: O(n (m1 + t2)) products in place of O(n²).
 *
 * @param x [tokens, t1 · t2]
 * @param out [tokens, m1 · m2]
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity in x or the factors; OutOfMemoryError
 */
export function kronecker(lb: Lowbit, x: Float32Array, pair: KroneckerPair, out?: Float32Array): Float32Array {
  return applyPair("kronecker", lb, x, pair, out);
}

/**
 * The inverse of `kronecker` with the same square factors, which are inverted in float64: `invertPair` does it once for
 * many calls.
 *
 * @throws as `kronecker`, and RangeError for a singular factor
 */
export function kroneckerInverse(lb: Lowbit, x: Float32Array, pair: KroneckerPair, out?: Float32Array): Float32Array {
  return applyPair("kroneckerInverse", lb, x, invertFactors("kroneckerInverse", pair), out);
}

/**
 * The pair whose `kronecker` undoes that of `pair`.
 *
 * @throws TypeError, RangeError for factors that are not square or singular
 */
export function invertPair(pair: KroneckerPair): KroneckerPair {
  return invertFactors("invertPair", pair);
}

function applyPair(
  where: string,
  lb: Lowbit,
  x: Float32Array,
  pair: KroneckerPair,
  out: Float32Array | undefined,
): Float32Array {
  const { left, right, t1, t2, m1, m2 } = checkPair(where, pair);
  const steps: Step[] = [
    { kind: "right", matrix: right, out: m2, inner: t2 },
    { kind: "left", matrix: left, out: m1, inner: t1 },
  ];
  return apply(where, lb, x, t1 * t2, steps, t1 * t2, out);
}

function invertFactors(where: string, pair: KroneckerPair): KroneckerPair {
  const { left, right, t1, t2, m1, m2 } = checkPair(where, pair);
  if (m1 !== t1 || m2 !== t2) {
    throw rangeError(where, "square factors", `${m1} x ${t1} and ${m2} x ${t2}`);
  }
  return { left: invert(`${where}: left`, left, t1), right: invert(`${where}: right`, right, t2), t1, t2 };
}

function checkPair(where: string, pair: KroneckerPair): KroneckerPair & { m1: number; m2: number } {
  const { left, right, t1, t2 } = readOptions(where, pair, PAIR, "pair");
  checkInteger(`${where}: t1`, t1, 1, MAX_COLS);
  checkInteger(`${where}: t2`, t2, 1, MAX_COLS);
  const factor = (name: string, value: unknown, cols: number): [Float32Array, number] => {
    const matrix = checkArray(`${where}: ${name}`, value, ["Float32Array"]);
    const rows = matrix.length / cols;
    if (rows === 0 || !Number.isInteger(rows)) {
      throw rangeError(`${where}: ${name}`, `a length that is a multiple of ${cols}`, String(matrix.length));
    }
    checkFinite(`${where}: ${name}`, matrix);
    return [matrix, rows];
  };
  const [l, m1] = factor("left", left, t1);
  const [r, m2] = factor("right", right, t2);
  return { left: l, right: r, t1, t2, m1, m2 };
}

/**
 * Signs, the same for the same seed everywhere: the diagonal of a randomised Hadamard transform.
 *
 * @param seed an integer from 0 to 2^32 - 1
 * @returns [n] of 1 and -1
 */
export function randomSigns(n: number, seed: number): Float32Array {
  checkInteger("randomSigns: n", n, 1, MAX_COLS);
  checkInteger("randomSigns: seed", seed, 0, 0xffffffff);
  // The top bit of a counter through the finaliser of MurmurHash3 (Appleby), which is a bijection with full avalanche.
  const start = mix(seed + 1);
  return Float32Array.from({ length: n }, (_, i) => (mix(start + Math.imul(i, 0x9e3779b9)) >>> 31 === 0 ? 1 : -1));
}

function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/**
 * x ⊙ by for each token. With signs it is its own inverse.
 *
 * @param x [tokens, length of by]
 * @param out as x
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity; OutOfMemoryError
 */
export function scale(lb: Lowbit, x: Float32Array, by: Float32Array, out?: Float32Array): Float32Array {
  const factors = checkArray("scale: by", by, ["Float32Array"]);
  checkInteger("scale: length of by", factors.length, 1, MAX_COLS);
  return apply("scale", lb, x, factors.length, [{ kind: "scale", by: factors }], 1, out);
}

/** Runs of fewer numbers are checked before, by a pass over all of them. */
const LONG_RUN = 64;

/** @param run so many numbers of x, each of which has a part in every result of theirs */
function apply(
  where: string,
  lb: Lowbit,
  given: Float32Array,
  n: number,
  steps: readonly Step[],
  run: number,
  out: Float32Array | undefined,
): Float32Array {
  const engine = engineOf(where, lb);
  const plan = new Plan(where, steps, n);
  let x = checkArray(`${where}: x`, given, ["Float32Array"]);
  const tokens = x.length / n;
  if (tokens === 0 || !Number.isInteger(tokens)) {
    throw rangeError(`${where}: x`, `a length that is a multiple of ${n} (n)`, String(x.length));
  }
  const { from, to } = plan;
  const target = out === undefined ? undefined : checkArray(`${where}: out`, out, ["Float32Array"]);
  if (target) checkLength(`${where}: out`, target, tokens * to, `tokens ${tokens} x ${to}`);
  // Nothing is written to `out` when a later token has a NaN.
  if (tokens > 1) checkFinite(`${where}: x`, x);
  // A token is read before its result is written, and must not be what that of an earlier one was written to.
  const inPlace = from === to && target?.buffer === x.buffer && target.byteOffset === x.byteOffset;
  if (tokens > 1 && target && !inPlace && mayOverlap(x, target)) x = new Float32Array(x);
  const { arena, scratchBytes } = engine;
  const scratch = engine.scratch(plan.scratchBytes + plan.parameterBytes);
  const parameters = scratch + plan.scratchBytes;
  const { floats } = arena;
  const y = target ?? new Float32Array(tokens * to);
  plan.write(steps, floats, parameters);
  const start = scratch / 4;
  const padded = Math.ceil(from / 8) * 8;
  // A NaN or an infinity is in all results of its run, so that one of them tells; but numbers may also leave the range.
  const stride = run < LONG_RUN ? to : run * (to / from);
  for (let token = 0; token < tokens; token++) {
    floats.set(tokens === 1 ? x : x.subarray(token * from, (token + 1) * from), start);
    if (padded > from) floats.fill(0, start + from, start + padded);
    let finite = run >= LONG_RUN || Number.isFinite(engine.exports.absmax(scratch, padded));
    const at = plan.run(engine, parameters, scratch) / 4;
    for (let i = 0; i < to; i += stride) finite &&= Number.isFinite(floats[at + i]);
    if (!finite && !x.every((value) => Number.isFinite(value))) {
      engine.shrinkScratch(scratchBytes);
      checkFinite(`${where}: x`, x);
    }
    y.set(floats.subarray(at, at + to), token * to);
  }
  return out ?? y;
}
