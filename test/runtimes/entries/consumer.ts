// What a typed application writes; compiled against the package under both module resolutions, never run.
import { binary, type ComplexMatrix, complex, type Features, init, initSync, type Matrix, uniform } from "lowbit";
import { rmsNorm } from "lowbit/complex";
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
