// A matrix as callers have it: what is checked of their arguments, and when it is theirs no more. What it does is in core.ts.
//
// Declarations name Symbol.dispose, which the default libraries of TypeScript lack.
/// <reference lib="esnext.disposable" preserve="true" />
import type { Activation } from "../kernels/types.ts";
import { isGone, kindOf, lengthOf } from "../lib/arrays.ts";
import { checkFloats, checkInteger, MAX_ROWS, rangeError, typeError } from "../lib/check.ts";
import { type Branches, checkBranches } from "./branches.ts";
import { type Core, dequantizeRows, weightReader } from "./core.ts";
import { SHORT } from "./passes.ts";
import { extendSide } from "./side.ts";
import { goneError, type Ids, type Matrix } from "./spec.ts";

// Weights that the collector finds before dispose() does. A backstop only: nothing says when, or whether, it runs.
const abandoned = /* @__PURE__ */ new FinalizationRegistry<Core>((core) => core.release());

let behind: (matrix: PackedMatrix) => Core;

export class PackedMatrix implements Matrix {
  declare readonly format: string;
  declare readonly rows: number;
  declare readonly cols: number;
  declare readonly bitsPerWeight: number;
  declare readonly byteLength: number;
  declare readonly activation: Activation;
  declare readonly kernel: string;
  declare readonly gemmKernel: string;
  declare readonly dispose: () => void;
  readonly #core: Core;

  static {
    behind = (matrix) => matrix.#core;
  }

  /** Takes over what is behind it. */
  constructor(core: Core) {
    const { label: format, rows, cols, bytes: byteLength, activation, kernel, gemmKernel } = core;
    this.#core = core;
    defineReadOnly(this, {
      ...{ format, rows, cols, bitsPerWeight: (byteLength * 8) / (rows * cols), byteLength },
      ...{ activation, kernel, gemmKernel, dispose: () => this.#dispose() },
    });
    abandoned.register(this, core, this);
  }

  gemv(x: Float32Array, out?: Float32Array): Float32Array {
    const core = this.#core;
    const { rows, cols } = core;
    const where = `${core.label}.gemv`;
    if (core.gone !== undefined) throw this.#goneError(where);
    const from = isPlain(x, cols) ? x : checkFloats(`${where}: x`, x, cols, `cols ${cols}`);
    if (out === undefined) {
      const y = new Float32Array(rows);
      core.multiply(where, from, 1, y);
      return y;
    }
    const short = rows <= SHORT && isPlain(out, rows);
    core.multiply(where, from, 1, short ? out : checkFloats(`${where}: out`, out, rows, `rows ${rows}`));
    return out;
  }

  gemm(x: Float32Array, n: number, out?: Float32Array): Float32Array {
    const where = `${this.#core.label}.gemm`;
    const core = this.#live(where);
    const { xs, ys } = checkGemm(where, core, x, n, out);
    // What is written before all of x was read, or before the last thing that can fail, goes elsewhere first.
    const y = ys && core.writesLast(n) ? ys : new Float32Array(n * core.rows);
    core.multiply(where, xs, n, y);
    if (ys && ys !== y) ys.set(y);
    return out ?? y;
  }

  gemvAsync(x: Float32Array, out?: Float32Array): Promise<Float32Array> {
    return this.#multiplyAsync("gemvAsync", x, undefined, out);
  }

  gemmAsync(x: Float32Array, n: number, out?: Float32Array): Promise<Float32Array> {
    return this.#multiplyAsync("gemmAsync", x, n, out);
  }

  async #multiplyAsync(op: string, x: unknown, tokens: unknown, out?: Float32Array): Promise<Float32Array> {
    const where = `${this.#core.label}.${op}`;
    const core = this.#live(where);
    const { rows, cols } = core;
    const one = op === "gemvAsync";
    const n = one ? 1 : (tokens as number);
    const { xs, ys } = one
      ? {
          xs: checkFloats(`${where}: x`, x, cols, `cols ${cols}`),
          ys: out === undefined ? undefined : checkFloats(`${where}: out`, out, rows, `rows ${rows}`),
        }
      : checkGemm(where, core, x, tokens, out);
    const y = new Float32Array(n * rows);
    await core.multiplyAsync(where, new Float32Array(xs), n, y);
    if (!ys) return y;
    checkStill(`${where}: out`, ys, n * rows);
    ys.set(y);
    return out as Float32Array;
  }

  dequantize(): Float32Array {
    const core = this.#live(`${this.#core.label}.dequantize`);
    const w = new Float32Array(core.rows * core.cols);
    const all = Uint32Array.from({ length: core.rows }, (_, row) => row);
    core.engine.guarded(() => dequantizeRows(core, all, w));
    return w;
  }

