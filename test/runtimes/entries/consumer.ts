// What a typed application writes; compiled against the package under both module resolutions, never run.
import { binary, type ComplexMatrix, complex, type Features, init, initSync, type Matrix, uniform } from "lowbit";
import { rmsNorm } from "lowbit/complex";
import { type Conv2d, load, quantize, type Tensor, tensor } from "lowbit/conv";
import { gptqAsync, uniformQuantizer } from "lowbit/lattice";
import { hadamard } from "lowbit/transforms";

const lb = await init({ variant: "auto", threads: "auto" });
const features: Features = lb.features;
const shape = { rows: 4, cols: 8 };
const w = new Float32Array(32);

const matrix: Matrix = uniform.quantize(lb, w, { ...shape, bits: 4, groupSize: 8 });
const y: Float32Array = matrix.gemv(new Float32Array(8));
const ys: Float32Array = matrix.gemm(new Float32Array(16), 2, new Float32Array(8));
const biased: Matrix = matrix.with({ bias: y });
biased.dispose();

const turned: ComplexMatrix = complex.quantize(lb, { re: w, im: w }, shape);
const { re, im } = turned.gemv({ re: new Float32Array(8), im: new Float32Array(8) });
turned[Symbol.dispose]();
rmsNorm({ re, im }, { re, im }, 1e-6);
hadamard(lb, new Float32Array(8), 8);
await load(lb);
const layer: Conv2d = quantize(lb, new Float32Array(36), { inChannels: 2, outChannels: 2, kernel: 3, bits: "ternary" });
const map: Tensor = tensor(lb, { height: 4, width: 4, channels: 2, type: "uint8", zeroPoint: 128 });
layer.run(map, layer.output(4, 4, { type: "float32" })).read();
// @ts-expect-error: weights have 2 to 8 bits, or are ternary or binary
quantize(lb, w, { inChannels: 2, outChannels: 2, kernel: 3, bits: 9 });
const hessian = new Float64Array(64);
const quantizer = uniformQuantizer(w, { ...shape, bits: 4 });
await gptqAsync(w, hessian, quantizer, { ...shape, signal: AbortSignal.timeout(1000) });
initSync(new Uint8Array(8), { variant: "simd" });
await init({ module: fetch("relaxed.wasm") });
await init({ module: new URL("relaxed.wasm", import.meta.url) });
console.log(features.variant, y.length, ys.length);

// @ts-expect-error: of uniform, bits are from 2 to 8 and not 7
uniform.quantize(lb, w, { ...shape, bits: 7 });
// @ts-expect-error: one of three
binary.quantize(lb, w, { ...shape, activation: "int4" });
// @ts-expect-error: a Float32Array
matrix.gemv([1, 2, 3]);
