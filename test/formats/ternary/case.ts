// Signs and trits.
import { binary, ternary } from "../../../src/index.ts";
import { groupsOf, type TestFormat } from "../../lib/test-format.ts";
import { makeWeights } from "../../reference/weights.ts";

function planeFormat(planes: 1 | 2): TestFormat {
  const of: TestFormat["of"] = (rows, cols, codes, scales, groupSize) =>
    makeWeights({ rows, cols, planes, codes: new Int8Array(codes), scales, groupSize });
  return {
    levels: planes === 1 ? [-1, 1] : [-1, 1, 0],
    grouped: true,
    of,
    random: (rows, cols, rng, groupSize) =>
      makeWeights({
        rows,
        cols,
        planes,
        codes: planes === 1 ? rng.signs(rows * cols) : rng.trits(rows * cols),
        scales: rng.gaussians(rows * groupsOf(cols, groupSize)),
        groupSize,
      }),
    pack: (lb, { codes, scales }, common) =>
      planes === 1
        ? binary.pack(lb, { ...common, scales, signs: codes as Int8Array })
        : ternary.pack(lb, { ...common, scales, codes: codes as Int8Array }),
  };
}

export const cases = { binary: planeFormat(1), ternary: planeFormat(2) };
