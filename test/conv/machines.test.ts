// Convolutions on every kind of machine: what processors make of bytes of 128 and more is put into both binaries.
import * as conv from "../../src/conv/index.ts";
import { init } from "../../src/index.ts";
import { acceptsRelaxed } from "../../src/runtime/features.ts";
import { is } from "../lib/assert.ts";
import { binaryOf, type Dot, MACHINES } from "../lib/machines.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { checkOutputs, checkSums, makeLayer, packLayer, shapeOf } from "./layers.ts";

const t = suite("conv machines");

if (!acceptsRelaxed()) {
  t.skip("every machine", "no relaxed SIMD here");
} else {
  for (const dot of Object.keys(MACHINES) as Dot[]) {
    t(`${dot}: the same sums and codes`, async () => {
      const lb = await init({ module: binaryOf(MACHINES[dot]), threads: 1 });
      is(lb.features.dot, dot);
      await conv.load(lb, { module: binaryOf(MACHINES[dot], "conv-relaxed") });
      const rng = random(`conv machine ${dot}`);
      for (const weights of ["random", "least", "most", "alternating"] as const) {
        for (const activations of ["random", "least", "most"] as const) {
          for (const type of ["int8", "uint8"] as const) {
            const layer = makeLayer(shapeOf(6, 7, 13, 18), rng, { weights, activations, type });
            for (const algorithm of ["direct", "sfc4", "sfc6"] as const) {
              checkSums(lb, layer, algorithm, `${algorithm} ${weights} ${activations} ${type}`);
            }
          }
        }
      }
      for (const [groups, kernel, dilation] of [
        [1, 1, 1],
        [1, 5, 2],
        [3, 3, 1],
        [18, 3, 1],
      ] as const) {
        const shape = shapeOf(9, 5, 18, 36 / (groups === 18 ? 2 : 1), {
          groups,
          kernel: [kernel, kernel],
          dilation: [dilation, dilation],
          stride: [1, 2],
        });
        checkSums(lb, makeLayer(shape, rng), undefined, JSON.stringify(shape));
      }
      checkOutputs(lb, makeLayer(shapeOf(5, 6, 5, 17), rng, { type: "uint8" }), rng, "outputs", "direct");
      // 32 channels are few beside bytes of an unsigned operand, and many beside int16.
      const made = packLayer(lb, makeLayer(shapeOf(3, 3, 16, 16), rng));
      is(made.algorithm, dot === "i16" ? "sfc6" : "direct");
      made.dispose();
    });
  }
}
