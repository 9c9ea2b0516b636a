import { checkArray, checkInteger, checkLength, MAX_COLS, rangeError, typeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, part, type Steps } from "../../lib/progress.ts";
import { makeMatrix } from "../../matrix/make.ts";
import type { PackedMatrix } from "../../matrix/packed.ts";
import { COMMON_NAMES, type CommonOptions, checkScales, checkShape, type Shape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { storedBytes } from "../../matrix/stored.ts";
import { checkHessian, work as feedback, QUANTIZER_MEMBERS } from "../../numeric/gptq.ts";
import { tryOrder } from "../../numeric/hadamard.ts";
import { counts, indexOf, pyramidSize, writeVector } from "../../numeric/pyramid.ts";
import { checkWeights } from "../../numeric/shape.ts";
import { engineOf } from "../../runtime/engine.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { checkSize, layerSigns, makeLayer, rotateHessian, rotateLayer } from "../shared/layer.ts";
import { type PvqCode, pvqCode, type VectorSize, writeVectors } from "./bytes.ts";
import { checkPyramid, type PvqFit, PvqRounder, pvqInParts } from "./quantize.ts";
import { pyramidReader } from "./reader.ts";

export type { VectorSize } from "./bytes.ts";

/** Columns of a vector: 8 (4 bits a weight) or 16 (2 bits a weight). */
export type PvqVectorSize = VectorSize;

export interface PvqPackOptions extends CommonOptions {
  /** L, the columns of a vector, each of which takes 32 bits. Default 16. */
  readonly vectorSize?: PvqVectorSize;
  /** K: Σ |y| of every vector, 1 to 14, N(L, K) <= 2^32. Default 12. */
  readonly pulses?: number;
  /**
   * [rows, ceil(cols / vectorSize)]: the number of each vector in Fischer's order, 0 to N(L, K) - 1 (`pyramidIndex` of
   * lowbit/lattice). Columns beyond the last are padding.
   */
  readonly indices: Uint32Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)] */
  readonly scales: FloatTensor;
}

export interface PvqQuantizeOptions extends CommonOptions, ProgressOptions {
  /** Stored bits a weight: 2 (default) is vectorSize 16 with 12 pulses, 4 is 8 with 14. Not together with these two. */
  readonly bits?: 2 | 4;
  readonly vectorSize?: PvqVectorSize;
  readonly pulses?: number;
  /**
   * Whether weights are first rotated by random signs and Hadamard transforms on both sides, which makes them Gaussian.
   * Default: if rows and cols both have a transform (`hadamardOrder` of lowbit/transforms).
   */
  readonly rotate?: boolean;
  /** Of the random signs, 0 to 2^32 - 1. Default 0. */
  readonly seed?: number;
  /** Turns of the search for a scale: vectors for the scale, the scale for the vectors. 1 to 100, default 4. */
  readonly iterations?: number;
  /**
   * [cols, cols], Σ x xᵀ over inputs or any multiple: vectors are then chosen from the last to the first with the errors of
   * those after them fed back, so that W x changes less. It takes O(rows · cols²), and cols a multiple of vectorSize.
   */
  readonly hessian?: FloatTensor | Float64Array;
}

/** What `unpack` gives back: of rotated weights if the matrix rotates. */
export interface PvqVectors {
  readonly vectorSize: PvqVectorSize;
  readonly pulses: number;
  /** [rows, ceil(cols / vectorSize)] */
  readonly indices: Uint32Array;
}

const NAMES: OptionNames<CommonOptions & Pick<PvqPackOptions, "vectorSize" | "pulses">> = {
  ...COMMON_NAMES,
  vectorSize: [],
  pulses: [],
};
const PACK: OptionNames<PvqPackOptions> = { ...NAMES, indices: [], scales: [] };
const QUANTIZE: OptionNames<PvqQuantizeOptions> = {
  ...NAMES,
  ...PROGRESS_NAMES,
  bits: [],
  rotate: [],
  seed: [],
  iterations: [],
  hessian: [],
};

const DEFAULTS = { 2: { vectorSize: 16, pulses: 12 }, 4: { vectorSize: 8, pulses: 14 } } as const;

