// Matrices whose activations are rotated or projected on the way in, and perhaps on the way out:
//
//   y = Post · Σ_i factor_i · W_i · (Pre · x)        gemv = post(Σ_i inner_i.gemv(pre(x)) · factor_i)
//
// W_i are ordinary packed matrices [innerRows, innerCols] that see the same Pre · x. Pre and Post are chains of steps
// (src/transforms/steps.ts), each applied to what the one before left:
//
//   QuIP#   pre  [{ kind: "scale", by: su }, { kind: "hadamard" }]
//           post [{ kind: "hadamard", inverse: true }, { kind: "scale", by: sv }]
//   EXL3    the same with `block: 128`
//   lift    pre  [{ kind: "resize", length: t1 * t2 }, { kind: "scale", by: 1 / a1 }, { kind: "right", matrix: R, out, inner: t2 },
//                 { kind: "left", matrix: w1, out: t1, inner: t1 }, { kind: "scale", by: a2 }],   out = t2 · D / d
//   GLVQ    pre  [{ kind: "right", matrix: Gᵀ, out: d, inner: d, groups }]
//
// How to make one, from a format's `pack`:
//
//   const matrix = makeRotated(where, lb, { label, rows, cols, pre, post, inners: [{ matrix: inner }] });
//
// It takes the inner matrices over, also when it throws: then they are disposed of. Steps run in float32 without relaxed
// operations, so int8 contracts stay bit-identical on both binaries.
import type { Activation } from "../kernels/types.ts";
import { checkFinite, checkGemm, checkGemv, rangeError } from "../lib/check.ts";
import { type Engine, engineOf } from "../runtime/engine.ts";
import { Plan, type Step } from "../transforms/steps.ts";
import { align } from "./activations.ts";
import { addBranches, type Branches } from "./branches.ts";
import { PackedMatrix } from "./packed.ts";
import { extendSide, type Side } from "./side.ts";
import { goneError, type Matrix } from "./spec.ts";

export interface Inner {
  readonly matrix: Matrix;
  /** Multiplies its result. Default 1. */
  readonly factor?: number;
}

export interface RotatedSpec {
  /** `matrix.format` */
  readonly label: string;
  readonly rows: number;
  readonly cols: number;
  /** From cols numbers to the cols of the inner matrices. */
  readonly pre: readonly Step[];
  /** From the rows of the inner matrices to rows numbers. */
  readonly post: readonly Step[];
  /** One or several of the same shape. */
  readonly inners: readonly Inner[];
}

/**
 * Makes a rotated matrix of inner ones, which belong to it from then on; if this throws they are disposed of.
 *
 * @throws TypeError, RangeError for steps that do not fit, NaN or Infinity in their numbers; OutOfMemoryError
 */
export function makeRotated(where: string, lb: unknown, spec: RotatedSpec): Matrix {
  try {
    const engine = engineOf(where, lb);
    const { rows, cols, inners } = spec;
    const { matrix: first } = inners[0] as Inner;
    for (const { matrix } of inners) {
      if (matrix.rows === first.rows && matrix.cols === first.cols) continue;
      throw rangeError(`${where}: inners`, `${first.rows} x ${first.cols}`, `${matrix.rows} x ${matrix.cols}`);
    }
    const pre = new Plan(`${where}: pre`, spec.pre, cols, first.cols);
    const post = new Plan(`${where}: post`, spec.post, first.rows, rows);
    const { arena } = engine;
    const bytes = pre.parameterBytes + post.parameterBytes;
    const address = bytes > 0 ? arena.allocate(bytes) : 0;
    // Steps are padded.
    arena.bytes.fill(0, address, address + bytes);
    pre.write(spec.pre, arena.floats, address);
    post.write(spec.post, arena.floats, address + pre.parameterBytes);
    return new RotatedMatrix(engine, { ...spec, pre, post, bytes }, address);
  } catch (error) {
    for (const { matrix } of spec.inners) matrix.dispose();
    throw error;
  }
}

interface Parts {
  readonly label: string;
  readonly rows: number;
  readonly cols: number;
  readonly pre: Plan;
  readonly post: Plan;
  readonly inners: readonly Inner[];
  /** Bytes of the numbers of both plans. */
  readonly bytes: number;
}

/** Tokens that are rotated before the inner matrices see them: as many as those take at once. */
const PASS_TOKENS = 128;
/** Columns of a dense matrix that go through Post together, so that each row's cache line is read once. */
const DENSE_COLS = 16;

// Numbers of steps that the collector finds before dispose() does; inner matrices see to themselves.
const abandoned = /* @__PURE__ */ new FinalizationRegistry<() => void>((release) => release());

