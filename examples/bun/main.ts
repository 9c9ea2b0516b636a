// A quantised layer beside the original: `bun main.ts`, after `bun add lowbit`.
import { init, uniform } from "lowbit";

const rows = 512;
const cols = 1024;
const w = Float32Array.from({ length: rows * cols }, () => Math.random() - 0.5);
const x = Float32Array.from({ length: cols }, () => Math.random() - 0.5);

const lb = await init();
for (const bits of [2, 3, 4, 8] as const) {
  const layer = uniform.quantize(lb, w, { rows, cols, bits, groupSize: 128 });
  const y = layer.gemv(x);
  let error = 0;
  let power = 0;
  for (let row = 0; row < rows; row++) {
    let exact = 0;
    for (let col = 0; col < cols; col++) exact += (w[row * cols + col] as number) * (x[col] as number);
    error += ((y[row] as number) - exact) ** 2;
    power += exact ** 2;
  }
  console.log(`${layer.bitsPerWeight.toFixed(2)} bits a weight: relative error ${Math.sqrt(error / power).toFixed(4)}`);
  layer.dispose();
}
console.log(`computed by the ${lb.features.variant} kernels`);
