// Weights that are numbers, back from their strips.
import { bfloat16ToFloat, halfToFloat } from "../../lib/half.ts";
import { UNIT_COLS } from "../../matrix/layout.ts";
import type { Reader } from "../../matrix/spec.ts";

/** Rows that are stored together (assembly/dense/dense.ts). */
export const STRIP = 16;

export const denseReader: Reader = ({ format, layout: { byteCols } }) => {
  const start = (row: number): number => (row - (row % STRIP)) * byteCols * UNIT_COLS + (row % STRIP);
  if (format === "dense32") {
    return (_, floats, row, out) => {
      for (let col = 0, at = start(row); col < out.length; col++, at += STRIP) out[col] = floats[at] as number;
    };
  }
  const toFloat = format === "dense16" ? halfToFloat : bfloat16ToFloat;
  return (bytes, _, row, out) => {
    const line = new Uint16Array(out.length);
    for (let col = 0, at = 2 * start(row); col < line.length; col++, at += 2 * STRIP) {
      line[col] = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    }
    out.set(toFloat("dense", line));
  };
};
