// Complex products on real arrays: a token is [Re x; Im x], its result [Re y; Im y]. A plane of i^code is stored as two sign
// planes; assembly/pair/README.md has the algebra.
import { type Kernel, STRIP_ROWS, TILE_ROWS } from "../kernels/types.ts";
import { viewOf } from "../lib/arrays.ts";
import { type Engine, GEMM_TILE_BYTES, type Pass } from "../runtime/engine.ts";
import type { Call } from "../runtime/job.ts";
import { align, type Factors, factorsOf, type HalvesSlot, halvesSlotOf, prepareHalf, quantize } from "./activations.ts";
import { scalesAt, UNIT_COLS } from "./layout.ts";
import {
  type Choice,
  cachedRows,
  checkLargest,
  chooseKernels,
  copyResults,
  fewTokens,
  PANEL_TOKENS,
  type Product,
} from "./passes.ts";
import type { Side } from "./side.ts";
import type { MatrixSpec } from "./spec.ts";

// Four sums of 64 rows, int32 or float32.
const SUM_BYTES = 1024;
// Parts of the result before they are added up (assembly/pair/sums.ts).
const PARTS = 4;

const padRows = (rows: number, to: number): number => Math.ceil(rows / to) * to;

export class ComplexProduct implements Product {
  readonly kernel: string;
  readonly gemmKernel: string;
  readonly #engine: Engine;
  readonly #spec: MatrixSpec;
  readonly #side: Side | undefined;
  readonly #slot: HalvesSlot;
  readonly #choice: Choice;

  constructor(engine: Engine, spec: MatrixSpec, side: Side | undefined) {
    this.#engine = engine;
    this.#spec = spec;
    this.#side = side;
    this.#slot = halvesSlotOf(spec.activation, spec.layout);
    this.#choice = chooseKernels(engine, spec);
    this.kernel = this.#choice.kernel;
    this.gemmKernel = this.#choice.gemmKernel;
  }

  passTokens(n: number): number {
    return n >= this.#choice.fromTokens ? PANEL_TOKENS : fewTokens(this.#slot.bytes);
  }

  begin(where: string, address: number, x: Float32Array, tokens: number, y: Float32Array): Pass {
    if (tokens >= this.#choice.fromTokens) return this.#many(where, address, x, tokens, y);
    return this.#few(where, address, x, tokens, y);
  }

  get #planes(): number {
    return this.#spec.layout.planes / 2;
  }

