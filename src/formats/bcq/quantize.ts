// Binary-coding quantisation: w = Σ_b alpha_b · (±1) (+ offset), each group of each row by itself.
//
// Two steps alternate (Xu et al. 2018, "Alternating Multi-bit Quantization", arXiv:1802.00150): least squares for the
// alphas given the codes, and for each weight the nearest of the 2^bits levels given the alphas. They find a local
// optimum, so they run from two starts, and the better one counts:
// - greedy (Guo et al. 2017, "Network Sketching"): alpha_b = mean |r|, r = r - alpha_b · sign r; as in the paper;
// - evenly spaced levels, since greedy alphas get stuck from 4 planes on. On Gaussian weights, 8 planes
//   and whole rows that is 17 times less error.
//
// The weights of a group are sorted first. The codes of given alphas are then runs of the sorted weights, and least
// squares needs only the number and the sum of the weights of each code.
import { checkInteger, checkLength, rangeError } from "../../lib/check.ts";
import { inParts, joinRows, rowsOf, rowTask } from "../../lib/parts.ts";
import type { Steps } from "../../lib/progress.ts";
import { levelOf, MAX_LEVEL, setThresholds, shareOut } from "../../numeric/levels.ts";
import { checkWeights, type GroupShape, groupsOf, STEP_WEIGHTS } from "../../numeric/shape.ts";

export interface BcqPlanes {
  /** [bits][rows][ceil(cols / 8)]: bit j of byte b is column 8b + j, set for +1, clear for -1 and past the last column. */
  readonly planes: Uint8Array;
  /** [bits][rows, groups] */
  readonly alphas: Float32Array;
  /** [rows, groups]: what is added to every weight of the group. */
  readonly offsets?: Float32Array;
}

export interface BcqFit extends BcqPlanes {
  /** [rows, groups]: Σ (w - level)^2 over the group, with the float32 alphas and offset, in float64. */
  readonly errors: Float64Array;
}

export interface BcqOptions {
  /** 1 to 8 */
  readonly bits: number;
  /** Alternations at most, 0 to 1000. Default 15. */
  readonly iterations?: number;
  /** Fit an offset too, as LUT-GEMM has it (Park et al. 2024, section 3.1). Default false. */
  readonly offset?: boolean;
}

const MAX_BITS = 8;

/** Levels and buffers of one group after the other. */
interface Fit {
  readonly bits: number;
  readonly hasOffset: boolean;
  /** Descending, none negative; float32 values. */
  readonly alphas: Float64Array;
  offset: number;
  /** The 2^bits levels, ascending, and the code of each. */
  levels: Float64Array;
  codes: Uint8Array;
  otherLevels: Float64Array;
  otherCodes: Uint8Array;
  readonly thresholds: Float64Array;
  /** Weights of each level, their number and sum. */
  readonly counts: Float64Array;
  readonly sums: Float64Array;
  /** The same by code, transformed. */
  readonly countsByCode: Float64Array;
  readonly sumsByCode: Float64Array;
  /** [unknowns, unknowns]: the normal equations, then their factors. */
  readonly gram: Float64Array;
  readonly solution: Float64Array;
  /** Of the step before, and the best from the greedy start. */
  readonly lastAlphas: Float64Array;
  lastOffset: number;
  readonly greedyAlphas: Float64Array;
  greedyOffset: number;
}

function makeFit(bits: number, hasOffset: boolean): Fit {
  const floats = (length: number) => new Float64Array(length);
  const size = 1 << bits;
  const unknowns = bits + 1;
  return {
    bits,
    hasOffset,
    alphas: floats(bits),
    offset: 0,
    levels: floats(size),
    codes: new Uint8Array(size),
    otherLevels: floats(size),
    otherCodes: new Uint8Array(size),
    thresholds: floats(size),
    counts: floats(size),
    sums: floats(size),
    countsByCode: floats(size),
    sumsByCode: floats(size),
    gram: floats(unknowns * unknowns),
    solution: floats(unknowns),
    lastAlphas: floats(bits),
    lastOffset: 0,
    greedyAlphas: floats(bits),
    greedyOffset: 0,
  };
}

