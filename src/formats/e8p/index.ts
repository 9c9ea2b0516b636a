import {
  checkArray,
  checkChoice,
  checkFinite,
  checkFloats,
  checkInteger,
  checkLength,
  rangeError,
  typeError,
} from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, part, type Steps } from "../../lib/progress.ts";
import type { Inner } from "../../matrix/rotated.ts";
import {
  COMMON_NAMES,
  type CommonOptions,
  checkScales,
  checkShape,
  LAYER_NAMES,
  type LayerOptions,
  type Shape,
} from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { checkHessian, work as feedback } from "../../numeric/gptq.ts";
import { checkWeights } from "../../numeric/shape.ts";
import { engineOf } from "../../runtime/engine.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { checkSize, layerSigns, makeLayer, rotateHessian, rotateLayer } from "../shared/layer.ts";
import { checkScaleTensor } from "../shared/tensors.ts";
import { makeUniform } from "../shared/uniform-matrix.ts";
import { makeLattice } from "./matrix.ts";
import { CODE_SCALE, type E8pFit, E8pQuantizer, e8pInParts, e8pScale, RESIDUAL_SCALE } from "./quantize.ts";
import {
  QUIP_IDS,
  QUIP_SHAPES,
  type QuipCodebook,
  type QuipIndices,
  quipD4,
  quipE8p,
  quipE8p0,
  quipHalfIntegers,
} from "./quip.ts";
import { D4_COLS, d4Entries, E8_COLS } from "./tables.ts";

export type { QuipCodebook, QuipIndices } from "./quip.ts";

/**
 * QuIP# (Tseng et al. 2024, arXiv 2402.04396): y = SV ⊙ H (Ŵ · Hᵀ (SU ⊙ x)), H orthonormal Walsh-Hadamard transforms, SU
 * and SV signs, and Ŵ = scale · points of the lattice E8, 8 columns a code of 16 bits. 3 and 4 bits add the code of what is
 * left, of E81B (8 bits) or of E8P again.
 *
 * rows and cols: sizes that have a Hadamard transform (`hadamardOrder` of lowbit/transforms), cols a multiple of 8.
 */
export interface E8pQuantizeOptions extends LayerOptions, ProgressOptions {
  /** Default 2. */
  readonly bits?: 2 | 3 | 4;
  /** Of the random signs, 0 to 2^32 - 1. Default 0. */
  readonly seed?: number;
  /**
   * The rms of rotated weights in the units of the codebook. Default 1.03, 0.98, 0.94 for 2, 3, 4 bits, the best for
   * Gaussian weights.
   */
  readonly scale?: number;
  /**
   * [cols, cols], Σ x xᵀ over inputs or any multiple: codes are then chosen from the last to the first with the errors of
   * those after them fed back (LDLQ), so that W x changes less. It takes O(rows · cols²).
   */
  readonly hessian?: FloatTensor | Float64Array;
}

/** Tensors of a layer as QuIP# publishes them. */
export interface QuipTensors extends LayerOptions {
  /** Name, or number in the checkpoint: E8P12 7, E8P12RVQ3B 18, E8P12RVQ4B 17, D4 0, HI4B1C 10. */
  readonly codebook: QuipCodebook | number;
  /** Of E8P12: 1 (default), or 0 for files of the release of 2023-12-03. */
  readonly version?: 0 | 1;
  /**
   * int64 [rows, cols / 32] of E8P12, [rows, 3 cols / 64] of RVQ3B, [rows, cols / 16] of RVQ4B, or a Uint32Array of their
   * low and high halves; Int16Array [rows, cols / 8] of version 0; Uint8Array [rows, cols / 4] of D4; Int32Array
   * [rows, cols / 8] of HI4B1C.
   */
  readonly Qidxs: QuipIndices;
  /** [cols]; float16 as published */
  readonly SU: FloatTensor;
  /** [rows] */
  readonly SV: FloatTensor;
  /** A number, or [rows] for fused layers whose members have one each. Default 1: newer files have it in SV. */
  readonly Wscale?: number | FloatTensor;
  /** [cols]: x is divided by it first. */
  readonly scaleWH?: FloatTensor;
}