  get #kinds(): number {
    return this.#spec.complex?.kinds ?? 0;
  }

  // Bytes of a half of a token.
  get #halfBytes(): number {
    return align(this.#spec.layout.byteCols * UNIT_COLS * 4);
  }

  // Copies one token to `at`, its halves halfBytes apart and padded with zeros, and returns the largest |x| of each. Another
  // two halves are working space.
  #load(
    where: string,
    at: number,
    side: number,
    x: Float32Array,
    token: number,
    scratchBefore: number,
  ): [a: number, b: number] {
    const { cols, layout, complex, activation } = this.#spec;
    const { exports, arena } = this.#engine;
    const { floats } = arena;
    // x may be an array of the caller's own: a view that nothing was called for.
    const all = viewOf(x, "Float32Array");
    const given = all.subarray(token * cols, (token + 1) * cols);
    const waiting = at + 2 * this.#halfBytes;
    this.#side?.load(given, side);
    const scaled = this.#side?.scale(side, waiting) ?? false;
    const from = scaled ? floats.subarray(waiting / 4, waiting / 4 + cols) : given;
    const half = cols / 2;
    const padded = layout.byteCols * UNIT_COLS;
    const largest = [0, 1].map((i) => {
      const start = (at + i * this.#halfBytes) / 4;
      floats.set(from.subarray(i * half, (i + 1) * half), start);
      floats.fill(0, start + half, start + padded);
      const most = exports.absmax(start * 4, padded);
      checkLargest(this.#engine, where, most, x, scratchBefore);
      return most;
    }) as [number, number];
    const both = Math.max(...largest);
    return complex?.oneScale && activation === "int8" ? [both, both] : largest;
  }

  #few(where: string, address: number, x: Float32Array, n: number, y: Float32Array): Pass {
    const { activation, layout } = this.#spec;
    const { byteCols, groupByteCols, paddedRows, weightBytes, sharedScales } = layout;
    const slot = this.#slot;
    const half = this.#halfBytes;
    // f32 keeps what its parts round off.
    const lowRows = activation === "f32" ? paddedRows : 0;
    const yBytes = 4 * PARTS * (paddedRows + padRows(paddedRows, TILE_ROWS) + lowRows);
    const sideBytes = this.#side?.tokenBytes ?? 0;
    const { scratchBytes } = this.#engine;
    const xs = this.#engine.scratch(4 * half + n * (slot.bytes + yBytes + sideBytes));
    const slots = xs + 4 * half;
    const sides = slots + n * slot.bytes;
    const ys = sides + n * sideBytes;
    const factors: (readonly [Factors, Factors])[] = [];
    for (let token = 0; token < n; token++) {
      const [a, b] = this.#load(where, xs, sides + token * sideBytes, x, token, scratchBytes);
      const at = slots + token * slot.bytes;
      factors.push([
        prepareHalf(this.#engine, activation, layout, slot, 0, xs, at, a),
        prepareHalf(this.#engine, activation, layout, slot, 1, xs + half, at, b),
      ]);
    }
    const calls: Call[] = [];
    for (let token = 0; token < n; token++) {
      const at = slots + token * slot.bytes;
      const to = ys + token * yBytes;
      calls.push(
        this.#engine.complexGemv(
          this.#choice.gemv,
          address,
          address + scalesAt(layout),
          at,
          at + slot.stepsAt,
          to,
          0,
          0,
          paddedRows,
          byteCols,
          groupByteCols,
          activation === "lut8" ? slot.stepsPart : slot.tablesPart,
          sharedScales ? 1 : 0,
          this.#planes,
          this.#kinds,
        ),
        this.#addUp(to, ...(factors[token] as readonly [Factors, Factors])),
      );
    }
    const rowStep = n === 1 ? paddedRows : cachedRows(weightBytes / paddedRows);
    const work = 4 * paddedRows * byteCols * UNIT_COLS * this.#planes * n;
    const job = { calls, rows: paddedRows, rowStep, scratchBytes: 0, work };
    return { job, finish: () => this.#copyOut(ys, yBytes, n, sides, y) };
  }

  // The same for many tokens: activations to a panel, tiles of weights to codes, dot products.
  #many(where: string, address: number, x: Float32Array, n: number, y: Float32Array): Pass {
    const { exports, variant } = this.#engine;
    const { layout } = this.#spec;
    const { byteCols, groupByteCols, groups, paddedRows, sharedScales } = layout;
    const half = this.#halfBytes;
    const qBytes = byteCols * UNIT_COLS;
    const pairBytes = 2 * qBytes * (variant === "simd" ? 2 : 1);
    const sumBytes = groups * 4;
    const yBytes = 4 * PARTS * paddedRows;
    const sideBytes = this.#side?.tokenBytes ?? 0;
    const { scratchBytes } = this.#engine;
    const sumsBytes = align((2 * n + 1) * sumBytes);
    const threadBytes = GEMM_TILE_BYTES + n * SUM_BYTES;
    const xs = this.#engine.scratch(
      4 * half +
        n * sideBytes +
        align(2 * qBytes) +
        n * pairBytes +
        sumsBytes +
        n * yBytes +
        this.#engine.threads * threadBytes,
    );
    const sides = xs + 4 * half;
    const q = sides + n * sideBytes;
    const panel = q + align(2 * qBytes);
    const sums = panel + n * pairBytes;
    const ys = sums + sumsBytes;
    const factors: [number, number][] = [];
    for (let token = 0; token < n; token++) {
      const largest = this.#load(where, xs, sides + token * sideBytes, x, token, scratchBytes);
      for (const i of [0, 1] as const) {
        const to = q + i * qBytes;
        quantize(this.#engine, xs + i * half, to, 0, byteCols, 1, largest[i]);
        // The float sums, which nothing here needs, go behind those of the last token.
        exports.prepare_sums(to, sums + (2 * token + i) * sumBytes, sums + 2 * n * sumBytes, byteCols, groupByteCols);
      }
      const pairs = variant === "simd" ? exports.prepare_wide_pairs : exports.prepare_pairs;
      pairs(q, q + qBytes, panel + token * pairBytes, byteCols);
      factors.push(largest);
    }
    const calls = [
      this.#engine.complexGemm(
        this.#choice.gemm as Kernel,
        address,
        address + scalesAt(layout),
        panel,
        sums,
        ys,
        ys + n * yBytes,
        0,
        0,
        paddedRows,
        byteCols,
        groupByteCols,
        n,
        sharedScales ? 1 : 0,
        this.#planes,
        this.#kinds,
      ),
    ];
    for (let token = 0; token < n; token++) {
      const [a, b] = factors[token] as [number, number];
      calls.push(this.#addUp(ys + token * yBytes, factorsOf(1, a), factorsOf(1, b)));
    }
    const work = 4 * paddedRows * qBytes * this.#planes * n;
    const job = { calls, rows: paddedRows, rowStep: paddedRows, scratchBytes: threadBytes, work };
    return { job, finish: () => this.#copyOut(ys, yBytes, n, sides, y) };
  }

  // From the four parts of a token at `at` to Re y and Im y, a part apart.
  #addUp(at: number, a: Factors, b: Factors): Call {
    const { paddedRows } = this.#spec.layout;
    const [fa, fb] = [a.passes[0] as number, b.passes[0] as number];
    return this.#engine.finishComplex(at, paddedRows, 0, 0, fa, a.together, fb, b.together);
  }

  // Puts Re y and Im y of n tokens side by side, adds the branches, and copies them to [n, rows].
  #copyOut(from: number, bytes: number, n: number, sides: number, y: Float32Array): void {
    const { rows, layout } = this.#spec;
    const { floats } = this.#engine.arena;
    const half = rows / 2;
    for (let token = 0; token < n; token++) {
      const start = (from + token * bytes) / 4;
      floats.copyWithin(start + half, start + layout.paddedRows, start + layout.paddedRows + half);
      if (this.#side) {
        const padded = padRows(rows, STRIP_ROWS);
        floats.fill(0, start + rows, start + padded);
        this.#side.add(start * 4, padded, sides + token * this.#side.tokenBytes);
      }
      copyResults(floats, start, rows, y, token * rows);
    }
  }
}
