import { init, UnsupportedRuntimeError } from "lowbit";
import type { Variant } from "../src/kernels/types.ts";
import { help, type Options, parse } from "./args.ts";
import { packedBaseline, plainBaselines, readBaseline } from "./baselines.ts";
import { type Case, isChosen, type Job, type Loaded, label, Matrices, makeJobs, takes } from "./cases.ts";
import { benchConv } from "./conv.ts";
import { benchFewTokens } from "./few.ts";
import { complaint, makeLayer } from "./layer.ts";
import { fullBudget, interleave, quickBudget } from "./measure.ts";
import { Native } from "./native.ts";
import { describeMachine, describeRuntime, formatTable, type Row, toRows, writeJson } from "./report.ts";
import { inQuick, loadShapes, type Shape, tokensOf } from "./shapes.ts";
import { benchSteps } from "./step.ts";
import { benchTransforms } from "./transforms.ts";
import { YardstickModule } from "./wasm.ts";

const VARIANTS: readonly Variant[] = ["simd", "relaxed"];

/**
 * Formats are measured together while their weights, each once, number at most this many: every job may hold a packed
 * matrix, and a memory ends at 4 GiB.
 */
const MAX_WEIGHTS = 2 ** 28;

/** Returns the exit code. */
async function main(options: Options): Promise<number> {
  const machine = describeMachine();
  const runtime = describeRuntime();
  const gigabytes = (machine.memory / 2 ** 30).toFixed(1);
  console.log(`machine  ${machine.cpu}, ${machine.cores} cores, ${gigabytes} GiB, ${machine.os} ${machine.arch}`);
  console.log(`runtime  ${[`${runtime.name} ${runtime.version}`, runtime.engine, ...runtime.flags].join(", ")}`);
  const loaded = await loadAll(options.threads);
  const jobs = makeJobs(loaded);
  const module = await YardstickModule.compile();
  const bench = new Bench(options, module);
  for (const shape of loadShapes(options.quick)) bench.runShape(shape, jobs);
  const transforms = benchTransforms(loaded, options.filter, options.quick);
  if (transforms === false) bench.failed = true;
  const steps = benchSteps(loaded, module, options.filter, options.quick);
  const convolutions = await benchConv(loaded, options.filter, options.quick);
  if (convolutions === false) bench.failed = true;
  const few = benchFewTokens(loaded, options.filter, options.quick);
  const others = [transforms, steps, convolutions, few];
  if (bench.rows.length === 0 && others.every((one) => one === null) && !bench.failed) {
    console.error("nothing measured: no case matches --filter");
    return 2;
  }
  if (options.json !== undefined) writeJson(options.json, machine, runtime, bench.rows);
  return bench.failed ? 1 : 0;
}

async function loadAll(threadCounts: readonly number[]): Promise<Loaded[]> {
  const loaded: Loaded[] = [];
  for (const variant of VARIANTS) {
    for (const threads of threadCounts) {
      const name = `variant  ${variant}, threads ${threads}`;
      try {
        const lb = await init({ variant, threads });
        const { features } = lb;
        if (features.threads !== threads) {
          console.log(`${name}: skipped: ${features.threadsReason}`);
          continue;
        }
        loaded.push({ lb, variant, threads });
        console.log(`${name}: dot ${features.dot}`);
      } catch (error) {
        if (!(error instanceof UnsupportedRuntimeError)) throw error;
        console.log(`${name}: skipped: ${error.message}`);
      }
    }
  }
  return loaded;
}

class Bench {
  readonly rows: Row[] = [];
  failed = false;
  readonly #options: Options;
  readonly #module: YardstickModule;

  constructor(options: Options, module: YardstickModule) {
    this.#options = options;
    this.#module = module;
  }

  runShape(shape: Shape, jobs: readonly Job[]): void {
    const { filter, quick } = this.#options;
    const groups = tokensOf(shape, quick)
      .map((n) => ({
        n,
        jobs: jobs.filter(
          (job) =>
            takes(job, n) &&
            (!quick || (inQuick(shape, n, job.format.label, job.kernel.activation) && isChosen(job, n))) &&
            filter.test(label(job, shape, n)),
        ),
      }))
      .filter((group) => group.jobs.length > 0);
    if (groups.length === 0) return;
    console.log(`\n${shape.rows}x${shape.cols}  ${shape.name}: ${shape.where}`);

    const maxTokens = Math.max(...groups.map((group) => group.n));
    const layer = makeLayer(shape, maxTokens);
    const formats = [...new Set(groups.flatMap((group) => group.jobs.map((job) => job.format)))];
    this.#module.reset();
    const plain = this.#right(plainBaselines(this.#module, layer), shape, 1);
    const { top } = this.#module;
    const together = Math.max(1, Math.floor(MAX_WEIGHTS / (shape.rows * shape.cols)));
    for (let i = 0; i < formats.length; i += together) {
      const some = formats.slice(i, i + together);
      const matrices = new Matrices(layer, maxTokens);
      this.#module.reset(top);
      const packed = some.map((format) => packedBaseline(this.#module, layer, format, matrices.weights(format)));
      const baselines = [
        ...plain,
        ...this.#right(
          packed.filter((one) => one !== undefined),
          shape,
          1,
        ),
      ];
      const reads = new Map<string, Case>();
      for (const group of groups) {
        const jobs = group.jobs.filter((job) => some.includes(job.format));
        if (jobs.length > 0) this.#runGroup(shape, group.n, jobs, matrices, baselines, reads);
      }
      matrices.dispose();
    }
  }

  #runGroup(
    shape: Shape,
    n: number,
    jobs: readonly Job[],
    matrices: Matrices,
    baselines: readonly Case[],
    reads: Map<string, Case>,
  ): void {
    const made: Case[] = [];
    for (const job of jobs) {
      try {
        const one = matrices.makeCase(job, n);
        made.push(one);
        const { label } = job.format;
        if (!reads.has(label)) reads.set(label, readBaseline(this.#module, label, one.bytes));
      } catch (error) {
        this.#fail(label(job, shape, n), messageOf(error));
      }
    }
    const cases = [...this.#right(made, shape, n), ...baselines, ...reads.values()];
    const { native: file, quick } = this.#options;
    const native = file === undefined ? undefined : new Native(file, shape);
    const times = interleave(
      cases.map((one) => one.run),
      quick ? quickBudget : fullBudget,
      () => native?.run(),
    );
    const rows = toRows(cases, times, shape, n);
    this.rows.push(...rows);
    console.log(`\n${native ? `native   ${native.summary()}\n` : ""}${formatTable(rows, native?.yardstick)}`);
  }

  /** Those cases whose answer is right; the others are reported and never timed. */
  #right(cases: readonly Case[], { rows, cols }: Shape, n: number): Case[] {
    return cases.filter((one) => {
      if (one.nmse === null || one.activation === null) return true;
      const wrong = complaint(one.nmse, one.activation, one.rounded ?? false);
      if (wrong)
        this.#fail(
          `${one.format ?? ""} ${one.kernel} ${one.variant} ${rows}x${cols} n=${n} threads=${one.threads}`,
          wrong,
        );
      return !wrong;
    });
  }

  #fail(what: string, why: string): void {
    this.failed = true;
    console.log(`WRONG    ${what}: ${why}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

let options: Options | undefined;
try {
  options = parse(process.argv.slice(2));
} catch (error) {
  console.error(messageOf(error));
}
if (options === undefined) process.exitCode = 2;
else if (options.help) console.log(help);
else process.exitCode = await main(options);