const QUANTIZE: OptionNames<E8pQuantizeOptions> = {
  ...LAYER_NAMES,
  ...PROGRESS_NAMES,
  bits: [],
  seed: [],
  scale: [],
  hessian: [],
};
const PACK: OptionNames<QuipTensors> = {
  ...LAYER_NAMES,
  codebook: ["codebook_id"],
  version: ["codebook_version"],
  Qidxs: [],
  SU: [],
  SV: [],
  Wscale: [],
  scaleWH: [],
};

/**
 * Rotates the weights by random signs and Hadamard transforms on both sides, and rounds every 8 to the nearest code.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument, a size without a transform (the nearest that have one are named) or
 * NaN or Infinity in w; the reason of an aborted signal; OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: E8pQuantizeOptions): Matrix {
  return callNow("e8p.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: E8pQuantizeOptions): Promise<Matrix> {
  return callAsync("e8p.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(where: string, lb: Lowbit, w: Float32Array, options: Settled<E8pQuantizeOptions>): Steps<Matrix> {
  const checked = checkQuantize(where, lb, options);
  return fromFit(where, lb, checked, yield* fitOf(where, lb, w, checked));
}

interface Checked {
  readonly shape: Shape;
  readonly bits: 2 | 3 | 4;
  readonly scale: number;
  readonly su: Float32Array;
  readonly sv: Float32Array;
  readonly hessian: Float32Array | Float64Array | undefined;
}

function checkQuantize(where: string, lb: unknown, options: Settled<E8pQuantizeOptions>): Checked {
  engineOf(where, lb);
  const shape = checkLayer(where, options, 1, E8_COLS);
  const { seed = 0, scale } = options;
  const bits = checkInteger(`${where}: bits`, options.bits === undefined ? 2 : options.bits, 2, 4) as 2 | 3 | 4;
  checkInteger(`${where}: seed`, seed, 0, 0xffffffff);
  if (scale !== undefined) checkPositive(`${where}: scale`, scale);
  const { su, sv } = layerSigns(shape, seed);
  const { hessian } = options;
  if (hessian !== undefined) checkHessian(`${where}: hessian`, hessian, shape.cols);
  return { shape, bits, scale: scale ?? CODE_SCALE[bits], su, sv, hessian };
}

/** Shape of a layer: both sides have a transform, and are multiples of what the layout keeps together. */
function checkLayer(where: string, options: LayerOptions, rowMultiple: number, colMultiple: number): Shape {
  const shape = checkShape(where, "e8p", options);
  checkSize(`${where}: cols`, shape.cols, colMultiple);
  checkSize(`${where}: rows`, shape.rows, rowMultiple);
  return shape;
}

function checkPositive(where: string, value: unknown): void {
  if (typeof value !== "number") throw typeError(where, "a number", value);
  if (!(Number.isFinite(value) && value > 0)) throw rangeError(where, "a positive number", value);
}

/** Part of the time that rotating takes. */
const ROTATION = 0.3;

function* fitOf(where: string, lb: Lowbit, w: Float32Array, checked: Checked): Steps<E8pFit> {
  const { shape, bits, scale: codeScale, su, sv, hessian } = checked;
  const engine = engineOf(where, lb);
  const rotated = checkWeights(where, w, shape).slice();
  yield* part(rotateLayer(where, engine, rotated, shape, su, sv), 0, ROTATION);
  const scale = e8pScale(rotated, codeScale);
  if (!Number.isFinite(scale)) throw rangeError(`${where}: w`, "weights whose scale is a float32", scale);
  if (!hessian) return yield* part(e8pInParts(rotated, shape, bits, scale), ROTATION, 1);
  const quantizer = new E8pQuantizer(shape, bits, scale);
  const h = yield* part(rotateHessian(where, engine, hessian, shape.cols, su), ROTATION, 0.4);
  yield* part(feedback(where, rotated, h, quantizer, shape), 0.4, 1);
  return quantizer.fit;
}

function fromFit(where: string, lb: Lowbit, { shape, bits, su, sv }: Checked, fit: E8pFit): Matrix {
  const label = bits === 2 ? "e8p" : `e8p${bits}`;
  return makeLayer(where, lb, shape, { label, inners: latticeInners(where, lb, shape, bits, fit), su, sv });
}

