// Trellis codes, back from memory, and the table that says which codebook they have.
import { readGroupValues, tablesAt } from "../../matrix/layout.ts";
import type { Reader } from "../../matrix/spec.ts";
import { readStates } from "./bytes.ts";
import { CODEBOOKS, TRELLIS_CODEBOOKS, type TrellisCodebook, trellisIntegers } from "./tables.ts";

/** What kernels read: multiplier, addend, bits and 0 as uint32. */
export function storedTable(codebook: TrellisCodebook, bits: number): Uint8Array {
  const { multiplier, addend } = CODEBOOKS[codebook];
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of [multiplier, addend, bits].entries()) view.setUint32(4 * i, word, true);
  return bytes;
}

/** The codebook of a stored table, which may be at any alignment; undefined for what is none. */
export function codebookStored(table: Uint8Array): TrellisCodebook | undefined {
  const view = new DataView(table.buffer, table.byteOffset, 16);
  const [multiplier, addend] = [view.getUint32(0, true), view.getUint32(4, true)];
  return TRELLIS_CODEBOOKS.find((name) => {
    const one = CODEBOOKS[name];
    return one.multiplier >>> 0 === multiplier && one.addend >>> 0 === addend;
  });
}

/** Bits of a code, from the name of a format: trellis3_i16 has 3. */
export const bitsStored = (format: string): number => Number(format[7]);

export const trellisReader: Reader = ({ format, cols, layout }) => {
  const bits = bitsStored(format);
  const states = new Uint16Array(cols);
  let integers: Int16Array | undefined;
  return (bytes, floats, row, out) => {
    integers ??= trellisIntegers(codebookStored(bytes.subarray(tablesAt(layout))) as TrellisCodebook);
    readStates(bytes, row, bits, layout, states);
    for (let col = 0; col < out.length; col++) out[col] = integers[states[col] as number] as number;
    readGroupValues(floats, row, layout, out);
  };
};
