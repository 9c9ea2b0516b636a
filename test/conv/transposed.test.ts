// Transposed convolutions against their definition.
import * as conv from "../../src/conv/index.ts";
import { equalBits, is, throwsWith } from "../lib/assert.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { convolveTransposed } from "../reference/conv.ts";
import { inputOf, instances, makeLayer, packLayer, shapeOf } from "./layers.ts";

const t = suite("conv transposed");

for (const { variant, lb } of await instances()) {
  t(`${variant}: any kernel, stride, distance, border and groups`, () => {
    const rng = random(`conv transposed ${variant}`);
    for (let i = 0; i < 120; i++) {
      const kernel = [rng.int(1, 5), rng.int(1, 5)] as const;
      const stride = [rng.int(1, 3), rng.int(1, 3)] as const;
      const dilation = [rng.int(1, 2), rng.int(1, 2)] as const;
      const most = kernel.map((taps, axis) => (taps - 1) * (dilation[axis] as number)) as [number, number];
      const groups = i % 4 === 0 ? 2 : i % 4 === 1 ? 6 : 1;
      const [height, width] = [rng.int(3, 6), rng.int(3, 6)];
      const padding = [
        rng.int(0, Math.min(1, most[0])),
        rng.int(0, Math.min(1, most[1])),
        rng.int(0, 1),
        rng.int(0, 1),
      ] as const;
      const shape = shapeOf(height, width, 6, groups === 6 ? 6 : 6 * rng.int(1, 3), {
        kernel,
        stride,
        dilation,
        groups,
        padding,
      });
      const layer = makeLayer(shape, rng, { type: i % 2 ? "int8" : "uint8" });
      const outputPadding = [rng.int(0, stride[0] - 1), rng.int(0, stride[1] - 1)] as const;
      const made = packLayer(lb, layer, { transposed: true, outputPadding });
      const x = inputOf(lb, layer);
      const out = made.output(height, width, { type: "int32" });
      const expected = convolveTransposed(shape, layer.x, layer.zeroPoint, layer.w, outputPadding);
      is(`${out.height} ${out.width}`, `${expected.height} ${expected.width}`);
      equalBits(made.run(x, out).readCodes() as Int32Array, Int32Array.from(expected.sums), JSON.stringify(shape));
      equalBits(made.codes(), layer.w, "codes");
      for (const one of [made, x, out]) one.dispose();
    }
  });

  t(`${variant}: "same" is stride times the map; what does not fit is refused`, () => {
    const common = { inChannels: 3, outChannels: 4, transposed: true } as const;
    for (const kernel of [1, 2, 3, 4, 5]) {
      const layer = conv.quantize(lb, new Float32Array(12 * kernel ** 2).fill(1), {
        ...common,
        kernel,
        stride: 2,
        padding: "same",
      });
      const out = layer.output(5, 7);
      is(`${out.height} x ${out.width}`, "10 x 14");
      out.dispose();
      layer.dispose();
    }
    const w = new Float32Array(12 * 9);
    const layer = conv.quantize(lb, w, { ...common, kernel: 3, stride: 2, padding: 3 });
    throwsWith(() => layer.output(5, 5), RangeError, "at most 2 before the output");
    layer.dispose();
    throwsWith(
      () => conv.quantize(lb, w, { ...common, kernel: 3, stride: 2, outputPadding: 2 }),
      RangeError,
      "less than the stride",
    );
    throwsWith(
      () => conv.quantize(lb, w, { ...common, kernel: 3, transposed: false, outputPadding: 1 }),
      RangeError,
      "since transposed is not set",
    );
    throwsWith(
      () => conv.quantize(lb, w, { ...common, kernel: 3, stride: 2, padding: "same", outputPadding: 1 }),
      RangeError,
      'outputPadding: expected 0 with padding "same"',
    );
  });
}
