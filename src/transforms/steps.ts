// Chains of linear maps of one vector, run by WebAssembly kernels in the engine's memory. A rotated format is such a chain
// before its weights and one behind them (src/matrix/rotated.ts); the public transforms are chains of one or two steps.
import { checkFinite, checkInteger, MAX_COLS, rangeError, typeError } from "../lib/check.ts";
import { type HadamardChoice, matrixOf, orderOf, signOffsets } from "../numeric/hadamard.ts";
import type { Engine } from "../runtime/engine.ts";
import type { StepRecord } from "./step-record.ts";

/** One linear map. Matrices are row-major [out, inner], whichever side they are on. */
export type Step =
  /** x ⊙ by; by as long as x. Signs and scales; a divisor is its reciprocals. */
  | { readonly kind: "scale"; readonly by: Float32Array }
  /** Orthonormal Walsh-Hadamard transform of each run of `block` numbers (default: all): H_K ⊗ H_2^m / √block. */
  | {
      readonly kind: "hadamard";
      readonly block?: number | undefined;
      readonly choice?: HadamardChoice | undefined;
      /** The transpose, which is the inverse. They differ only where K does not make a symmetric matrix. */
      readonly inverse?: boolean;
    }
  /** x as [inner, rest] → matrix · x, [out, rest]: the left factor of a Kronecker pair. */
  | { readonly kind: "left"; readonly matrix: Float32Array; readonly out: number; readonly inner: number }
  /**
   * Each run of `inner` numbers → matrix · run, `out` numbers: the right factor of a Kronecker pair, X Rᵀ, or a projection.
   * With `groups` there are as many matrices, [groups][out, inner], in order: each for an equal share of the runs, or for
   * `runs` of them, the last for what is left.
   */
  | {
      readonly kind: "right";
      readonly matrix: Float32Array;
      readonly out: number;
      readonly inner: number;
      readonly groups?: number;
      readonly runs?: number;
    }
  /** Cut to `length`, or padded with zeros. */
  | { readonly kind: "resize"; readonly length: number };

const FLOAT = 4;
const NONE = /* @__PURE__ */ new Float32Array(0);
/** Regions start at multiples of 64 bytes: kernels that take 8 floats at a time may read and write to there. */
const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** A step without its numbers, which are in linear memory: how it runs, its length before and after. */
interface Stage {
  readonly kind: Step["kind"];
  readonly from: number;
  readonly to: number;
  /** Offset of its numbers in the region of parameters, and how many there are. */
  readonly at: number;
  readonly count: number;
  /** left, right */
  readonly out: number;
  readonly inner: number;
  readonly groups: number;
  /** right: runs that share a matrix. */
  readonly runs: number;
  /** hadamard: blocks of k · size, size a power of two. */
  readonly k: number;
  readonly size: number;
  readonly choice: HadamardChoice | undefined;
  readonly inverse: boolean;
}

/** A checked chain: how long its vectors are on the way, and where its numbers go. It does not hold on to them. */
export class Plan {
  readonly from: number;
  readonly to: number;
  /** Bytes of the parameters, which `write` puts somewhere. */
  readonly parameterBytes: number;
  /** Bytes of working space, the first `from` floats of which are the input of `run`. */
  readonly scratchBytes: number;
  readonly #stages: readonly Stage[];
  readonly #bufferBytes: number;

  /**
   * @param where what messages begin with
   * @param from the length of x
   * @param to the length that must come out; default: whatever does
   * @throws TypeError, RangeError for a step that does not fit, NaN or Infinity in its numbers
   */
  constructor(where: string, steps: readonly Step[], from: number, to?: number) {
    const stages: Stage[] = [];
    let length = from;
    let longest = from;
    let parameters = 0;
    let k = 1;
    for (const [i, step] of steps.entries()) {
      const stage = stageOf(steps.length === 1 ? where : `${where}: step ${i}`, step, length, parameters);
      stages.push(stage);
      length = stage.to;
      longest = Math.max(longest, length);
      k = Math.max(k, stage.k);
      parameters += align(stage.count * FLOAT);
    }
    if (to !== undefined && length !== to) {
      throw rangeError(`${where}: steps`, `a result of length ${to}`, `one of length ${length}`);
    }
    this.from = from;
    this.to = length;
    this.parameterBytes = parameters;
    this.#stages = stages;
    this.#bufferBytes = align(longest * FLOAT);
    // The matrix of a transform that is too narrow for tables, or what tables take.
    const hadamardBytes = k === 1 ? 0 : align(k * k * FLOAT) + align(256 * k);
    this.scratchBytes = 2 * this.#bufferBytes + hadamardBytes;
  }

  /** Whether nothing is done. */
  get isIdentity(): boolean {
    return this.#stages.length === 0;
  }

