import {
  checkArray,
  checkFinite,
  checkFloatArray,
  checkFloats,
  checkInteger,
  checkLength,
  rangeError,
  typeError,
} from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, part, type Steps } from "../../lib/progress.ts";
import { isLarge, refuseInfinite } from "../../matrix/finite.ts";
import { makeMatrix } from "../../matrix/make.ts";
import { makeRotated } from "../../matrix/rotated.ts";
import { COMMON_NAMES, type CommonOptions, checkShape, type ImportOptions, type Shape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { checkHessian, work as feedback, QUANTIZER_MEMBERS } from "../../numeric/gptq.ts";
import { checkWeights, groupsOf } from "../../numeric/shape.ts";
import { engineOf } from "../../runtime/engine.ts";
import type { Lowbit } from "../../runtime/features.ts";
import type { Step } from "../../transforms/steps.ts";
import { makeUniform } from "../shared/uniform-matrix.ts";
import { writeVectors } from "./bytes.ts";
import { LEAST_MU, MOST_MU } from "./companding.ts";
import { checkBasis, GLVQ_DIMENSIONS, type GlvqBits, type GlvqDimension } from "./group.ts";
import { type GlvqFit, glvqCodes } from "./quantize.ts";
import { glvqQuantizer } from "./quantizer.ts";
import { vectorReader } from "./reader.ts";
import { makeTable, storedTables, UNITS, type VectorTable } from "./tables.ts";

export type { GlvqBits, GlvqDimension } from "./group.ts";

/**
 * Grouped lattice vector quantisation (GLVQ, arXiv 2510.20984): vectors of d consecutive columns are F⁻¹(G z), G [d, d] the
 * basis of their group of columns, z half-integers ±½, ±3/2, … of `bits` bits, F the μ-law or nothing. The paper leaves the
 * range of z and the packing open; both are this library's own, and so is the scale of a row.
 *
 * groupSize: columns that share G, a multiple of 32 (default 128), or cols or more, or -1 for cols.
 */
export interface GlvqOptions extends CommonOptions {
  /** Bits of z, 2 to 4; 2 with companding. Default 2. */
  readonly bits?: GlvqBits;
  /** d: 8 (default), 16 or 32. */
  readonly dimension?: GlvqDimension;
}

export interface GlvqQuantizeOptions extends GlvqOptions, ProgressOptions {
  /**
   * μ-law companding: false (default), true for μ of each group from its kurtosis, or one μ, 10 to 255. Without it G meets
   * the activations, which is several times faster.
   */
  readonly mu?: boolean | number;
  /** How often bases and points are improved in turn, 0 to 100. Default 6. */
  readonly iterations?: number;
  /**
   * [cols, cols], Σ x xᵀ over inputs or any multiple: points are then chosen from the last vector to the first with the
   * errors of those after them fed back, so that W x changes less. It takes O(rows · cols²).
   */
  readonly hessian?: FloatTensor | Float64Array;
}

/** What `encode` found and `pack` takes. */
export interface GlvqCodes {
  readonly rows: number;
  readonly cols: number;
  readonly bits?: GlvqBits;
  readonly dimension?: GlvqDimension;
  readonly groupSize?: number;
  /** [rows, ceil(cols / d) · d], 0 to 2^bits - 1: z + (2^bits - 1) / 2 */
  readonly codes: Uint8Array;
  /** G of each group of columns, [groups][d, d] row-major: columns are the basis. */
  readonly bases: Float32Array;
  /** [1] or [rows]: what a row is multiplied by. Default 1. */
  readonly scales?: Float32Array;
  /** μ of each group, [1] or [groups], 10 to 255: companded. */
  readonly mu?: Float32Array;
  /** Companded: the weight that F takes to 1 in each group, [1] or [groups]. Default 1. */
  readonly gains?: Float32Array;
}

/** `GlvqCodes`, of whatever tensors. */
export interface GlvqPackOptions extends Omit<GlvqCodes, "bases" | "scales" | "mu" | "gains">, ImportOptions {
  /** [groups][d, d] */
  readonly bases: FloatTensor;
  /** [1] or [rows]. Default 1. */
  readonly scales?: FloatTensor;
  /** [1] or [groups], 10 to 255: companded. */
  readonly mu?: FloatTensor;
  /** [1] or [groups]. Default 1. */
  readonly gains?: FloatTensor;
}

const NAMES: OptionNames<GlvqOptions> = { ...COMMON_NAMES, bits: [], dimension: [] };
const QUANTIZE: OptionNames<GlvqQuantizeOptions> = {
  ...NAMES,
  ...PROGRESS_NAMES,
  mu: [],
  iterations: [],
  hessian: [],
};
const PACK: OptionNames<GlvqPackOptions> = { ...NAMES, codes: [], bases: [], scales: [], mu: [], gains: [] };

/**
 * G of each group from the Cholesky factor of its covariance, then points (Babai's nearest plane and a search around it)
 * and bases (least squares) in turn.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: GlvqQuantizeOptions): Matrix {
  return callNow("glvq.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: GlvqQuantizeOptions): Promise<Matrix> {
  return callAsync("glvq.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

/** What `quantize` packs: `pack(lb, encode(lb, w, options))` is `quantize(lb, w, options)`. */
export function encode(lb: Lowbit, w: FloatTensor, options: GlvqQuantizeOptions): GlvqCodes {
  return callNow("glvq.encode", QUANTIZE, encoded, lb, w, options);
}

/** As `encode`, with turns for the event loop. */
export async function encodeAsync(lb: Lowbit, w: FloatTensor, options: GlvqQuantizeOptions): Promise<GlvqCodes> {
  return callAsync("glvq.encodeAsync", QUANTIZE, encoded, lb, w, options);
}

type QuantizeOptions = Settled<GlvqQuantizeOptions>;

function* quantized(where: string, lb: Lowbit, w: Float32Array, options: QuantizeOptions): Steps<Matrix> {
  const job = quantizeJob(where, lb, options);
  return makeGlvq(where, lb, job, yield* codesOf(job, w));
}

function* encoded(where: string, lb: Lowbit, w: Float32Array, options: QuantizeOptions): Steps<GlvqCodes> {
  const job = quantizeJob(where, lb, options);
  return codesWith(job, yield* codesOf(job, w));
}

function codesWith({ shape: { rows, cols, groupSize }, bits, dimension }: Job, fit: GlvqFit): GlvqCodes {
  return { rows, cols, groupSize, bits, dimension, ...fit };
}

/**
 * A matrix of codes that are there already.
 *
 * @throws TypeError, RangeError for arrays that do not fit each other, a code of too many bits (its index is named), a G
 * that is singular or of a condition above 1e6 (its group is named), μ out of range, NaN or Infinity; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: GlvqPackOptions): Matrix {
  const where = "glvq.pack";
  const options = readOptions(where, given, PACK, "options", QUANTIZER_MEMBERS);
  const job = checkJob(where, lb, options, options.mu !== undefined);
  const { bits, dimension: d, shape } = job;
  const { rows, cols } = shape;
  const groups = groupsOf(shape);
  const { scales = Float32Array.of(1), mu, gains = Float32Array.of(1) } = options;
  const codes = checkArray(`${where}: codes`, options.codes, ["Uint8Array"]);
  const padded = Math.ceil(cols / d) * d;
  checkLength(`${where}: codes`, codes, rows * padded, `rows ${rows} x ${padded}, cols ${cols} as vectors of ${d}`);
  const most = 2 ** bits - 1;
  const bad = codes.findIndex((code) => code > most);
  if (bad >= 0) throw rangeError(`${where}: codes`, `0 to ${most}`, `${codes[bad]} at index ${bad}`);
  const bases = checkFloats(`${where}: bases`, options.bases, groups * d * d, `groups ${groups} x ${d} x ${d}`);
  checkFinite(`${where}: bases`, bases);
  for (let group = 0; group < groups; group++) {
    checkBasis(`${where}: bases: group ${group}`, bases.subarray(group * d * d, (group + 1) * d * d), d);
  }
  const fit = { codes, bases, scales: checkOneOr(`${where}: scales`, scales, rows, "rows") };
  if (mu === undefined) {
    if (options.gains !== undefined) throw rangeError(`${where}: gains`, "none without mu", "some");
    return makeGlvq(where, lb, job, fit);
  }
  const each = checkOneOr(`${where}: mu`, mu, groups, "groups");
  const wrong = each.findIndex((value) => !(value >= LEAST_MU && value <= MOST_MU));
  if (wrong >= 0) throw rangeError(`${where}: mu`, `${LEAST_MU} to ${MOST_MU}`, `${each[wrong]} at index ${wrong}`);
  const gain = checkOneOr(`${where}: gains`, gains, groups, "groups");
  return makeGlvq(where, lb, job, { ...fit, mu: spread(each, groups), gains: spread(gain, groups) });
}

function checkOneOr(where: string, given: unknown, count: number, name: string): Float32Array {
  const values = checkFloatArray(where, given);
  if (values.length !== 1 && values.length !== count) {
    throw rangeError(where, `length 1 or ${count} (${name} ${count})`, String(values.length));
  }
  checkFinite(where, values);
  return values;
}

/** One value for each group. */
function spread(values: Float32Array, groups: number): Float32Array {
  return values.length === groups ? values : new Float32Array(groups).fill(values[0] as number);
}

/** A checked call. */
interface Job {
  readonly where: string;
  readonly shape: Shape;
  readonly bits: GlvqBits;
  readonly dimension: GlvqDimension;
}

interface QuantizeJob extends Job {
  readonly mu: "kurtosis" | number | undefined;
  readonly iterations: number;
  readonly hessian: Float32Array | Float64Array | undefined;
}

const GROUP_SIZE = 128;

function checkJob(where: string, lb: unknown, options: GlvqOptions, companded: boolean): Job {
  engineOf(where, lb);
  const { groupSize = GROUP_SIZE } = options;
  const shape = checkShape(where, "glvq", { ...options, groupSize });
  const bits = checkInteger(`${where}: bits`, options.bits === undefined ? 2 : options.bits, 2, 4) as GlvqBits;
  if (companded && bits !== 2) throw rangeError(`${where}: bits`, "2 with mu", String(bits));
  const dimension = options.dimension === undefined ? 8 : options.dimension;
  if (!GLVQ_DIMENSIONS.includes(dimension)) {
    if (typeof dimension !== "number") throw typeError(`${where}: dimension`, "a number", dimension);
    throw rangeError(`${where}: dimension`, GLVQ_DIMENSIONS.join(", "), String(dimension));
  }
  if (shape.groupSize > MAX_GROUP)
    throw rangeError(`${where}: groupSize`, `up to ${MAX_GROUP}`, shape.groupSize.toString());
  return { where, shape, bits, dimension };
}

/** Sums of a group fit 32 bits. */
const MAX_GROUP = 65536;

function quantizeJob(where: string, lb: unknown, options: QuantizeOptions): QuantizeJob {
  const { mu = false, hessian } = options;
  const job = checkJob(where, lb, options, mu !== false);
  if (typeof mu === "number") {
    if (!(mu >= LEAST_MU && mu <= MOST_MU)) throw rangeError(`${where}: mu`, `${LEAST_MU} to ${MOST_MU}`, String(mu));
  } else if (typeof mu !== "boolean") throw typeError(`${where}: mu`, "a boolean or a number", mu);
  const given = options.iterations === undefined ? 6 : options.iterations;
  const iterations = checkInteger(`${where}: iterations`, given, 0, 100);
  if (hessian !== undefined) checkHessian(`${where}: hessian`, hessian, job.shape.cols);
  return { ...job, mu: mu === true ? "kurtosis" : mu === false ? undefined : mu, iterations, hessian };
}

function* codesOf(job: QuantizeJob, given: Float32Array): Steps<GlvqFit> {
  const { where, shape, bits, dimension, mu, iterations, hessian } = job;
  const { rows, cols, groupSize } = shape;
  const w = checkWeights(where, given, shape);
  const searching = glvqCodes(w, { ...{ rows, cols, groupSize, bits, dimension } }, { mu, iterations });
  const fit = yield* part(searching, 0, hessian ? 0.5 : 1);
  if (!hessian) return fit;
  // Padding columns have no inputs, so nothing is fed back from or to them.
  const padded = Math.ceil(cols / dimension) * dimension;
  const wide = new Float32Array(rows * padded);
  for (let row = 0; row < rows; row++) wide.set(w.subarray(row * cols, (row + 1) * cols), row * padded);
  const square = new Float64Array(padded * padded);
  for (let i = 0; i < cols; i++) square.set(hessian.subarray(i * cols, (i + 1) * cols), i * padded);
  const quantizer = glvqQuantizer({ rows, cols: padded, bits, dimension, groupSize, ...fit });
  yield* part(feedback(where, wide, square, quantizer, { rows, cols: padded }), 0.5, 1);
  return { ...fit, codes: quantizer.codes };
}

function makeGlvq(where: string, lb: Lowbit, job: Job, fit: GlvqFit): Matrix {
  return fit.mu ? makeCompanded(where, lb, job, fit) : makeProjected(where, lb, job, fit);
}

// y = s ⊙ Z (Gᵀ x), group by group: G meets the activations, z are uniform codes whose zero point is no level.
function makeProjected(where: string, lb: Lowbit, { shape, bits, dimension: d }: Job, fit: GlvqFit): Matrix {
  const { rows, cols, groupSize, activation, kernel } = shape;
  const padded = Math.ceil(cols / d) * d;
  const groups = groupsOf(shape);
  const matrix = makeUniform(where, lb, { rows, cols: padded, groupSize: padded, activation, kernel }, bits, {
    codes: fit.codes,
    scales: fit.scales,
    zeros: Float32Array.of((2 ** bits - 1) / 2),
  });
  const transposed = Float32Array.from(fit.bases, (_, i) => {
    const at = i % (d * d);
    return fit.bases[i - at + (at % d) * d + Math.floor(at / d)] as number;
  });
  const pre: Step[] = [
    ...(padded > cols ? [{ kind: "resize", length: padded } as const] : []),
    { kind: "right", matrix: transposed, out: d, inner: d, groups, runs: Math.ceil(groupSize / d) },
  ];
  const projected = makeRotated(where, lb, { label: `glvq${bits}`, rows, cols, pre, post: [], inners: [{ matrix }] });
  return isLarge(fit.scales) || isLarge(fit.bases) ? refuseInfinite(`${where}: scales`, projected) : projected;
}

function makeCompanded(where: string, lb: Lowbit, { shape, bits, dimension: d }: Job, fit: GlvqFit): Matrix {
  const { rows, cols } = shape;
  const padded = Math.ceil(cols / d) * d;
  const { codes, bases, scales, mu, gains } = fit as Required<GlvqFit>;
  const label = `glvq${bits} mu`;
  const stored = Array.from(mu, (value, group) =>
    makeTable(bases.subarray(group * d * d, (group + 1) * d * d), value, d),
  );
  const matrix = makeMatrix(where, lb, {
    label,
    format: "glvq",
    shape,
    scales: [gains.map((gain, group) => (gain * (stored[group] as VectorTable).unit) / UNITS)],
    sharedScales: true,
    tables: storedTables(stored, d),
    write: (bytes, layout) =>
      writeVectors(bytes, rows, layout, (row, out) => out.set(codes.subarray(row * padded, (row + 1) * padded))),
    reader: vectorReader,
  });
  if (scales.every((scale) => scale === 1)) return matrix;
  const by = scales.length === 1 ? new Float32Array(rows).fill(scales[0] as number) : scales;
  const scaled = makeRotated(where, lb, {
    label,
    rows,
    cols,
    pre: [],
    post: [{ kind: "scale", by }],
    inners: [{ matrix }],
  });
  return isLarge(by) || isLarge(gains) ? refuseInfinite(`${where}: scales`, scaled) : scaled;
}