/** Ŵ as one or two matrices, disposed of if this throws. */
function latticeInners(where: string, lb: Lowbit, shape: Shape, bits: 2 | 3 | 4, fit: E8pFit): Inner[] {
  const inners: Inner[] = [];
  const add = (format: "e8p" | "e81b", codes: Uint16Array, scale: number): void => {
    const scales = Float32Array.of(scale * ENTRY[format]);
    // A kernel that is asked for is one of the main code.
    const its = format === "e8p" ? shape : { ...shape, kernel: undefined };
    inners.push({ matrix: makeLattice(where, lb, format, { label: format, shape: its, codes, scales }) });
  };
  try {
    add("e8p", fit.codes, fit.scale);
    if (fit.residual && bits !== 2) {
      add(bits === 3 ? "e81b" : "e8p", fit.residual, fit.scale / RESIDUAL_SCALE[bits]);
    }
  } catch (error) {
    for (const { matrix } of inners) matrix.dispose();
    throw error;
  }
  return inners;
}

/**
 * A layer as QuIP# publishes it. Indices of E8P12 and its residual codes keep their bits; D4 is stored as uniform codes of
 * 3 bits, HI4B1C of 4.
 *
 * @throws TypeError, RangeError for a wrong argument, an unknown codebook, a shape that its layout or the transforms cannot
 * have, NaN or Infinity, a zero in scaleWH; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: QuipTensors): Matrix {
  const where = "e8p.pack";
  const options = readOptions(where, given, PACK);
  engineOf(where, lb);
  const codebook = checkCodebook(`${where}: codebook`, options.codebook);
  const { version = 1, Qidxs, SU, SV, Wscale = 1, scaleWH } = options;
  if (version !== 0 && version !== 1) throw rangeError(`${where}: version`, "0 or 1", version);
  if (version === 0 && codebook !== "E8P12") throw rangeError(`${where}: version`, `1 for ${codebook}`, version);
  const { rows: rowMultiple, cols: colMultiple } = version === 0 ? { rows: 1, cols: E8_COLS } : QUIP_SHAPES[codebook];
  const shape = checkLayer(where, options, rowMultiple, colMultiple);
  const { rows, cols } = shape;
  const su = checkScaleTensor(`${where}: SU`, SU, cols, `cols ${cols}`);
  const plain = checkScaleTensor(`${where}: SV`, SV, rows, `rows ${rows}`);
  const wh = scaleWH && checkScaleTensor(`${where}: scaleWH`, scaleWH, cols, `cols ${cols}`);
  const zero = wh ? wh.indexOf(0) : -1;
  if (zero >= 0) throw rangeError(`${where}: scaleWH`, "no zeros", `0 at index ${zero}`);
  const sv = scaledBy(`${where}: Wscale`, plain, Wscale);
  const inners = innersOf(where, lb, shape, codebook, version, Qidxs);
  const bits = { E8P12: "", E8P12RVQ3B: "3", E8P12RVQ4B: "4", D4: " D4", HI4B1C: " HI4B1C" }[codebook];
  return makeLayer(where, lb, shape, { label: `e8p${bits}`, inners, su, sv, ...(wh && { wh }) });
}

function checkCodebook(where: string, value: unknown): QuipCodebook {
  const names = Object.keys(QUIP_IDS) as QuipCodebook[];
  if (typeof value !== "number") return checkChoice(where, value, names);
  const found = names.find((name) => QUIP_IDS[name] === value);
  if (found === undefined) throw rangeError(where, `one of ${Object.values(QUIP_IDS).join(", ")}`, value);
  return found;
}

function scaledBy(where: string, sv: Float32Array, scale: unknown): Float32Array {
  if (typeof scale === "number") {
    if (!Number.isFinite(scale)) throw rangeError(where, "a finite number", scale);
    return sv.map((s) => s * scale);
  }
  const each = checkFloats(where, scale, sv.length, `rows ${sv.length}`);
  checkFinite(where, each);
  return sv.map((s, row) => s * (each[row] as number));
}

function innersOf(
  where: string,
  lb: Lowbit,
  shape: Shape,
  codebook: QuipCodebook,
  version: 0 | 1,
  Qidxs: unknown,
): Inner[] {
  const { rows, cols, activation, kernel } = shape;
  const at = `${where}: Qidxs`;
  if (codebook === "D4" || codebook === "HI4B1C") {
    const half = codebook === "HI4B1C";
    const codes = half ? quipHalfIntegers(at, Qidxs, rows, cols) : d4Codes(quipD4(at, Qidxs, rows, cols));
    const bits = half ? 4 : 3;
    const inner = checkShape(where, `uniform${bits}`, {
      rows,
      cols,
      activation,
      ...(kernel !== undefined && { kernel }),
    });
    const [scales, zeros] = [Float32Array.of(1), Float32Array.of(half ? 7.5 : 2.5)];
    const matrix = makeUniform(where, lb, inner, bits, { codes, scales, zeros });
    return [{ matrix }];
  }
  if (version === 0) {
    return latticeInners(where, lb, shape, 2, {
      codes: quipE8p0(at, Qidxs, rows, cols),
      residual: undefined,
      scale: 1,
    });
  }
  const { main, residual } = quipE8p(at, Qidxs, codebook, rows, cols);
  const bits = codebook === "E8P12" ? 2 : codebook === "E8P12RVQ3B" ? 3 : 4;
  return latticeInners(where, lb, shape, bits, { codes: main, residual, scale: 1 });
}

/** w + 5/2 of each column: 0 to 5. */
function d4Codes(points: Uint8Array): Uint8Array {
  const entries = d4Entries();
  return Uint8Array.from({ length: points.length * D4_COLS }, (_, i) => {
    const entry = entries[D4_COLS * (points[Math.floor(i / D4_COLS)] as number) + (i % D4_COLS)] as number;
    return (entry + 5) / 2;
  });
}

