// Any number of threads gives the same bits as one, of every format and activation.
//
// Cases name their formats.

import { makeRotated } from "../../src/matrix/rotated.ts";
import { equalBits, is } from "../lib/assert.ts";
import { type AnyWeights, groupSizeNear, testFormats } from "../lib/formats.ts";
import {
  bitplane,
  complex,
  everyPair,
  fairy2i,
  init,
  type Lowbit,
  lift,
  type Matrix,
  packMatrix,
  uniform,
} from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { always, sameBits, start, ternaryOf } from "../lib/threads.ts";

// Several tiles and an odd end; a tile; less than one.
const shapes = [
  [331, 150],
  [64, 75],
  [13, 40],
] as const;

const gaussianMatrices: Readonly<Record<string, (lb: Lowbit) => Matrix>> = {
  bitplane: (lb) => {
    const [rows, cols] = [331, 150];
    return bitplane.quantize(lb, random("t bits", 1).gaussians(rows * cols), {
      rows,
      cols,
      bits: 2,
      activationBits: 8,
    });
  },
  fairy2i: (lb) => {
    const [rows, cols] = [330, 150];
    return fairy2i.quantize(lb, random("t fairy", 1).gaussians(rows * cols), { rows, cols });
  },
  "fairy2i lut8 with branches": (lb) => {
    const [rows, cols] = [330, 150];
    const rng = random("t fairy", 1);
    const options = { rows, cols, activation: "lut8" as const };
    return fairy2i.quantize(lb, rng.gaussians(rows * cols), options).with({ bias: rng.gaussians(rows) });
  },
  lift: (lb) => {
    const [rows, cols] = [200, 96];
    return lift.quantize(lb, random("t lift", 1).gaussians(rows * cols), { rows, cols, bits: 2 });
  },
  "rotated on both sides, with bias": (lb) => {
    const [rows, cols] = [300, 150];
    const rng = random("t rotated", 1);
    const w = rng.gaussians(rows * cols);
    const inner = uniform.quantize(lb, w, { rows, cols, bits: 4, groupSize: 32 });
    const other = ternaryOf(lb, rows, cols);
    const inners = [{ matrix: inner }, { matrix: other, factor: 0.3 }];
    const matrix = makeRotated("test", lb, {
      ...{ label: "test", rows, cols, inners },
      pre: [{ kind: "scale", by: rng.gaussians(cols) }],
      post: [{ kind: "scale", by: rng.gaussians(rows) }],
    });
    return matrix.with({ bias: rng.gaussians(rows) });
  },
};

for (let threads = 1; threads <= 8; threads++) {
  const t = suite(`same bits of ${threads}`);
  let [one, several]: Lowbit[] = [];
  const instances = (): { one: Lowbit; several: Lowbit } => ({ one: one as Lowbit, several: several as Lowbit });

  t.before(async () => {
    one = await init({ threads: 1 });
    several = await start(threads);
    is(several.features.threadsReason, undefined);
    is(several.features.threads, threads);
  });
  t.after(() => several?.dispose());

  for (const [i, { format, activation }] of everyPair.entries()) {
    // Every format and activation with half of the numbers of threads, every format with all.
    if (i % 2 === threads % 2) continue;
    t(`${format} ${activation}`, () =>
      always(() => {
        const rng = random(`same bits of ${threads} ${format} ${activation}`);
        const [rows, cols] = shapes[rng.int(0, 3) === 0 ? rng.int(1, 2) : 0] as (typeof shapes)[0];
        const { grouped } = testFormats[format];
        const groupSize = grouped && rng.int(0, 1) === 0 ? groupSizeNear(format, activation, 32) : undefined;
        const weights = testFormats[format].random(rows, cols, rng, groupSize);
        const make = (lb: Lowbit): Matrix => packMatrix(lb, format, weights as AnyWeights, activation);
        return sameBits(make, { ...instances(), rng }, `${rows}x${cols}`);
      }),
    );
  }
  for (const [name, make] of Object.entries(gaussianMatrices)) {
    t(name, () =>
      always(() => sameBits(make, { ...instances(), rng: random(`same bits of ${threads} ${name}`) }, name)),
    );
  }
}

for (const variant of ["simd", "relaxed"] as const) {
  const t = suite(`same bits of 3, ${variant}`);
  const name = "uniform4 with branches, and complex";
  const one = await init({ variant }).catch(() => undefined);
  if (!one) {
    t.skip(name, "this runtime has no relaxed SIMD");
    continue;
  }
  t(name, () =>
    always(async () => {
      const several = await start(3, { variant });
      const rng = random(`same bits of 3, ${variant}`);
      is(several.features.variant, variant);
      const [rows, cols, rank] = [2100, 70, 5];
      const [a, b] = [rng.gaussians(rows * rank), rng.gaussians(rank * cols)];
      const [bias, colScale] = [rng.gaussians(rows), rng.gaussians(cols)];
      const sparse = {
        rows: Uint32Array.from({ length: rows + 1 }, (_, r) => 2 * Math.min(r, 900)),
        cols: Uint32Array.from({ length: 1800 }, (_, i) => (i % 2 === 0 ? 3 : 60)),
        values: rng.gaussians(1800),
      };
      for (const activation of ["int8", "f32"] as const) {
        const make = (lb: Lowbit): Matrix => {
          const w = random("t branches", 1).gaussians(rows * cols);
          const matrix = uniform.quantize(lb, w, { rows, cols, bits: 4, activation });
          return matrix.with({ lowRank: { a, b }, sparse, bias, colScale });
        };
        await sameBits(make, { one, several, rng }, `branches ${activation}`);
      }
      const w = { re: rng.gaussians(rows * cols), im: rng.gaussians(rows * cols) };
      for (const activation of ["int8", "lut8", "f32"] as const) {
        const [c, d] = [one, several].map((lb) => complex.quantize(lb, w, { rows, cols, activation })) as [
          ReturnType<typeof complex.quantize>,
          ReturnType<typeof complex.quantize>,
        ];
        for (const n of [1, 3, 9]) {
          const x = { re: rng.gaussians(n * cols), im: rng.gaussians(n * cols) };
          const expected = c.gemm(x, n);
          for (const y of [d.gemm(x, n), await d.gemmAsync(x, n)]) {
            equalBits(y.re, expected.re, `complex ${activation} n ${n} re`);
            equalBits(y.im, expected.im, `complex ${activation} n ${n} im`);
          }
        }
      }
      several.dispose();
    }),
  );
}
