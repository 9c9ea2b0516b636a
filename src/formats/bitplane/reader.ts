// Codes of bit planes, back from memory.
import { weightBits, weightEncoding } from "../../matrix/bits.ts";
import { readGroupValues } from "../../matrix/layout.ts";
import type { Reader } from "../../matrix/spec.ts";
import { readQuads } from "./bytes.ts";
import { codeValue } from "./quantize.ts";

export const bitplaneReader: Reader = ({ cols, layout, types }) => {
  const bits = weightBits(types as number);
  const encoding = weightEncoding(types as number);
  const line = new Uint8Array(cols);
  return (bytes, floats, row, out) => {
    readQuads(bytes, row, bits, layout, line);
    for (let col = 0; col < out.length; col++) out[col] = codeValue(line[col] as number, bits, encoding);
    readGroupValues(floats, row, layout, out);
  };
};
