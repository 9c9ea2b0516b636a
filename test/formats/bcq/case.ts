import { bcq } from "../../../src/index.ts";
import { groupsOf, type TestFormat } from "../../lib/test-format.ts";
import { packSigns } from "../../reference/binary.ts";
import { makeWeights } from "../../reference/weights.ts";

const bcqFormat: TestFormat = {
  levels: [-1, 1],
  grouped: true,
  of: (rows, cols, codes, scales, groupSize) => {
    const term = { codes: new Int8Array(codes), scales };
    // The planes of an extreme add up to the extreme.
    return makeWeights({ rows, cols, planes: 1, ...term, more: [term, term], groupSize, offsets: scales });
  },
  random: (rows, cols, rng, groupSize) => {
    const count = rows * groupsOf(cols, groupSize);
    const term = () => ({ codes: rng.signs(rows * cols), scales: rng.gaussians(count) });
    const more = Array.from({ length: rng.int(0, 3) }, term);
    const offsets = rng.int(0, 2) > 0 ? rng.gaussians(count) : undefined;
    return makeWeights({ rows, cols, planes: 1, ...term(), more, groupSize, offsets });
  },
  pack: (lb, weights, common) => {
    const terms = [weights, ...weights.more];
    const planes = terms.map(({ codes }) => packSigns(codes as Int8Array, weights.rows, weights.cols));
    const { offsets } = weights;
    return bcq.pack(lb, {
      ...common,
      bits: terms.length,
      planes: Uint8Array.from(planes.flatMap((plane) => Array.from(plane))),
      alphas: Float32Array.from(terms.flatMap(({ scales }) => Array.from(scales))),
      ...(offsets && { offsets }),
    });
  },
};

export const cases = { bcq: bcqFormat };
