// One contract behind all algorithms: the same bits.
import { equalBits, is, throwsWith } from "../lib/assert.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { checkOutputs, checkSums, inputOf, instances, makeLayer, packLayer, shapeOf, sumsOf } from "./layers.ts";

const t = suite("conv algorithms");
const all = await instances();
const FAST = ["sfc4", "sfc6", "sfc7"] as const;

/** Layers that are compared with the direct algorithm: LOWBIT_CONV_LAYERS=100000 for more. */
const LAYERS = Number(process.env.LOWBIT_CONV_LAYERS ?? 10_000);

for (const { variant, lb } of all) {
  for (const algorithm of FAST) {
    t(`${variant}: ${algorithm} on maps around its tiles, with and without a border`, () => {
      const rng = random(`conv ${algorithm} ${variant}`);
      for (const size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 20]) {
        for (const padding of ["same", [0, 0, 0, 0], [2, 0, 1, 3]] as const) {
          const height = Math.max(size, padding === "same" ? 1 : 3);
          const shape = shapeOf(height, rng.int(3, 20), rng.int(1, 18), rng.int(1, 34), { padding });
          const layer = makeLayer(shape, rng, { type: size % 2 ? "int8" : "uint8" });
          checkSums(lb, layer, algorithm, JSON.stringify(shape));
        }
      }
    });

    t(`${variant}: ${algorithm}: everything that becomes of its sums`, () => {
      const rng = random(`conv outputs ${algorithm} ${variant}`);
      checkOutputs(lb, makeLayer(shapeOf(15, 9, 10, 20), rng, { relu: true }), rng, algorithm, algorithm);
    });

    t(`${variant}: ${algorithm} at its bound, in worst signs`, () => {
      const rng = random(`conv bound ${algorithm} ${variant}`);
      // Below 2^27: 255 · 128 · 9 · 456 channels; below 2^29: 1827.
      const channels = algorithm === "sfc4" ? 456 : 1827;
      for (const weights of ["least", "alternating"] as const) {
        for (const [type, zeroPoint, activations] of [
          ["uint8", 0, "most"],
          ["int8", 127, "least"],
          ["int8", -128, "alternating"],
        ] as const) {
          const layer = makeLayer(shapeOf(8, 8, channels, 1), rng, { weights, activations, type, zeroPoint });
          equalBits(sumsOf(lb, layer, algorithm), sumsOf(lb, layer, "direct"), `${weights} ${type} ${activations}`);
        }
      }
      const layer = makeLayer(shapeOf(3, 3, channels + 1, 1), rng, { weights: "least" });
      throwsWith(() => packLayer(lb, layer, { algorithm }), RangeError, "algorithm: expected sums below");
    });
  }

  t(`${variant}: ${LAYERS / all.length} random layers, every algorithm`, () => {
    const rng = random(`conv layers ${variant}`);
    for (let i = 0; i < LAYERS / all.length; i++) {
      const shape = shapeOf(rng.int(1, 9), rng.int(1, 9), rng.int(1, 4), rng.int(1, 3), {
        padding: [rng.int(1, 2), rng.int(1, 2), rng.int(1, 2), rng.int(1, 2)],
      });
      const layer = makeLayer(shape, rng, { type: rng.bits() & 1 ? "int8" : "uint8", bits: rng.bits() & 1 ? 8 : 4 });
      const algorithm = FAST[i % 3] as (typeof FAST)[number];
      equalBits(
        sumsOf(lb, layer, algorithm),
        sumsOf(lb, layer, "direct"),
        `${i}: ${algorithm} ${JSON.stringify(shape)}`,
      );
    }
  });

  t(`${variant}: an algorithm that cannot compute a layer is refused`, () => {
    const rng = random("conv refused");
    for (const [more, message] of [
      [{ kernel: [5, 5] }, "a kernel of 3 x 3"],
      [{ stride: [2, 1] }, "stride 1 and dilation 1"],
      [{ dilation: [1, 2] }, "stride 1 and dilation 1"],
      [{ groups: 2 }, "one group"],
    ] as const) {
      const layer = makeLayer(shapeOf(8, 8, 4, 4, more), rng);
      for (const algorithm of FAST) throwsWith(() => packLayer(lb, layer, { algorithm }), RangeError, message);
      throwsWith(() => packLayer(lb, layer, { algorithm: "depthwise" }), RangeError, "as many groups as channels");
    }
  });

  t(`${variant}: the table chooses by map, channels and geometry`, () => {
    const rng = random("conv chosen");
    const chosen = (layer: ReturnType<typeof makeLayer>, map?: readonly [number, number]): string => {
      const made = packLayer(lb, layer, map && { map });
      const { algorithm } = made;
      made.dispose();
      return algorithm;
    };
    const wide = lb.features.dot !== "u8" && lb.features.dot !== "s8";
    const layer = makeLayer(shapeOf(8, 8, 64, 64), rng);
    is(chosen(layer, [96, 96]), "sfc6");
    is(chosen(layer, [56, 56]), "sfc7");
    is(chosen(layer, [8, 8]), "sfc4");
    if (wide) is(chosen(makeLayer(shapeOf(8, 8, 16, 16), rng)), "sfc6");
    is(chosen(makeLayer(shapeOf(8, 8, 3, 64), rng)), "direct");
    is(chosen(makeLayer(shapeOf(8, 8, 64, 64, { kernel: [1, 1] }), rng)), "direct");
    is(chosen(makeLayer(shapeOf(8, 8, 64, 64, { stride: [2, 2] }), rng)), "direct");
    is(chosen(makeLayer(shapeOf(8, 8, 64, 64, { groups: 64 }), rng)), "depthwise");
    const x = inputOf(lb, layer);
    const before = lb.memory.used;
    const made = packLayer(lb, layer, { algorithm: "sfc6" });
    is(lb.memory.used - before >= made.byteLength, true);
    made.dispose();
    is(lb.memory.used, before);
    x.dispose();
  });
}
