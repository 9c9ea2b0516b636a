import { uniform } from "../../../src/index.ts";
import { formats as registry } from "../../../src/kernels/formats.ts";
import type { UniformBits } from "../../../src/kernels/types.ts";
import { filled } from "../../lib/fill.ts";
import { type AnyWeights, groupsOf, inParts, type TestFormat, whole } from "../../lib/test-format.ts";
import { makeWeights } from "../../reference/weights.ts";

function uniformFormat(bits: UniformBits): TestFormat {
  const middle = 2 ** (bits - 1);
  return {
    levels: [-middle, middle - 1, 0, -1],
    grouped: true,
    of: (rows, cols, codes, scales, groupSize) =>
      inParts(
        makeWeights({ rows, cols, planes: 1, codes: new Int8Array(codes), scales, groupSize }),
        65536,
        registry[`uniform${bits}`].chunk,
      ),
    random: (rows, cols, rng, groupSize) => {
      const count = rows * groupsOf(cols, groupSize);
      const codes = filled(new Int8Array(rows * cols), () => rng.int(-middle, middle - 1));
      const scales = rng.gaussians(count);
      if (rng.int(0, 1) === 0) return makeWeights({ rows, cols, planes: 1, codes, scales, groupSize });
      const zeros = Float32Array.from({ length: count }, () => rng.int(-1, 2 ** bits) + rng.int(0, 1) / 4);
      // s (c - z) = s (c - middle) + s (middle - z)
      const offsets = scales.map((scale, i) => scale * (middle - (zeros[i] as number)));
      return Object.assign(makeWeights({ rows, cols, planes: 1, codes, scales, groupSize, offsets }), { zeros });
    },
    pack: (lb, weights, common) => {
      const { codes } = weights;
      const { groupSize, scales } = whole(weights);
      const { zeros } = weights as AnyWeights & { zeros?: Float32Array };
      const unsigned = filled(new Uint8Array(codes.length), (i) => (codes[i] as number) + middle);
      return uniform.pack(lb, { ...common, groupSize, bits, codes: unsigned, scales, ...(zeros && { zeros }) });
    },
  };
}

export const cases = {
  uniform2: uniformFormat(2),
  uniform3: uniformFormat(3),
  uniform4: uniformFormat(4),
  uniform5: uniformFormat(5),
  uniform6: uniformFormat(6),
  uniform8: uniformFormat(8),
};
