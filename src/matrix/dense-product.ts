// Products of weights that are numbers as they are: nothing to prepare but a power of two, by which nothing overflows.
import type { Kernel } from "../kernels/types.ts";
import { type Engine, GEMM_TILE_BYTES, type Pass } from "../runtime/engine.ts";
import { align, normalizer } from "./activations.ts";
import { UNIT_COLS } from "./layout.ts";
import {
  type Choice,
  checkLargest,
  chooseKernels,
  copyResults,
  PANEL_TOKENS,
  type Product,
  type TokenSource,
} from "./passes.ts";
import type { Side } from "./side.ts";
import type { MatrixSpec } from "./spec.ts";

// Rows of y between the weights and the branches.
const BRANCH_ROWS = 1024;

export class DenseProduct implements Product {
  readonly kernel: string;
  readonly gemmKernel: string;
  readonly #engine: Engine;
  readonly #spec: MatrixSpec;
  readonly #side: Side | undefined;
  readonly #choice: Choice;

  constructor(engine: Engine, spec: MatrixSpec, side: Side | undefined) {
    this.#engine = engine;
    this.#spec = spec;
    this.#side = side;
    this.#choice = chooseKernels(engine, spec);
    this.kernel = this.#choice.kernel;
    this.gemmKernel = this.#choice.gemmKernel;
  }

  passTokens(n: number): number {
    return n >= this.#choice.fromTokens ? PANEL_TOKENS : 1;
  }

  begin(where: string, address: number, x: Float32Array | TokenSource, n: number, y: Float32Array): Pass {
    const { byteCols, groupByteCols, paddedRows } = this.#spec.layout;
    const xBytes = align(byteCols * UNIT_COLS * 4);
    const loadBytes = x instanceof Float32Array ? xBytes : Math.max(xBytes, x.scratchBytes);
    const sideBytes = this.#side?.tokenBytes ?? 0;
    const many = n >= this.#choice.fromTokens;
    const threadBytes = many ? GEMM_TILE_BYTES : 0;
    const { arena, threads, scratchBytes } = this.#engine;
    // Tokens follow each other without a gap, since byteCols is a multiple of the 64 bytes of a chunk.
    const xs = this.#engine.scratch(
      loadBytes + n * (xBytes + sideBytes + paddedRows * 4) + align(n * 4) + threads * threadBytes,
    );
    const panel = xs + loadBytes;
    const sides = panel + n * xBytes;
    const factors = sides + n * sideBytes;
    const ys = factors + align(n * 4);
    const scratch = ys + n * paddedRows * 4;
    for (let token = 0; token < n; token++) {
      const at = this.#load(where, xs, panel + token * xBytes, sides + token * sideBytes, x, token, n, scratchBytes);
      arena.floats[factors / 4 + token] = at;
    }
    const { gemv, gemm } = this.#choice;
    const calls = many
      ? [
          this.#engine.gemm(
            gemm as Kernel,
            address,
            0,
            panel,
            0,
            factors,
            ys,
            scratch,
            0,
            0,
            paddedRows,
            byteCols,
            groupByteCols,
            n,
            0,
            0,
            0,
            0,
          ),
        ]
      : Array.from({ length: n }, (_, token) => {
          const factor = arena.floats[factors / 4 + token] as number;
          const from = panel + token * xBytes;
          const to = ys + token * paddedRows * 4;
          return this.#engine.gemv(
            gemv,
            address,
            0,
            from,
            0,
            to,
            0,
            0,
            paddedRows,
            byteCols,
            groupByteCols,
            factor,
            0,
            0,
            0,
          );
        });
    if (this.#side) {
      for (let token = 0; token < n; token++) {
        calls.push(this.#side.call(ys + token * paddedRows * 4, sides + token * sideBytes));
      }
    }
    const rowStep = this.#side ? BRANCH_ROWS : paddedRows;
    const work = paddedRows * byteCols * UNIT_COLS * n;
    const job = { calls, rows: paddedRows, rowStep, scratchBytes: threadBytes, work };
    return { job, finish: () => this.#copyOut(ys, n, y) };
  }

  // Copies one token to `to`, times a power of two and padded with zeros, and returns what its result is to be multiplied by.
  #load(
    where: string,
    at: number,
    to: number,
    side: number,
    x: Float32Array | TokenSource,
    token: number,
    n: number,
    scratchBefore: number,
  ): number {
    const { cols, layout } = this.#spec;
    const { exports, arena } = this.#engine;
    const padded = layout.byteCols * UNIT_COLS;
    let from = to;
    if (x instanceof Float32Array) {
      const given = n === 1 ? x : x.subarray(token * cols, (token + 1) * cols);
      this.#side?.load(given, side);
      if (!this.#side?.scale(side, to)) arena.floats.set(given, to / 4);
    } else {
      from = x.load(at);
    }
    if (padded > cols) arena.floats.fill(0, from / 4 + cols, from / 4 + padded);
    const largest = exports.absmax(from, padded);
    if (!(x instanceof Float32Array) && !Number.isFinite(largest)) {
      this.#engine.shrinkScratch(scratchBefore);
      throw x.refusal();
    }
    if (x instanceof Float32Array) checkLargest(this.#engine, where, largest, x, scratchBefore);
    const power = normalizer(largest);
    exports.model_scale(to, from, padded, power);
    return 1 / power;
  }

  #copyOut(from: number, n: number, y: Float32Array): void {
    const { rows, layout } = this.#spec;
    const { floats } = this.#engine.arena;
    for (let token = 0; token < n; token++) {
      const start = from / 4 + token * layout.paddedRows;
      copyResults(floats, start, rows, y, token * rows);
    }
  }
}