/**
 * Alphas are descending and none is negative, codes are the optimal ones for them (on a tie the lower level).
 *
 * The squared error of a group, as `errors` gives it, never rises with `iterations`: a step whose float32 alphas are
 * worse than the ones before is not taken, from either start. So rounding to float32 is inside the guarantee; outside is only what float64
 * rounds in adding up the error, about 1e-16 of it a weight. A group ends early when a step changes nothing.
 *
 * Where the weights come near the end of float32, alphas are shrunk so that the largest level stays finite.
 *
 * @param w [rows, cols] row-major
 * @throws at the first step: TypeError, RangeError for a wrong argument or NaN or Infinity in w
 */
export function* bcqPlanes(where: string, w: Float32Array, shape: GroupShape, options: BcqOptions): Steps<BcqFit> {
  const { rows, cols, groupSize } = shape;
  const bits = checkInteger(`${where}: bits`, options.bits, 1, MAX_BITS);
  const iterations =
    options.iterations === undefined ? 15 : checkInteger(`${where}: iterations`, options.iterations, 0, 1000);
  checkWeights(where, w, shape);
  const groups = groupsOf(shape);
  const rowBytes = Math.ceil(cols / 8);
  const planes = new Uint8Array(bits * rows * rowBytes);
  const alphas = new Float32Array(bits * rows * groups);
  const errors = new Float64Array(rows * groups);
  const offsets = options.offset === true ? new Float32Array(rows * groups) : undefined;

  const fit = makeFit(bits, offsets !== undefined);
  const size = Math.min(groupSize, cols);
  const lastSize = cols - (groups - 1) * size;
  const rest = new Float64Array(size);
  const whole = new Float32Array(size);
  const last = whole.subarray(0, lastSize);
  let done = 0;
  for (let row = 0, at = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const sorted = group === groups - 1 ? last : whole;
      for (let i = 0; i < sorted.length; i++) sorted[i] = w[at + i] as number;
      sorted.sort();
      const index = row * groups + group;
      errors[index] = fitGroup(fit, sorted, rest, iterations);
      for (let b = 0; b < bits; b++) alphas[b * rows * groups + index] = fit.alphas[b] as number;
      if (offsets !== undefined) offsets[index] = fit.offset;
      writeCodes(fit, w, at, sorted.length, planes, row * rowBytes + (group * groupSize) / 8, rows * rowBytes);
      at += sorted.length;
      // The levels are work too: with 8 planes and a group of 128 most of it.
      done += sorted.length + (16 << bits);
      if (done >= STEP_WEIGHTS) {
        done = 0;
        yield at / w.length;
      }
    }
  }
  return { planes, alphas, errors, ...(offsets !== undefined && { offsets }) };
}

export const bcqTask = /* @__PURE__ */ rowTask("bcq", bcqPlanes);

/** As `bcqPlanes`, whose rows are independent. */
export function bcqInParts(where: string, w: Float32Array, shape: GroupShape, options: BcqOptions): Steps<BcqFit> {
  const { bits } = options;
  return inParts(bcqTask, {
    units: shape.rows,
    // 0.2 µs a weight and plane, and 8 planes of short groups ten times that.
    time: w.length * bits * 2e-4 * (1 + (16 << bits) / Math.min(shape.groupSize, shape.cols)),
    part: (begin, end) => ({ where, ...rowsOf(w, shape, begin, end), options }),
    join: (fits) => ({
      planes: joinRows(
        fits.map(({ planes }) => planes),
        bits,
      ),
      alphas: joinRows(
        fits.map(({ alphas }) => alphas),
        bits,
      ),
      errors: joinRows(fits.map(({ errors }) => errors)),
      ...(options.offset === true && { offsets: joinRows(fits.map(({ offsets }) => offsets as Float32Array)) }),
    }),
  });
}

/** Leaves the best alphas, offset and levels in `fit`; returns their error. */
function fitGroup(fit: Fit, sorted: Float32Array, rest: Float64Array, iterations: number): number {
  startGreedily(fit, sorted, rest);
  const greedy = alternate(fit, sorted, iterations);
  fit.greedyAlphas.set(fit.alphas);
  fit.greedyOffset = fit.offset;
  startUniformly(fit, sorted);
  const uniform = alternate(fit, sorted, iterations);
  if (uniform <= greedy) return uniform;
  fit.alphas.set(fit.greedyAlphas);
  fit.offset = fit.greedyOffset;
  setLevels(fit);
  return greedy;
}

