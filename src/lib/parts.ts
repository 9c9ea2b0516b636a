// Work that is the same for each part of its input by itself: rows of weights, groups of columns. One thread does it at once;
// with several each part goes to a worker, and the results are put together. Who does what makes no difference to a bit.
import type { PartResult, Steps } from "./progress.ts";

/** A function of what can be cloned, that workers know by its name (src/quantize-worker.ts). */
export interface PartTask<A, R> {
  readonly name: string;
  run(args: A): Steps<R>;
}

export interface Cut<A, R> {
  /** Parts begin and end at multiples of one unit. */
  readonly units: number;
  /** Milliseconds that all of it takes on one thread, about. */
  readonly time: number;
  /** The arguments for the units from `begin` to before `end`. */
  part(begin: number, end: number): A;
  /** The result of all parts, in their order. */
  join(results: readonly R[], parts: readonly PartResult[]): R;
}

/** All parts of the work, done by whoever takes them over, or here in one. */
export function* inParts<A, R>({ name, run }: PartTask<A, R>, { units, time, part, join }: Cut<A, R>): Steps<R> {
  const answer = yield { task: name, units, time, part, from: 0, to: 1 };
  if (answer === undefined) return yield* run(part(0, units));
  const parts = answer as readonly PartResult[];
  return join(
    parts.map(({ result }) => result as R),
    parts,
  );
}

interface RowMajor {
  readonly rows: number;
  readonly cols: number;
}

/** Rows from `begin` to before `end` of w [rows, cols], on the same memory. */
export function rowsOf<S extends RowMajor>(
  w: Float32Array,
  shape: S,
  begin: number,
  end: number,
): { w: Float32Array; shape: S } {
  const { cols } = shape;
  return { w: w.subarray(begin * cols, end * cols), shape: { ...shape, rows: end - begin } };
}

/** What a task of `rowTask` is given. */
export interface RowArgs<S, O> {
  /** Beginning of messages. */
  readonly where: string;
  readonly w: Float32Array;
  readonly shape: S;
  readonly options: O;
}

/** A task that is a function of rows of weights. */
export function rowTask<S, O, R>(
  name: string,
  rows: (where: string, w: Float32Array, shape: S, options: O) => Steps<R>,
): PartTask<RowArgs<S, O>, R> {
  return { name, run: ({ where, w, shape, options }) => rows(where, w, shape, options) };
}

type Numbers = Int8Array | Uint8Array | Uint16Array | Uint32Array | Float32Array | Float64Array;

/** Arrays [outer, rows of each, …] as one [outer, all rows, …]. */
export function joinRows<A extends Numbers>(arrays: readonly A[], outer = 1): A {
  const length = arrays.reduce((sum, one) => sum + one.length, 0);
  const joined = new ((arrays[0] as A).constructor as new (length: number) => A)(length);
  for (let plane = 0, at = 0; plane < outer; plane++) {
    for (const one of arrays) {
      const size = one.length / outer;
      joined.set(one.subarray(plane * size, (plane + 1) * size), at);
      at += size;
    }
  }
  return joined;
}
