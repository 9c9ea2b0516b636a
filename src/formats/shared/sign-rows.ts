// Signs that are there already, as the bytes of a plane.
import { checkArray, checkLength, rangeError } from "../../lib/check.ts";
import type { RowWriter } from "./planes.ts";

/** Signs as an Int8Array or as bits to the bytes of a plane. */
export function signRows(where: string, given: unknown, rows: number, cols: number): RowWriter {
  const signs = checkArray(where, given, ["Int8Array", "Uint8Array"], "an Int8Array of signs or a Uint8Array of bits");
  if (signs instanceof Int8Array) {
    checkLength(where, signs, rows * cols, `rows ${rows} x cols ${cols}`);
    return (row, out) => {
      for (let col = 0, at = row * cols; col < cols; col++, at++) {
        const sign = signs[at] as number;
        if (sign === 1) out[col >> 3] = (out[col >> 3] as number) | (1 << (col & 7));
        else if (sign !== -1) throw rangeError(where, "-1 or 1", `${sign} at index ${at}`);
      }
    };
  }
  const rowBytes = Math.ceil(cols / 8);
  checkLength(where, signs, rows * rowBytes, `rows ${rows} x ${rowBytes} bytes of 8 columns`);
  const lastMask = 0xff >> (rowBytes * 8 - cols);
  return (row, out) => {
    out.set(signs.subarray(row * rowBytes, (row + 1) * rowBytes));
    out[rowBytes - 1] = (out[rowBytes - 1] as number) & lastMask;
  };
}
