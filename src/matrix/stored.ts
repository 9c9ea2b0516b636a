// What a matrix holds, byte for byte.
import { HalvesMatrix, halvesOf } from "./complex.ts";
import { coreOf } from "./packed.ts";

/**
 * A copy of the stored bytes of a matrix, without its branches; of a rotated one those of the inner matrices one after the
 * other, then the numbers of the rotations.
 *
 * @throws TypeError for what is no matrix of this package, and for one that is gone
 */
export function storedBytes(matrix: unknown): Uint8Array {
  return coreOf("storedBytes", matrix instanceof HalvesMatrix ? halvesOf(matrix) : matrix).packed();
}
