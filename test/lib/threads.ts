// Instances with threads, as tests need them.
import { Pace } from "../../src/runtime/pace.ts";
import { equalBits } from "./assert.ts";
import { type InitOptions, init, type Lowbit, type Matrix, ternary } from "./library.ts";
import { type Random, random } from "./random.ts";

const worker = new URL("../../dist/runtime/worker.js", import.meta.url);
const quantizeWorker = new URL("../../dist/quantize-worker.js", import.meta.url);

/** As init, with the workers that were built: tests import the sources, beside which there are none. */
export const start = (threads: number | "auto", options: InitOptions = {}): Promise<Lowbit> =>
  init({ threads, worker, quantizeWorker, ...options });

/** Without the judgement whether threads pay: every job goes to all of them. */
export async function always<T>(body: () => T | Promise<T>): Promise<T> {
  const { next } = Pace.prototype;
  const { tooLittle } = Pace;
  Pace.prototype.next = () => true;
  Pace.tooLittle = () => false;
  try {
    return await body();
  } finally {
    Pace.prototype.next = next;
    Pace.tooLittle = tooLittle;
  }
}

export function ternaryOf(lb: Lowbit, rows: number, cols: number, seed = "threads ternary"): Matrix {
  const rng = random(seed, 1);
  return ternary.pack(lb, { rows, cols, codes: rng.trits(rows * cols), scales: rng.uniforms(rows) });
}

/** What the workers alone compute and what all threads do, against one thread. */
export async function sameBits(
  make: (lb: Lowbit) => Matrix,
  { one, several, rng }: { one: Lowbit; several: Lowbit; rng: Random },
  label: string,
): Promise<void> {
  const [a, b] = [make(one), make(several)];
  for (const n of [1, 3, 17]) {
    const x = rng.gaussians(n * a.cols);
    const expected = a.gemm(x, n);
    equalBits(b.gemm(x, n), expected, `${label} n ${n}`);
    equalBits(await b.gemmAsync(x, n), expected, `${label} n ${n} async`);
    if (n > 1) continue;
    equalBits(b.gemv(x), expected, `${label} gemv`);
    equalBits(await b.gemvAsync(x), expected, `${label} gemv async`);
  }
  a.dispose();
  b.dispose();
}
