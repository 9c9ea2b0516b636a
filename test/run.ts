// Runs test/**/*.test.ts over the cores of the machine, the files that take longest first:
//
//   tsx test/run.ts                   every file
//   tsx test/run.ts uniform4          the cases of a format or of a family of formats, in every suite
//   tsx test/run.ts kernels memory    the files whose path contains "kernels" or "memory"
//   tsx test/run.ts kernels uniform4  both: of the kernels those of the format
//   --jobs 1                          so many processes (default: one a core)
//
// lib/plan.ts says what filters mean, and how a file asks to run alone or in parts. Files run in processes that take one
// after the other (lib/run-units.ts); what one prints is printed when it is done. Here each of these is a failure too: a file
// without tests, one that takes longer than LOWBIT_TEST_LIMIT seconds, a process that dies.
// The last line is always "N passed, N failed", with ", N skipped" if a case was skipped.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { labelOf, makePlan, type Unit } from "./lib/plan.ts";
import { seed } from "./lib/random.ts";
import { type Result, summary, takeResult } from "./lib/results.ts";

const here = dirname(fileURLToPath(import.meta.url));
const filters: string[] = [];
let directory = here;
let jobs = availableParallelism();
for (let i = 2; i < process.argv.length; i++) {
  const argument = process.argv[i] as string;
  if (argument === "--dir") directory = resolve(process.argv[++i] ?? ".");
  else if (argument === "--jobs") jobs = Math.max(1, Number(process.argv[++i]) || 1);
  else filters.push(argument);
}

/** Seconds that one file may take before it counts as hung. */
const limit = Number(process.env.LOWBIT_TEST_LIMIT ?? 600);
const total = { passed: 0, failed: 0, skipped: 0 };
/** Seconds of processors in all. */
let processors = 0;

function print(text: string): void {
  process.stdout.write(text);
}

function fail(message: string): void {
  total.failed++;
  print(`  FAIL  ${message}\n`);
}

/** Seconds of processors that units took when they last ran here: the load of the machine is not in them. */
const timesFile = join(here, "..", "build", "test-times.json");
function readTimes(): Record<string, number> {
  try {
    return JSON.parse(readFileSync(timesFile, "utf8")) as Record<string, number>;
  } catch {
    return {};
  }
}

function writeTimes(times: Record<string, number>): void {
  mkdirSync(dirname(timesFile), { recursive: true });
  const own = `${timesFile}.${process.pid}`;
  writeFileSync(own, JSON.stringify(times, undefined, 1));
  renameSync(own, timesFile);
}

const processes = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of processes) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

/** A process that runs units; a new one takes its place when it dies. */
class Runner {
  #child: ChildProcess | undefined;
  #output = "";
  #ended = "";
  #wake: (() => void) | undefined;
  #ready = false;

  #start(): ChildProcess {
    const script = join(here, "lib", "run-units.ts");
    const child = spawn(process.execPath, [...process.execArgv, script], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...process.env, LOWBIT_SEED: String(seed) },
    });
    processes.add(child);
    this.#ready = false;
    this.#ended = "";
    const wake = (): void => this.#wake?.();
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text;
        wake();
      });
    }
    child.on("message", () => {
      this.#ready = true;
      wake();
    });
    child.on("error", () => {});
    child.on("close", (status, signal) => {
      processes.delete(child);
      this.#child = undefined;
      this.#ended = signal ?? `status ${status}`;
      wake();
    });
    return child;
  }

  #event(): Promise<void> {
    return new Promise((done) => {
      this.#wake = done;
    });
  }

  /** Runs one unit and prints what it prints; seconds of processors that it took, undefined where it died. */
  async run(unit: Unit): Promise<number | undefined> {
    this.#child ??= this.#start();
    const child = this.#child;
    while (!this.#ready && !this.#ended) await this.#event();
    if (!this.#ended) child.send({ directory, unit });
    this.#ready = false;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, limit * 1000);
    for (;;) {
      const taken = takeResult(this.#output);
      if (taken || this.#ended) {
        clearTimeout(timer);
        print(taken?.before ?? this.#output);
        this.#output = taken?.after ?? "";
        if (taken) return this.#add(taken.result);
        if (late) fail(`${labelOf(unit)}: not finished after ${limit} s`);
        else fail(`${labelOf(unit)}: its process ended with ${this.#ended}`);
        return undefined;
      }
      await this.#event();
    }
  }

  #add(result: Result): number | undefined {
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped += result.skipped;
    processors += result.processors ?? 0;
    return result.processors;
  }

  /** Ends the process; what it has still to say counts. */
  async end(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    while (!this.#ready && !this.#ended) await this.#event();
    if (!this.#ended) child.send({ directory });
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    while (!this.#ended) await this.#event();
    clearTimeout(timer);
    const taken = takeResult(this.#output);
    print(taken?.before ?? this.#output);
    if (taken) this.#add(taken.result);
  }
}

print(`seed ${seed}\n`);
const { units, complaints } = makePlan(directory, filters);
for (const complaint of complaints) fail(complaint);

const times = readTimes();
// What has never run may be long.
const expected = (unit: Unit): number => times[labelOf(unit)] ?? Number.POSITIVE_INFINITY;
const byTime = (a: Unit, b: Unit): number => (expected(a) === expected(b) ? 0 : expected(b) - expected(a));
const together = units.filter(({ alone }) => !alone).sort(byTime);
const alone = units.filter((unit) => unit.alone);

const runners = Array.from({ length: Math.max(1, Math.min(jobs, together.length)) }, () => new Runner());
async function take(runner: Runner, queue: Unit[]): Promise<void> {
  for (let unit = queue.shift(); unit; unit = queue.shift()) {
    const took = await runner.run(unit);
    if (took !== undefined) times[labelOf(unit)] = Math.round(took * 100) / 100;
    // At once: a run that is ended leaves what it has measured.
    if (directory === here) writeTimes(times);
  }
}
await Promise.all(runners.map((runner) => take(runner, together)));
await take(runners[0] as Runner, alone);
await Promise.all(runners.map((runner) => runner.end()));
if (units.length > 0 && total.passed + total.failed + total.skipped === 0) fail(`no test names ${filters.join(" ")}`);

print(`\n${processors.toFixed(0)} s of processors\n${summary(total)}\n`);
process.stdout.write("", () => process.exit(total.failed > 0 ? 1 : 0));
