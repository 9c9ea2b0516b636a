// The branches of a matrix in linear memory, and what of them a token needs.
import type { PrepareExports } from "../kernels/exports.ts";
import { rangeError } from "../lib/check.ts";
import type { Engine } from "../runtime/engine.ts";
import type { Call } from "../runtime/job.ts";
import { align } from "./activations.ts";
import {
  type BranchLayout,
  branchAddresses,
  branchLayout,
  lowRankFloats,
  readBranches,
  writeBranches,
} from "./branch-bytes.ts";
import { addBranches, type Branches, toAdded } from "./branches.ts";
import { isLarge } from "./finite.ts";
import { UNIT_COLS } from "./layout.ts";
import type { BranchesRecord, StoredRegion } from "./record.ts";

/** One weight of a matrix without its branches. */
export type WeightReader = (row: number, col: number) => number;

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

  /** What a file says of them, and where they are. */
  stored(): { readonly record: BranchesRecord; readonly region: StoredRegion } {
    const { bias, colScale, rank, sparse, bytes } = this.layout;
    return {
      record: {
        ...(bias !== undefined && { bias: true }),
        ...(colScale !== undefined && { colScale: true }),
        ...(rank > 0 && { rank }),
        ...(sparse !== undefined && { sparse: true }),
        bytes,
      },
      region: { address: this.#address, bytes },
    };
  }

  /** Bytes of a token: x as it is, and what the low-rank branch makes of it. */
  get tokenBytes(): number {
    return align(this.layout.byteCols * UNIT_COLS * 4) + align(lowRankFloats(this.layout) * 4);
  }

  /** Writes what the branches need of a token to `at`. */
  load(x: Float32Array, at: number): void {
    const { exports, arena } = this.#engine;
    const { byteCols, rank } = this.layout;
    const { b } = branchAddresses(this.layout, this.#address);
    arena.floats.set(x, at / 4);
    arena.floats.fill(0, at / 4 + this.layout.cols, at / 4 + byteCols * UNIT_COLS);
    if (rank > 0) exports.prepare_lowrank(at, b, at + align(byteCols * UNIT_COLS * 4), rank, byteCols);
  }

  /**
   * Writes x · colScale, with x padded to whole units at `at`, to `to`.
   * @returns whether there is a colScale; nothing is written without
   */
  scale(at: number, to: number): boolean {
    const { colScale } = branchAddresses(this.layout, this.#address);
    if (colScale !== 0) this.#engine.exports.prepare_scaled(at, colScale, to, this.layout.byteCols);
    return colScale !== 0;
  }

  /** The call that adds the branches to rows of the result at `y` of the token that was loaded to `at`. */
  call(y: number, at: number): Call {
    return this.#engine.branchAdd(...this.#addition(y, 0, 0, at));
  }

  /** Adds them at once, to the first `rows` rows. */
  add(y: number, rows: number, at: number): void {
    this.#engine.exports.branch_add(...this.#addition(y, 0, rows, at));
  }

  #addition(y: number, row: number, end: number, at: number): Parameters<PrepareExports["branch_add"]> {
    const { paddedRows, byteCols, rank, colBytes } = this.layout;
    const { bias, a, sparse } = branchAddresses(this.layout, this.#address);
    const t = at + align(byteCols * UNIT_COLS * 4);
    return [y, row, end, paddedRows, bias, t, a, rank, sparse, colBytes, at];
  }
}

/** Refuses branches that take weights out of float32. Weights are read only if there are numbers so large that they may. */
function refuseLarge(
  where: string,
  added: Branches,
  all: Branches,
  rows: number,
  cols: number,
  weightAt: WeightReader,
): void {
  const { colScale, lowRank, sparse } = added;
  const parts = { colScale, "lowRank.a": lowRank?.a, "lowRank.b": lowRank?.b, sparse: sparse?.values };
  const large = Object.entries(parts).find(([, values]) => values !== undefined && isLarge(values));
  if (large === undefined) return;
  const line = new Float32Array(cols);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) line[col] = weightAt(row, col);
    addBranches(line, all, Uint32Array.of(row), rows, cols);
    const col = line.findIndex((value) => !Number.isFinite(value));
    if (col < 0) continue;
    throw rangeError(`${where}: ${large[0]}`, "weights within float32", `${line[col]} at row ${row}, column ${col}`);
  }
}

/**
 * The branches of a matrix [rows, cols] with more of them, which are checked; `side` are those that are there, and stay.
 *
 * @throws TypeError, RangeError for branches that do not fit or are there already; OutOfMemoryError
 */
export function extendSide(
  where: string,
  engine: Engine,
  rows: number,
  cols: number,
  side: Side | undefined,
  checked: Branches,
  weightAt: WeightReader,
): Side {
  const { arena } = engine;
  const before = side?.read() ?? {};
  for (const name of ["lowRank", "sparse", "bias", "colScale"] as const) {
    if (checked[name] !== undefined && before[name] !== undefined) {
      throw rangeError(`${where}: ${name}`, "a branch that this matrix does not have", `a second ${name}`);
    }
  }
  const { sparse } = checked;
  const all: Branches = {
    ...before,
    ...checked,
    ...(sparse && { sparse: toAdded(where, sparse, weightAt, checked.colScale ?? before.colScale) }),
  };
  refuseLarge(where, checked, all, rows, cols, weightAt);
  const layout = branchLayout(all, rows, cols);
  const address = arena.allocate(layout.bytes);
  writeBranches(arena.bytes.subarray(address, address + layout.bytes), all, layout);
  return new Side(engine, address, layout);
}