/**
 * w = scale · y: pyramid vector quantisation (Fischer 1986; for language models arXiv 2410.16926), y an integer vector of
 * `vectorSize` columns with Σ |y| = `pulses`. Scales are of the integers, so that products are whole numbers until a group
 * ends: where a gain g multiplies y / ‖y‖, the scale is g / ‖y‖ and groupSize = vectorSize.
 *
 * A vector is stored as another 32-bit number than its index, one that is decoded without division; `unpack` gives indices
 * back. The tables for it (95 KB for 16 columns and 12 pulses, at most 129 KB) are in memory once for all matrices of an `init()` that
 * need the same, and no part of `byteLength`.
 *
 * @throws TypeError, RangeError for a wrong argument, vectors that do not fit (what does is named), an index out of range
 * (its position is named), a groupSize that is no multiple of vectorSize, NaN or Infinity; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: PvqPackOptions): Matrix {
  const where = "pvq.pack";
  const options = readOptions(where, given, PACK, "options", QUANTIZER_MEMBERS);
  engineOf(where, lb);
  const { vectorSize = 16, pulses = 12, scales } = options;
  const code = checkCode(where, vectorSize, pulses);
  const shape = checkShape(where, `pvq${code.size}`, options);
  const indices = checkIndices(`${where}: indices`, options.indices, shape, code);
  return makePvq(where, lb, code, shape, indices, checkScales(`${where}: scales`, scales, shape));
}

function checkCode(where: string, size: unknown, pulses: unknown): PvqCode {
  const pyramid = checkPyramid(where, size, pulses);
  return pvqCode(pyramid.vectorSize, pyramid.pulses) as PvqCode;
}

function checkIndices(where: string, given: unknown, { rows, cols }: Shape, { size, pulses }: PvqCode): Uint32Array {
  const indices = checkArray(where, given, ["Uint32Array"]);
  const vectors = Math.ceil(cols / size);
  checkLength(where, indices, rows * vectors, `rows ${rows} x ${vectors} vectors of ${size} columns`);
  const count = pyramidSize(size, pulses);
  for (let i = 0; i < indices.length; i++) {
    if ((indices[i] as number) < count) continue;
    throw rangeError(where, `0 to ${count - 1} (N(${size}, ${pulses}) vectors)`, `${indices[i]} at index ${i}`);
  }
  return indices;
}

const codes = /* @__PURE__ */ new WeakMap<Matrix, { inner: PackedMatrix; code: PvqCode }>();

function makePvq(
  where: string,
  lb: Lowbit,
  code: PvqCode,
  shape: Shape,
  indices: Uint32Array,
  scales: Float32Array,
): PackedMatrix {
  const { size, pulses } = code;
  const vectors = Math.ceil(shape.cols / size);
  const matrix = makeMatrix(where, lb, {
    label: "pvq",
    format: `pvq${size}`,
    shape,
    scales: [scales],
    shared: code.tables,
    write: (bytes, layout) =>
      writeVectors(bytes, shape, code, layout, (row, vector, y) =>
        writeVector(indices[row * vectors + vector] as number, size, pulses, y, 0),
      ),
    pulses,
    reader: pyramidReader,
  });
  codes.set(matrix, { inner: matrix, code });
  return matrix;
}

/**
 * The vectors of a matrix that `pack` or `quantize` made (not of what `with` made of it), decoded from what is stored.
 *
 * @throws TypeError for another matrix, or one that is disposed
 */
export function unpack(matrix: Matrix): PvqVectors {
  const where = "pvq.unpack";
  const found = typeof matrix === "object" && matrix !== null ? codes.get(matrix) : undefined;
  if (!found) throw typeError(`${where}: matrix`, "a matrix of pvq.pack or pvq.quantize", matrix);
  const { inner, code } = found;
  const { size, pulses } = code;
  const { rows, cols } = inner;
  const vectors = Math.ceil(cols / size);
  const bytes = storedBytes(inner);
  // Rows are padded to whole units of the layout, which hold no more vectors than there are.
  const stored = new Uint32Array(bytes.buffer, 0, rows * vectors);
  const y = new Int8Array(size);
  const n = counts(size, pulses);
  const indices = Uint32Array.from(stored, (one) => {
    code.decode(one, y, 0);
    return indexOf(y, 0, size, pulses, n, pulses + 1);
  });
  return { vectorSize: size, pulses, indices };
}

