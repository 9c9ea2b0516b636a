// The square error that uniform codes leave of weights, by search and symmetry: `tsx bench/uniform-errors.ts`. The default
// search of each number of bits (src/formats/uniform/quantize.ts) follows from it.
import { readFileSync } from "node:fs";
import { parseSafetensors } from "../src/files/index.ts";
import { UNIFORM_SEARCHES, uniformCodes } from "../src/formats/uniform/quantize.ts";
import type { UniformBits } from "../src/kernels/types.ts";
import { bfloat16ToFloat } from "../src/lib/half.ts";
import { runNow } from "../src/lib/progress.ts";
import { random } from "../test/lib/random.ts";

interface Weights {
  readonly w: Float32Array;
  readonly rows: number;
  readonly cols: number;
}

/** The linear layers of the demo's model, bfloat16. */
function modelWeights(): Weights[] {
  const found: Weights[] = [];
  for (const shard of ["fp-00001-of-00002", "fp-00002-of-00002"]) {
    const file = readFileSync(new URL(`../examples/shakespeare/models/${shard}.safetensors`, import.meta.url));
    for (const [name, { dtype, shape, data }] of parseSafetensors(file).tensors) {
      const [rows, cols] = shape;
      if (dtype !== "BF16" || rows === undefined || cols === undefined || name.includes("embed")) continue;
      found.push({ w: bfloat16ToFloat(name, new Uint16Array(new Uint8Array(data).buffer)), rows, cols });
    }
  }
  return found;
}

/** Σ (w - ŵ)² / Σ w² over all matrices. */
function errorOf(
  all: readonly Weights[],
  groupSize: number,
  bits: UniformBits,
  symmetric: boolean,
  search: (typeof UNIFORM_SEARCHES)[number],
): number {
  let [error, power] = [0, 0];
  for (const { w, rows, cols } of all) {
    const { codes, scales, zeros } = runNow(
      "errors",
      uniformCodes("errors", w, { rows, cols, groupSize }, { bits, symmetric, search }),
    );
    const groups = Math.ceil(cols / groupSize);
    for (let i = 0; i < w.length; i++) {
      const group = Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize);
      const zero = zeros ? (zeros[group] as number) : 2 ** (bits - 1);
      error += ((w[i] as number) - (scales[group] as number) * ((codes[i] as number) - zero)) ** 2;
      power += (w[i] as number) ** 2;
    }
  }
  return error / power;
}

const gaussian = [{ w: random("uniform errors", 1).gaussians(1 << 19), rows: 512, cols: 1024 }];
const sources = { gaussian, model: modelWeights() };
const bitsOf: readonly UniformBits[] = [2, 3, 4];
console.log(`| weights, group | search | ${bitsOf.map((bits) => `${bits} bits`).join(" | ")} |`);
console.log(`| --- | --- |${" --- |".repeat(bitsOf.length)}`);
for (const [name, weights] of Object.entries(sources)) {
  for (const groupSize of [32, 128]) {
    for (const search of UNIFORM_SEARCHES) {
      for (const symmetric of search === "absmean" ? [true] : [true, false]) {
        const errors = bitsOf.map((bits) => errorOf(weights, groupSize, bits, symmetric, search).toPrecision(3));
        console.log(
          `| ${name}, ${groupSize} | ${search}, ${symmetric ? "symmetric" : "asymmetric"} | ${errors.join(" | ")} |`,
        );
      }
    }
  }
}
