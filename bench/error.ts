// tsx bench/error.ts [SAMPLES]: NMSE of single Gaussian activations, the figures of docs/numerics.md.
// Against `f32`, whose own error is nine orders of magnitude smaller; 384 rows, quantised from Gaussian weights.
import { type Activation, bcq, binary, init, type Matrix, ternary } from "lowbit";
import { makeRandom } from "./random.ts";

const samples = Number(process.argv[2] ?? 200);
const rows = 384;
const columns = [192, 256, 384, 512, 1024, 2048, 4096];
const groupSizes = [undefined, 32, 64, 128, 256];
const lb = await init();
const random = makeRandom(11);
const gaussians = (length: number): Float32Array => Float32Array.from({ length }, () => random.gaussian());

interface Options {
  readonly rows: number;
  readonly cols: number;
  readonly groupSize?: number;
  readonly activation: Activation;
}

const formats: Readonly<Record<string, (w: Float32Array, options: Options) => Matrix>> = {
  binary: (w, options) => binary.quantize(lb, w, options),
  ternary: (w, options) => ternary.quantize(lb, w, options),
  // Few iterations: planes need not be the best, only alphas of the usual proportions.
  bcq2: (w, options) => bcq.quantize(lb, w, { ...options, bits: 2, iterations: 2 }),
  bcq3: (w, options) => bcq.quantize(lb, w, { ...options, bits: 3, iterations: 2 }),
  bcq4: (w, options) => bcq.quantize(lb, w, { ...options, bits: 4, iterations: 2, offset: true }),
};

/** NMSE of each sample, ascending. */
function errorsOf(matrix: Matrix, exact: Matrix): number[] {
  return Array.from({ length: samples }, () => {
    const x = gaussians(matrix.cols);
    const y = exact.gemv(x);
    const error = matrix.gemv(x).reduce((sum, v, i) => sum + (v - (y[i] as number)) ** 2, 0);
    return error / y.reduce((sum, v) => sum + v * v, 0);
  }).sort((a, b) => a - b);
}

const digits = (v: number | undefined): string => (v as number).toExponential(2);
const summary: string[] = [];

console.log("format   activation  group  cols  mean     95 %     largest");
for (const [name, make] of Object.entries(formats)) {
  // int8 rounds x once for all groups.
  for (const [activation, sizes] of [["int8", [undefined]] as const, ["lut8", groupSizes] as const]) {
    const means: number[] = [];
    const most: number[] = [];
    for (const cols of columns) {
      const w = gaussians(rows * cols);
      for (const groupSize of sizes) {
        if (groupSize !== undefined && groupSize >= cols) continue;
        const options = { rows, cols, ...(groupSize !== undefined && { groupSize }) };
        const exact = make(w, { ...options, activation: "f32" });
        const matrix = make(w, { ...options, activation });
        const errors = errorsOf(matrix, exact);
        const mean = errors.reduce((sum, v) => sum + v, 0) / samples;
        means.push(mean);
        most.push(errors.at(-1) as number);
        const figures = [mean, errors[Math.floor(samples * 0.95)], errors.at(-1)].map(digits).join("  ");
        const group = String(groupSize ?? "row").padStart(5);
        console.log(`${name.padEnd(8)} ${activation.padEnd(10)}  ${group}  ${String(cols).padStart(4)}  ${figures}`);
        matrix.dispose();
        exact.dispose();
      }
    }
    const range = `${digits(Math.min(...means))} to ${digits(Math.max(...means))}`;
    summary.push(`${name.padEnd(8)} ${activation}: mean ${range}, largest ${digits(Math.max(...most))}`);
  }
}
console.log(`\n${summary.join("\n")}`);
