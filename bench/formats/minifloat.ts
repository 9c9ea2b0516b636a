import { minifloat } from "lowbit";
import type { FormatName } from "../../src/kernels/types.ts";
import { minifloat as numberOf } from "../../test/reference/minifloat.ts";
import { type BenchFormat, common, labelOf, randomBytes, randomScales } from "./format.ts";

/** w = scale · number, exponents of 3 and more bits near the middle, as weights have them. */
function minifloatFormat(type: minifloat.Minifloat, format: FormatName, groupSize?: number): BenchFormat {
  const bits = 1 + Number(type[1]) + Number(type[3]);
  return {
    label: labelOf(`${format} ${type}`, groupSize),
    format,
    make(rows, cols) {
      const size = groupSize ?? cols;
      const groups = Math.ceil(cols / size);
      const codes = randomBytes(rows * cols, 1, 2 ** bits);
      // Infinities and NaN have an exponent of all ones; a bit less is a number.
      if (bits === 8) for (let i = 0; i < codes.length; i++) codes[i] = (codes[i] as number) & 0xbf;
      const scales = randomScales(rows * groups, 3);
      const values = Float64Array.from({ length: 2 ** bits }, (_, code) => numberOf(type, code));
      return {
        decodeRow(row) {
          return Float64Array.from({ length: cols }, (_, c) => {
            const scale = scales[row * groups + Math.floor(c / size)] as number;
            return scale * (values[codes[row * cols + c] as number] as number);
          });
        },
        pack: (lb, options) => minifloat.pack(lb, { ...common(rows, cols, groupSize, options), type, codes, scales }),
      };
    },
  };
}

/** Groups of MXFP6 and MXFP8 beside a scale a row; E4M3 of int8 in groups of 64 at most. */
export const benches: readonly BenchFormat[] = [
  minifloatFormat("e2m2", "minifloat5"),
  minifloatFormat("e3m1", "minifloat5_i16"),
  minifloatFormat("e2m3", "minifloat6"),
  minifloatFormat("e2m3", "minifloat6", 32),
  minifloatFormat("e3m2", "minifloat6_i16"),
  minifloatFormat("e3m2", "minifloat6_i16", 32),
  minifloatFormat("e4m3", "minifloat_e4m3i", 64),
  minifloatFormat("e4m3", "minifloat_e4m3"),
  minifloatFormat("e5m2", "minifloat_e5m2"),
];
