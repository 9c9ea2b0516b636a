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
import { viewOf } from "../lib/arrays.ts";
import { checkFinite, rangeError } from "../lib/check.ts";
import { type Engine, engineOf } from "../runtime/engine.ts";
import { Plan, type Step } from "../transforms/steps.ts";
import { align } from "./activations.ts";
import { type Core, dequantizeRows, TAKEN_OVER } from "./core.ts";
import { coreOf, PackedMatrix } from "./packed.ts";
import { PackedCore } from "./packed-core.ts";
import { copyResults } from "./passes.ts";
import type { StoredCore, StoredRegion } from "./record.ts";
import type { Side } from "./side.ts";
import { DISPOSED, goneError, type Matrix } from "./spec.ts";

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
    return new PackedMatrix(new RotatedCore(engine, { ...spec, pre, post, bytes }, address));
  } catch (error) {
    for (const { matrix } of spec.inners) matrix.dispose();
    throw error;
  }
}

/**
 * The same where the numbers of the steps are in linear memory already, as `stored` of another has them.
 *
 * @param pre a plan of as many numbers
 * @param address of the numbers; 0 where there are none
 */
export function rotatedAt(
  engine: Engine,
  spec: Pick<RotatedSpec, "label" | "rows" | "cols" | "inners">,
  pre: Plan,
  post: Plan,
  address: number,
  side: Side | undefined,
): PackedMatrix {
  const bytes = pre.parameterBytes + post.parameterBytes;
  return new PackedMatrix(new RotatedCore(engine, { ...spec, pre, post, bytes }, address, side));
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

// What lies between Pre and Post for one token: a buffer for all matrices of an engine. It is taken out while it is in
// use, so that a rotated matrix within another finds none and makes its own.
const buffers = /* @__PURE__ */ new WeakMap<Engine, Float32Array>();

function takeBuffer(engine: Engine, length: number): Float32Array {
  const kept = buffers.get(engine);
  buffers.delete(engine);
  return kept && kept.length >= length ? kept : new Float32Array(length);
}

class RotatedCore implements Core {
  readonly engine: Engine;
  readonly label: string;
  readonly rows: number;
  readonly cols: number;
  readonly activation: Activation;
  readonly kernel: string;
  readonly gemmKernel: string;
  readonly bytes: number;
  readonly side: Side | undefined;
  readonly rowBlock: number;
  gone: string | undefined;
  readonly #parts: Parts;
  readonly #inners: readonly [InnerCore, ...InnerCore[]];
  readonly #address: number;
  /** The only inner matrix, where it may write y itself from what Pre leaves in linear memory. */
  readonly #straight: PackedCore | undefined;
  /** Whether the first inner matrix may write y itself. */
  readonly #direct: boolean;

  /** Takes over the inner matrices, the region at `address` (parts.bytes bytes), and that of the branches. */
  constructor(engine: Engine, parts: Parts, address: number, side?: Side) {
    const { inners, bytes, post } = parts;
    this.engine = engine;
    this.#parts = parts;
    this.#inners = inners.map(({ matrix, factor }) => ({
      core: coreOf(parts.label, matrix),
      factor,
    })) as unknown as readonly [InnerCore, ...InnerCore[]];
    this.#address = address;
    this.side = side;
    const [{ core: first, factor }] = this.#inners;
    this.#direct = post.isIdentity && !side && inners.length === 1;
    const straight = this.#direct && factor === undefined && first instanceof PackedCore && first.takesSources;
    this.#straight = straight ? first : undefined;
    this.label = parts.label;
    this.rows = parts.rows;
    this.cols = parts.cols;
    this.rowBlock = post.mixed;
    this.activation = first.activation;
    this.kernel = first.kernel;
    this.gemmKernel = first.gemmKernel;
    this.bytes = this.#inners.reduce((sum, { core }) => sum + core.bytes, bytes + (side?.layout.bytes ?? 0));
  }

  writesLast(n: number): boolean {
    return n === 1;
  }

  multiply(where: string, x: Float32Array, n: number, y: Float32Array): void {
    if (n === 1 && this.#straight) this.#multiplyStraight(this.#straight, where, x, y);
    else this.engine.guarded(() => this.#multiplyMany(where, x, n, y));
  }

  #multiplyMany(where: string, x: Float32Array, n: number, y: Float32Array): void {
    if (n > PASS_TOKENS) checkFinite(`${where}: x`, x);
    for (const { xs, count, ys } of this.#passes(x, n, y)) this.#product(where, xs, count, ys);
  }

  async multiplyAsync(where: string, x: Float32Array, n: number, y: Float32Array): Promise<void> {
    if (n > PASS_TOKENS) checkFinite(`${where}: x`, x);
    for (const { xs, count, ys } of this.#passes(x, n, y)) await this.#productAsync(where, xs, count, ys);
  }

  multiplyAt(where: string, x: number, n: number, y: number): void {
    const { rows, cols } = this;
    const results = new Float32Array(n * rows);
    this.multiply(where, this.engine.arena.floats.slice(x / 4, x / 4 + n * cols), n, results);
    this.engine.arena.floats.set(results, y / 4);
  }

  // Parts of a gemm whose tokens are rotated before the inner matrices see them.
  #passes(x: Float32Array, n: number, y: Float32Array): { xs: Float32Array; count: number; ys: Float32Array }[] {
    if (n <= PASS_TOKENS) return [{ xs: x, count: n, ys: y }];
    const { rows, cols } = this;
    return Array.from({ length: Math.ceil(n / PASS_TOKENS) }, (_, i) => {
      const token = i * PASS_TOKENS;
      const end = Math.min(token + PASS_TOKENS, n);
      const xs = x.subarray(token * cols, end * cols);
      return { xs, count: end - token, ys: y.subarray(token * rows, end * rows) };
    });
  }

  packed(): Uint8Array {
    const parts = this.#inners.map(({ core }) => core.packed());
    parts.push(this.engine.arena.bytes.slice(this.#address, this.#address + this.#parts.bytes));
    const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  stored(): StoredCore {
    const { label, rows, cols, pre, post, inners, bytes } = this.#parts;
    const parts = this.#inners.map(({ core }) => core.stored());
    const branches = this.side?.stored();
    const regions: StoredRegion[] = parts.flatMap((part) => part.regions);
    if (bytes > 0) regions.push({ address: this.#address, bytes });
    if (branches) regions.push(branches.region);
    return {
      record: {
        ...{ label, rows, cols, pre: pre.records(), post: post.records() },
        inners: parts.map(({ record: matrix }, i) => {
          const { factor } = inners[i] as Inner;
          return { matrix, ...(factor !== undefined && { factor }) };
        }),
        ...(branches && { branches: branches.record }),
      },
      regions,
    };
  }

  extended(side: Side): Core {
    const core = new RotatedCore(this.engine, this.#parts, this.#address, side);
    this.side?.release();
    this.gone = TAKEN_OVER;
    return core;
  }

  release(): void {
    this.gone = DISPOSED;
    if (this.#parts.bytes > 0) this.engine.arena.release(this.#address);
    this.side?.release();
    for (const { matrix } of this.#parts.inners) matrix.dispose();
  }

  #checkLive(where: string): void {
    if (this.gone !== undefined) throw goneError(where, this.label, this.rows, this.cols, this.gone);
  }

  // One matrix with nothing behind it reads what Pre leaves where it is, and writes y itself.
  #multiplyStraight(inner: PackedCore, where: string, x: Float32Array, y: Float32Array): void {
    const { pre } = this.#parts;
    const source = {
      scratchBytes: pre.scratchBytes,
      load: (scratch: number): number => {
        this.engine.arena.floats.set(x, scratch / 4);
        return pre.run(this.engine, this.#address, scratch);
      },
      refusal: () => notFinite(where, x),
    };
    inner.multiplyFrom(where, source, y);
  }

  #product(where: string, x: Float32Array, n: number, y: Float32Array): void {
    const { pre, post } = this.#parts;
    const length = n * (pre.to + post.from);
    const taken = n === 1 ? takeBuffer(this.engine, length) : new Float32Array(length);
    const rotated = taken.subarray(0, n * pre.to);
    this.#pre(where, x, n, rotated);
    const [{ core: first, factor: firstFactor }, ...others] = this.#inners;
    const sums = this.#direct ? y : taken.subarray(n * pre.to, n * (pre.to + post.from));
    first.multiply(where, rotated, n, sums);
    if (firstFactor !== undefined) scale(sums, firstFactor);
    for (const { core, factor = 1 } of others) {
      const product = new Float32Array(n * post.from);
      core.multiply(where, rotated, n, product);
      addScaled(sums, product, factor);
    }
    if (!this.#direct) this.#post(x, n, sums, y);
    if (n === 1) buffers.set(this.engine, taken);
  }

  // The same, but that the inner matrices take turns with other calls, which may use any buffer.
  async #productAsync(where: string, x: Float32Array, n: number, y: Float32Array): Promise<void> {
    const { pre, post } = this.#parts;
    this.#checkLive(where);
    const rotated = new Float32Array(n * pre.to);
    this.engine.guarded(() => this.#pre(where, x, n, rotated));
    const sums = this.#direct ? y : new Float32Array(n * post.from);
    for (const [i, { core, factor = 1 }] of this.#inners.entries()) {
      const product = i === 0 ? sums : new Float32Array(n * post.from);
      await core.multiplyAsync(where, rotated, n, product);
      this.#checkLive(where);
      if (i > 0) addScaled(sums, product, factor);
      else if (factor !== 1) scale(sums, factor);
    }
    if (!this.#direct) this.engine.guarded(() => this.#post(x, n, sums, y));
  }

  // x, scaled, through Pre.
  #pre(where: string, x: Float32Array, n: number, rotated: Float32Array): void {
    const { cols } = this;
    const { pre } = this.#parts;
    const { exports, arena } = this.engine;
    const scratch = this.engine.scratch(pre.scratchBytes + align(pre.to * 4));
    const { floats } = arena;
    for (let token = 0; token < n; token++) {
      floats.set(n === 1 ? x : x.subarray(token * cols, (token + 1) * cols), scratch / 4);
      this.side?.scale(scratch, scratch);
      const at = pre.run(this.engine, this.#address, scratch) / 4;
      const padded = Math.ceil(pre.to / 8) * 8;
      floats.fill(0, at + pre.to, at + padded);
      // NaN and Infinity reach every number that they meet, and 0 · Infinity is NaN: none is lost on the way.
      if (!Number.isFinite(exports.absmax(at * 4, padded))) throw notFinite(where, x);
      rotated.set(floats.subarray(at, at + pre.to), token * pre.to);
    }
  }

  // Sums of the inner matrices through Post, and the branches.
  #post(x: Float32Array, n: number, sums: Float32Array, y: Float32Array): void {
    const { rows, cols } = this;
    const { pre, post } = this.#parts;
    const { arena } = this.engine;
    const side = this.side;
    const sideBytes = side?.tokenBytes ?? 0;
    // Branches are added to padded rows too.
    const yBytes = side ? align(side.layout.paddedRows * 4) : 0;
    const sideAt = this.engine.scratch(sideBytes + yBytes + post.scratchBytes);
    const scratch = sideAt + sideBytes + yBytes;
    const { floats } = arena;
    for (let token = 0; token < n; token++) {
      floats.set(n === 1 ? sums : sums.subarray(token * post.from, (token + 1) * post.from), scratch / 4);
      let at = post.run(this.engine, this.#address + pre.parameterBytes, scratch);
      if (side) {
        const result = sideAt + sideBytes;
        floats.copyWithin(result / 4, at / 4, at / 4 + rows);
        at = result;
        side.load(n === 1 ? x : x.subarray(token * cols, (token + 1) * cols), sideAt);
        side.add(at, side.layout.paddedRows, sideAt);
      }
      copyResults(floats, at / 4, rows, y, token * rows);
    }
  }

  readRows(ids: Uint32Array, out: Float32Array): void {
    // In their order, so that rows of a block are neighbours.
    const order = Uint32Array.from(ids, (_, i) => i).sort((i, j) => (ids[i] as number) - (ids[j] as number));
    const block = this.rowBlock;
    for (let begin = 0; begin < order.length; ) {
      const id = ids[order[begin] as number] as number;
      const first = id - (id % block);
      let end = begin + 1;
      while (end < order.length && (ids[order[end] as number] as number) < first + block) end++;
      this.#readBlock(first, order.subarray(begin, end), ids, out);
      begin = end;
    }
  }

  // Post · Σ factor · W · Pre for rows of one block that starts at row `first`: each row of the inner matrices through the
  // transpose of Pre, then each column through that part of Post. `which` are places in ids and out.
  #readBlock(first: number, which: Uint32Array, ids: Uint32Array, out: Float32Array): void {
    const { cols, engine, rowBlock } = this;
    const { pre, post } = this.#parts;
    const { arena } = engine;
    const whole = rowBlock >= this.rows;
    const count = whole ? post.from : Math.min(rowBlock, this.rows - first);
    const postSteps = post.partOf(arena.floats, this.#address + pre.parameterBytes, whole ? 0 : first, count);
    const through = new Plan(`${this.label}.dequantize`, postSteps, count);
    const steps = pre.transposed(arena.floats, this.#address);
    const back = new Plan(`${this.label}.dequantize`, steps, pre.to, cols);
    const backAt = align(Math.max(back.scratchBytes, through.scratchBytes));
    const scratch = engine.scratch(backAt + back.parameterBytes + through.parameterBytes);
    const throughAt = scratch + backAt + back.parameterBytes;
    const { floats } = arena;
    back.write(steps, floats, scratch + backAt);
    through.write(postSteps, floats, throughAt);
    const tall = new Float32Array(count * cols);
    const line = new Float32Array(pre.to);
    const other = new Float32Array(pre.to);
    const one = new Uint32Array(1);
    const [{ core, factor: firstFactor }, ...others] = this.#inners;
    for (let row = 0; row < count; row++) {
      one[0] = (whole ? 0 : first) + row;
      dequantizeRows(core, one, line);
      if (firstFactor !== undefined) scale(line, firstFactor);
      for (const { core, factor = 1 } of others) {
        dequantizeRows(core, one, other);
        addScaled(line, other, factor);
      }
      floats.set(line, scratch / 4);
      const at = back.run(engine, scratch + backAt, scratch) / 4;
      tall.set(floats.subarray(at, at + cols), row * cols);
    }
    if (through.isIdentity) {
      for (const i of which) {
        const row = (ids[i] as number) - first;
        out.set(tall.subarray(row * cols, (row + 1) * cols), i * cols);
      }
      return;
    }
    const columns = new Float32Array(DENSE_COLS * count);
    for (let col = 0; col < cols; col += DENSE_COLS) {
      const width = Math.min(DENSE_COLS, cols - col);
      for (let row = 0; row < count; row++) {
        for (let c = 0; c < width; c++) columns[c * count + row] = tall[row * cols + col + c] as number;
      }
      for (let c = 0; c < width; c++) {
        floats.set(columns.subarray(c * count, (c + 1) * count), scratch / 4);
        const at = through.run(engine, throughAt, scratch) / 4;
        for (const i of which) out[i * cols + col + c] = floats[at + (ids[i] as number) - first] as number;
      }
    }
  }
}

interface InnerCore {
  readonly core: Core;
  readonly factor: number | undefined;
}

function notFinite(where: string, x: Float32Array): Error {
  try {
    checkFinite(`${where}: x`, viewOf(x, "Float32Array"));
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
