// tsx bench/error.ts [SAMPLES]: NMSE of single Gaussian activations, the figures of docs/numerics.md.
// Against `f32`, whose own error is nine orders of magnitude smaller; 384 rows, quantised from Gaussian weights.
import { binary, init, ternary } from "lowbit";
import { makeRandom } from "./random.ts";

const samples = Number(process.argv[2] ?? 200);
const rows = 384;
const lb = await init();
const random = makeRandom(11);
const gaussians = (length: number): Float32Array => Float32Array.from({ length }, () => random.gaussian());

console.log("format   activation   cols  mean     95 %     largest");
for (const cols of [192, 256, 384, 512, 1024, 2048, 4096]) {
  const w = gaussians(rows * cols);
  for (const [name, format] of [["binary", binary] as const, ["ternary", ternary] as const]) {
    const exact = format.quantize(lb, w, { rows, cols, activation: "f32" });
    for (const activation of ["int8", "lut8"] as const) {
      const matrix = format.quantize(lb, w, { rows, cols, activation });
      const errors = Array.from({ length: samples }, () => {
        const x = gaussians(cols);
        const y = exact.gemv(x);
        const error = matrix.gemv(x).reduce((sum, v, i) => sum + (v - (y[i] as number)) ** 2, 0);
        return error / y.reduce((sum, v) => sum + v * v, 0);
      }).sort((a, b) => a - b);
      const mean = errors.reduce((sum, v) => sum + v, 0) / samples;
      const figures = [mean, errors[Math.floor(samples * 0.95)], errors.at(-1)].map((v) => v?.toExponential(2));
      console.log(`${name.padEnd(8)} ${activation.padEnd(9)} ${String(cols).padStart(7)}  ${figures.join("  ")}`);
      matrix.dispose();
    }
    exact.dispose();
  }
}
