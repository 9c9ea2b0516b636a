import { checkInteger, checkOptions, MAX_COLS, MAX_ROWS, rangeError, typeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import {
  COMMON_NAMES,
  type CommonOptions,
  checkShape,
  LAYER_NAMES,
  type LayerOptions,
  type Shape,
} from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { type ComplexPlaneTensors, checkPlane, makeComplexPlanes } from "../complex/planes.ts";
import { type Fairy2iStage, fairy2iStages, MAX_STAGES, type Ties } from "../complex/quantize.ts";

export type { ComplexPlaneTensors } from "../complex/planes.ts";

/** One stage: U x + W conj(x). */
export interface Fairy2iStageTensors {
  readonly u: ComplexPlaneTensors;
  readonly w: ComplexPlaneTensors;
}

/**
 * A real matrix as complex ones: y = (Σ U_t) x + (Σ W_t) conj(x) with x = x[:cols / 2] + i x[cols / 2:] and y = [Re; Im],
 * every U_t and W_t of {±1, ±i} with scales s_re, s_im (Fairy2i, arXiv:2512.02901). One bit a real weight and stage.
 */
export interface Fairy2iPackOptions extends CommonOptions {
  /**
   * 1 to 4 stages: codes [rows / 2, cols / 2] of 0 to 3, and scales as in `complex.pack` for that shape (groupSize is of
   * complex columns).
   */
  readonly stages: readonly Fairy2iStageTensors[];
}

export interface Fairy2iQuantizeOptions extends LayerOptions, ProgressOptions {
  /** 1 to 4. Default 2. */
  readonly stages?: number;
  /** Where a weight at ±45 or ±135 degrees goes. Default "sector". */
  readonly ties?: Ties;
}

const PACK: OptionNames<Fairy2iPackOptions> = { ...COMMON_NAMES, stages: [] };
const QUANTIZE: OptionNames<Fairy2iQuantizeOptions> = { ...LAYER_NAMES, ...PROGRESS_NAMES, stages: [], ties: [] };

/**
 * Recursive phase quantisation (section 3): each stage quantises what is left of the one before, with one pair of scales a
 * matrix.
 *
 * @param w [rows, cols] row-major, rows and cols even
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: Fairy2iQuantizeOptions): Matrix {
  return callNow("fairy2i.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: Fairy2iQuantizeOptions): Promise<Matrix> {
  return callAsync("fairy2i.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

function* quantized(
  where: string,
  lb: Lowbit,
  w: Float32Array,
  options: Settled<Fairy2iQuantizeOptions>,
): Steps<Matrix> {
  const { shape, half } = check(where, options);
  return fromStages(where, lb, half, yield* fairy2iStages(where, w, shape, options));
}

/**
 * A matrix of codes that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, odd rows or cols, a code over 3, a scale that is 0, NaN or
 * Infinity; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: Fairy2iPackOptions): Matrix {
  const where = "fairy2i.pack";
  const options = readOptions(where, given, PACK);
  const { half } = check(where, options);
  const { stages } = options;
  if (!Array.isArray(stages)) throw typeError(`${where}: stages`, "an array of stages", stages);
  checkInteger(`${where}: stages.length`, stages.length, 1, MAX_STAGES);
  const checked = stages.map((stage: Fairy2iStageTensors, t) => {
    const at = `${where}: stages[${t}]`;
    checkOptions(at, stage);
    checkOptions(`${at}.u`, stage.u);
    checkOptions(`${at}.w`, stage.w);
    return { u: checkPlane(`${at}.u.`, stage.u, half), w: checkPlane(`${at}.w.`, stage.w, half) };
  });
  return fromStages(where, lb, half, checked);
}

// The real shape, and the complex one, to which groupSize belongs.
function check(where: string, options: CommonOptions): { shape: Shape; half: Shape } {
  const even = (name: "rows" | "cols", most: number): number => {
    const value = checkInteger(`${where}: ${name}`, options[name], 1, most);
    if (value % 2 === 0) return value;
    throw rangeError(`${where}: ${name}`, "an even number (halves are real and imaginary parts)", value);
  };
  const rows = even("rows", MAX_ROWS);
  const cols = even("cols", MAX_COLS);
  const half = checkShape(where, "complex", { ...options, rows: rows / 2, cols: cols / 2 });
  return { shape: { ...half, rows, cols, groupSize: cols }, half };
}

function fromStages(where: string, lb: Lowbit, half: Shape, stages: readonly Fairy2iStage[]): Matrix {
  const planes = stages.flatMap(({ u, w }) => [
    { ...u, conjugate: "none" as const },
    { ...w, conjugate: "x" as const },
  ]);
  return makeComplexPlanes(where, lb, "fairy2i", half, planes, true);
}