// What lies between Pre and Post for one token: a buffer for all matrices of an engine. It is taken out while it is in
// use, so that a rotated matrix within another finds none and makes its own.
const buffers = /* @__PURE__ */ new WeakMap<Engine, Float32Array>();

function takeBuffer(engine: Engine, length: number): Float32Array {
  const kept = buffers.get(engine);
  buffers.delete(engine);
  return kept && kept.length >= length ? kept : new Float32Array(length);
}

class RotatedMatrix implements Matrix {
  readonly format: string;
  readonly rows: number;
  readonly cols: number;
  readonly byteLength: number;
  readonly activation: Activation;
  readonly kernel: string;
  readonly gemmKernel: string;
  readonly #engine: Engine;
  readonly #parts: Parts;
  readonly #address: number;
  readonly #side: Side | undefined;
  readonly #straight: boolean;
  #gone: string | undefined;

  /** Takes over the inner matrices, the region at `address` (parts.bytes bytes), and that of the branches. */
  constructor(engine: Engine, parts: Parts, address: number, side?: Side) {
    const { inners, bytes } = parts;
    const { matrix: first } = inners[0] as Inner;
    this.#engine = engine;
    this.#parts = parts;
    this.#address = address;
    this.#side = side;
    const [{ matrix: inner, factor }] = inners as [Inner];
    this.#straight =
      inners.length === 1 && factor === undefined && !side && parts.post.empty && inner instanceof PackedMatrix;
    this.format = parts.label;
    this.rows = parts.rows;
    this.cols = parts.cols;
    this.activation = first.activation;
    this.kernel = first.kernel;
    this.gemmKernel = first.gemmKernel;
    this.byteLength = inners.reduce((sum, { matrix }) => sum + matrix.byteLength, bytes + (side?.layout.bytes ?? 0));
    const { arena } = engine;
    const release = (): void => {
      if (bytes > 0) arena.release(address);
      side?.release();
    };
    abandoned.register(this, release, this);
  }

  get bitsPerWeight(): number {
    return (this.byteLength * 8) / (this.rows * this.cols);
  }

