// Numbers of 5, 6 and 8 bits, back from memory; those of 4 bits are codes of a table.
import { formatOf } from "../../kernels/formats.ts";
import type { Reader } from "../../matrix/spec.ts";
import { wordReader } from "../shared/word-matrix.ts";
import { typeStored } from "./store.ts";
import { wholeValue } from "./types.ts";

/** Kernels of floats see the numbers, others whole multiples of the unit. */
export const minifloatReader: Reader = /* @__PURE__ */ wordReader(({ format, activation }) => {
  const type = typeStored(format);
  const factor = formatOf(format, activation).operand === "floats" ? type.unit : 1;
  const values = Float64Array.from({ length: 2 ** type.bits }, (_, code) => factor * wholeValue(type, code));
  return (code) => values[code] as number;
});
