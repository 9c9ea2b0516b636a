import { mayOverlap } from "../../lib/arrays.ts";
import { checkFloats, rangeError } from "../../lib/check.ts";
import { type ComplexArray, checkComplex, checkFiniteComplex } from "../../lib/complex-array.ts";
import { exp } from "../../numeric/elementary.ts";
import { checkHeads, HEAD_NAMES, type HeadOptions, outputOf, readTokens } from "./tokens.ts";

/**
 * Re⟨q, k⟩ / sqrt(headDim) = (q_re · k_re + q_im · k_im) / sqrt(headDim) of every query with every key, without a mask: the
 * real part of the Hermitian product Σ q · conj(k), which iFairy's softmax takes.
 *
 * @param q [queries, heads, headDim]
 * @param k [keys, heads, headDim]
 * @param out [heads, queries, keys], written and returned; may overlap q and k; a new array without it
 * @throws TypeError, RangeError for a wrong argument, or NaN or Infinity in q or k
 */
export function scores(q: ComplexArray, k: ComplexArray, options: HeadOptions, out?: Float32Array): Float32Array {
  const { heads, headDim } = checkHeads("scores", options, HEAD_NAMES);
  const size = heads * headDim;
  const [a, queries] = readTokens("scores: q", q, size, "heads x headDim");
  const [b, keys] = readTokens("scores: k", k, size, "heads x headDim");
  checkFiniteComplex("scores: q", a);
  checkFiniteComplex("scores: k", b);
  const length = heads * queries * keys;
  const shape = `heads ${heads} x queries ${queries} x keys ${keys}`;
  const target = out === undefined ? new Float32Array(length) : checkFloats("scores: out", out, length, shape);
  const meets = [a.re, a.im, b.re, b.im].some((input) => mayOverlap(input, target));
  const y = meets ? new Float32Array(length) : target;
  for (let head = 0, i = 0; head < heads; head++) {
    for (let query = 0; query < queries; query++) {
      for (let key = 0; key < keys; key++, i++) {
        y[i] = score(a, query * size + head * headDim, b, key * size + head * headDim, headDim);
      }
    }
  }
  if (meets) target.set(y);
  return out ?? y;
}

/**
 * Causal attention: y = Σ softmax(scores) · v, one softmax over the real scores for both parts of v, head by head (iFairy).
 * The last query belongs to the last key, so query i of n sees the first keys - n + i + 1 of them: k and v may hold
 * the tokens before, rotated as q is (see `rope`).
 *
 * @param q [queries, heads, headDim]
 * @param k [keys, heads, headDim], at least as many as queries
 * @param v [keys, heads, headDim]
 * @param out [queries, heads, headDim], written and returned; may overlap q, k and v. New without it
 * @throws TypeError, RangeError for a wrong argument, or NaN or Infinity in q, k or v where a query sees it
 */
export function attend(
  q: ComplexArray,
  k: ComplexArray,
  v: ComplexArray,
  options: HeadOptions,
  out?: ComplexArray,
): ComplexArray {
  const { heads, headDim } = checkHeads("attend", options, HEAD_NAMES);
  const size = heads * headDim;
  const [a, queries] = readTokens("attend: q", q, size, "heads x headDim");
  const [b, keys] = readTokens("attend: k", k, size, "heads x headDim");
  if (keys < queries) throw rangeError("attend: k", `at least ${queries} tokens, one a query`, keys);
  const c = checkComplex("attend: v", v, keys * size, "as long as k");
  // What is not finite is found on the way, when others are written already.
  const { y, finish } = outputOf("attend", out, queries * size, [], "apart");
  const weights = new Float64Array(keys);
  for (let query = 0; query < queries; query++) {
    const seen = keys - queries + query + 1;
    for (let head = 0; head < heads; head++) {
      const offset = head * headDim;
      let max = Number.NEGATIVE_INFINITY;
      for (let key = 0; key < seen; key++) {
        const value = score(a, query * size + offset, b, key * size + offset, headDim);
        if (!Number.isFinite(value)) refuse(a, b, c);
        weights[key] = value;
        if (value > max) max = value;
      }
      let total = 0;
      for (let key = 0; key < seen; key++) {
        const weight = exp((weights[key] as number) - max);
        weights[key] = weight;
        total += weight;
      }
      for (let d = offset; d < offset + headDim; d++) {
        let re = 0;
        let im = 0;
        for (let key = 0; key < seen; key++) {
          const weight = weights[key] as number;
          re += weight * (c.re[key * size + d] as number);
          im += weight * (c.im[key * size + d] as number);
        }
        if (!Number.isFinite(re + im)) refuse(a, b, c);
        y.re[query * size + d] = re / total;
        y.im[query * size + d] = im / total;
      }
    }
  }
  return finish();
}

function score(q: ComplexArray, qStart: number, k: ComplexArray, kStart: number, headDim: number): number {
  let sum = 0;
  for (let j = 0; j < headDim; j++) {
    sum += (q.re[qStart + j] as number) * (k.re[kStart + j] as number);
    sum += (q.im[qStart + j] as number) * (k.im[kStart + j] as number);
  }
  return sum / Math.sqrt(headDim);
}

// Finite numbers have finite sums, in float64. Looking for others in a long cache every time would take as long as a head.
function refuse(q: ComplexArray, k: ComplexArray, v: ComplexArray): void {
  checkFiniteComplex("attend: q", q);
  checkFiniteComplex("attend: k", k);
  checkFiniteComplex("attend: v", v);
}