  dequantizeRows(ids: Ids, out?: Float32Array): Float32Array {
    const where = `${this.#core.label}.dequantizeRows`;
    const { rows, cols } = this.#live(where);
    const checked = checkIds(where, ids, rows);
    // Reading a list may have run code of the caller's.
    const core = this.#live(where);
    const length = checked.length * cols;
    const ys = out === undefined ? undefined : checkFloats(`${where}: out`, out, length, shapeOf(checked, cols));
    const y = ys && core.rowBlock === 1 ? ys : new Float32Array(length);
    core.engine.guarded(() => dequantizeRows(core, checked, y));
    if (ys && ys !== y) ys.set(y);
    return out ?? y;
  }

  with(added: Branches): Matrix {
    const where = `${this.#core.label}.with`;
    const { rows, cols } = this.#live(where);
    const branches = checkBranches(where, added, rows, cols);
    // Reading them may have run code of the caller's; from here on none does.
    const core = this.#live(where);
    core.engine.settle();
    const side = core.engine.guarded(() =>
      extendSide(where, core.engine, rows, cols, core.side, branches, weightReader(core)),
    );
    const matrix = new PackedMatrix(core.extended(side));
    abandoned.unregister(this);
    return matrix;
  }

  #dispose(): void {
    if (this.#core.gone !== undefined) return;
    abandoned.unregister(this);
    this.#core.release();
  }

  [Symbol.dispose](): void {
    this.#dispose();
  }

  #live(where: string): Core {
    if (this.#core.gone !== undefined) throw this.#goneError(where);
    return this.#core;
  }

  #goneError(where: string): TypeError {
    const { label, rows, cols, gone } = this.#core;
    return goneError(where, label, rows, cols, gone);
  }
}

/** What is behind a matrix of this package. */
export function coreOf(where: string, matrix: unknown): Core {
  if (!(matrix instanceof PackedMatrix)) throw typeError(`${where}: matrix`, "a matrix of this package", matrix);
  const core = behind(matrix);
  if (core.gone !== undefined) throw goneError(where, core.label, core.rows, core.cols, core.gone);
  return core;
}

/**
 * Properties that cannot be assigned. One of them is a function, so that structuredClone() and postMessage() refuse the
 * object, of which they would make one without what is behind it.
 */
export function defineReadOnly(object: object, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) Object.defineProperty(object, name, { value, enumerable: true });
}

// An array of this realm and of that very length. What it says of itself may still be another's word: see Core.multiply.
function isPlain(value: unknown, length: number): value is Float32Array {
  return (
    kindOf(value) === "Float32Array" &&
    lengthOf(value as Float32Array) === length &&
    Object.getPrototypeOf(value) === Float32Array.prototype
  );
}

function checkGemm(
  where: string,
  { rows, cols }: Core,
  x: unknown,
  n: unknown,
  out: unknown,
): { xs: Float32Array; ys: Float32Array | undefined } {
  const tokens = checkInteger(`${where}: n`, n, 1, 2 ** 31 - 1);
  const xs = checkFloats(`${where}: x`, x, tokens * cols, `n ${tokens} x cols ${cols}`);
  if (out === undefined) return { xs, ys: undefined };
  return { xs, ys: checkFloats(`${where}: out`, out, tokens * rows, `n ${tokens} x rows ${rows}`) };
}

/** Refuses a view of ours whose memory has gone, or become too short for it, since it was checked. */
export function checkStill(where: string, view: Float32Array, length: number): void {
  if (!isGone(view) && view.length === length) return;
  throw rangeError(where, `length ${length} until the call is done`, "memory that was detached or has shrunk");
}

const shapeOf = (ids: Uint32Array, cols: number): string => `ids ${ids.length} x cols ${cols}`;

const ID_KINDS = ["Int8", "Uint8", "Uint8Clamped", "Int16", "Uint16", "Int32", "Uint32", "BigInt64", "BigUint64"];

/** Row numbers below `rows` as a copy: what is in a list is read once. */
export function checkIds(where: string, ids: unknown, rows: number): Uint32Array {
  const kind = kindOf(ids);
  const typed = kind !== undefined && ID_KINDS.some((one) => kind === `${one}Array`) && !isGone(ids as ArrayBufferView);
  if (!typed && !Array.isArray(ids)) throw typeError(`${where}: ids`, "an array of integers", ids);
  const given = typed ? lengthOf(ids as ArrayBufferView) : (ids as unknown[]).length;
  const length = checkInteger(`${where}: ids: length`, given, 0, MAX_ROWS);
  return Uint32Array.from({ length }, (_, i) => {
    const id = (ids as ArrayLike<unknown>)[i];
    const index = typeof id === "bigint" ? Number(id) : id;
    return checkInteger(`${where}: ids[${i}]`, index, 0, rows - 1);
  });
}
