// Vectors of a pyramid, back from memory.
import { readGroupValues, UNIT_COLS } from "../../matrix/layout.ts";
import type { Reader } from "../../matrix/spec.ts";
import { type PvqCode, pvqCode, readVectors } from "./bytes.ts";

export const pyramidReader: Reader = ({ format, layout, pulses }) => {
  const code = pvqCode(format === "pvq8" ? 8 : 16, pulses as number) as PvqCode;
  const y = new Int8Array(layout.byteCols * UNIT_COLS);
  return (bytes, floats, row, out) => {
    readVectors(bytes, row, code, layout, y);
    out.set(y.subarray(0, out.length));
    readGroupValues(floats, row, layout, out);
  };
};
