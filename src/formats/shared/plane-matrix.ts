// What the formats of sign planes share: binary, ternary, bcq and what is one of them under another name.
import type { FormatName } from "../../kernels/types.ts";
import { offsetPlace, offsetsAt, scalePlace, scalesAt } from "../../matrix/layout.ts";
import { type Content, makeMatrix } from "../../matrix/make.ts";
import type { Matrix, Reader } from "../../matrix/spec.ts";
import { type Planes, type RowWriter, readPlane, writePlanes } from "./planes.ts";

type PlaneContent = Pick<Content, "label" | "shape" | "scales" | "offsets"> & {
  readonly format: "binary" | "ternary" | "bcq";
  readonly writeRow: RowWriter;
};

export function makePlanes(where: string, lb: unknown, content: PlaneContent): Matrix {
  const { format, scales, shape, writeRow } = content;
  const { rows } = shape;
  const planes = planesOf(format, scales.length);
  return makeMatrix(where, lb, {
    ...content,
    write: (bytes, layout) => writePlanes(bytes, rows, planes, layout, writeRow),
    reader: planeReader,
  });
}

function planesOf(format: FormatName, scales: number): Planes {
  const together = format === "ternary";
  return { count: together ? 2 : scales, together };
}

/** w = Σ scale · (±1) + offset; of two planes side by side, scale · (±1 ± 1) / 2. */
export const planeReader: Reader = ({ format, cols, layout }) => {
  const { groups, groupByteCols, paddedRows, byteCols } = layout;
  const planes = planesOf(format, layout.planes);
  const { together } = planes;
  const lines = Array.from({ length: planes.count }, () => new Uint8Array(byteCols));
  const sums = new Float64Array(cols);
  const planeScales = groups * paddedRows;
  return (bytes, floats, row, out) => {
    sums.fill(-0); // the only number that leaves the sign of a zero alone
    for (const [plane, line] of lines.entries()) {
      readPlane(bytes, row, plane, planes, layout, line);
      const first = scalesAt(layout) / 4 + (together ? 0 : plane * planeScales);
      for (let col = 0; col < cols; col++) {
        const scale = floats[first + scalePlace(row, Math.floor((col >> 3) / groupByteCols), layout)] as number;
        const sign = ((line[col >> 3] as number) >> (col & 7)) & 1 ? 1 : -1;
        // Two planes side by side have half a scale each.
        sums[col] = (sums[col] as number) + (together ? sign / 2 : sign) * scale;
      }
    }
    if (layout.offsets) {
      const first = offsetsAt(layout) / 4;
      for (let col = 0; col < cols; col++) {
        const offset = floats[first + offsetPlace(row, Math.floor((col >> 3) / groupByteCols), layout)] as number;
        sums[col] = (sums[col] as number) + offset;
      }
    }
    out.set(sums);
  };
};
