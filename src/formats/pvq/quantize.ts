// Weights to scale · vectors of a pyramid: the nearest vectors for a scale a group, and the scale that suits them best.
import { rangeError, typeError } from "../../lib/check.ts";
import { inParts, joinRows, type PartTask, rowsOf } from "../../lib/parts.ts";
import { part, type Steps } from "../../lib/progress.ts";
import type { Quantizer } from "../../numeric/gptq.ts";
import { counts, indexOf, nearest, pyramidSize } from "../../numeric/pyramid.ts";
import { float32Scale } from "../../numeric/scale.ts";
import { type GroupShape, groupsOf, STEP_WEIGHTS } from "../../numeric/shape.ts";
import { MAX_PULSES, VECTOR_SIZES, type VectorSize } from "./bytes.ts";

/** A dimension and the sum of absolute values. */
export interface Pyramid {
  readonly vectorSize: number;
  readonly pulses: number;
}

/** Refuses vectors that kernels cannot decode, and names the nearest that they can. */
export function checkPyramid(
  where: string,
  size: unknown,
  pulses: unknown,
): { vectorSize: VectorSize; pulses: number } {
  const sizes = VECTOR_SIZES.join(" or ");
  if (typeof size !== "number") throw typeError(`${where}: vectorSize`, sizes, size);
  const vectorSize = VECTOR_SIZES.find((one) => one === size);
  if (vectorSize === undefined) {
    throw rangeError(`${where}: vectorSize`, sizes, `${size} (${size < 12 ? 8 : 16} is nearest)`);
  }
  let most = MAX_PULSES;
  while (pyramidSize(vectorSize, most) > 2 ** 32) most--;
  const expected = `an integer from 1 to ${most}`;
  if (typeof pulses !== "number") throw typeError(`${where}: pulses`, expected, pulses);
  if (!Number.isInteger(pulses) || pulses < 1 || pulses > most) {
    const count = Number.isInteger(pulses) && pulses > most && pulses <= 64 ? pyramidSize(vectorSize, pulses) : 0;
    const why = count > 2 ** 32 ? `, ${count} vectors are more than 2^32` : "";
    throw rangeError(`${where}: pulses`, expected, `${pulses} (${pulses < 1 ? 1 : most} works${why})`);
  }
  return { vectorSize, pulses };
}

/** A change of scale below this part of it ends the search. */
const STILL = 1e-4;
/** Where a search begins, as parts of the scale for which Σ |w| is that of the vectors. Long groups end at the same place. */
const STARTS = [1, 0.85, 1.15];
const LONG_GROUP = 128;

/**
 * Scales [rows, groups]: vectors and scale are the nearest for each other by turns, and each turn lessens the squared error.
 *
 * @param w [rows, cols], finite
 * @param shape groupSize: a multiple of vectorSize, or at least cols
 */
export function* pvqScales(
  w: Float32Array,
  shape: GroupShape,
  { vectorSize, pulses }: Pyramid,
  iterations: number,
): Steps<Float32Array> {
  const { rows, cols, groupSize } = shape;
  const groups = groupsOf(shape);
  const scales = new Float32Array(rows * groups);
  const v = new Float64Array(vectorSize);
  const y = new Float64Array(vectorSize);
  const work = new Float64Array(vectorSize);
  const starts = groupSize < LONG_GROUP ? STARTS : [1];
  let left = STEP_WEIGHTS;
  for (let i = 0; i < scales.length; i++) {
    const row = Math.floor(i / groups);
    const from = row * cols + (i % groups) * groupSize;
    const end = Math.min(from + groupSize, (row + 1) * cols);
    let sum = 0;
    for (let at = from; at < end; at++) sum += Math.abs(w[at] as number);
    const first = sum / pulses / Math.ceil((end - from) / vectorSize);
    let most = 0;
    for (const start of starts) {
      let scale = start * first;
      for (let turn = 0; turn < iterations && scale > 0; turn++) {
        let product = 0;
        let squares = 0;
        for (let at = from; at < end; at += vectorSize) {
          const count = Math.min(vectorSize, end - at);
          for (let c = 0; c < vectorSize; c++) v[c] = c < count ? (w[at + c] as number) : 0;
          nearest(v, 1 / scale, pulses, y, work);
          for (let c = 0; c < count; c++) {
            product += (y[c] as number) * (v[c] as number);
            squares += (y[c] as number) * (y[c] as number);
          }
        }
        left -= end - from;
        const before = scale;
        scale = squares > 0 ? product / squares : 0;
        // What the best scale for these vectors takes off Σ w².
        const gain = product * scale;
        if (gain > most) [most, scales[i]] = [gain, float32Scale(scale, 1)];
        if (Math.abs(scale - before) <= STILL * before) break;
      }
    }
    if (left > 0) continue;
    left = STEP_WEIGHTS;
    yield (row * cols) / w.length;
  }
  return scales;
}

