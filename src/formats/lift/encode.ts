// Whitening, then signs: what quantize, fit and encode share.
import type { Steps } from "../../lib/progress.ts";
import type { Shape } from "../../matrix/shape.ts";
import { work as feedback } from "../../numeric/gptq.ts";
import { float32Scale } from "../../numeric/scale.ts";
import { checkWeights } from "../../numeric/shape.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { Plan, type Step } from "../../transforms/steps.ts";
import type { ProjectionName } from "./projections.ts";
import { columnRms, type LiftedRows, LiftQuantizer, liftInParts } from "./quantize.ts";
import type { Projection } from "./signs.ts";
import { type KroneckerWhitening, randomSign } from "./whiten.ts";

/** What `encode` found and `packCodes` takes: to be kept, since the search takes seconds. */
export interface LiftCodes {
  readonly rows: number;
  readonly cols: number;
  readonly projection: ProjectionName | Projection;
  readonly whitening: "hadamard" | "none" | KroneckerWhitening;
  /** [rows][ceil(lifted · vectors / 8)]: bit j of byte b is sign 8b + j of [lifted, vectors], 1 = +1. */
  readonly signs: Uint8Array;
  /** [rows]: of a sign */
  readonly scales: Float32Array;
  /** s2 [cols]: what x is multiplied by before the rotation */
  readonly before: Float32Array;
  /** s1, behind it: [dims, vectors], vectors = ceil(columns after the rotation / dims) */
  readonly after: Float32Array;
}

/** A checked call of quantize or fit. */
export interface Job {
  readonly where: string;
  readonly lb: Lowbit;
  readonly engine: Engine;
  readonly shape: Shape;
  readonly projection: Projection;
  readonly beam: number;
  /** The rotation of x, and how many numbers it leaves. */
  readonly steps: readonly Step[];
  readonly length: number;
  readonly whitening: LiftCodes["whitening"];
  readonly hessian: Float32Array | Float64Array | undefined;
}

/** Columns after the rotation, padded to whole vectors. */
export function vectorCols({ length, projection: { dims } }: Pick<Job, "length" | "projection">): number {
  return Math.ceil(length / dims) * dims;
}

export function liftedCols(job: Pick<Job, "length" | "projection">): number {
  return (vectorCols(job) / job.projection.dims) * job.projection.lifted;
}

/** The steps of the activations. */
export function stepsOf(job: Job, before: Float32Array, after: Float32Array): Step[] {
  const { dims, lifted, matrix } = job.projection;
  const transposed = Float32Array.from({ length: lifted * dims }, (_, i) => {
    return matrix[(i % dims) * lifted + Math.floor(i / dims)] as number;
  });
  return [
    ...(job.whitening !== "none" ? [{ kind: "scale", by: before } as const] : []),
    ...job.steps,
    { kind: "resize", length: after.length },
    { kind: "scale", by: after },
    { kind: "left", matrix: transposed, out: lifted, inner: dims },
  ];
}

/**
 * W = diag(scales) · W1 · P · diag(before): columns are brought to one size, rotated, and brought to one size again, which
 * leaves W1 for the search. Everything is relative to the root mean square of W, so that extreme weights stay in range.
 */
export function* codesOf(job: Job, w: Float32Array): Steps<LiftCodes> {
  const { where, shape, projection, beam } = job;
  const { rows, cols } = shape;
  checkWeights(where, w, shape);
  const sizes = columnRms(w, rows, cols);
  if (sizes.every((size) => size === 0)) sizes.fill(1);
  const overall = Math.sqrt(sizes.reduce((sum, size) => sum + size * size, 0) / cols);
  const to = vectorCols(job);
  // Without whitening all columns are divided by the same number. Columns of zeros stay zeros, and x is multiplied by 0 there.
  const factors = job.whitening !== "none" ? sizes.map((size, col) => size * randomSign(col + 1)) : sizes.fill(overall);
  const divisors = factors.map((factor) => factor || 1);
  const rotated = yield* rotateLines(job, to, rows, (row, line) => {
    for (let col = 0; col < cols; col++) line[col] = (w[row * cols + col] as number) / (divisors[col] as number);
  });
  const after = Float32Array.from(columnRms(rotated, rows, to), (size) => size || 1);
  const before = Float32Array.from(factors, (factor) => factor / overall);
  const { signs, scales } = job.hessian
    ? yield* fedBack(job, job.hessian, rotated, before, after)
    : yield* liftInParts(rotated, rows, job.length, after, projection, beam);
  return {
    ...{ rows, cols, projection, whitening: job.whitening },
    before,
    after,
    signs,
    scales: scales.map((scale) => float32Scale(scale * overall, 1)),
  };
}

/** Lines of `cols` numbers, which `fill` writes, through the rotation, padded to whole vectors: [count, to]. */
function* rotateLines(
  { where, engine, shape: { cols }, steps }: Job,
  to: number,
  count: number,
  fill: (i: number, line: Float32Array) => void,
): Steps<Float32Array> {
  const { arena } = engine;
  const chain: Step[] = [...steps, { kind: "resize", length: to }];
  const plan = new Plan(where, chain, cols, to);
  const address = plan.parameterBytes > 0 ? arena.allocate(plan.parameterBytes) : 0;
  const line = new Float32Array(cols);
  const rotated = new Float32Array(count * to);
  try {
    plan.write(chain, arena.floats, address);
    for (let i = 0; i < count; i++) {
      fill(i, line);
      const scratch = engine.scratch(plan.scratchBytes);
      arena.floats.set(line, scratch / 4);
      const at = plan.run(engine, address, scratch) / 4;
      rotated.set(arena.floats.subarray(at, at + to), i * to);
      if (i % 256 === 255) yield 0;
    }
  } finally {
    if (plan.parameterBytes > 0) arena.release(address);
  }
  return rotated;
}

/** liftRows with feedback by the Hessian of what rotated weights meet, T (before ⊙ x). */
function* fedBack(
  job: Job,
  hessian: Float32Array | Float64Array,
  rotated: Float32Array,
  before: Float32Array,
  after: Float32Array,
): Steps<LiftedRows> {
  const { where, shape, projection, beam, length } = job;
  const { rows, cols } = shape;
  const to = after.length;
  const half = yield* rotateLines(job, to, cols, (row, line) => {
    for (let col = 0; col < cols; col++) {
      line[col] = (hessian[row * cols + col] as number) * (before[row] as number) * (before[col] as number);
    }
  });
  const whole = yield* rotateLines(job, to, to, (row, line) => {
    for (let col = 0; col < cols; col++) line[col] = half[col * to + row] as number;
  });
  // Vectors are strided (quantize/lift.ts); feedback wants their columns side by side.
  const { dims } = projection;
  const vectors = to / dims;
  const place = (col: number): number => (col % dims) * vectors + Math.floor(col / dims);
  const ordered = Float32Array.from(rotated, (_, i) => rotated[i - (i % to) + place(i % to)] as number);
  const h = new Float32Array(to * to);
  for (let row = 0; row < to; row++) {
    for (let col = 0; col <= row; col++) {
      // Rounding in float32 is not symmetric.
      const value = whole[place(row) * to + place(col)] as number;
      h[row * to + col] = value;
      h[col * to + row] = value;
    }
  }
  const quantizer = new LiftQuantizer(rotated, rows, length, after, projection, beam);
  yield* feedback(where, ordered, h, quantizer, { rows, cols: to });
  return quantizer.fit;
}