/** From the alphas and offset in `fit`. */
function alternate(fit: Fit, sorted: Float32Array, iterations: number): number {
  let best = assign(fit, sorted);
  for (let i = 0; i < iterations; i++) {
    fit.lastAlphas.set(fit.alphas);
    fit.lastOffset = fit.offset;
    solveAlphas(fit, sorted.length);
    if (isUnchanged(fit)) break;
    const error = assign(fit, sorted);
    if (error > best) {
      fit.alphas.set(fit.lastAlphas);
      fit.offset = fit.lastOffset;
      setLevels(fit);
      break;
    }
    best = error;
  }
  return best;
}

function isUnchanged({ alphas, lastAlphas, offset, lastOffset }: Fit): boolean {
  for (let b = 0; b < alphas.length; b++) if (alphas[b] !== lastAlphas[b]) return false;
  return offset === lastOffset;
}

/** The offset starts as the mean. Only |r| is kept: r - alpha · sign r has the magnitude of |r| - alpha. */
function startGreedily(fit: Fit, sorted: Float32Array, rest: Float64Array): void {
  const { alphas, bits } = fit;
  const length = sorted.length;
  const offset = fit.hasOffset ? Math.fround(meanOf(sorted)) : 0;
  fit.offset = offset;
  for (let i = 0; i < length; i++) rest[i] = (sorted[i] as number) - offset;
  for (let b = 0; b < bits; b++) {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += Math.abs(rest[i] as number);
    const alpha = sum / length;
    for (let i = 0; i < length; i++) rest[i] = Math.abs(rest[i] as number) - alpha;
    alphas[b] = alpha;
  }
  normalise(fit);
}

/** Evenly spaced levels: over the whole range first, which then shrinks towards the mean (or 0) while that helps. */
function startUniformly(fit: Fit, sorted: Float32Array): void {
  const { hasOffset } = fit;
  const low = sorted[0] as number;
  const high = sorted[sorted.length - 1] as number;
  const centre = hasOffset ? meanOf(sorted) : 0;
  const middle = hasOffset ? low + (high - low) / 2 : 0;
  const reach = hasOffset ? (high - low) / 2 : Math.max(-low, high);
  let best = Infinity;
  let bestPart = 1;
  for (let part = 1; part > 0.05; part *= 0.8) {
    setUniform(fit, centre, middle, reach, part);
    const error = assign(fit, sorted);
    if (error >= best) break;
    best = error;
    bestPart = part;
  }
  setUniform(fit, centre, middle, reach, bestPart);
}

/** 2^bits cells of equal width, `part` of the way from the centre to the whole range: middle +- reach. */
function setUniform(fit: Fit, centre: number, middle: number, reach: number, part: number): void {
  fit.offset = centre + part * (middle - centre);
  for (let b = 0; b < fit.bits; b++) fit.alphas[b] = (part * reach) / 2 ** (b + 1);
  normalise(fit);
}

function meanOf(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] as number;
  return sum / values.length;
}

/**
 * Descending positive float32 alphas whose largest level is finite. Levels stay the same set when a plane is negated or
 * two change places, and the codes are about to be found anew.
 */
function normalise(fit: Fit): void {
  const { alphas, bits } = fit;
  let largest = Math.abs(fit.offset);
  for (let b = 0; b < bits; b++) {
    const alpha = Math.abs(alphas[b] as number);
    largest += alpha;
    let place = b;
    for (; place > 0 && (alphas[place - 1] as number) < alpha; place--) alphas[place] = alphas[place - 1] as number;
    alphas[place] = alpha;
  }
  const factor = largest <= MAX_LEVEL ? 1 : MAX_LEVEL / largest;
  for (let b = 0; b < bits; b++) alphas[b] = Math.fround((alphas[b] as number) * factor);
  fit.offset = Math.fround(fit.offset * factor);
}

function assign(fit: Fit, sorted: Float32Array): number {
  setLevels(fit);
  return shareOut(sorted, fit.levels, fit.thresholds, 1 << fit.bits, fit.counts, fit.sums);
}

/** The levels in order: each plane doubles the list, which is merged from itself minus and plus alpha. */
function setLevels(fit: Fit): void {
  fit.levels[0] = fit.offset;
  fit.codes[0] = 0;
  for (let b = 0; b < fit.bits; b++) {
    mergeLevels(fit.levels, fit.codes, fit.otherLevels, fit.otherCodes, fit.alphas[b] as number, b);
    const { levels, codes } = fit;
    fit.levels = fit.otherLevels;
    fit.codes = fit.otherCodes;
    fit.otherLevels = levels;
    fit.otherCodes = codes;
  }
  setThresholds(fit.thresholds, fit.levels, 1 << fit.bits);
}

