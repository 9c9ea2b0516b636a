import { init, UnsupportedRuntimeError } from "lowbit";
import type { FormatName, Variant } from "../src/registry.ts";
import { help, type Options, parse } from "./args.ts";
import { javascriptBaselines, packedBaseline, packedBytes, readBaseline } from "./baselines.ts";
import { type Case, type Job, type Loaded, label, Matrices, makeJobs, takes } from "./cases.ts";
import { formats } from "./formats.ts";
import { complaint, type Layer, makeLayer } from "./layer.ts";
import { fullBudget, interleave, quickBudget } from "./measure.ts";
import { Native } from "./native.ts";
import { describeMachine, describeRuntime, formatTable, type Row, toRows, writeJson } from "./report.ts";
import { hasActivation, loadShapes, type Shape, tokensOf } from "./shapes.ts";
import { YardstickModule } from "./wasm.ts";

const VARIANTS: readonly Variant[] = ["simd", "relaxed"];

/** Returns the exit code. */
async function main(options: Options): Promise<number> {
  const machine = describeMachine();
  const runtime = describeRuntime();
  const gigabytes = (machine.memory / 2 ** 30).toFixed(1);
  console.log(`machine  ${machine.cpu}, ${machine.cores} cores, ${gigabytes} GiB, ${machine.os} ${machine.arch}`);
  console.log(`runtime  ${[`${runtime.name} ${runtime.version}`, runtime.engine, ...runtime.flags].join(", ")}`);
  const jobs = makeJobs(await loadAll(options.threads));
  const module = await YardstickModule.compile();
  const bench = new Bench(options, module);
  for (const shape of loadShapes(options.quick)) bench.runShape(shape, jobs);
  if (bench.rows.length === 0 && !bench.failed) {
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
            takes(job, n) && hasActivation(shape, quick, job.kernel.activation) && filter.test(label(job, shape, n)),
        ),
      }))
      .filter((group) => group.jobs.length > 0);
    if (groups.length === 0) return;
    console.log(`\n${shape.rows}x${shape.cols}  ${shape.name}: ${shape.where}`);

    const maxTokens = Math.max(...groups.map((group) => group.n));
    const layer = makeLayer(shape, maxTokens);
    const matrices = new Matrices(layer, maxTokens);
    const used = new Set(groups.flatMap((group) => group.jobs.map((job) => job.kernel.format)));
    const baselines = this.#right(this.#baselines(layer, matrices, [...used]), shape, 1);
    for (const { n, jobs } of groups) this.#runGroup(shape, n, jobs, matrices, baselines);
    matrices.dispose();
  }

  #baselines(layer: Layer, matrices: Matrices, used: readonly FormatName[]): Case[] {
    const module = this.#module;
    module.reset();
    const [first] = used;
    const javascript = first === undefined ? [] : javascriptBaselines(layer, formats[first], matrices.codes(first));
    const packed = used.map((name) => packedBaseline(module, layer, name, formats[name], matrices.codes(name)));
    const reads = used.map((name) => readBaseline(module, name, packedBytes(layer.shape, formats[name].planes)));
    return [...javascript, ...packed, ...reads];
  }

  #runGroup(shape: Shape, n: number, jobs: readonly Job[], matrices: Matrices, baselines: readonly Case[]): void {
    const made: Case[] = [];
    for (const job of jobs) {
      try {
        made.push(matrices.makeCase(job, n));
      } catch (error) {
        this.#fail(label(job, shape, n), messageOf(error));
      }
    }
    const cases = [...this.#right(made, shape, n), ...baselines];
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
      const wrong = complaint(one.nmse, one.activation);
      if (wrong) this.#fail(`${one.kernel} ${one.variant} ${rows}x${cols} n=${n} threads=${one.threads}`, wrong);
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