/**
 * Finds a scale for each group of each row and the nearest vectors; by default for weights rotated by random signs and
 * Hadamard transforms, as in QuIP#.
 *
 * @param w [rows, cols] row-major
 * @throws as `pack`; RangeError for `rotate: true` and a size without a transform (the nearest that have one are named); the
 * reason of an aborted signal
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: PvqQuantizeOptions): Matrix {
  return callNow("pvq.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: PvqQuantizeOptions): Promise<Matrix> {
  return callAsync("pvq.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(where: string, lb: Lowbit, w: Float32Array, options: Settled<PvqQuantizeOptions>): Steps<Matrix> {
  const checked = checkQuantize(where, lb, options);
  return fromFit(where, lb, checked, yield* fitOf(where, lb, w, checked));
}

interface Checked {
  readonly shape: Shape;
  readonly code: PvqCode;
  readonly iterations: number;
  readonly signs: ReturnType<typeof layerSigns> | undefined;
  readonly hessian: Float32Array | Float64Array | undefined;
}

function checkQuantize(where: string, lb: unknown, options: Settled<PvqQuantizeOptions>): Checked {
  engineOf(where, lb);
  const { bits, vectorSize, pulses, rotate, seed = 0, iterations = 4, hessian } = options;
  if (bits !== undefined && (vectorSize !== undefined || pulses !== undefined)) {
    throw rangeError(`${where}: bits`, "none where vectorSize or pulses are given", bits);
  }
  if (bits !== undefined && bits !== 2 && bits !== 4) {
    throw typeof bits === "number"
      ? rangeError(`${where}: bits`, "2 or 4", bits)
      : typeError(`${where}: bits`, "2 or 4", bits);
  }
  const { vectorSize: size, pulses: sum } = DEFAULTS[bits ?? (vectorSize === 8 ? 4 : 2)];
  const code = checkCode(where, vectorSize ?? size, pulses ?? sum);
  const shape = checkShape(where, `pvq${code.size}`, options);
  checkInteger(`${where}: seed`, seed, 0, 0xffffffff);
  checkInteger(`${where}: iterations`, iterations, 1, 100);
  if (rotate !== undefined && typeof rotate !== "boolean") throw typeError(`${where}: rotate`, "a boolean", rotate);
  if (rotate) {
    checkSize(`${where}: cols`, shape.cols, 1);
    checkSize(`${where}: rows`, shape.rows, 1);
  }
  if (hessian !== undefined) {
    checkHessian(`${where}: hessian`, hessian, shape.cols);
    if (shape.cols % code.size !== 0) {
      throw rangeError(`${where}: cols`, `a multiple of ${code.size} (vectorSize) for a Hessian`, shape.cols);
    }
  }
  const signs =
    (rotate ?? (hasTransform(shape.rows) && hasTransform(shape.cols))) ? layerSigns(shape, seed) : undefined;
  return { shape, code, iterations, signs, hessian };
}

function hasTransform(n: number): boolean {
  return n <= MAX_COLS && tryOrder(n, "quip") !== undefined;
}

function* fitOf(where: string, lb: Lowbit, w: Float32Array, checked: Checked): Steps<Required<PvqFit>> {
  const { shape, code, iterations, signs, hessian } = checked;
  const engine = engineOf(where, lb);
  const pyramid = { vectorSize: code.size, pulses: code.pulses };
  let weights = checkWeights(where, w, shape);
  if (signs) {
    weights = weights.slice();
    yield* part(rotateLayer(where, engine, weights, shape, signs.su, signs.sv), 0, 0.1);
  }
  const search = pvqInParts(weights, shape, pyramid, iterations, hessian === undefined);
  const { scales, indices } = yield* part(search, 0.1, hessian ? 0.3 : 1);
  if (indices) return { scales, indices };
  const rounder = new PvqRounder(shape, pyramid, scales);
  let h = hessian as Float32Array | Float64Array;
  if (signs) h = yield* part(rotateHessian(where, engine, h, shape.cols, signs.su), 0.3, 0.4);
  const { rows, cols } = shape;
  yield* part(feedback(where, weights, h, rounder, { rows, cols }), 0.4, 1);
  return rounder;
}

function fromFit(where: string, lb: Lowbit, { shape, code, signs }: Checked, fit: Required<PvqFit>): Matrix {
  const inner = makePvq(where, lb, code, shape, fit.indices, fit.scales);
  if (!signs) return inner;
  const matrix = makeLayer(where, lb, shape, { label: "pvq", inners: [{ matrix: inner }], ...signs });
  codes.set(matrix, { inner, code });
  return matrix;
}