function mergeLevels(
  levels: Float64Array,
  codes: Uint8Array,
  outLevels: Float64Array,
  outCodes: Uint8Array,
  alpha: number,
  plane: number,
): void {
  const length = 1 << plane;
  for (let minus = 0, plus = 0, out = 0; plus < length; out++) {
    const low = minus < length ? (levels[minus] as number) - alpha : Infinity;
    const high = (levels[plus] as number) + alpha;
    if (low <= high) {
      outLevels[out] = low;
      outCodes[out] = codes[minus++] as number;
    } else {
      outLevels[out] = high;
      outCodes[out] = (codes[plus++] as number) | (1 << plane);
    }
  }
}

/**
 * Least squares for alphas and offset, given how many weights have which code and what they add up to.
 *
 * The products of two planes follow from the Walsh-Hadamard transform of the counts, N[m] = Σ_c n_c (-1)^|c & m|: the
 * sign of plane i is -(-1)^(c_i), so Σ s_i s_j = N[2^i ^ 2^j], Σ s_i = -N[2^i], and Σ w s_i = -S[2^i] likewise.
 */
function solveAlphas(fit: Fit, length: number): void {
  const { bits, hasOffset, codes, counts, sums, countsByCode, sumsByCode, gram, solution } = fit;
  const size = 1 << bits;
  for (let k = 0; k < size; k++) {
    countsByCode[codes[k] as number] = counts[k] as number;
    sumsByCode[codes[k] as number] = sums[k] as number;
  }
  transform(countsByCode, size);
  transform(sumsByCode, size);
  // The offset comes first: where a plane says nothing more than it, the plane is dropped and not the offset.
  const first = hasOffset ? 1 : 0;
  const unknowns = bits + first;
  if (hasOffset) {
    gram[0] = length;
    solution[0] = sumsByCode[0] as number;
    for (let i = 0; i < bits; i++) gram[(i + 1) * unknowns] = -(countsByCode[1 << i] as number);
  }
  for (let i = 0; i < bits; i++) {
    solution[i + first] = -(sumsByCode[1 << i] as number);
    for (let j = 0; j <= i; j++) {
      gram[(i + first) * unknowns + j + first] = countsByCode[(1 << i) ^ (1 << j)] as number;
    }
  }
  solve(gram, solution, unknowns, length);
  fit.offset = hasOffset ? (solution[0] as number) : 0;
  for (let b = 0; b < bits; b++) fit.alphas[b] = solution[b + first] as number;
  normalise(fit);
}

function transform(values: Float64Array, size: number): void {
  for (let half = 1; half < size; half *= 2) {
    for (let start = 0; start < size; start += 2 * half) {
      for (let i = start; i < start + half; i++) {
        const a = values[i] as number;
        const b = values[i + half] as number;
        values[i] = a + b;
        values[i + half] = a - b;
      }
    }
  }
}

/**
 * Solves the normal equations in place by L D L^T; only the lower triangle of `gram` is read.
 *
 * A pivot is the squared distance of a plane from the span of those before it. Where it is 0 but for rounding, the plane
 * is a combination of others on this group, and its alpha is 0: that too is a least-squares solution. The levels then
 * come in pairs of equals, of which the lower takes the weights below and the upper those above, so the next step finds
 * a plane of use.
 */
function solve(gram: Float64Array, solution: Float64Array, unknowns: number, length: number): void {
  for (let j = 0; j < unknowns; j++) {
    const rowJ = j * unknowns;
    let pivot = gram[rowJ + j] as number;
    for (let k = 0; k < j; k++) {
      const entry = gram[rowJ + k] as number;
      pivot -= entry * entry * (gram[k * unknowns + k] as number);
    }
    const dropped = pivot <= length * 1e-10;
    gram[rowJ + j] = dropped ? 0 : pivot;
    for (let i = j + 1; i < unknowns; i++) {
      const rowI = i * unknowns;
      let product = gram[rowI + j] as number;
      for (let k = 0; k < j; k++) {
        product -= (gram[rowI + k] as number) * (gram[rowJ + k] as number) * (gram[k * unknowns + k] as number);
      }
      gram[rowI + j] = dropped ? 0 : product / pivot;
    }
  }
  for (let i = 0; i < unknowns; i++) {
    for (let k = 0; k < i; k++) {
      solution[i] = (solution[i] as number) - (gram[i * unknowns + k] as number) * (solution[k] as number);
    }
  }
  for (let i = unknowns - 1; i >= 0; i--) {
    const pivot = gram[i * unknowns + i] as number;
    let value = pivot === 0 ? 0 : (solution[i] as number) / pivot;
    for (let k = i + 1; k < unknowns; k++) {
      value -= (gram[k * unknowns + i] as number) * (solution[k] as number);
    }
    solution[i] = pivot === 0 ? 0 : value;
  }
}