/** Rounds vectors to scale · the nearest of a pyramid, as lowbit/lattice takes it, and keeps them. */
export class PvqRounder implements Quantizer {
  readonly blockSize: number;
  /** [rows, ceil(cols / vectorSize)] in Fischer's order */
  readonly indices: Uint32Array;
  readonly scales: Float32Array;
  readonly #pulses: number;
  readonly #shape: GroupShape;
  readonly #vectors: number;
  readonly #y: Float64Array;
  readonly #work: Float64Array;
  readonly #counts: Float64Array;

  constructor(shape: GroupShape, { vectorSize, pulses }: Pyramid, scales: Float32Array) {
    this.blockSize = vectorSize;
    this.scales = scales;
    this.#pulses = pulses;
    this.#shape = shape;
    this.#vectors = Math.ceil(shape.cols / vectorSize);
    this.indices = new Uint32Array(shape.rows * this.#vectors);
    this.#y = new Float64Array(vectorSize);
    this.#work = new Float64Array(vectorSize);
    this.#counts = counts(vectorSize, pulses);
  }

  encode(row: number, col: number, values: Float64Array, out: Float64Array): void {
    const size = this.blockSize;
    const y = this.#y;
    const { groupSize } = this.#shape;
    const scale = this.scales[row * groupsOf(this.#shape) + Math.floor(col / groupSize)] as number;
    nearest(values, scale === 0 ? 0 : 1 / scale, this.#pulses, y, this.#work);
    const at = row * this.#vectors + col / size;
    this.indices[at] = indexOf(y, 0, size, this.#pulses, this.#counts, this.#pulses + 1);
    for (let c = 0; c < size; c++) out[c] = scale * (y[c] as number);
  }
}

/** Nearest vectors of all weights; beyond the last column weights are 0. */
function* pvqIndices(w: Float32Array, { rows, cols }: GroupShape, rounder: PvqRounder): Steps<void> {
  const size = rounder.blockSize;
  const v = new Float64Array(size);
  const out = new Float64Array(size);
  let left = STEP_WEIGHTS;
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col += size) {
      const count = Math.min(size, cols - col);
      v.fill(0);
      v.set(w.subarray(row * cols + col, row * cols + col + count));
      rounder.encode(row, col, v, out);
      left -= size;
      if (left > 0) continue;
      left = STEP_WEIGHTS;
      yield (row * cols + col) / w.length;
    }
  }
}

interface Args {
  readonly w: Float32Array;
  readonly shape: GroupShape;
  readonly pyramid: Pyramid;
  readonly iterations: number;
  /** Whether the nearest vectors are wanted too, and not only scales. */
  readonly indices: boolean;
}

/** A scale of each group of each row and, where they were looked for, the nearest vectors. */
export interface PvqFit {
  readonly scales: Float32Array;
  /** [rows, ceil(cols / vectorSize)] in Fischer's order */
  readonly indices?: Uint32Array;
}

export const pvqTask: PartTask<Args, PvqFit> = {
  name: "pvq",
  *run({ w, shape, pyramid, iterations, indices }) {
    const scales = yield* part(pvqScales(w, shape, pyramid, iterations), 0, indices ? 0.7 : 1);
    if (!indices) return { scales };
    const rounder = new PvqRounder(shape, pyramid, scales);
    yield* part(pvqIndices(w, shape, rounder), 0.7, 1);
    return { scales, indices: rounder.indices };
  },
};

/** The scales of w [rows, cols], and with `indices` its nearest vectors: each row by itself. */
export function pvqInParts(
  w: Float32Array,
  { rows, cols, groupSize }: GroupShape,
  pyramid: Pyramid,
  iterations: number,
  indices: boolean,
): Steps<PvqFit> {
  const shape = { rows, cols, groupSize };
  return inParts(pvqTask, {
    units: rows,
    time: w.length * (iterations + 1) * 3e-4,
    part: (begin, end) => ({ ...rowsOf(w, shape, begin, end), pyramid, iterations, indices }),
    join: (parts) => ({
      scales: joinRows(parts.map(({ scales }) => scales)),
      ...(indices && { indices: joinRows(parts.map((part) => part.indices as Uint32Array)) }),
    }),
  });
}
