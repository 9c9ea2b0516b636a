import { e8p } from "lowbit";
import { e8pVector, e81bVector } from "../../test/reference/e8p.ts";
import { type BenchFormat, common, randomBytes, randomScales } from "./format.ts";

/** Codes of 8 columns without the transforms of a layer. */
export function latticeFormat(codebook: "e8p" | "e81b"): BenchFormat {
  const entry = codebook === "e8p" ? e8pVector : e81bVector;
  return {
    label: codebook,
    format: codebook,
    make(rows, cols) {
      const units = Math.ceil(cols / 8);
      const bytes = randomBytes(2 * rows * units, 1);
      const codes =
        codebook === "e8p"
          ? new Uint16Array(bytes.buffer, 0, rows * units)
          : Uint16Array.from(bytes.subarray(0, rows * units));
      const scales = randomScales(rows, 3);
      return {
        decodeRow(row) {
          const w = new Float64Array(cols);
          for (let unit = 0; unit < units; unit++) {
            const v = entry(codes[row * units + unit] as number);
            for (let k = 0; k < 8 && 8 * unit + k < cols; k++) {
              w[8 * unit + k] = (scales[row] as number) * (v[k] as number);
            }
          }
          return w;
        },
        pack: (lb, options) =>
          e8p.packCodes(lb, { ...common(rows, cols, undefined, options), codebook, codes, scales }),
      };
    },
  };
}

/** What is measured: the first of a kernel format is the one that is counted. */
export const benches: readonly BenchFormat[] = [latticeFormat("e8p"), latticeFormat("e81b")];
