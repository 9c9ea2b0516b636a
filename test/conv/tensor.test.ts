// Activations: numbers and images to codes and back, and what is refused.
import * as conv from "../../src/conv/index.ts";
import { init } from "../../src/index.ts";
import { equalBits, equalValues, is, rejectsWith, throwsWith } from "../lib/assert.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { nearestEven } from "../reference/conv.ts";
import { instances, xRange } from "./layers.ts";

const t = suite("conv tensor");
const all = await instances();
const f32 = Math.fround;

for (const { variant, lb } of all) {
  t(`${variant}: numbers become the nearest codes, halves to even, clipped`, () => {
    const rng = random(`conv numbers ${variant}`);
    for (const channels of [1, 3, 4, 15, 16, 17, 32]) {
      for (const type of ["int8", "uint8"] as const) {
        for (const bits of [8, 4, 2]) {
          const [least, most] = xRange(type, bits);
          const zeroPoint = rng.int(least, most);
          const scale = f32(0.5 ** rng.int(0, 4) * (bits === 8 ? 1 : 1.3));
          const [height, width] = [rng.int(1, 5), rng.int(1, 7)];
          const x = conv.tensor(lb, { height, width, channels, type, bits, scale, zeroPoint });
          const values = Float32Array.from({ length: height * width * channels }, (_, i) => {
            // Halves, both ends, and beyond.
            if (i % 5 === 0) return f32((rng.int(least - 3, most + 3) - zeroPoint + 0.5) * scale);
            return i % 7 === 0 ? 3e38 * (rng.int(0, 1) * 2 - 1) : f32(rng.gaussian() * scale * (most - least));
          });
          x.write(values);
          const expected = Float64Array.from(values, (value) =>
            Math.min(most, Math.max(least, nearestEven(f32(value / scale)) + zeroPoint)),
          );
          equalBits(Float64Array.from(x.readCodes()), expected, `${type} ${bits} bits, ${channels} channels`);
          equalValues(
            x.read(),
            Float32Array.from(expected, (code) => f32(f32(code - zeroPoint) * scale)),
            "read",
          );
          const floats = conv.tensor(lb, { height, width, channels, type: "float32" });
          floats.write(values);
          equalBits(floats.read(), values, "float32");
          is(
            floats.absmax(),
            values.reduce((a, b) => Math.max(a, Math.abs(b)), 0),
          );
          const again = conv.tensor(lb, { height, width, channels, type, bits, scale, zeroPoint });
          again.quantizeFrom(floats);
          equalBits(Float64Array.from(again.readCodes()), expected, "quantizeFrom");
          for (const one of [x, floats, again]) one.dispose();
        }
      }
    }
  });

  t(`${variant}: more than a piece of a large map`, () => {
    const rng = random(`conv large ${variant}`);
    const x = conv.tensor(lb, { height: 301, width: 203, channels: 3, scale: 0.01 });
    const values = rng.uniforms(301 * 203 * 3);
    x.write(values);
    const expected = Float32Array.from(values, (value) => f32(nearestEven(f32(value / f32(0.01))) * f32(0.01)));
    equalValues(x.read(), expected, "numbers");
    const codes = Int8Array.from({ length: values.length }, () => rng.int(-128, 127));
    x.writeCodes(codes);
    equalBits(x.readCodes() as Int8Array, codes, "codes");
    x.dispose();
  });

  t(`${variant}: bytes of an image by mean and deviation, and back`, () => {
    const rng = random(`conv image ${variant}`);
    const [height, width] = [13, 11];
    for (const [channels, pixelBytes] of [
      [3, 4],
      [4, 4],
      [3, 3],
      [1, 1],
    ] as const) {
      const image = Uint8ClampedArray.from({ length: height * width * pixelBytes }, () => rng.int(0, 255));
      const mean = [0.485, 0.456, 0.406, 0.1].slice(0, channels);
      const deviation = [0.229, 0.224, 0.225, 1].slice(0, channels);
      const options = { height, width, channels, type: "int8", scale: 0.02, zeroPoint: 3 } as const;
      const x = conv.tensor(lb, options);
      x.writeBytes(image, { pixelBytes, mean, deviation });
      const codes = x.readCodes();
      for (let i = 0; i < codes.length; i++) {
        const [pixel, c] = [Math.floor(i / channels), i % channels];
        const byte = image[pixel * pixelBytes + c] as number;
        const value = (byte / 255 - (mean[c] as number)) / (deviation[c] as number);
        is(codes[i], Math.max(-128, Math.min(127, nearestEven(value / f32(0.02)) + 3)), `code ${i}`);
      }
      x.dispose();
      // The bytes themselves as codes.
      const y = conv.tensor(lb, { height, width, channels, type: "uint8", scale: 1 / 255 });
      y.writeBytes(image, { pixelBytes });
      const back = y.readBytes({ pixelBytes }) as Uint8ClampedArray;
      const expected = image.map((byte, i) => (i % pixelBytes < channels ? byte : 255));
      equalBits(new Uint8Array(back), new Uint8Array(expected), "bytes");
      y.dispose();
    }
  });

  t(`${variant}: what is wrong is named, and nothing has happened`, () => {
    const { used } = lb.memory;
    throwsWith(() => conv.tensor(lb, { height: 0, width: 1, channels: 1 }), RangeError, "conv.tensor: height");
    throwsWith(() => conv.tensor(lb, { height: 1, width: 1, channels: 1, bits: 9 }), RangeError, "conv.tensor: bits");
    throwsWith(
      () => conv.tensor(lb, { height: 1, width: 1, channels: 1, type: "uint8", zeroPoint: -1 }),
      RangeError,
      "conv.tensor: zeroPoint: expected an integer from 0 to 255, got -1",
    );
    throwsWith(
      () => conv.tensor(lb, { height: 1, width: 1, channels: 1, type: "float32", scale: 2 }),
      RangeError,
      "conv.tensor: scale: expected none for float32, got 2",
    );
    throwsWith(
      () => conv.tensor(lb, { height: 1, width: 1, chanels: 1 } as unknown as conv.TensorOptions),
      TypeError,
      'did you mean "channels"?',
    );
    const x = conv.tensor(lb, { height: 2, width: 3, channels: 5, bits: 4 });
    throwsWith(() => x.write(new Float32Array(29)), RangeError, "expected length 30 (2 x 3 x 5), got 29");
    throwsWith(() => x.write(new Float32Array(30).fill(Number.NaN)), RangeError, "NaN at index 0");
    throwsWith(() => x.writeCodes(new Int8Array(30).fill(8)), RangeError, "codes from -8 to 7, got 8 at index 0");
    throwsWith(() => x.writeCodes(new Uint8Array(30)), TypeError, "an Int8Array");
    throwsWith(() => x.writeBytes(new Uint8Array(24)), RangeError, "at least the 5 channels");
    throwsWith(() => x.absmax(), TypeError, "a float32 tensor");
    x.dispose();
    x.dispose();
    throwsWith(() => x.read(), TypeError, "this tensor (2 x 3 x 5) was disposed");
    is(lb.memory.used, used);
  });

  t(`${variant}: layers refuse what does not fit them`, () => {
    const layer = conv.quantize(lb, new Float32Array(4 * 3 * 9).fill(0.5), {
      ...{ inChannels: 3, outChannels: 4, kernel: 3, padding: 1, bits: 4 },
    });
    const x = conv.tensor(lb, { height: 5, width: 5, channels: 3 });
    const out = layer.output(5, 5);
    const wrong = conv.tensor(lb, { height: 5, width: 4, channels: 4 });
    throwsWith(() => layer.run(out, out), RangeError, "Conv2d.run: x: expected 3 channels, got 4");
    throwsWith(() => layer.run(x, wrong), RangeError, "Conv2d.run: out: expected 5 x 5 x 4, got 5 x 4 x 4");
    throwsWith(() => layer.run(x, out, { residual: x }), RangeError, "Conv2d.run: residual: expected 5 x 5 x 4");
    throwsWith(() => layer.run(x, {} as conv.Tensor), TypeError, "a tensor of lowbit/conv");
    throwsWith(
      () => conv.quantize(lb, new Float32Array(5), { inChannels: 3, outChannels: 4, kernel: 3 }),
      RangeError,
      "4 x 3 x 3 x 3",
    );
    throwsWith(
      () =>
        conv.pack(lb, {
          inChannels: 1,
          outChannels: 1,
          kernel: 1,
          bits: 3,
          codes: Int8Array.of(4),
          scales: Float32Array.of(1),
        }),
      RangeError,
      "conv.pack: codes: expected codes from -4 to 3 (bits: 3), got 4 at index 0",
    );
    throwsWith(
      () =>
        conv.pack(lb, {
          inChannels: 1,
          outChannels: 1,
          kernel: 1,
          bits: "binary",
          codes: Int8Array.of(0),
          scales: Float32Array.of(1),
        }),
      RangeError,
      "codes -1 and 1",
    );
    throwsWith(() => layer.output(1, 1, { scale: -1 }), RangeError, "a positive float32");
    equalValues(layer.dequantize(), new Float32Array(108).fill(f32(0.5 / 7) * 7), "dequantize");
    layer.dispose();
    throwsWith(() => layer.run(x, out), TypeError, "this convolution (4 x 3 x 3 x 3) was disposed");
    for (const one of [x, out, wrong]) one.dispose();
  });

  t(`${variant}: weights are rounded to the nearest of their levels`, () => {
    const rng = random(`conv quantize ${variant}`);
    const w = rng.gaussians(6 * 4 * 9);
    for (const bits of [8, 5, 2, "ternary", "binary"] as const) {
      for (const scales of ["filter", "tensor"] as const) {
        const layer = conv.quantize(lb, w, { inChannels: 4, outChannels: 6, kernel: 3, bits, scales });
        const codes = layer.codes();
        const found = layer.scales();
        is(found.length, scales === "filter" ? 6 : 1);
        const run = scales === "filter" ? 36 : w.length;
        for (let i = 0; i < found.length; i++) {
          const part = w.slice(i * run, (i + 1) * run);
          const most = typeof bits === "string" ? 1 : 2 ** (bits - 1) - 1;
          const extent = part.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
          const mean = part.reduce((a, b) => a + Math.abs(b), 0) / part.length;
          const scale = f32(typeof bits === "string" ? mean : extent / most);
          is(found[i], scale);
          for (let j = 0; j < run; j++) {
            const value = part[j] as number;
            const code = bits === "binary" ? (value < 0 ? -1 : 1) : nearestEven(f32(value / scale));
            is(codes[i * run + j], Math.max(-most, Math.min(most, code)));
          }
        }
        layer.dispose();
      }
    }
  });
}

