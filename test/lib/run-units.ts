// The process that runs test files for test/run.ts, one after the other, each when it is told to.
//
// uvu runs the cases and prints their failures; this file adds what uvu lacks: it exits 0 when no test ran, and does not see
// a rejected promise that nobody awaits. Here each of those is a failure.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isSelected, labelOf, type Unit } from "./plan.ts";
import "./relaxed.ts"; // before anything is compiled
import { resultLine, summary } from "./results.ts";

/** What uvu's suites hand back: failure texts (or true), cases passed, cases skipped, cases in all. */
type SuiteResult = [string | true, number, number, number];
type Group = [string | null, ...(() => Promise<SuiteResult>)[]];

interface UvuGlobals {
  UVU_DEFER?: number;
  UVU_QUEUE?: Group[];
  UVU_INDEX?: number;
}

// uvu reads these when it is first loaded, hence the import of suite.ts only below.
const uvu = globalThis as UvuGlobals;
uvu.UVU_DEFER = 1;
uvu.UVU_QUEUE = [];

/** Since the last result. */
let total = { passed: 0, failed: 0, skipped: 0, declared: 0 };
/** The file that runs, or ran last. */
let current = "";
let running = false;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

// One stream, so that failures and what a test prints keep their order.
process.stderr.write = process.stdout.write.bind(process.stdout) as typeof process.stderr.write;

function fail(message: string): void {
  total.failed++;
  print(`  FAIL  ${message}`);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)) : String(error);
}

function report(processors?: number): void {
  process.stdout.write(resultLine({ ...total, ...(processors !== undefined && { processors }) }));
  total = { passed: 0, failed: 0, skipped: 0, declared: 0 };
}

process.on("unhandledRejection", (reason) => fail(`${current}: unhandled rejection: ${describe(reason)}`));
process.on("uncaughtException", (error) => fail(`${current}: uncaught exception: ${describe(error)}`));

// A promise that never settles, with nothing left that could settle it, ends the process in the middle of a file.
process.on("exit", () => {
  if (!running) return;
  fail(`${current}: a promise never settled, and nothing is left that could settle it`);
  report();
});

const { select, takeRegistered } = await import("./suite.ts");
let parts = 0;

async function runUnit(directory: string, unit: Unit): Promise<void> {
  const { file, selection } = unit;
  const label = labelOf(unit);
  current = label;
  running = true;
  print(`\n${label}`);
  const started = performance.now();
  const cpu = process.cpuUsage();

  const group: Group = [file];
  uvu.UVU_INDEX = (uvu.UVU_QUEUE as Group[]).push(group) - 1;
  select((name) => isSelected(name, selection));
  try {
    // A part of its own for each selection: a module is evaluated once an address.
    const { href } = pathToFileURL(resolve(directory, file));
    await import(selection === undefined ? href : `${href}?part=${parts++}`);
    const suites = takeRegistered();
    for (const suite of suites) {
      suite.enqueue();
      total.declared += suite.declared;
      for (const { name, reason } of suite.skipped) {
        total.skipped++;
        print(`  skipped: ${suite.name}: ${name}: ${reason}`);
      }
    }
    if (total.declared === 0) fail(`${file} registers no test`);
    for (const run of group.slice(1) as (() => Promise<SuiteResult>)[]) {
      const [errors, passed, , cases] = await run();
      total.passed += passed;
      total.failed += cases - passed;
      if (errors !== true) print(`\n${errors}`);
    }
  } catch (error) {
    // Thrown at the top level of the file or in a before/after hook: cases that follow did not run.
    takeRegistered();
    fail(`${file}: ${describe(error)}`);
  }
  // A promise rejected by the last case reports itself only once the event loop has turned.
  await new Promise((done) => setTimeout(done, 0));

  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const processors = (user + system) / 1e6;
  print(`  ${label}: ${summary(total)} (${seconds.toFixed(1)} s, ${processors.toFixed(1)} s of processors)`);
  report(processors);
  running = false;
}

process.on("message", async ({ directory, unit }: { directory: string; unit?: Unit }) => {
  if (unit) {
    // What the runner may send must not keep a file alive that has nothing left to wait for.
    process.channel?.unref();
    await runUnit(directory, unit);
    process.channel?.ref();
    process.send?.("ready");
    return;
  }
  // What was rejected since the last file ended, and an end although a file left a timer or a worker behind.
  report();
  process.stdout.write("", () => process.exit());
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
