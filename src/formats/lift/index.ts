import { formats } from "../../kernels/formats.ts";
import {
  checkArray,
  checkChoice,
  checkFinite,
  checkFloatArray,
  checkFloats,
  checkInteger,
  checkLength,
  MAX_COLS,
  rangeError,
  typeError,
} from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import { isLarge, refuseInfinite } from "../../matrix/finite.ts";
import { makeLayout } from "../../matrix/layout.ts";
import { makeRotated } from "../../matrix/rotated.ts";
import { checkShape, LAYER_NAMES, type LayerOptions, type Shape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { checkHessian } from "../../numeric/gptq.ts";
import { engineOf } from "../../runtime/engine.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { Plan, type Step } from "../../transforms/steps.ts";
import { makePlanes } from "../shared/plane-matrix.ts";
import { signRows } from "../shared/sign-rows.ts";
import { codesOf, type Job, type LiftCodes, liftedCols, stepsOf, vectorCols } from "./encode.ts";
import { bitsOf, compare, type ProjectionName, projectionNames, shippedProjection } from "./projections.ts";
import { BEAM, MAX_LIFTED, type Projection } from "./signs.ts";
import { type KroneckerWhitening, rotation } from "./whiten.ts";

export type { LiftCodes } from "./encode.ts";

export type { ProjectionName } from "./projections.ts";
export type { Projection } from "./signs.ts";
export type { KroneckerWhitening } from "./whiten.ts";

/**
 * LiftQuant (ICML 2026): vectors of d whitened weights are M b, b in {-1, 1}^D, so a weight takes D/d bits, any ratio. M meets
 * the activations, not the weights: y = s ⊙ B (Mᵀ T x) with the whitening T = diag(s1) (P1 ⊗ P2) diag(s2), and B is a plane
 * of signs.
 */
export interface LiftOptions extends LayerOptions {
  /**
   * What is done to x before M: "hadamard" (default): column scales, random signs and a Hadamard or Kronecker rotation;
   * "none"; or the orthogonal factors of a rotation.
   */
  readonly whitening?: "hadamard" | "none" | KroneckerWhitening;
  /** Partial sign vectors that the encoder keeps, 1 to 4096. Default 64; the time is proportional to it. */
  readonly beam?: number;
  /**
   * [cols, cols], Σ x xᵀ over inputs or any multiple: signs are then chosen from the last vector to the first with the errors
   * of those after it fed back (LDLQ), so that W x changes less. It takes O(rows · cols²).
   */
  readonly hessian?: FloatTensor | Float64Array;
}

export interface LiftQuantizeOptions extends LiftOptions, ProgressOptions {
  /** Bits a weight: the shipped projection of that many with the least error. This or `projection`. */
  readonly bits?: number;
  /** One that is shipped, by name, or a matrix of your own for unit Gaussians. */
  readonly projection?: ProjectionName | Projection;
}

export interface LiftFitOptions extends LiftOptions, ProgressOptions {
  /** The most that `byteLength` may be. */
  readonly bytes: number;
}

/** The tensors of a published linear layer; K' = a2.length, t1 t2 = a1.length. */
export interface LiftPackOptions extends LayerOptions {
  /** `packed_weight`, [rows, K' / 8]: bit j of byte b is lifted column 8b + j, 1 = +1. */
  readonly packedWeight: Uint8Array;
  /** `scale`, [rows]: the difference between a bit of 1 and one of 0. */
  readonly scale: FloatTensor;
  /** `a1`, [t1 t2]: x is divided by it. */
  readonly a1: FloatTensor;
  /** `a2`, [K'] */
  readonly a2: FloatTensor;
  /** `Trans.linear_left`, [t1, t1] */
  readonly left: FloatTensor;
  /** `Trans.linear_right`, [K' / t1, t2], the projection included. */
  readonly right: FloatTensor;
}

/** What `packCodes` takes: what `encode` found, and how the matrix is to run. */
export interface LiftPackCodesOptions
  extends Omit<LiftCodes, "scales" | "before" | "after">,
    Pick<LayerOptions, "activation" | "kernel"> {
  /** [rows] */
  readonly scales: FloatTensor;
  /** [cols] */
  readonly before: FloatTensor;
  /** [columns of whole vectors] */
  readonly after: FloatTensor;
}

const NAMES: OptionNames<LiftOptions> = { ...LAYER_NAMES, whitening: [], beam: [], hessian: [] };
const QUANTIZE: OptionNames<LiftQuantizeOptions> = { ...NAMES, ...PROGRESS_NAMES, bits: [], projection: [] };
const FIT: OptionNames<LiftFitOptions> = { ...NAMES, ...PROGRESS_NAMES, bytes: [] };
const CODES: OptionNames<LiftPackCodesOptions> = {
  ...LAYER_NAMES,
  whitening: [],
  projection: [],
  signs: [],
  scales: [],
  before: [],
  after: [],
};
const PACK: OptionNames<LiftPackOptions> = {
  ...LAYER_NAMES,
  packedWeight: ["packed_weight"],
  scale: [],
  a1: [],
  a2: [],
  left: ["linear_left", "Trans.linear_left"],
  right: ["linear_right", "Trans.linear_right"],
};

/**
 * Whitens, then searches the signs of each vector of columns with a beam.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: LiftQuantizeOptions): Matrix {
  return callNow("lift.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: LiftQuantizeOptions): Promise<Matrix> {
  return callAsync("lift.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

/** What `quantize` packs: `packCodes(lb, encode(lb, w, options))` is `quantize(lb, w, options)`. */
export function encode(lb: Lowbit, w: FloatTensor, options: LiftQuantizeOptions): LiftCodes {
  return callNow("lift.encode", QUANTIZE, encoded, lb, w, options);
}

/** As `encode`, with turns for the event loop. */
export async function encodeAsync(lb: Lowbit, w: FloatTensor, options: LiftQuantizeOptions): Promise<LiftCodes> {
  return callAsync("lift.encodeAsync", QUANTIZE, encoded, lb, w, options);
}

type QuantizeOptions = Settled<LiftQuantizeOptions>;

function* quantized(where: string, lb: Lowbit, w: Float32Array, options: QuantizeOptions): Steps<Matrix> {
  const job = quantizeJob(where, lb, options);
  return finish(job, yield* codesOf(job, w));
}

function encoded(where: string, lb: Lowbit, w: Float32Array, options: QuantizeOptions): Steps<LiftCodes> {
  return codesOf(quantizeJob(where, lb, options), w);
}

/**
 * A matrix of codes that were found before.
 *
 * @throws TypeError, RangeError for arrays that do not fit each other, NaN or Infinity in them; OutOfMemoryError
 */
export function packCodes(lb: Lowbit, given: LiftPackCodesOptions): Matrix {
  const where = "lift.packCodes";
  const codes = readOptions(where, given, CODES);
  const job = quantizeJob(where, lb, codes);
  const { rows, cols } = job.shape;
  const { scales, before, after } = codes;
  const rowBytes = Math.ceil(liftedCols(job) / 8);
  const signs = checkArray(`${where}: signs`, codes.signs, ["Uint8Array"], "a Uint8Array of bits");
  checkLength(`${where}: signs`, signs, rows * rowBytes, `rows ${rows} x ${rowBytes} bytes`);
  checkFinite(`${where}: scales`, checkFloats(`${where}: scales`, scales, rows, `rows ${rows}`));
  checkFinite(`${where}: before`, checkFloats(`${where}: before`, before, cols, `cols ${cols}`));
  checkFinite(`${where}: after`, checkFloats(`${where}: after`, after, vectorCols(job), "columns of whole vectors"));
  return finish(job, codes);
}

/**
 * `quantize` with the most bits of the shipped projections whose matrix is no larger than `bytes`.
 *
 * @throws as quantize; RangeError for a budget below the smallest, naming that
 */
export function fit(lb: Lowbit, w: FloatTensor, options: LiftFitOptions): Matrix {
  return callNow("lift.fit", FIT, fitted, lb, w, options);
}

/** As `fit`, with turns for the event loop. */
export async function fitAsync(lb: Lowbit, w: FloatTensor, options: LiftFitOptions): Promise<Matrix> {
  return callAsync("lift.fitAsync", FIT, fitted, lb, w, options);
}

function* fitted(where: string, lb: Lowbit, w: Float32Array, options: Settled<LiftFitOptions>): Steps<Matrix> {
  const job = fitJob(where, lb, options);
  return finish(job, yield* codesOf(job, w));
}

/**
 * A layer of a LiftQuant checkpoint: y = scale / 2 · Σ ±X', X' = (left · (X · rightᵀ)) ⊙ a2, X = x ⊘ a1 as [t1, t2] padded
 * with zeros.
 *
 * @throws TypeError, RangeError for tensors that do not fit each other, NaN or Infinity in them, a 0 in a1;
 * OutOfMemoryError
 */
export function pack(lb: Lowbit, given: LiftPackOptions): Matrix {
  const where = "lift.pack";
  const options = readOptions(where, given, PACK);
  const shape = checkShape(where, "binary", options);
  const { rows, cols } = shape;
  const { a1, a2, left, right } = options;
  for (const [name, values] of Object.entries({ a1, a2, left })) {
    checkFloatArray(`${where}: ${name}`, values);
    if (values.length === 0) throw rangeError(`${where}: ${name}`, "numbers", "length 0");
    checkFinite(`${where}: ${name}`, values);
  }
  const t1 = Math.round(Math.sqrt(left.length));
  checkLength(`${where}: left`, left, t1 * t1, "a square matrix");
  const t2 = a1.length / t1;
  const lifted = a2.length;
  if (!Number.isInteger(t2) || a1.length < cols || a1.length - cols >= t2) {
    const padded = Math.ceil(cols / t1) * t1;
    throw rangeError(`${where}: a1`, `length ${padded} (cols ${cols} padded to t1 ${t1} x t2)`, String(a1.length));
  }
  const zero = a1.indexOf(0);
  if (zero >= 0) throw rangeError(`${where}: a1`, "divisors", `0 at index ${zero}`);
  const out = lifted / t1;
  if (!Number.isInteger(out) || lifted % 8 !== 0) {
    throw rangeError(`${where}: a2`, `a length that is a multiple of 8 and of t1 ${t1}`, String(lifted));
  }
  checkInteger(`${where}: a2: length`, lifted, 1, MAX_COLS);
  checkFinite(`${where}: right`, checkFloats(`${where}: right`, right, out * t2, `${out} (a2 / t1) x t2 ${t2}`));
  checkFinite(`${where}: scale`, checkFloats(`${where}: scale`, options.scale, rows, `rows ${rows}`));
  const packedWeight = checkArray(`${where}: packedWeight`, options.packedWeight, ["Uint8Array"]);
  const pre: Step[] = [
    { kind: "resize", length: a1.length },
    { kind: "scale", by: reciprocals(`${where}: a1`, a1) },
    // (left · X) · rightᵀ = left · (X · rightᵀ), and this way round left meets fewer columns.
    { kind: "left", matrix: left, out: t1, inner: t1 },
    { kind: "right", matrix: right, out, inner: t2 },
    { kind: "scale", by: a2 },
  ];
  const halves = options.scale.map((value) => value / 2);
  return makeLift(where, lb, shape, lifted / a1.length, pre, lifted, packedWeight, halves);
}

function reciprocals(where: string, values: Float32Array): Float32Array {
  const inverse = values.map((value) => 1 / value);
  const bad = inverse.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw rangeError(where, "divisors whose reciprocals are finite", `${values[bad]} at index ${bad}`);
  return inverse;
}

function quantizeJob(
  where: string,
  lb: Lowbit,
  options: Pick<QuantizeOptions, keyof LiftOptions | "bits" | "projection">,
): Job {
  const common = commonJob(where, lb, options);
  return { ...common, projection: chooseProjection(where, options) };
}

function fitJob(where: string, lb: Lowbit, options: Settled<LiftFitOptions>): Job {
  const common = commonJob(where, lb, options);
  const bytes = checkInteger(`${where}: bytes`, options.bytes, 0, Number.MAX_SAFE_INTEGER);
  const sizes = projectionNames().map((name) => {
    const projection = shippedProjection(name);
    return { name, projection, size: sizeOf({ ...common, projection }) };
  });
  // Larger for the same bits means more padding, so the largest that fits is not enough: bits first, then the error.
  const fitting = sizes.filter(({ size }) => size <= bytes).sort((a, b) => compare(a.name, b.name));
  const best = fitting[0];
  if (!best) {
    const least = sizes.reduce((a, b) => (b.size < a.size ? b : a));
    const { rows, cols } = common.shape;
    throw rangeError(`${where}: bytes`, `at least ${least.size} for ${rows} x ${cols} (${least.name})`, String(bytes));
  }
  return { ...common, projection: best.projection };
}

function chooseProjection(
  where: string,
  { bits, projection }: Pick<QuantizeOptions, "bits" | "projection">,
): Projection {
  if (projection === undefined) {
    if (bits === undefined) throw typeError(`${where}: bits`, "a number, or a projection", bits);
    if (typeof bits !== "number") throw typeError(`${where}: bits`, "a number", bits);
    const names = projectionNames().sort(compare);
    const found = names.find((name) => Math.abs(bitsOf(name) - bits) < 0.005);
    if (found) return shippedProjection(found);
    const all = [...new Set(names.map((name) => Number(bitsOf(name).toFixed(2))))].reverse().join(", ");
    throw rangeError(`${where}: bits`, `one of ${all}, or a projection of your own`, String(bits));
  }
  if (bits !== undefined) throw rangeError(`${where}: bits`, "bits or projection, not both", String(bits));
  if (typeof projection === "string") {
    return shippedProjection(checkChoice(`${where}: projection`, projection, projectionNames()));
  }
  if (typeof projection !== "object" || projection === null) {
    throw typeError(`${where}: projection`, "a name or { dims, lifted, matrix }", projection);
  }
  const dims = checkInteger(`${where}: projection: dims`, projection.dims, 1, MAX_LIFTED);
  const lifted = checkInteger(`${where}: projection: lifted`, projection.lifted, 1, MAX_LIFTED);
  const given = projection.matrix;
  const matrix = given instanceof Float64Array ? Float32Array.from(given) : given;
  const values = checkFloats(`${where}: projection: matrix`, matrix, dims * lifted, `dims ${dims} x lifted ${lifted}`);
  checkFinite(`${where}: projection: matrix`, values);
  if (values.every((value) => value === 0)) {
    throw rangeError(`${where}: projection: matrix`, "a matrix that is not 0", "zeros");
  }
  return { dims, lifted, matrix: values };
}

function commonJob(where: string, lb: Lowbit, options: Settled<LiftOptions>): Omit<Job, "projection"> {
  const shape = checkShape(where, "binary", options);
  const engine = engineOf(where, lb);
  const beam = options.beam === undefined ? BEAM : checkInteger(`${where}: beam`, options.beam, 1, 4096);
  const { whitening = "hadamard" } = options;
  if (typeof whitening === "string") checkChoice(`${where}: whitening`, whitening, ["hadamard", "none"]);
  const { steps, length } = rotation(`${where}: whitening`, shape.cols, whitening);
  const { hessian } = options;
  if (hessian !== undefined) checkHessian(`${where}: hessian`, hessian, shape.cols);
  return { where, lb, engine, shape, beam, steps, length, whitening, hessian };
}

/** `byteLength` of the matrix. */
function sizeOf(job: Job): number {
  const { rows, cols } = job.shape;
  const lifted = liftedCols(job);
  const layout = makeLayout({ rows, cols: lifted, groupSize: lifted, chunk: formats.binary.chunk, bitsPerWeight: 1 });
  const steps = stepsOf(job, new Float32Array(cols), new Float32Array(vectorCols(job)));
  return layout.bytes + new Plan(job.where, steps, cols, lifted).parameterBytes;
}

function finish(job: Job, { before, after, signs, scales }: LiftCodes): Matrix {
  const { where, lb, shape, projection } = job;
  const bits = projection.lifted / projection.dims;
  return makeLift(where, lb, shape, bits, stepsOf(job, before, after), liftedCols(job), signs, scales);
}

/** @param scales of a sign */
function makeLift(
  where: string,
  lb: Lowbit,
  { rows, cols, activation, kernel }: Shape,
  bits: number,
  pre: readonly Step[],
  lifted: number,
  signs: Uint8Array,
  scales: Float32Array,
): Matrix {
  const label = `lift${Number(bits.toFixed(2))}`;
  const matrix = makePlanes(where, lb, {
    label,
    format: "binary",
    shape: { rows, cols: lifted, groupSize: lifted, activation, kernel },
    scales: [scales],
    writeRow: signRows(`${where}: packedWeight`, signs, rows, lifted),
  });
  const whole = makeRotated(where, lb, { label, rows, cols, pre, post: [], inners: [{ matrix }] });
  return isLarge(scales) ? refuseInfinite(`${where}: scales`, whole) : whole;
}