t("an instance must have been loaded; a second load changes nothing", async () => {
  const lb = await init({ variant: "simd", threads: 1 });
  throwsWith(() => conv.tensor(lb, { height: 1, width: 1, channels: 1 }), TypeError, "what load() of lowbit/conv");
  await Promise.all([conv.load(lb), conv.load(lb)]);
  conv.tensor(lb, { height: 1, width: 1, channels: 1 }).dispose();
  await conv.load(lb);
  await rejectsWith(conv.load({} as typeof lb), TypeError, "conv.load: lb");
  await rejectsWith(conv.load(lb, { wroker: "x" } as conv.LoadOptions), TypeError, 'did you mean "worker"?');
  const other = await init({ variant: "simd", threads: 1 });
  await rejectsWith(conv.load(other, { module: new Uint8Array(8) }), RangeError, "conv.load: module");
  await conv.load(other);
  const [a, b] = [lb, other].map((one) => conv.tensor(one, { height: 1, width: 1, channels: 1, type: "float32" }));
  const c = conv.tensor(lb, { height: 1, width: 1, channels: 1 });
  throwsWith(() => c.quantizeFrom(b as conv.Tensor), TypeError, "one of another");
  for (const one of [a, b, c]) one?.dispose();
  is(lb.memory.used, 0);
});
