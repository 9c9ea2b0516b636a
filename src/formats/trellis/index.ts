import type { FormatName, TrellisBits } from "../../kernels/types.ts";
import { checkArray, checkChoice, checkInteger, checkLength, rangeError, typeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, part, type Steps } from "../../lib/progress.ts";
import { makeMatrix } from "../../matrix/make.ts";
import { makeRotated } from "../../matrix/rotated.ts";
import { checkScales, checkShape, LAYER_NAMES, type LayerOptions, type Shape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { checkHessian, work as feedback } from "../../numeric/gptq.ts";
import { checkWeights } from "../../numeric/shape.ts";
import { engineOf } from "../../runtime/engine.ts";
import type { Lowbit } from "../../runtime/features.ts";
import type { Step } from "../../transforms/steps.ts";
import { layerSigns, rotateHessian, rotateLayer } from "../shared/layer.ts";
import { checkScaleTensor } from "../shared/tensors.ts";
import { TILE, writeTiles } from "./bytes.ts";
import { makeTable, trellisInParts, trellisQuantizer } from "./quantize.ts";
import { storedTable, trellisReader } from "./reader.ts";
import { CODEBOOKS, TRELLIS_CODEBOOKS, type TrellisCodebook } from "./tables.ts";

/**
 * Trellis codes with computed codebooks (QTIP, Tseng et al. 2024, arXiv 2406.11235), in the layers of EXL3 (exllamav3):
 * y = svh ⊙ H (Ŵ · H (suh ⊙ x)) + bias, H orthonormal Walsh-Hadamard transforms of runs of 128. A tile of 16 x 16 weights is
 * a cyclic stream of 256 codes of 1 to 8 bits; the weight at each place is a hash of the last 16 bits.
 *
 * rows and cols: multiples of 128, but for `pack`, which takes layers that were padded to them.
 */
export interface TrellisQuantizeOptions extends LayerOptions, ProgressOptions {
  /** 1 to 8. Default 2. */
  readonly bits?: number;
  /** Default "mul1", the fastest. */
  readonly codebook?: TrellisCodebook;
  /** Of the random signs, 0 to 2^32 - 1. Default 0. */
  readonly seed?: number;
  /**
   * How many paths are followed, 1 to 4096, or "full" for Viterbi's algorithm over all 65536 states. Default 512:
   * docs/quantisers.md has errors and times.
   */
  readonly search?: number | "full";
  /**
   * [cols, cols], Σ x xᵀ over inputs or any multiple: tiles are then chosen from the last columns to the first with the
   * errors of those after them fed back (LDLQ), so that W x changes less. It takes O(rows · cols²).
   */
  readonly hessian?: FloatTensor | Float64Array;
}

/** How a checkpoint says which codebook it has: by the tensor that is there. */
export interface TrellisCodebookOptions {
  /** "3inst" is what EXL3 has without a tensor `mcg` or `mul1`. */
  readonly codebook?: TrellisCodebook | undefined;
  /** The tensors of that name, whatever is in them. */
  readonly mcg?: unknown;
  readonly mul1?: unknown;
}

/**
 * Tensors of a layer as EXL3 publishes them. rows and cols are the layer's own; where they are no multiples of 128 the
 * tensors are those of a layer that was padded to the next ones, P and Q: x is padded with zeros, y is cut.
 */
export interface TrellisTensors extends LayerOptions, TrellisCodebookOptions {
  /** [Q / 16, P / 16, 16 · bits]: bits follow from its length */
  readonly trellis: Int16Array | Uint16Array;
  /** [Q]; float16 as published */
  readonly suh?: FloatTensor | undefined;
  /** [P] */
  readonly svh?: FloatTensor | undefined;
  /** Signs of older files in place of suh, [Q / 16]: bit i of a word is column 16 · word + i, 1 for -1. */
  readonly su?: Int16Array | Uint16Array | undefined;
  /** Those in place of svh, [P / 16] */
  readonly sv?: Int16Array | Uint16Array | undefined;
  /** [rows], or [P] */
  readonly bias?: FloatTensor | undefined;
}

/** w = scale · weight of the codebook, without rotations; what tiles have beyond rows and cols is ignored. */
export interface TrellisCodes extends LayerOptions, TrellisCodebookOptions {
  /** [ceil(cols / 16), ceil(rows / 16), 16 · bits], as EXL3 has it */
  readonly trellis: Int16Array | Uint16Array;
  /** [1] or [rows]. Default: 1. */
  readonly scales?: FloatTensor;
}

const QUANTIZE: OptionNames<TrellisQuantizeOptions> = {
  ...LAYER_NAMES,
  ...PROGRESS_NAMES,
  bits: [],
  codebook: [],
  seed: [],
  search: [],
  hessian: [],
};
const CODEBOOK: OptionNames<TrellisCodebookOptions> = { codebook: [], mcg: [], mul1: [] };
const PACK: OptionNames<TrellisTensors> = {
  ...LAYER_NAMES,
  ...CODEBOOK,
  trellis: [],
  suh: [],
  svh: [],
  su: [],
  sv: [],
  bias: [],
};
const CODES: OptionNames<TrellisCodes> = { ...LAYER_NAMES, ...CODEBOOK, trellis: [], scales: [] };

/** The run of numbers that is transformed together. */
const BLOCK = 128;
const hadamard: Step = { kind: "hadamard", block: BLOCK };
const DEFAULT_WIDTH = 512;

/**
 * Rotates the weights by random signs and Hadamard transforms on both sides, and looks for the paths whose weights are
 * nearest to tiles of 16 x 16.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument, rows or cols that are no multiple of 128 (the nearest that are, are
 * named) or NaN or Infinity in w; the reason of an aborted signal; OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: TrellisQuantizeOptions): Matrix {
  return callNow("trellis.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: TrellisQuantizeOptions): Promise<Matrix> {
  return callAsync("trellis.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(
  where: string,
  lb: Lowbit,
  w: Float32Array,
  options: Settled<TrellisQuantizeOptions>,
): Steps<Matrix> {
  const checked = checkQuantize(where, lb, options);
  return fromFit(where, lb, checked, yield* fitOf(where, lb, w, checked));
}

interface Checked {
  readonly shape: Shape;
  readonly bits: TrellisBits;
  readonly codebook: TrellisCodebook;
  readonly search: number | "full";
  readonly signs: { readonly su: Float32Array; readonly sv: Float32Array };
  readonly hessian: Float32Array | Float64Array | undefined;
}

function checkQuantize(where: string, lb: unknown, options: Settled<TrellisQuantizeOptions>): Checked {
  engineOf(where, lb);
  const { seed = 0, hessian, search = DEFAULT_WIDTH, codebook = "mul1" } = options;
  const bits = checkInteger(`${where}: bits`, options.bits === undefined ? 2 : options.bits, 1, 8) as TrellisBits;
  checkChoice(`${where}: codebook`, codebook, TRELLIS_CODEBOOKS);
  const shape = checkLayer(where, formatOf(codebook, bits), options);
  checkInteger(`${where}: seed`, seed, 0, 0xffffffff);
  if (search !== "full") {
    if (typeof search !== "number") throw typeError(`${where}: search`, `a number or "full"`, search);
    checkInteger(`${where}: search`, search, 1, 4096);
  }
  if (hessian !== undefined) checkHessian(`${where}: hessian`, hessian, shape.cols);
  return { shape, bits, codebook, search, signs: layerSigns(shape, seed), hessian };
}

function formatOf(codebook: TrellisCodebook, bits: TrellisBits): FormatName {
  return CODEBOOKS[codebook].halves ? `trellis${bits}_i16` : `trellis${bits}`;
}

/** Shape of a layer: both sides are whole runs of the transform. */
function checkLayer(where: string, format: FormatName, options: LayerOptions): Shape {
  const shape = checkShape(where, format, options);
  checkRuns(`${where}: cols`, shape.cols);
  checkRuns(`${where}: rows`, shape.rows);
  return shape;
}

function checkRuns(where: string, n: number): void {
  if (n % BLOCK === 0) return;
  const below = n - (n % BLOCK);
  const near = below === 0 ? `${BLOCK} works` : `${below} and ${below + BLOCK} work`;
  throw rangeError(where, `a multiple of ${BLOCK} (columns or rows that are transformed together)`, `${n} (${near})`);
}

interface Fit {
  readonly trellis: Uint16Array;
  readonly su: Float32Array;
  readonly sv: Float32Array;
}

/** Part of the time that rotating takes. */
const ROTATION = 0.02;

function* fitOf(where: string, lb: Lowbit, w: Float32Array, checked: Checked): Steps<Fit> {
  const { shape, bits, codebook, search, signs, hessian } = checked;
  const { rows, cols } = shape;
  const engine = engineOf(where, lb);
  const rotated = checkWeights(where, w, shape).slice();
  // Rows of one run mix, so they are brought to the same size first: rows of small weights keep their share of precision.
  const sizes = rowSizes(rotated, rows);
  for (let row = 0; row < rows; row++) {
    const size = sizes[row] as number;
    for (let at = row * cols; at < (row + 1) * cols; at++)
      rotated[at] = size === 0 ? 0 : (rotated[at] as number) / size;
  }
  yield* part(rotateLayer(where, engine, rotated, shape, signs.su, signs.sv, BLOCK), 0, ROTATION);
  const { scale } = makeTable(codebook, bits);
  const fit = { bits, codebook, search };
  const sv = signs.sv.map((sign, row) => sign * scale * (sizes[row] as number));
  let trellis: Uint16Array;
  if (hessian) {
    const quantizer = trellisQuantizer(shape, fit);
    const h = yield* part(rotateHessian(where, engine, hessian, cols, signs.su, BLOCK), ROTATION, 2 * ROTATION);
    yield* part(feedback(where, rotated, h, quantizer, { rows, cols }), 2 * ROTATION, 1);
    trellis = quantizer.trellis;
  } else {
    trellis = yield* part(trellisInParts(rotated, shape, fit), ROTATION, 1);
  }
  return { trellis, su: signs.su, sv };
}

/** The root of the mean square of each row, as float32. */
function rowSizes(w: Float32Array, rows: number): Float32Array {
  const cols = w.length / rows;
  return Float32Array.from({ length: rows }, (_, row) => {
    let power = 0;
    for (let at = row * cols; at < (row + 1) * cols; at++) power += (w[at] as number) * (w[at] as number);
    return Math.sqrt(power / cols);
  });
}

function fromFit(where: string, lb: Lowbit, { shape, bits, codebook }: Checked, fit: Fit): Matrix {
  return makeLayer(where, lb, { shape, bits, codebook, ...fit });
}

interface Layer extends Fit {
  readonly shape: Shape;
  readonly bits: TrellisBits;
  readonly codebook: TrellisCodebook;
  readonly trellis: Uint16Array;
}

/** The layer of `shape`, of tensors that have the lengths of su [cols] and sv [rows]: as many, or more by padding. */
function makeLayer(where: string, lb: unknown, { shape, bits, codebook, trellis, su, sv }: Layer): Matrix {
  const { rows, cols } = shape;
  const stored = { ...shape, rows: sv.length, cols: su.length, groupSize: su.length };
  const matrix = makeTrellis(where, lb, { shape: stored, bits, codebook, trellis, scales: Float32Array.of(1) });
  const pre: Step[] = [{ kind: "scale", by: su }, hadamard];
  const post: Step[] = [hadamard, { kind: "scale", by: sv }];
  if (cols < su.length) pre.unshift({ kind: "resize", length: su.length });
  if (rows < sv.length) post.push({ kind: "resize", length: rows });
  return makeRotated(where, lb, { label: `trellis${bits}`, rows, cols, pre, post, inners: [{ matrix }] });
}

/**
 * A layer as EXL3 publishes it. Codes keep their bits; float16 scales become float32. What exllamav3 rounds to float16
 * weights is not rounded here (docs/numerics.md).
 *
 * @throws TypeError, RangeError for a wrong argument, a trellis of a wrong length, more than one codebook, NaN or Infinity;
 * OutOfMemoryError
 */
export function pack(lb: Lowbit, given: TrellisTensors): Matrix {
  const where = "trellis.pack";
  const options = readOptions(where, given, PACK);
  engineOf(where, lb);
  const codebook = checkCodebook(where, options);
  const shape = checkShape(where, formatOf(codebook, 1), options);
  const { rows } = shape;
  const [paddedRows, rowsText] = padded("rows", rows);
  const [paddedCols, colsText] = padded("cols", shape.cols);
  const [trellis, bits] = checkTrellis(`${where}: trellis`, options.trellis, paddedRows / TILE, paddedCols / TILE);
  const su = checkSide(where, "suh", options.suh, "su", options.su, paddedCols, colsText);
  const sv = checkSide(where, "svh", options.svh, "sv", options.sv, paddedRows, rowsText);
  const long = options.bias !== undefined && options.bias.length === paddedRows;
  const [biasRows, biasText] = long ? [paddedRows, rowsText] : [rows, `rows ${rows}`];
  const bias = options.bias && checkScaleTensor(`${where}: bias`, options.bias, biasRows, biasText).subarray(0, rows);
  const matrix = makeLayer(where, lb, { shape, bits, codebook, trellis, su, sv });
  if (!bias) return matrix;
  try {
    return matrix.with({ bias });
  } catch (error) {
    matrix.dispose();
    throw error;
  }
}

/** The size that EXL3 pads to, and how messages name it. */
function padded(name: string, n: number): [number, string] {
  const size = Math.ceil(n / BLOCK) * BLOCK;
  return [size, size === n ? `${name} ${n}` : `${name} ${n} padded to ${size}`];
}

const isThere = (tensor: unknown): boolean => tensor !== undefined && tensor !== null && tensor !== false;

function checkCodebook(where: string, { codebook, mcg, mul1 }: TrellisCodebookOptions): TrellisCodebook {
  const given = [codebook !== undefined && "codebook", isThere(mcg) && "mcg", isThere(mul1) && "mul1"].filter(Boolean);
  if (given.length > 1) throw rangeError(`${where}: codebook`, "one of codebook, mcg and mul1", given.join(" and "));
  if (codebook !== undefined) return checkChoice(`${where}: codebook`, codebook, TRELLIS_CODEBOOKS);
  return isThere(mcg) ? "mcg" : isThere(mul1) ? "mul1" : "3inst";
}

function checkTrellis(where: string, given: unknown, rowTiles: number, colTiles: number): [Uint16Array, TrellisBits] {
  const value = checkArray(where, given, ["Int16Array", "Uint16Array"]);
  const perBit = rowTiles * colTiles * TILE;
  const bits = value.length / perBit;
  if (!Number.isInteger(bits) || bits < 1 || bits > 8) {
    throw rangeError(
      where,
      `length ${perBit} · bits, bits from 1 to 8 (tiles of columns ${colTiles} x tiles of rows ${rowTiles} x ${TILE} · bits)`,
      String(value.length),
    );
  }
  const words = value instanceof Uint16Array ? value : new Uint16Array(value.buffer, value.byteOffset, value.length);
  return [words, bits as TrellisBits];
}

/** Scales, or the signs that older files have in their place. */
function checkSide(
  where: string,
  name: string,
  scales: unknown,
  oldName: string,
  signs: unknown,
  length: number,
  shape: string,
): Float32Array {
  if (signs === undefined) return checkScaleTensor(`${where}: ${name}`, scales, length, shape);
  if (scales !== undefined) throw rangeError(`${where}: ${name}`, `${name} or ${oldName}`, "both");
  const at = `${where}: ${oldName}`;
  const words = checkArray(at, signs, ["Int16Array", "Uint16Array"]);
  checkLength(at, words, length / 16, `${shape} / 16`);
  return Float32Array.from({ length }, (_, i) => (((words[i >> 4] as number) >> (i & 15)) & 1 ? -1 : 1));
}

/**
 * A matrix of trellis codes as they are, without the rotations of an EXL3 layer.
 *
 * @throws TypeError, RangeError for a wrong argument, a trellis of a wrong length, more than one codebook; OutOfMemoryError
 */
export function packCodes(lb: Lowbit, given: TrellisCodes): Matrix {
  const where = "trellis.packCodes";
  const options = readOptions(where, given, CODES);
  engineOf(where, lb);
  const codebook = checkCodebook(where, options);
  const shape = checkShape(where, formatOf(codebook, 1), options);
  const rowTiles = Math.ceil(shape.rows / TILE);
  const [trellis, bits] = checkTrellis(`${where}: trellis`, options.trellis, rowTiles, Math.ceil(shape.cols / TILE));
  const scales = options.scales === undefined ? Float32Array.of(1) : options.scales;
  return makeTrellis(where, lb, {
    shape,
    bits,
    codebook,
    trellis,
    scales: checkScales(`${where}: scales`, scales, shape),
  });
}

interface Content {
  readonly shape: Shape;
  readonly bits: TrellisBits;
  readonly codebook: TrellisCodebook;
  /** [column tiles, row tiles, 16 · bits], checked */
  readonly trellis: Uint16Array;
  /** [1] or [rows], checked */
  readonly scales: Float32Array;
}

function makeTrellis(where: string, lb: unknown, { shape, bits, codebook, trellis, scales }: Content): Matrix {
  const { unit, offset } = CODEBOOKS[codebook];
  const rowTiles = Math.ceil(shape.rows / TILE);
  return makeMatrix(where, lb, {
    label: `trellis${bits}`,
    format: formatOf(codebook, bits),
    shape,
    scales: [scales.map((scale) => scale * unit)],
    ...(offset !== 0 && { offsets: scales.map((scale) => scale * offset) }),
    tables: storedTable(codebook, bits),
    write: (bytes, layout) => writeTiles(bytes, trellis, rowTiles, bits, layout),
    reader: trellisReader,
  });
}
