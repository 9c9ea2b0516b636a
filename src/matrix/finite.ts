// Finite scales may stand for weights that are not: scale · level and scale · zero leave float32, of which products are NaN.
import { rangeError } from "../lib/check.ts";
import type { Shape } from "./shape.ts";

/** What weights are made of, as makeMatrix has it. */
interface Weights {
  readonly shape: Pick<Shape, "rows" | "cols" | "groupSize">;
  readonly scales: readonly Float32Array[];
  readonly offsets?: Float32Array | undefined;
}

/** 2^-17 of the largest float32: 8 planes of integers up to 2^14, or one of 16 bits, and an offset stay finite below it. */
const SAFE = 2.5e33;

const isSafe = (values: Float32Array): boolean => values.every((value) => Math.abs(value) < SAFE);

/**
 * Refuses weights that are infinite or NaN. Rows are read only if a scale or an offset is so large that there may be some.
 *
 * @param whole rows and cols of all weights: twice those of the shape where these are complex, [Re; Im]
 * @param readRow the weights of a row of these
 * @throws RangeError which names the first scale (or the zero, if it is that which leads out of float32) by its index
 */
export function checkFiniteWeights(
  where: string,
  { shape, scales, offsets }: Weights,
  whole: { readonly rows: number; readonly cols: number },
  readRow: (row: number, out: Float32Array) => void,
): void {
  if (scales.every(isSafe) && (offsets === undefined || isSafe(offsets))) return;
  const { rows, cols, groupSize } = shape;
  const groups = Math.ceil(cols / groupSize);
  const line = new Float32Array(whole.cols);
  for (let at = 0; at < whole.rows; at++) {
    readRow(at, line);
    const row = at % rows;
    const col = line.findIndex((value) => !Number.isFinite(value));
    if (col < 0) continue;
    const indexIn = (values: Float32Array): number => {
      if (values.length === 1) return 0;
      return values.length === rows ? row : row * groups + Math.floor((col % cols) / groupSize);
    };
    const offset = offsets?.[indexIn(offsets)];
    if (offsets && !Number.isFinite(offset)) {
      throw rangeError(`${where}: zeros`, "scale x zero within float32", `${offset} at index ${indexIn(offsets)}`);
    }
    const values =
      scales.find((plane) => !(Math.abs(plane[indexIn(plane)] as number) < SAFE)) ?? (scales[0] as Float32Array);
    const index = indexIn(values);
    throw rangeError(
      `${where}: scales`,
      "weights within float32",
      `${line[col]} at row ${row}, column ${col % cols}, of the scale ${values[index]} at index ${index}`,
    );
  }
}

/** The same of a matrix whose weights are not scale · level; it is disposed of if it is refused. */
export function refuseInfinite<M extends { dequantize(): Float32Array; dispose(): void; readonly cols: number }>(
  where: string,
  matrix: M,
): M {
  const w = matrix.dequantize();
  const bad = w.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return matrix;
  const { cols } = matrix;
  matrix.dispose();
  throw rangeError(where, "weights within float32", `${w[bad]} at row ${Math.floor(bad / cols)}, column ${bad % cols}`);
}

/** Whether numbers are so large that what is made of them may leave float32. */
export function isLarge(values: ArrayLike<number>): boolean {
  for (let i = 0; i < values.length; i++) if (!(Math.abs(values[i] as number) < SAFE)) return true;
  return false;
}
