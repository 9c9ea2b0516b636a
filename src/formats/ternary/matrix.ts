// Ternary weights in memory, whoever has the codes.
import type { Shape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { makePlanes } from "../shared/plane-matrix.ts";
import type { RowWriter } from "../shared/planes.ts";
import { uniformReader } from "../shared/uniform-matrix.ts";
import { makeWords } from "../shared/word-matrix.ts";
import type { CodeWriter, StripWriter } from "../shared/words.ts";

/**
 * Codes w + 2, as uniform weights of 2 bits have them; as planes for lookup tables.
 *
 * @param strip writes the same codes faster
 */
export function makeTernary(
  where: string,
  lb: Lowbit,
  label: string,
  shape: Shape,
  scales: Float32Array,
  writeRow: CodeWriter,
  strip?: StripWriter,
): Matrix {
  const content = { label, format: "ternary", shape, scales: [scales] } as const;
  if (shape.activation !== "lut8") {
    return makeWords(where, lb, { ...content, writeRow: strip ? { strip } : writeRow, reader: uniformReader });
  }
  const codes = new Uint8Array(shape.cols);
  const writePlanes: RowWriter = (row, out) => {
    writeRow(row, codes);
    // Plane 0 has the columns with w >= 0, plane 1 those with w > 0.
    for (let col = 0; col < codes.length; col++) {
      const code = codes[col] as number;
      const at = (col >> 3) << 1;
      out[at] = (out[at] as number) | ((code >> 1) << (col & 7));
      out[at + 1] = (out[at + 1] as number) | ((code & (code >> 1)) << (col & 7));
    }
  };
  return makePlanes(where, lb, { ...content, writeRow: writePlanes });
}