/**
 * w = scale · entry of the codebook, without rotations; columns beyond the last of 8 are padding.
 */
export interface E8pCodes extends CommonOptions {
  /** "e8p" (default), 16-bit codes; "e81b", the 1-bit code of residuals, in which codes are 0 to 255. */
  readonly codebook?: "e8p" | "e81b";
  /** [rows, ceil(cols / 8)] */
  readonly codes: Uint16Array;
  /** [1], [rows] or [rows, ceil(cols / groupSize)]. Default: 1. */
  readonly scales?: FloatTensor;
}

const CODES: OptionNames<E8pCodes> = { ...COMMON_NAMES, codebook: [], codes: [], scales: [] };

/** Entries are stored as whole numbers: 4w of E8P, 2w of E81B. */
const ENTRY = { e8p: 1 / 4, e81b: 1 / 2 } as const;

/**
 * A matrix of codes of E8P or E81B as they are, without the rotations of a QuIP# layer.
 *
 * @throws TypeError, RangeError for a wrong argument or a code out of range (its index is named); OutOfMemoryError
 */
export function packCodes(lb: Lowbit, options: E8pCodes): Matrix {
  const where = "e8p.packCodes";
  const all = readOptions(where, options, CODES);
  const { codebook = "e8p", scales = Float32Array.of(1) } = all;
  if (codebook !== "e8p" && codebook !== "e81b") throw rangeError(`${where}: codebook`, `"e8p" | "e81b"`, codebook);
  const shape = checkShape(where, codebook, all);
  const codes = checkCodeRows(`${where}: codes`, all.codes, shape, codebook === "e8p" ? 65535 : 255);
  const given = checkScales(`${where}: scales`, scales, shape);
  return makeLattice(where, lb, codebook, {
    label: codebook,
    shape,
    codes,
    scales: given.map((s) => s * ENTRY[codebook]),
  });
}

function checkCodeRows(where: string, given: unknown, { rows, cols }: Shape, most: number): Uint16Array {
  const codes = checkArray(where, given, ["Uint16Array"]);
  checkLength(
    where,
    codes,
    rows * Math.ceil(cols / E8_COLS),
    `rows ${rows} x ${E8_COLS} columns a code of cols ${cols}`,
  );
  const bad = codes.findIndex((code) => code > most);
  if (bad >= 0) throw rangeError(where, `0 to ${most}`, `${codes[bad]} at index ${bad}`);
  return codes;
}
