// What a matrix holds, byte for byte.
import { typeError } from "../lib/check.ts";
import type { Engine } from "../runtime/engine.ts";
import { HalvesMatrix, halvesOf } from "./complex.ts";
import type { Core } from "./core.ts";
import { coreOf, PackedMatrix } from "./packed.ts";
import { type MatrixRecord, type PackedRecord, rounded, type StoredRegion } from "./record.ts";
import { goneError } from "./spec.ts";

/**
 * A copy of the stored bytes of a matrix, without its branches; of a rotated one those of the inner matrices one after the
 * other, then the numbers of the rotations.
 *
 * @throws TypeError for what is no matrix of this package, and for one that is gone
 */
export function storedBytes(matrix: unknown): Uint8Array {
  return coreOf("storedBytes", matrix instanceof HalvesMatrix ? halvesOf(matrix) : matrix).packed();
}

/**
 * A matrix as a file has it: a record and bytes, which stay where they are until they are read. Each region begins at a multiple
 * of REGION bytes; what lies between is zero.
 */
export interface StoredMatrix {
  readonly engine: Engine;
  readonly record: MatrixRecord;
  readonly bytes: number;
  /**
   * A copy of bytes from `begin` to `end`.
   * @throws TypeError where the matrix has gone in the meantime
   */
  read(begin: number, end: number): Uint8Array;
}

/** @throws TypeError for what is no matrix of this package, and for one that is gone */
export function storedMatrix(where: string, matrix: unknown): StoredMatrix {
  if (!isMatrix(matrix)) throw typeError(where, "a matrix of this package", matrix);
  const halves = matrix instanceof HalvesMatrix;
  const core = coreOf(where, halves ? halvesOf(matrix) : matrix);
  const { record, regions } = core.stored();
  const bytes = regions.reduce((sum, region) => sum + rounded(sizeOf(region)), 0);
  return {
    engine: core.engine,
    record: halves ? ({ ...record, halves: true } as PackedRecord) : record,
    bytes,
    read(begin, end) {
      checkLive(where, core);
      const out = new Uint8Array(end - begin);
      let first = 0;
      for (const region of regions) {
        const size = sizeOf(region);
        const from = Math.max(begin, first);
        const to = Math.min(end, first + size);
        if (from < to) out.set(viewOf(core.engine, region).subarray(from - first, to - first), from - begin);
        first += rounded(size);
      }
      return out;
    },
  };
}

export function isMatrix(value: unknown): value is PackedMatrix | HalvesMatrix {
  return value instanceof PackedMatrix || value instanceof HalvesMatrix;
}

function checkLive(where: string, { gone, label, rows, cols }: Core): void {
  if (gone !== undefined) throw goneError(where, label, rows, cols, gone);
}

function sizeOf(region: StoredRegion): number {
  return region instanceof Uint8Array ? region.length : region.bytes;
}

function viewOf({ arena }: Engine, region: StoredRegion): Uint8Array {
  if (region instanceof Uint8Array) return region;
  return arena.bytes.subarray(region.address, region.address + region.bytes);
}
