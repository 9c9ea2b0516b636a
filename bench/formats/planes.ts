// Sign planes: binary, ternary and sums of binary codes.
import { bcq, binary, ternary } from "lowbit";
import { type BenchFormat, common, labelOf, randomBytes, randomScales } from "./format.ts";

/** Bit j of byte b of a row is the sign of column 8b + j. */
function signs(bits: Uint8Array, line: number, cols: number): Int8Array {
  const start = line * Math.ceil(cols / 8);
  return Int8Array.from({ length: cols }, (_, c) => 2 * (((bits[start + (c >> 3)] as number) >> (c & 7)) & 1) - 1);
}

export const binaryFormat: BenchFormat = {
  label: "binary",
  format: "binary",
  make(rows, cols) {
    const bits = randomBytes(rows * Math.ceil(cols / 8), 1);
    const scales = randomScales(rows, 3);
    return {
      planes: { count: 1, scales },
      decodeRow: (row) => Float64Array.from(signs(bits, row, cols), (sign) => sign * (scales[row] as number)),
      pack: (lb, options) => binary.pack(lb, { ...common(rows, cols, undefined, options), signs: bits, scales }),
    };
  },
};

export const ternaryFormat: BenchFormat = {
  label: "ternary",
  format: "ternary",
  make(rows, cols) {
    const rowBytes = Math.ceil(cols / 4);
    const codes = randomBytes(rows * rowBytes, 2);
    // Code 3 does not exist; made a 1 it leaves the usual mix: half of the weights 0, a quarter each -1 and +1.
    for (let i = 0; i < codes.length; i++) {
      const byte = codes[i] as number;
      codes[i] = byte & ~((byte & (byte >> 1) & 0x55) << 1);
    }
    const scales = randomScales(rows, 3);
    return {
      planes: { count: 2, scales },
      decodeRow(row) {
        const start = row * rowBytes;
        const code = (c: number): number => ((codes[start + (c >> 2)] as number) >> (2 * (c & 3))) & 3;
        return Float64Array.from({ length: cols }, (_, c) => (code(c) - 1) * (scales[row] as number));
      },
      pack: (lb, options) => ternary.pack(lb, { ...common(rows, cols, undefined, options), codes, scales }),
    };
  },
};

export function bcqFormat(bits: number, groupSize?: number, offset?: "offset"): BenchFormat {
  return {
    label: labelOf(`bcq${bits}`, groupSize, offset),
    format: "bcq",
    make(rows, cols) {
      const size = groupSize ?? cols;
      const groups = Math.ceil(cols / size);
      const planes = randomBytes(bits * rows * Math.ceil(cols / 8), 1);
      const count = rows * groups;
      // Each plane counts half of the one before, as in a fit of Gaussian weights.
      const alphas = randomScales(bits * count, 3).map((alpha, i) => alpha / 2 ** Math.floor(i / count));
      const offsets = randomScales(count, 4).map((value, i) => (i % 2 === 0 ? value : -value) / 8);
      return {
        decodeRow(row) {
          const lines = Array.from({ length: bits }, (_, plane) => signs(planes, plane * rows + row, cols));
          return Float64Array.from({ length: cols }, (_, c) => {
            const group = row * groups + Math.floor(c / size);
            const sum = (total: number, line: Int8Array, plane: number): number =>
              total + (line[c] as number) * (alphas[plane * count + group] as number);
            return lines.reduce(sum, offset ? (offsets[group] as number) : 0);
          });
        },
        pack: (lb, options) =>
          bcq.pack(lb, {
            ...common(rows, cols, groupSize, options),
            bits,
            planes,
            alphas,
            ...(offset && { offsets }),
          }),
      };
    },
  };
}

/** What is measured: the first of a kernel format is the one that is counted. */
export const benches: readonly BenchFormat[] = [
  binaryFormat,
  ternaryFormat,
  bcqFormat(2),
  bcqFormat(3),
  bcqFormat(3, 128),
  bcqFormat(4, 128, "offset"),
];
