// Grouped lattice vector quantisation (GLVQ, arXiv 2510.20984): each group of columns has a basis of its own, vectors of d
// consecutive columns are its points. Everything is relative to the scale of a row, so that extreme weights stay in range.
import type { Steps } from "../../lib/progress.ts";
import { groupsOf } from "../../numeric/shape.ts";
import { Companding, kurtosisMu } from "./companding.ts";
import { type GlvqShape, GroupFit } from "./group.ts";

export interface GlvqFit {
  /** [rows, ceil(cols / d) · d]: z = code - 2^(bits - 1) + ½ */
  readonly codes: Uint8Array;
  /** [groups][d, d] row-major, columns the basis */
  readonly bases: Float32Array;
  /** [rows] */
  readonly scales: Float32Array;
  /** [groups], companded */
  readonly mu?: Float32Array;
  readonly gains?: Float32Array;
}

export interface GlvqSearch {
  readonly iterations: number;
  /** μ of each group: from its kurtosis, one number, or no companding. */
  readonly mu: "kurtosis" | number | undefined;
}

/** Step of the best uniform code of so many bits for unit Gaussians (Max 1960). */
const STEP = { 2: 0.9957, 3: 0.586, 4: 0.3352 } as const;

/** Codes and bases of w [rows, cols]: bases from covariances, then points and bases in turn, each by least squares. */
export function* glvqCodes(w: Float32Array, shape: GlvqShape, search: GlvqSearch): Steps<GlvqFit> {
  const { rows, cols, bits, dimension: d } = shape;
  const { iterations } = search;
  const groups = groupsOf(shape);
  const padded = Math.ceil(cols / d) * d;
  const most = 2 ** (bits - 1) - 0.5;
  const scales = rowScales(w, rows, cols);
  const points = new Float64Array(rows * padded);
  const bases = new Float32Array(groups * d * d);
  const companding = search.mu === undefined ? undefined : new Companding(groups, d);
  const total = groups * (iterations + (companding ? 2 : 1));
  const fits: GroupFit[] = [];
  let done = 0;
  for (let group = 0; group < groups; group++) {
    const basis = bases.subarray(group * d * d, (group + 1) * d * d);
    const fit = new GroupFit(w, shape, group, scales, basis, points, most);
    fits.push(fit);
    if (companding) {
      const mu = search.mu === "kurtosis" ? kurtosisMu(fit.moments()) : (search.mu as number);
      companding.set(group, mu, fit.moments());
      fit.compand(companding, group);
    }
    fit.start(STEP[bits]);
  }
  for (let iteration = 0; iteration <= iterations; iteration++) {
    for (const fit of fits) {
      yield* within(fit.round(iteration === 0), done, total);
      if (iteration < iterations) fit.improveBasis();
      done++;
    }
    if (iteration < iterations && !companding) fitScales(scales, fits);
  }
  const codes = Uint8Array.from(points, (z) => z + most);
  if (!companding) return { codes, bases, scales };
  for (const [group, fit] of fits.entries()) {
    yield* within(companding.refine(group, fit, codes), done, total);
    done++;
  }
  return { codes, bases, scales, mu: companding.mu, gains: companding.gains };
}

/** Steps that count from 0 to 1 as a part of `total` ones. */
function* within(steps: Steps<void>, done: number, total: number): Steps<void> {
  for (const step of steps) yield (done + step) / total;
}

/** The root mean square of each row, as float32. */
function rowScales(w: Float32Array, rows: number, cols: number): Float32Array {
  return Float32Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = row * cols; i < (row + 1) * cols; i++) sum += (w[i] as number) * (w[i] as number);
    return Math.sqrt(sum / cols);
  });
}

/** Each scale by least squares over its row. */
function fitScales(scales: Float32Array, fits: readonly GroupFit[]): void {
  const products = new Float64Array(scales.length);
  const squares = new Float64Array(scales.length);
  for (const fit of fits) fit.addProducts(products, squares);
  for (let row = 0; row < scales.length; row++) {
    const by = (products[row] as number) / (squares[row] as number);
    // Products are of weights that are divided by the scale.
    if (by > 0.1 && by < 10) scales[row] = by * (scales[row] as number);
  }
}
