// Layers with their weights made incoherent (QuIP#, Tseng et al. 2024, arXiv 2402.04396): y = SV ⊙ H (Ŵ · Hᵀ (SU ⊙ x)), H
// orthonormal Walsh-Hadamard transforms, SU and SV signs.
import { checkFinite, rangeError } from "../../lib/check.ts";
import type { Steps } from "../../lib/progress.ts";
import { type Inner, makeRotated } from "../../matrix/rotated.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { tryOrder } from "../../numeric/hadamard.ts";
import type { MatrixShape } from "../../numeric/shape.ts";
import type { Engine } from "../../runtime/engine.ts";
import { randomSigns } from "../../transforms/index.ts";
import { rotateWeights } from "../../transforms/rotate.ts";
import type { Step } from "../../transforms/steps.ts";

/** Refuses a size without a transform, or that is no multiple of what is stored together, and names the nearest that work. */
export function checkSize(where: string, n: number, multiple: number): void {
  const works = (size: number): boolean => size % multiple === 0 && tryOrder(size, "quip") !== undefined;
  if (works(n)) return;
  let below = n - 1;
  while (below > 0 && !works(below)) below--;
  let above = n + 1;
  while (!works(above)) above++;
  const near = below > 0 ? `the nearest that work are ${below} and ${above}` : `the least that works is ${above}`;
  const what = multiple === 1 ? "a size with" : `a multiple of ${multiple} that has`;
  throw rangeError(where, `${what} a Hadamard transform`, `${n} (${near})`);
}

/** Random signs SU [cols] and SV [rows]. */
export function layerSigns({ rows, cols }: MatrixShape, seed: number): { su: Float32Array; sv: Float32Array } {
  return { su: randomSigns(cols, seed), sv: randomSigns(rows, (seed ^ 0x5bd1e995) >>> 0) };
}

const transposedHadamard = { kind: "hadamard", inverse: true } as const satisfies Step;
const hadamard: Step = { kind: "hadamard" };

/** @param block numbers that are transformed together: all by default */
function rotation(by: Float32Array, block: number | undefined): Step[] {
  return [{ kind: "scale", by }, block === undefined ? transposedHadamard : { ...transposedHadamard, block }];
}

/** w becomes Hᵀ (SV ⊙ w ⊙ SU) H. */
export function* rotateLayer(
  where: string,
  engine: Engine,
  w: Float32Array,
  shape: MatrixShape,
  su: Float32Array,
  sv: Float32Array,
  block?: number,
): Steps<void> {
  yield* rotateWeights(where, engine, w, shape, rotation(sv, block), rotation(su, block));
  checkFinite(`${where}: w, rotated`, w);
}

/** The Hessian of what rotated weights meet, Hᵀ (SU ⊙ x). */
export function* rotateHessian(
  where: string,
  engine: Engine,
  hessian: Float32Array | Float64Array,
  cols: number,
  su: Float32Array,
  block?: number,
): Steps<Float32Array> {
  const h = Float32Array.from(hessian);
  checkFinite(`${where}: hessian`, h);
  const steps = rotation(su, block);
  yield* rotateWeights(where, engine, h, { rows: cols, cols }, steps, steps);
  for (let row = 0; row < cols; row++) {
    // Rounding in float32 is not symmetric.
    for (let col = 0; col < row; col++) h[row * cols + col] = h[col * cols + row] as number;
  }
  return h;
}

export interface Layer {
  readonly label: string;
  readonly inners: readonly Inner[];
  readonly su: Float32Array;
  readonly sv: Float32Array;
  /** x is divided by it. */
  readonly wh?: Float32Array;
}

/** The layer of matrices Ŵ, which belong to it from then on. */
export function makeLayer(
  where: string,
  lb: unknown,
  { rows, cols }: MatrixShape,
  { label, inners, su, sv, wh }: Layer,
): Matrix {
  const by = wh ? su.map((s, i) => s / (wh[i] as number)) : su;
  const pre: Step[] = [{ kind: "scale", by }, transposedHadamard];
  const post: Step[] = [hadamard, { kind: "scale", by: sv }];
  return makeRotated(where, lb, { label, rows, cols, pre, post, inners });
}
