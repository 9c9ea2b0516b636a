// One thread against two on a machine that is not quiet (Linux):
//
//   npx tsx bench/threads.ts [seconds a shape, default 10]
//
// Bursts of gemv with one thread and with two take turns, each thread on a processor of its own. Only bursts count in which
// no thread waited for its processor (/proc/self/task/*/schedstat), and of two threads each had a part of every job. All jobs
// of the two go to both, where the library would find out that it does not pay on such a machine. A quiet one needs none of this: npm run bench -- --threads 1,2.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { init, type Lowbit, type Matrix, ternary } from "../src/index.ts";
import { Pace } from "../src/runtime/pace.ts";
import { median, sink } from "./measure.ts";
import { makeRandom } from "./random.ts";

const SHAPES = [
  [512, 512],
  [1024, 1024],
  [2048, 2048],
  [4096, 4096],
  [11008, 4096],
] as const;
const BURST_MS = 2;
/** Part of the rows that one of two threads computes at most where both run. */
const MOST_SHARE = 0.75;
const tasks = (): string[] => readdirSync("/proc/self/task");

/** Nanoseconds that these threads have waited for a processor. */
function waited(threads: readonly string[]): number {
  const waits = threads.map((thread) =>
    Number(readFileSync(`/proc/self/task/${thread}/schedstat`, "utf8").split(" ")[1]),
  );
  return waits.reduce((sum, wait) => sum + wait, 0);
}

function pin(thread: string, cpu: number): void {
  execFileSync("taskset", ["-p", "-c", String(cpu), thread], { stdio: "ignore" });
}

function matrixOf(lb: Lowbit, rows: number, cols: number): Matrix {
  const random = makeRandom(5);
  const codes = Int8Array.from({ length: rows * cols }, () => Math.max(-1, Math.min(1, Math.round(random.gaussian()))));
  return ternary.pack(lb, { rows, cols, codes, scales: Float32Array.of(0.02) });
}

const seconds = Number(process.argv[2] ?? 10);
const one = await init();
const before = tasks();
const two = await init({ threads: 2, worker: new URL("../dist/runtime/worker.js", import.meta.url) });
if (two.features.threads !== 2) throw new Error(two.features.threadsReason);
const main = String(process.pid);
const workers = tasks().filter((thread) => !before.includes(thread));
pin(main, 0);
for (const worker of workers) pin(worker, 1);

Pace.prototype.next = () => true;
let largestShare = 0;
Pace.prototype.tookTogether = (_time, _own, share) => {
  largestShare = Math.max(largestShare, share);
};
Pace.tooLittle = () => false;

console.log(`ternary int8 gemv, ${one.features.variant}, node ${process.version}`);
console.log("shape        1 thread ms  2 threads ms  ratio  quiet bursts   load");
for (const [rows, cols] of SHAPES) {
  const sides = [one, two].map((lb) => ({
    matrix: matrixOf(lb, rows, cols),
    threads: lb === one ? [main] : [main, ...workers],
    times: [] as number[],
  }));
  const x = new Float32Array(cols).fill(0.5);
  const out = new Float32Array(rows);
  let calls = 10;
  let bursts = 0;
  const start = performance.now();
  for (; performance.now() - start < seconds * 1000; bursts++) {
    for (const { matrix, threads, times } of sides) {
      matrix.gemv(x, out);
      const wait = waited(threads);
      largestShare = 0;
      const began = performance.now();
      for (let call = 0; call < calls; call++) matrix.gemv(x, out);
      const time = performance.now() - began;
      sink.total += out[0] as number;
      // The first bursts ran code that was not optimised yet.
      if (waited(threads) === wait && largestShare < MOST_SHARE && bursts > 10) times.push(time / calls);
      if (matrix === sides[0]?.matrix) calls = Math.max(1, Math.round((BURST_MS * calls) / time));
    }
  }
  const [a, b] = sides.map(({ times }) => (times.length > 0 ? median(times) : Number.NaN)) as [number, number];
  const quiet = sides.map(({ times }) => times.length).join(" + ");
  console.log(
    `${`${rows}x${cols}`.padEnd(12)} ${a.toFixed(4).padEnd(12)} ${b.toFixed(4).padEnd(13)} ${(a / b).toFixed(2).padEnd(6)} ` +
      `${`${quiet} of ${bursts}`.padEnd(14)} ${(loadavg()[0] as number).toFixed(1)}`,
  );
  for (const { matrix } of sides) matrix.dispose();
}
