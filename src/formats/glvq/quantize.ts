// Grouped lattice vector quantisation (GLVQ, arXiv 2510.20984): each group of columns has a basis of its own, vectors of d
// consecutive columns are its points. Everything is relative to the scale of a row, so that extreme weights stay in range.
import { inParts, type PartTask } from "../../lib/parts.ts";
import { part, type Steps } from "../../lib/progress.ts";
import { groupsOf } from "../../numeric/shape.ts";
import { Companding, kurtosisMu } from "./companding.ts";
import { type GlvqShape, GroupFit } from "./group.ts";

export interface GlvqFit {
  /** [rows, ceil(cols / d) · d]: z = code - 2^(bits - 1) + ½ */
  readonly codes: Uint8Array;
  /** [groups][d, d] row-major, columns the basis */
  readonly bases: Float32Array;
  /** [rows] */
  readonly scales: Float32Array;
  /** [groups], companded */
  readonly mu?: Float32Array;
  readonly gains?: Float32Array;
}

export interface GlvqSearch {
  readonly iterations: number;
  /** μ of each group: from its kurtosis, one number, or no companding. */
  readonly mu: "kurtosis" | number | undefined;
}

/** Step of the best uniform code of so many bits for unit Gaussians (Max 1960). */
const STEP = { 2: 0.9957, 3: 0.586, 4: 0.3352 } as const;

/** What is known of some groups of columns, which a turn changes in place. */
interface Groups {
  /** [rows, cols of these groups] */
  readonly w: Float32Array;
  readonly shape: GlvqShape;
  /** [rows] */
  readonly scales: Float32Array;
  /** [rows, cols of these groups as whole vectors]: z */
  readonly points: Float64Array;
  /** [groups][d, d] */
  readonly bases: Float32Array;
  readonly mu: Float32Array | undefined;
  readonly gains: Float32Array | undefined;
}

interface Args extends Groups {
  /** "round": points; "turn": and then bases; "refine": codes that improve what stored tables give. */
  readonly step: "round" | "turn" | "refine";
  /** There are no points yet. */
  readonly fresh: boolean;
  /** As `points`, of "refine". */
  readonly codes: Uint8Array;
}

type Changed = Pick<Args, "points" | "bases" | "codes">;

/** The fit of one of the groups. */
function fitOf({ w, shape, scales, points, bases, mu, gains }: Groups, group: number): GroupFit {
  const size = shape.dimension * shape.dimension;
  const basis = bases.subarray(group * size, (group + 1) * size);
  const fit = new GroupFit(w, shape, group, scales, basis, points, mostOf(shape));
  if (mu && gains) fit.compand(new Companding(mu, gains, shape.dimension), group);
  return fit;
}

export const glvqTask: PartTask<Args, Changed> = {
  name: "glvq",
  *run(args) {
    const { shape, step, fresh, points, bases, codes, mu, gains } = args;
    const groups = groupsOf(shape);
    for (let group = 0; group < groups; group++) {
      const fit = fitOf(args, group);
      const companding = mu && gains ? new Companding(mu, gains, shape.dimension) : undefined;
      const work = step === "refine" && companding ? companding.refine(group, fit, codes) : fit.round(fresh);
      yield* part(work, group / groups, (group + 1) / groups);
      if (step === "turn") fit.improveBasis();
    }
    return { points, bases, codes };
  },
};

/** One step in all groups, each by itself. */
function turnInParts(all: Groups, rest: Pick<Args, "step" | "fresh" | "codes">): Steps<Changed> {
  const { w, shape, points, bases, mu, gains } = all;
  const { rows, cols, groupSize, dimension: d } = shape;
  const groups = groupsOf(shape);
  const padded = points.length / rows;
  return inParts(glvqTask, {
    units: groups,
    // 1 µs a weight at d = 8 and 2 at 16; with μ four times that.
    time: (w.length * d * (mu ? 4 : 1)) / 8e3,
    part: (begin, end) => {
      if (begin === 0 && end === groups) return { ...all, ...rest };
      const [from, to] = [begin * groupSize, Math.min(end * groupSize, cols)];
      const [first, last] = [from, Math.min(end * groupSize, padded)];
      return {
        ...rest,
        w: columns(w, cols, from, to),
        shape: { ...shape, cols: to - from },
        scales: all.scales,
        points: columns(points, padded, first, last),
        codes: rest.codes.length > 0 ? columns(rest.codes, padded, first, last) : rest.codes,
        bases: bases.subarray(begin * d * d, end * d * d),
        mu: mu?.slice(begin, end),
        gains: gains?.slice(begin, end),
      };
    },
    join: (changed, parts) => {
      for (const [i, { begin }] of parts.entries()) {
        const part = changed[i] as Changed;
        setColumns(points, padded, begin * groupSize, part.points, rows);
        if (rest.codes.length > 0) setColumns(rest.codes, padded, begin * groupSize, part.codes, rows);
        bases.set(part.bases, begin * d * d);
      }
      return { points, bases, codes: rest.codes };
    },
  });
}

