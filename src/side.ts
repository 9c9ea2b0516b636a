// The branches of a matrix in linear memory, and what of them a token needs.
import { type Branches, type BranchLayout, branchAddresses, lowRankFloats, readBranches } from "./branches.ts";
import type { Engine } from "./engine.ts";
import { UNIT_COLS } from "./layouts/layout.ts";
import { align } from "./prepare.ts";

export class Side {
  readonly layout: BranchLayout;
  readonly #engine: Engine;
  readonly #address: number;

  /** Takes over the region at `address`. */
  constructor(engine: Engine, address: number, layout: BranchLayout) {
    this.#engine = engine;
    this.#address = address;
    this.layout = layout;
  }

  read(): Branches {
    return readBranches(
      this.#engine.arena.bytes.subarray(this.#address, this.#address + this.layout.bytes),
      this.layout,
    );
  }

  release(): void {
    this.#engine.arena.release(this.#address);
  }

  /** Bytes of a token: x as it is, and what the low-rank branch makes of it. */
  get tokenBytes(): number {
    return align(this.layout.byteCols * UNIT_COLS * 4) + align(lowRankFloats(this.layout) * 4);
  }

  /**
   * Writes what the branches need of a token to `at`, and x · colScale to `scaled`.
   * @returns whether there is a colScale
   */
  load(x: Float32Array, at: number, scaled: number): boolean {
    const { exports, arena } = this.#engine;
    const { byteCols, rank } = this.layout;
    const { b, colScale } = branchAddresses(this.layout, this.#address);
    arena.floats.set(x, at / 4);
    arena.floats.fill(0, at / 4 + x.length, at / 4 + byteCols * UNIT_COLS);
    if (colScale !== 0) exports.prepare_scaled(at, colScale, scaled, byteCols);
    if (rank > 0) exports.prepare_lowrank(at, b, at + align(byteCols * UNIT_COLS * 4), rank, byteCols);
    return colScale !== 0;
  }

  /** Adds the branches to rows of the result of the token that was loaded to `at`. */
  add(y: number, row: number, end: number, at: number): void {
    const { layout } = this;
    const { bias, a, sparse } = branchAddresses(layout, this.#address);
    const t = at + align(layout.byteCols * UNIT_COLS * 4);
    this.#engine.exports.branch_add(
      y,
      row,
      end,
      layout.paddedRows,
      bias,
      t,
      a,
      layout.rank,
      sparse,
      layout.colBytes,
      at,
    );
  }
}