/** The codes of the weights from `start` on, into the planes from byte `to` on, which lie `stride` bytes apart. */
function writeCodes(
  { bits, thresholds, codes }: Fit,
  w: Float32Array,
  start: number,
  length: number,
  planes: Uint8Array,
  to: number,
  stride: number,
): void {
  for (let i = 0; i < length; i += 8) {
    const end = Math.min(8, length - i);
    for (let j = 0; j < end; j++) {
      const code = codes[levelOf(w[start + i + j] as number, thresholds, 1 << bits)] as number;
      for (let b = 0, byte = to + (i >> 3); b < bits; b++, byte += stride) {
        planes[byte] = (planes[byte] as number) | (((code >> b) & 1) << j);
      }
    }
  }
}

/**
 * Uniform codes as planes (Park et al. 2024, LUT-GEMM, section 3.1): with the bits u_i of u,
 *
 *     s · (u - z) = Σ_i s · 2^(i-1) · (2 u_i - 1) + s · ((2^bits - 1) / 2 - z)
 *
 * Plane i is bit i of the code. The alphas are exact while s / 2 is a normal float32 or s even in its last place, and so
 * is every sum of them in float64. The offset is rounded to float32 once. Dequantised weights, summed in float64 and
 * rounded once, are therefore equal to fround(s · (u - z)), bit for bit but for the sign of zero, if the offset is exact:
 * if s · (2^bits - 1 - 2z) has at most 24 significant bits. So they are
 * - for any s when z is 2^(bits-1), 2^(bits-1) - 1 or the half between;
 * - for an s of at most 16 significant bits (from float16: 11, bfloat16: 8) when z is an integer in 0..2^bits - 1, since
 *   the other factor has at most 8;
 * Otherwise, and for any other z, they differ by at most half a unit in the last place of the offset.
 *
 * @param codes [rows, cols], each below 2^bits
 * @param scales [rows, groups]
 * @param zeros [rows, groups]
 * @throws TypeError, RangeError for a wrong argument, a code of more bits, or a scale whose alpha or offset is infinite
 */
export function uniformToBcq(
  where: string,
  codes: Uint8Array,
  scales: Float32Array,
  zeros: Float32Array,
  shape: GroupShape,
  bits: number,
): BcqPlanes & { readonly offsets: Float32Array } {
  const { rows, cols } = shape;
  checkInteger(`${where}: bits`, bits, 1, MAX_BITS);
  checkLength(`${where}: codes`, codes, rows * cols, `rows ${rows} x cols ${cols}`);
  const count = rows * groupsOf(shape);
  checkLength(`${where}: scales`, scales, count, `rows ${rows} x groups ${groupsOf(shape)}`);
  checkLength(`${where}: zeros`, zeros, count, `rows ${rows} x groups ${groupsOf(shape)}`);

  const alphas = new Float32Array(bits * count);
  const offsets = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const scale = scales[i] as number;
    for (let b = 0; b < bits; b++) alphas[b * count + i] = scale * 2 ** (b - 1);
    offsets[i] = scale * ((2 ** bits - 1) / 2 - (zeros[i] as number));
    if (!Number.isFinite(alphas[(bits - 1) * count + i]) || !Number.isFinite(offsets[i])) {
      const got = `${scale} with zero ${zeros[i]} at index ${i}`;
      throw rangeError(`${where}: scales`, "scales that give finite planes and offsets", got);
    }
  }

  const rowBytes = Math.ceil(cols / 8);
  const planes = new Uint8Array(bits * rows * rowBytes);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++, at++) {
      const code = codes[at] as number;
      if (code >> bits !== 0) throw rangeError(`${where}: codes`, `codes of ${bits} bits`, `${code} at index ${at}`);
      for (let b = 0, byte = row * rowBytes + (col >> 3); b < bits; b++, byte += rows * rowBytes) {
        planes[byte] = (planes[byte] as number) | (((code >> b) & 1) << (col & 7));
      }
    }
  }
  return { planes, alphas, offsets };
}