  gemv(x: Float32Array, out?: Float32Array): Float32Array {
    const where = `${this.format}.gemv`;
    this.#live(where);
    checkGemv(where, this, x, out);
    if (this.#straight) return this.#gemvStraight(where, x, out ?? new Float32Array(this.rows));
    return this.#product(where, x, 1, out);
  }

  gemm(x: Float32Array, n: number, out?: Float32Array): Float32Array {
    const where = `${this.format}.gemm`;
    this.#live(where);
    checkGemm(where, this, x, n, out);
    // One pass looks at its tokens before it writes; several must not find NaN in the middle of `out`.
    if (n > PASS_TOKENS) checkFinite(`${where}: x`, x);
    const y = out ?? new Float32Array(n * this.rows);
    for (const { xs, count, ys } of this.#passes(x, n, y)) this.#product(where, xs, count, ys);
    return y;
  }

  async gemvAsync(x: Float32Array, out?: Float32Array): Promise<Float32Array> {
    const where = `${this.format}.gemvAsync`;
    this.#live(where);
    checkGemv(where, this, x, out);
    return this.#productAsync(where, x.slice(), 1, out ?? new Float32Array(this.rows));
  }

  async gemmAsync(x: Float32Array, n: number, out?: Float32Array): Promise<Float32Array> {
    const where = `${this.format}.gemmAsync`;
    this.#live(where);
    checkGemm(where, this, x, n, out);
    if (n > PASS_TOKENS) checkFinite(`${where}: x`, x);
    const kept = x.slice();
    const y = out ?? new Float32Array(n * this.rows);
    for (const { xs, count, ys } of this.#passes(kept, n, y)) await this.#productAsync(where, xs, count, ys);
    return y;
  }

  // Parts of a gemm whose tokens are rotated before the inner matrices see them.
  #passes(x: Float32Array, n: number, y: Float32Array): { xs: Float32Array; count: number; ys: Float32Array }[] {
    const { rows, cols } = this;
    return Array.from({ length: Math.ceil(n / PASS_TOKENS) }, (_, i) => {
      const token = i * PASS_TOKENS;
      const end = Math.min(token + PASS_TOKENS, n);
      const xs = x.subarray(token * cols, end * cols);
      return { xs, count: end - token, ys: y.subarray(token * rows, end * rows) };
    });
  }

  dequantize(): Float32Array {
    this.#live(`${this.format}.dequantize`);
    const w = this.#dense();
    const branches = this.#side?.read();
    if (branches) addBranches(w, branches, this.rows, this.cols);
    return w;
  }

  /** A copy of what is stored: the inner matrices one after the other, then the numbers of Pre and Post. For tests. */
  packed(): Uint8Array {
    this.#live(`${this.format}.packed`);
    const { inners, bytes } = this.#parts;
    const out = new Uint8Array(inners.reduce((sum, { matrix }) => sum + matrix.byteLength, bytes));
    let at = 0;
    for (const { matrix } of inners) {
      out.set((matrix as PackedMatrix).packed(), at);
      at += matrix.byteLength;
    }
    out.set(this.#engine.arena.bytes.subarray(this.#address, this.#address + bytes), at);
    return out;
  }

  with(added: Branches): Matrix {
    const where = `${this.format}.with`;
    this.#live(where);
    const { cols } = this;
    let dense: Float32Array | undefined;
    const weightAt = (row: number, col: number): number => {
      dense ??= this.#dense();
      return dense[row * cols + col] as number;
    };
    const side = extendSide(where, this.#engine, [this.rows, cols], this.#side, added, weightAt);
    const matrix = new RotatedMatrix(this.#engine, this.#parts, this.#address, side);
    this.#side?.release();
    abandoned.unregister(this);
    this.#gone = "was taken over by with()";
    return matrix;
  }

  dispose(): void {
    if (this.#gone !== undefined) return;
    abandoned.unregister(this);
    const { arena } = this.#engine;
    if (this.#parts.bytes > 0) arena.release(this.#address);
    this.#side?.release();
    for (const { matrix } of this.#parts.inners) matrix.dispose();
    this.#gone = "was disposed";
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #live(where: string): void {
    if (this.#gone === undefined) return;
    throw goneError(where, this, this.#gone);
  }

  // One matrix with nothing behind it reads what Pre leaves where it is, and writes y itself.
  #gemvStraight(where: string, x: Float32Array, y: Float32Array): Float32Array {
    const { pre, inners } = this.#parts;
    const { matrix } = inners[0] as Inner;
    (matrix as PackedMatrix).gemvFrom(
      {
        scratchBytes: pre.scratchBytes,
        load: (scratch) => {
          this.#engine.arena.floats.set(x, scratch / 4);
          return pre.run(this.#engine, this.#address, scratch);
        },
        refusal: () => notFinite(where, x),
      },
      y,
    );
    return y;
  }

  #product(where: string, x: Float32Array, n: number, out: Float32Array | undefined): Float32Array {
    const { pre, post, inners } = this.#parts;
    const length = n * (pre.to + post.from);
    const taken = n === 1 ? takeBuffer(this.#engine, length) : new Float32Array(length);
    const rotated = taken.subarray(0, n * pre.to);
    this.#pre(where, x, n, rotated);
    const [first, ...others] = inners as [Inner, ...Inner[]];
    const y = out ?? new Float32Array(n * this.rows);
    const direct = post.isIdentity && !this.#side;
    const sums = direct ? y : taken.subarray(n * pre.to, n * (pre.to + post.from));
    if (n === 1) first.matrix.gemv(rotated, sums);
    else first.matrix.gemm(rotated, n, sums);
    if (first.factor !== undefined) scale(sums, first.factor);
    for (const { matrix, factor = 1 } of others) {
      addScaled(sums, n === 1 ? matrix.gemv(rotated) : matrix.gemm(rotated, n), factor);
    }
    if (!direct) this.#post(x, n, sums, y);
    if (n === 1) buffers.set(this.#engine, taken);
    return y;
  }

  // The same, but that the inner matrices take turns with other calls, which may use any buffer.
  async #productAsync(where: string, x: Float32Array, n: number, y: Float32Array): Promise<Float32Array> {
    const { pre, post, inners } = this.#parts;
    this.#live(where);
    const rotated = new Float32Array(n * pre.to);
    this.#pre(where, x, n, rotated);
    const direct = post.isIdentity && !this.#side;
    const sums = direct ? y : new Float32Array(n * post.from);
    for (const [i, { matrix, factor = 1 }] of inners.entries()) {
      const product = await matrix.gemmAsync(rotated, n, i === 0 ? sums : undefined);
      if (i > 0) addScaled(sums, product, factor);
      else if (factor !== 1) scale(sums, factor);
    }
    this.#live(where);
    if (!direct) this.#post(x, n, sums, y);
    return y;
  }

  // x, scaled, through Pre.
  #pre(where: string, x: Float32Array, n: number, rotated: Float32Array): void {
    const { cols } = this;
    const { pre } = this.#parts;
    const { exports, arena, scratchBytes } = this.#engine;
    const scratch = this.#engine.scratch(pre.scratchBytes + align(pre.to * 4));
    const { floats } = arena;
    for (let token = 0; token < n; token++) {
      floats.set(n === 1 ? x : x.subarray(token * cols, (token + 1) * cols), scratch / 4);
      this.#side?.scale(scratch, scratch);
      const at = pre.run(this.#engine, this.#address, scratch) / 4;
      const padded = Math.ceil(pre.to / 8) * 8;
      floats.fill(0, at + pre.to, at + padded);
      // NaN and Infinity reach every number that they meet, and 0 · Infinity is NaN: none is lost on the way.
      if (!Number.isFinite(exports.absmax(at * 4, padded))) {
        this.#engine.shrinkScratch(scratchBytes);
        throw notFinite(where, x);
      }
      rotated.set(floats.subarray(at, at + pre.to), token * pre.to);
    }
  }

  // Sums of the inner matrices through Post, and the branches.
  #post(x: Float32Array, n: number, sums: Float32Array, y: Float32Array): void {
    const { rows, cols } = this;
    const { pre, post } = this.#parts;
    const { arena } = this.#engine;
    const side = this.#side;
    const sideBytes = side?.tokenBytes ?? 0;
    // Branches are added to padded rows too.
    const yBytes = side ? align(side.layout.paddedRows * 4) : 0;
    const sideAt = this.#engine.scratch(sideBytes + yBytes + post.scratchBytes);
    const scratch = sideAt + sideBytes + yBytes;
    const { floats } = arena;
    for (let token = 0; token < n; token++) {
      floats.set(n === 1 ? sums : sums.subarray(token * post.from, (token + 1) * post.from), scratch / 4);
      let at = post.run(this.#engine, this.#address + pre.parameterBytes, scratch);
      if (side) {
        const result = sideAt + sideBytes;
        floats.copyWithin(result / 4, at / 4, at / 4 + rows);
        at = result;
        side.load(x.subarray(token * cols, (token + 1) * cols), sideAt);
        side.add(at, side.layout.paddedRows, sideAt);
      }
      y.set(floats.subarray(at / 4, at / 4 + rows), token * rows);
    }
  }

  // Post · Σ factor · W · Pre, without branches: each row of the inner matrices through the transpose of Pre, then each
  // column through Post.
  #dense(): Float32Array {
    const { rows, cols } = this;
    const { pre, post, inners } = this.#parts;
    const { arena } = this.#engine;
    const [first, ...others] = inners as [Inner, ...Inner[]];
    const inner = first.matrix.dequantize();
    if (first.factor !== undefined) scale(inner, first.factor);
    for (const { matrix, factor = 1 } of others) addScaled(inner, matrix.dequantize(), factor);
    const steps = pre.transposed(arena.floats, this.#address);
    const back = new Plan(`${this.format}.dequantize`, steps, pre.to, cols);
    const backAt = align(Math.max(back.scratchBytes, post.scratchBytes));
    const { scratchBytes } = this.#engine;
    const scratch = this.#engine.scratch(backAt + back.parameterBytes);
    const { floats } = arena;
    back.write(steps, floats, scratch + backAt);
    const tall = new Float32Array(post.from * cols);
    for (let row = 0; row < post.from; row++) {
      floats.set(inner.subarray(row * pre.to, (row + 1) * pre.to), scratch / 4);
      const at = back.run(this.#engine, scratch + backAt, scratch) / 4;
      tall.set(floats.subarray(at, at + cols), row * cols);
    }
    const w = new Float32Array(rows * cols);
    const columns = new Float32Array(DENSE_COLS * Math.max(rows, post.from));
    for (let col = 0; col < cols; col += DENSE_COLS) {
      const count = Math.min(DENSE_COLS, cols - col);
      for (let row = 0; row < post.from; row++) {
        for (let c = 0; c < count; c++) columns[c * post.from + row] = tall[row * cols + col + c] as number;
      }
      for (let c = 0; c < count; c++) {
        floats.set(columns.subarray(c * post.from, (c + 1) * post.from), scratch / 4);
        const at = post.run(this.#engine, this.#address + pre.parameterBytes, scratch) / 4;
        for (let row = 0; row < rows; row++) w[row * cols + col + c] = floats[at + row] as number;
      }
    }
    this.#engine.shrinkScratch(scratchBytes);
    return w;
  }
}

function notFinite(where: string, x: Float32Array): Error {
  try {
    checkFinite(`${where}: x`, x);
  } catch (error) {
    return error as Error;
  }
  return rangeError(`${where}: x`, "numbers that stay finite when rotated", "some that do not");
}

function scale(values: Float32Array, factor: number): void {
  for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) * factor;
}

/** to += from · factor */
function addScaled(to: Float32Array, from: Float32Array, factor: number): void {
  for (let i = 0; i < to.length; i++) to[i] = (to[i] as number) + (from[i] as number) * factor;
}