type Columns = Float32Array | Float64Array | Uint8Array;

/** Columns of a matrix of so many. */
function columns<A extends Columns>(matrix: A, cols: number, from: number, to: number): A {
  const rows = matrix.length / cols;
  const some = new (matrix.constructor as new (length: number) => A)(rows * (to - from));
  for (let row = 0; row < rows; row++) {
    some.set(matrix.subarray(row * cols + from, row * cols + to), row * (to - from));
  }
  return some;
}

function setColumns(matrix: Columns, cols: number, from: number, some: Columns, rows: number): void {
  const count = some.length / rows;
  for (let row = 0; row < rows; row++) matrix.set(some.subarray(row * count, (row + 1) * count), row * cols + from);
}

const mostOf = ({ bits }: GlvqShape): number => 2 ** (bits - 1) - 0.5;

/**
 * Codes and bases of w [rows, cols]: bases from covariances, then points and bases in turn, each by least squares. Groups meet
 * only in the scales of rows, between the turns.
 */
export function* glvqCodes(w: Float32Array, shape: GlvqShape, search: GlvqSearch): Steps<GlvqFit> {
  const { rows, cols, bits, dimension: d } = shape;
  const { iterations } = search;
  const groups = groupsOf(shape);
  const padded = Math.ceil(cols / d) * d;
  const companded = search.mu !== undefined;
  const all: Groups = {
    w,
    shape,
    scales: rowScales(w, rows, cols),
    points: new Float64Array(rows * padded),
    bases: new Float32Array(groups * d * d),
    mu: companded ? new Float32Array(groups) : undefined,
    gains: companded ? new Float32Array(groups) : undefined,
  };
  const { scales, points, bases, mu, gains } = all;
  const fits: GroupFit[] = [];
  for (let group = 0; group < groups; group++) {
    const fit = fitOf(all, group);
    fits.push(fit);
    if (mu && gains) {
      const by = search.mu === "kurtosis" ? kurtosisMu(fit.moments()) : (search.mu as number);
      new Companding(mu, gains, d).set(group, by, fit.moments());
    }
    fit.start(STEP[bits]);
  }
  const turns = iterations + (companded ? 2 : 1);
  const none = new Uint8Array(0);
  for (let turn = 0; turn <= iterations; turn++) {
    const step = turn < iterations ? "turn" : "round";
    yield* part(turnInParts(all, { step, fresh: turn === 0, codes: none }), turn / turns, (turn + 1) / turns);
    if (turn < iterations && !companded) fitScales(scales, fits);
  }
  const most = mostOf(shape);
  const codes = Uint8Array.from(points, (z) => z + most);
  if (!mu || !gains) return { codes, bases, scales };
  yield* part(turnInParts(all, { step: "refine", fresh: false, codes }), (turns - 1) / turns, 1);
  return { codes, bases, scales, mu, gains };
}

/** The root mean square of each row, as float32. */
function rowScales(w: Float32Array, rows: number, cols: number): Float32Array {
  return Float32Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = row * cols; i < (row + 1) * cols; i++) sum += (w[i] as number) * (w[i] as number);
    return Math.sqrt(sum / cols);
  });
}

/** Each scale by least squares over its row. */
function fitScales(scales: Float32Array, fits: readonly GroupFit[]): void {
  const products = new Float64Array(scales.length);
  const squares = new Float64Array(scales.length);
  for (const fit of fits) fit.addProducts(products, squares);
  for (let row = 0; row < scales.length; row++) {
    const by = (products[row] as number) / (squares[row] as number);
    // Products are of weights that are divided by the scale.
    if (by > 0.1 && by < 10) scales[row] = by * (scales[row] as number);
  }
}