  /**
   * Writes the numbers of the steps.
   * @param steps those of the constructor
   * @param address a multiple of 64
   */
  write(steps: readonly Step[], floats: Float32Array, address: number): void {
    for (const [i, { at }] of this.#stages.entries()) {
      const step = steps[i] as Step;
      const start = (address + at) / FLOAT;
      if (step.kind === "right") transposeMatrices(step, step.matrix, floats.subarray(start));
      else floats.set(numbersOf(step), start);
    }
  }

  /** The steps back from what `write` wrote. */
  read(floats: Float32Array, address: number): Step[] {
    return this.#stages.map((stage) => {
      const start = (address + stage.at) / FLOAT;
      return stepOf(stage, floats.slice(start, start + stage.count));
    });
  }

  /** The steps without their numbers. */
  records(): StepRecord[] {
    return this.#stages.map(({ kind, to, out, inner, groups, runs, k, size, choice, inverse }) => {
      if (kind === "scale") return { kind };
      if (kind === "resize") return { kind, length: to };
      if (kind === "left") return { kind, out, inner };
      if (kind === "right") return { kind, out, inner, groups, runs };
      return { kind, block: k * size, ...(choice && { choice }), ...(inverse && { inverse }) };
    });
  }

  /** The steps of the transpose, from `to` to `from`. */
  transposed(floats: Float32Array, address: number): Step[] {
    return this.read(floats, address)
      .map((step, i) => transposedStep(step, (this.#stages[i] as Stage).from))
      .reverse();
  }

  /**
   * Numbers of the result that depend on each other: a vector is made of runs of so many, each of which the steps transform
   * by itself. All of them, where there is no smaller run that all steps keep apart.
   */
  get mixed(): number {
    const all = Math.max(this.from, this.to);
    let run = 1;
    for (const { kind, k, size } of this.#stages) {
      const own = kind === "scale" ? 1 : kind === "hadamard" ? k * size : all;
      if (run % own !== 0 && own % run !== 0) return all;
      run = Math.max(run, own);
    }
    return run;
  }

  /**
   * The steps that transform `count` numbers from `first` on, a multiple of `mixed` each, or all of them.
   * @param address where `write` put the numbers
   */
  partOf(floats: Float32Array, address: number, first: number, count: number): Step[] {
    const steps = this.read(floats, address);
    if (count === this.from) return steps;
    return steps.map((step) =>
      step.kind === "scale" ? { ...step, by: step.by.subarray(first, first + count) } : step,
    );
  }

  /**
   * Runs the chain on the floats at `scratch`.
   * @param parameters where `write` put them
   * @returns the address of the result, in the working space, followed by room up to a multiple of 64 bytes
   */
  run(engine: Engine, parameters: number, scratch: number): number {
    const { exports, arena } = engine;
    let x = scratch;
    let y = scratch + this.#bufferBytes;
    const table = scratch + 2 * this.#bufferBytes;
    for (const stage of this.#stages) {
      const { kind, from, to, at, out, inner, groups, runs, k, size } = stage;
      const p = parameters + at;
      if (kind === "scale") {
        exports.prepare_scaled(x, p, x, Math.ceil(from / 8));
        continue;
      }
      if (kind === "resize") {
        if (to > from) arena.floats.fill(0, x / FLOAT + from, x / FLOAT + to);
        continue;
      }
      if (kind === "hadamard") {
        exports.transform_hadamard(x, from, size, 1 / Math.sqrt(k * size));
        if (k === 1) continue;
        mix(engine, stage, x, y, table);
      } else if (kind === "left") {
        exports.transform_product(p, x, y, out, inner, from / inner);
      } else {
        const all = from / inner;
        for (let g = 0, run = 0; g < groups; g++, run += runs) {
          const matrix = p + g * inner * out * FLOAT;
          const count = Math.min(runs, all - run);
          exports.transform_product(x + run * inner * FLOAT, matrix, y + run * out * FLOAT, count, inner, out);
        }
      }
      [x, y] = [y, x];
    }
    return x;
  }
}

/** The step with numbers in the order in which `Plan.write` puts them, as a new Plan takes it. */
export function stepWith(record: StepRecord, numbers: Float32Array): Step {
  const { kind, block, choice, inverse = false, length = 0, out = 0, inner = 0, groups = 1, runs } = record;
  if (kind === "scale") return { kind, by: numbers };
  if (kind === "resize") return { kind, length };
  if (kind === "hadamard") return { kind, block, choice, inverse };
  if (kind === "left") return { kind, matrix: numbers, out, inner };
  return { kind, matrix: numbers, out, inner, groups, ...(runs !== undefined && { runs }) };
}

/** H_k across the rows of each block [k, size]. */
function mix({ exports, arena }: Engine, { from, k, size, inverse }: Stage, x: number, y: number, table: number): void {
  const bytes = k * size * FLOAT;
  if (size < 4) {
    const h = matrixOf(k);
    const start = table / FLOAT;
    for (let i = 0; i < k * k; i++) {
      arena.floats[start + i] = h[inverse ? (i % k) * k + Math.floor(i / k) : i] as number;
    }
    for (let i = 0; i < from * FLOAT; i += bytes) exports.transform_product(table, x + i, y + i, k, k, size);
    return;
  }
  arena.bytes.set(new Uint8Array(signOffsets(k, inverse).buffer), table);
  const tables = table + align(k * k * FLOAT);
  for (let i = 0; i < from * FLOAT; i += bytes) exports.transform_signs(x + i, y + i, table, tables, k, size);
}

function numbersOf(step: Step): Float32Array {
  if (step.kind === "scale") return step.by;
  return step.kind === "left" || step.kind === "right" ? step.matrix : NONE;
}

function stepOf({ kind, to, out, inner, groups, runs, k, size, choice, inverse }: Stage, numbers: Float32Array): Step {
  switch (kind) {
    case "scale":
      return { kind, by: numbers };
    case "resize":
      return { kind, length: to };
    case "hadamard":
      return { kind, block: k * size, inverse, ...(choice && { choice }) };
    case "left":
      return { kind, matrix: numbers, out, inner };
    case "right": {
      const matrix = new Float32Array(numbers.length);
      transposeMatrices({ out: inner, inner: out, groups }, numbers, matrix);
      return { kind, matrix, out, inner, groups, runs };
    }
  }
}

function stageOf(where: string, step: Step, from: number, at: number): Stage {
  const { kind } = step;
  const count = numbersOf(step)?.length;
  const stage: Stage = {
    kind,
    from,
    to: from,
    at,
    count,
    out: 1,
    inner: 1,
    groups: 1,
    runs: 1,
    k: 1,
    size: 1,
    choice: undefined,
    inverse: false,
  };
  switch (kind) {
    case "scale":
      checkNumbers(`${where}: by`, step.by, from, "one a number");
      return stage;
    case "resize":
      return { ...stage, to: checkInteger(`${where}: length`, step.length, 1, MAX_COLS) };
    case "hadamard": {
      const { block = from, choice, inverse = false } = step;
      const name = step.block === undefined ? "n" : "block";
      const k = orderOf(`${where}: ${name}`, block, choice);
      checkMultiple(`${where}: n`, from, block, "block");
      return { ...stage, k, size: block / k, choice, inverse };
    }
    case "left":
    case "right": {
      const { matrix, out, inner } = step;
      const groups = step.kind === "right" ? (step.groups ?? 1) : 1;
      checkInteger(`${where}: out`, out, 1, MAX_COLS);
      checkInteger(`${where}: inner`, inner, 1, MAX_COLS);
      checkInteger(`${where}: groups`, groups, 1, MAX_COLS);
      checkNumbers(`${where}: matrix`, matrix, groups * out * inner, `out ${out} x inner ${inner}`);
      const given = step.kind === "right" ? step.runs : undefined;
      const shares = given === undefined ? groups : 1;
      checkMultiple(`${where}: n`, from, inner * shares, shares === 1 ? "inner" : "inner x groups");
      const all = from / inner;
      const runs = given === undefined ? all / groups : checkInteger(`${where}: runs`, given, 1, MAX_COLS);
      if (Math.ceil(all / runs) !== groups) {
        throw rangeError(`${where}: groups`, `${Math.ceil(all / runs)} (${all} runs by ${runs})`, String(groups));
      }
      return { ...stage, to: all * out, out, inner, groups, runs };
    }
  }
}

function checkNumbers(where: string, values: unknown, length: number, shape: string): void {
  if (!(values instanceof Float32Array)) throw typeError(where, "a Float32Array", values);
  if (values.length !== length) throw rangeError(where, `length ${length} (${shape})`, String(values.length));
  checkFinite(where, values);
}

function checkMultiple(where: string, length: number, of: number, name: string): void {
  if (length % of === 0) return;
  const below = length - (length % of);
  const near = below === 0 ? `${of} works` : `${below} and ${below + of} work`;
  throw rangeError(where, `a length that is a multiple of ${of} (${name})`, `${length} (${near})`);
}

interface Matrices {
  readonly out: number;
  readonly inner: number;
  readonly groups?: number;
}

/** [groups][out, inner] to [groups][inner, out]. */
function transposeMatrices({ out, inner, groups = 1 }: Matrices, matrix: Float32Array, to: Float32Array): void {
  for (let g = 0, first = 0; g < groups; g++, first += out * inner) {
    for (let o = 0; o < out; o++) {
      for (let i = 0; i < inner; i++) to[first + i * out + o] = matrix[first + o * inner + i] as number;
    }
  }
}

function transposedStep(step: Step, from: number): Step {
  if (step.kind === "scale") return step;
  if (step.kind === "resize") return { kind: "resize", length: from };
  if (step.kind === "hadamard") return { ...step, inverse: step.inverse !== true };
  const matrix = new Float32Array(step.matrix.length);
  transposeMatrices(step, step.matrix, matrix);
  return { ...step, matrix, out: step.inner, inner: step.out };
}
