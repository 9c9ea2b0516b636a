// Minifloats as what kernels see: multiples of the smallest number, or of 8 bits the numbers themselves.
import { minifloat as format } from "../../../src/index.ts";
import { formats as registry } from "../../../src/kernels/formats.ts";
import type { Format, FormatName } from "../../../src/kernels/types.ts";
import { type AnyWeights, groupsOf, inParts, type TestFormat, whole } from "../../lib/test-format.ts";
import { codesOf, minifloat, smallest } from "../../reference/minifloat.ts";
import { makeWeights } from "../../reference/weights.ts";

type Tested = "e2m2" | "e2m3" | "e3m1" | "e3m2" | "e4m3" | "e5m2";
function testFormat(type: Tested, name: FormatName): TestFormat {
  const known = codesOf(type);
  // Kernels of floats meet the numbers themselves.
  const unit = name === "minifloat_e4m3" || name === "minifloat_e5m2" ? 1 : smallest(type);
  const integers = new Map(known.map((code) => [code, minifloat(type, code) / unit]));
  const most = Math.max(...integers.values());
  const codeOf = new Map([...integers].map(([code, value]) => [value, code]));
  const make = (rows: number, cols: number, codes: Uint8Array, given: ArrayLike<number>, groupSize?: number) => {
    const scales = Float32Array.from(given);
    const values = Float64Array.from(codes, (code) => integers.get(code) as number);
    const { maxGroup = cols, chunk }: Format = registry[name];
    const weights = makeWeights({
      rows,
      cols,
      planes: 1,
      codes: values,
      scales: scales.map((scale) => scale * unit),
      groupSize,
    });
    const parts = inParts(weights, maxGroup, chunk) as AnyWeights & { given?: object };
    return Object.assign(parts, { bytes: codes, itsScales: scales, itsGroup: weights.groupSize });
  };
  return {
    levels: [-most, most, 0, 1],
    grouped: true,
    of: (rows, cols, codes, scales, groupSize) => {
      const bytes = Uint8Array.from(codes, (value) => codeOf.get(value) as number);
      return make(rows, cols, bytes, scales, groupSize);
    },
    random: (rows, cols, rng, groupSize) => {
      const bytes = Uint8Array.from({ length: rows * cols }, () => known[rng.int(0, known.length - 1)] as number);
      return make(rows, cols, bytes, rng.gaussians(rows * groupsOf(cols, groupSize)), groupSize);
    },
    pack: (lb, weights, common) => {
      const { bytes, itsScales } = weights as AnyWeights & { bytes: Uint8Array; itsScales: Float32Array };
      return format.pack(lb, { ...common, groupSize: whole(weights).groupSize, type, codes: bytes, scales: itsScales });
    },
  };
}

export const cases = {
  minifloat5: testFormat("e2m2", "minifloat5"),
  minifloat5_i16: testFormat("e3m1", "minifloat5_i16"),
  minifloat6: testFormat("e2m3", "minifloat6"),
  minifloat6_i16: testFormat("e3m2", "minifloat6_i16"),
  minifloat_e4m3i: testFormat("e4m3", "minifloat_e4m3i"),
  minifloat_e4m3: testFormat("e4m3", "minifloat_e4m3"),
  minifloat_e5m2: testFormat("e5m2", "minifloat_e5m2"),
};
