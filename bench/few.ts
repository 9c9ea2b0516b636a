// A few tokens, where gemm begins to pay: what the library chooses beside as many gemvs and beside gemm, each forced by name, for 2 to
// 12 tokens. The choice is never to be slower than either: fromTokens of the registry.
import { candidates, suitable } from "../src/kernels/registry.ts";
import type { Kernel } from "../src/kernels/types.ts";
import type { Loaded } from "./cases.ts";
import type { BenchFormat } from "./formats/format.ts";
import { benchFormats } from "./formats/index.ts";
import { fullBudget, interleave, quickBudget, sink } from "./measure.ts";

/** Weights of all formats stay in a second-level cache, as tiles of larger matrices do between tokens. */
const ROWS = 256;
const COLS = 2048;
const TOKENS = [2, 3, 4, 5, 6, 7, 8, 10, 12];
/** Of the faster one's rate: what timings differ by from run to run. */
const ENOUGH = 0.9;

const LABELS = ["ternary", "uniform2", "uniform3", "uniform4", "uniform4 g32", "uniform5", "uniform6", "uniform8"];

/** Runs what matches and prints it; null when there is nothing. */
export function benchFewTokens(loaded: readonly Loaded[], filter: RegExp, quick: boolean): true | null {
  const jobs = LABELS.flatMap((name) => {
    const format = benchFormats.find(({ label }) => label === name);
    return format ? loaded.map((one) => ({ format, one, label: `few ${name} int8 ${one.variant}` })) : [];
  }).filter(({ label }) => filter.test(label));
  if (jobs.length === 0) return null;
  console.log(`\na few tokens, ${ROWS}x${COLS}, Gw/s x tokens: as chosen, as many gemvs, gemm\n`);
  for (const { format, one, label } of jobs) runFew(format, one, label, quick);
  return true;
}

function runFew(format: BenchFormat, { lb, variant }: Loaded, label: string, quick: boolean): void {
  const named = (op: Kernel["op"]): string => {
    const kernel = suitable(candidates(op, format.format, "int8", variant), lb.features);
    if (!kernel) throw new Error(`no ${op} of ${format.format}`);
    return kernel.name;
  };
  const weights = format.make(ROWS, COLS);
  const names = [undefined, named("gemv"), named("gemm")] as const;
  const matrices = names.map((kernel) => weights.pack(lb, { activation: "int8", kernel }));
  const x = Float32Array.from({ length: 12 * COLS }, (_, i) => Math.fround(((i * 7919) % 255) / 127 - 1));
  const y = new Float32Array(12 * ROWS);
  for (const n of TOKENS) {
    const runs = matrices.map((matrix) => (): void => {
      matrix.gemm(x.subarray(0, n * COLS), n, y.subarray(0, n * ROWS));
      sink.total += y[0] as number;
    });
    const times = interleave(runs, quick ? quickBudget : fullBudget, () => {});
    const [chosen, gemv, gemm] = times.map((ms) => (ROWS * COLS * n) / ms / 1e6) as [number, number, number];
    const slow = chosen < ENOUGH * Math.max(gemv, gemm) ? "   SLOW" : "";
    const cells = [chosen, gemv, gemm].map((rate) => rate.toFixed(1).padStart(7)).join(" ");
    console.log(`${label.padEnd(34)} n=${String(n).padEnd(3)} ${cells}${slow}`);
  }
  for (const matrix of matrices) matrix.dispose();
}
