// Convolutions against the oracle: sums bit for bit, and everything that becomes of them.
import type { Algorithm, Bits } from "../../src/conv/index.ts";
import * as conv from "../../src/conv/index.ts";
import { throwsWith } from "../lib/assert.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { checkOutputs, checkSums, instances, makeLayer, shapeOf } from "./layers.ts";

const t = suite("conv layer");
const all = await instances();

for (const { variant, lb } of all) {
  t(`${variant}: kernels of every size, odd maps, channels around 4 and 16`, () => {
    const rng = random(`conv kernels ${variant}`);
    for (const kernel of [1, 2, 3, 4, 5, 7, 9]) {
      for (const [inChannels, outChannels] of [
        [1, 1],
        [3, 16],
        [4, 17],
        [5, 15],
        [16, 33],
        [17, 4],
      ] as const) {
        const shape = shapeOf(rng.int(1, 12), rng.int(1, 12), inChannels, outChannels, { kernel: [kernel, kernel] });
        checkSums(lb, makeLayer(shape, rng), "direct", JSON.stringify(shape));
      }
    }
  });

  t(`${variant}: taps, strides and distances that differ by axis, any border`, () => {
    const rng = random(`conv geometry ${variant}`);
    for (let i = 0; i < 300; i++) {
      const kernel = [rng.int(1, 4), rng.int(1, 4)] as const;
      const dilation = [rng.int(1, 3), rng.int(1, 3)] as const;
      const padding = [rng.int(0, 5), rng.int(0, 5), rng.int(0, 5), rng.int(0, 5)] as const;
      const least = kernel.map((taps, axis) => (taps - 1) * (dilation[axis] as number) + 1) as [number, number];
      const shape = shapeOf(least[0] + rng.int(0, 6), least[1] + rng.int(0, 6), rng.int(1, 9), rng.int(1, 20), {
        ...{ kernel, dilation, padding },
        stride: [rng.int(1, 4), rng.int(1, 4)],
      });
      checkSums(lb, makeLayer(shape, rng, { type: i % 2 ? "int8" : "uint8" }), "direct", JSON.stringify(shape));
    }
  });

  t(`${variant}: groups, and depthwise by both algorithms`, () => {
    const rng = random(`conv groups ${variant}`);
    for (const [groups, groupIn, groupOut] of [
      [2, 3, 5],
      [3, 16, 16],
      [4, 7, 1],
      [2, 17, 18],
      [5, 1, 2],
    ] as const) {
      const shape = shapeOf(7, 6, groups * groupIn, groups * groupOut, { groups });
      const layer = makeLayer(shape, rng, { type: "uint8" });
      checkSums(lb, layer, "direct", JSON.stringify(shape));
      checkOutputs(lb, layer, rng, JSON.stringify(shape), "direct");
    }
    for (const channels of [1, 2, 15, 16, 17, 40]) {
      for (const kernel of [1, 2, 3, 5] as const) {
        const shape = shapeOf(rng.int(1, 9), rng.int(1, 9), channels, channels, {
          groups: channels,
          kernel: [kernel, 3],
          stride: [rng.int(1, 2), rng.int(1, 2)],
          dilation: [rng.int(1, 2), 1],
        });
        const layer = makeLayer(shape, rng, { type: channels % 2 ? "uint8" : "int8" });
        checkSums(lb, layer, "depthwise", `depthwise ${JSON.stringify(shape)}`);
        checkSums(lb, layer, "direct", `direct ${JSON.stringify(shape)}`);
      }
    }
    const shape = shapeOf(9, 8, 19, 19, { groups: 19 });
    checkOutputs(lb, makeLayer(shape, rng), rng, "depthwise outputs");
  });

  t(`${variant}: weights and activations of every number of bits`, () => {
    const rng = random(`conv bits ${variant}`);
    for (const bits of [8, 7, 6, 5, 4, 3, 2, "ternary", "binary"] as const satisfies readonly Bits[]) {
      for (const type of ["int8", "uint8"] as const) {
        for (const xBits of [8, 4, 2]) {
          const layer = makeLayer(shapeOf(6, 7, 9, 18), rng, { bits, type, xBits });
          checkSums(lb, layer, "direct", `${bits} ${type} ${xBits}`);
          checkSums(lb, layer, undefined, `chosen: ${bits} ${type} ${xBits}`);
        }
      }
    }
  });

  t(`${variant}: the largest sums of both signs, and of every border`, () => {
    const rng = random(`conv extremes ${variant}`);
    for (const weights of ["least", "most", "alternating"] as const) {
      for (const activations of ["least", "most", "alternating"] as const) {
        for (const type of ["int8", "uint8"] as const) {
          for (const zeroPoint of type === "int8" ? [-128, 127, 0] : [0, 255, 128]) {
            const options = { weights, activations, type, zeroPoint };
            const layer = makeLayer(shapeOf(4, 3, 512, 3), rng, options);
            checkSums(lb, layer, "direct", JSON.stringify(options));
          }
        }
      }
    }
  });

  t(`${variant}: codes, numbers, residuals, relu, float and dyadic`, () => {
    const rng = random(`conv outputs ${variant}`);
    for (const [inChannels, outChannels] of [
      [3, 5],
      [8, 16],
      [16, 33],
    ] as const) {
      for (const relu of [false, true]) {
        const layer = makeLayer(shapeOf(7, 5, inChannels, outChannels), rng, {
          ...{ relu, type: relu ? "uint8" : "int8" },
          ...{ oneScale: inChannels === 8, bias: outChannels !== 16 },
        });
        checkOutputs(lb, layer, rng, `${inChannels} x ${outChannels} relu ${relu}`, "direct");
      }
    }
  });
}

t("options of falsy values are options, and what reading options disposes of is not used", () => {
  for (const { lb } of all) {
    const given = {
      inChannels: 4,
      outChannels: 4,
      kernel: 3,
      codes: new Int8Array(144).fill(1),
      scales: Float32Array.of(1),
    };
    for (const algorithm of [0, Number.NaN, "", false] as unknown as Algorithm[]) {
      const kind = typeof algorithm === "string" ? RangeError : TypeError;
      throwsWith(() => conv.pack(lb, { ...given, algorithm }), kind, "algorithm: expected ");
    }
    for (const map of [0, Number.NaN, "", false] as unknown as [number, number][]) {
      throwsWith(() => conv.pack(lb, { ...given, map }), TypeError, "map: expected ");
    }
    const layer = conv.pack(lb, given);
    const x = conv.tensor(lb, { height: 4, width: 4, channels: 4 });
    const y = layer.output(4, 4, { type: "int32" });
    const options = {
      get residual(): undefined {
        layer.dispose();
        return undefined;
      },
    };
    throwsWith(() => layer.run(x, y, options as object), TypeError, "disposed");
    x.dispose();
    y.dispose();
  }
});
