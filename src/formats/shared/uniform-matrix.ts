// What formats share that are uniform codes in the end: uniform itself, glvq, and two codebooks of QuIP#.
import { formatOf } from "../../kernels/formats.ts";
import { UNIFORM_BITS, type UniformBits } from "../../kernels/types.ts";
import { checkScales, type Shape, zeroOffsets } from "../../matrix/shape.ts";
import type { Matrix, Reader } from "../../matrix/spec.ts";
import { WHOLE_ROW } from "../../numeric/shape.ts";
import type { Lowbit } from "../../runtime/features.ts";
import type { ImportedUniform } from "./tensors.ts";
import { makeWords, wordReader } from "./word-matrix.ts";

/**
 * Bits of a code in memory: more than it has where its layout keeps more columns together than a group has. Groups of 16
 * columns of 3 bits are stored as 4 bits, of 5 as 6; groups of 8 as 4 or 8.
 */
export function storedUniformBits(bits: UniformBits, groupSize: number | undefined, cols: number): UniformBits {
  if (groupSize === undefined || groupSize === WHOLE_ROW || groupSize >= cols) return bits;
  const wide = UNIFORM_BITS.find((b) => b >= bits && groupSize % formatOf(`uniform${b}`, "int8").chunk === 0);
  // None: checkShape refuses the group, and names what the layout of 8 bits wants, which is least.
  return wide ?? 8;
}

/** w = scale · (code - zero), or scale · (code - 2^(bits - 1)) + offset. @param columnOrder column i of the codes is column columnOrder[i] of the matrix */
export function makeUniform(
  where: string,
  lb: Lowbit,
  shape: Shape,
  bits: UniformBits,
  {
    codes,
    scales,
    zeros,
    offsets,
  }: Pick<ImportedUniform, "codes" | "scales"> & {
    readonly zeros?: Float32Array;
    /** [rows, groups] */
    readonly offsets?: Float32Array;
  },
  columnOrder?: Uint32Array,
): Matrix {
  const { cols } = shape;
  const stored = storedUniformBits(bits, shape.groupSize, cols);
  const middle = 2 ** (stored - 1);
  // Kernels take `middle` from what is stored, and codes of `bits` bits have theirs at 2^(bits - 1).
  const more = middle - 2 ** (bits - 1);
  checkScales(`${where}: scales`, scales, shape);
  return makeWords(where, lb, {
    label: `uniform${bits}`,
    format: `uniform${stored}`,
    shape,
    scales: [scales],
    offsets:
      offsets ?? (zeros && zeroOffsets(scales, checkScales(`${where}: zeros`, zeros, shape), shape, middle - more)),
    columnOrder,
    writeRow: (row, out) => {
      const first = row * cols;
      if (more === 0) out.set(codes.subarray(first, first + cols));
      else for (let col = 0; col < cols; col++) out[col] = (codes[first + col] as number) + more;
    },
    reader: uniformReader,
  });
}

/** code - 2^(bits - 1). Where scales are kept negated, level 0 is -0, of which the product is 0 of the sign that was meant. */
export const uniformReader: Reader = /* @__PURE__ */ wordReader(({ format, activation, layout }) => {
  const middle = 2 ** (formatOf(format, activation).bits - 1);
  return (layout.records?.factor ?? 1) < 0 ? (code) => -(middle - code) : (code) => code - middle;
});
