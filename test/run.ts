// Runs test/*.test.ts, one after the other, in this process:
//
//   tsx test/run.ts                 every file
//   tsx test/run.ts kernels memory  the files whose name contains "kernels" or "memory"
//
// uvu runs the cases and prints their failures; this file adds what uvu lacks: it exits 0 when no test ran, knows no time
// limit, and does not see a rejected promise that nobody awaits. Here each of those is a failure.
// The last line is always "N passed, N failed", with ", N skipped" if a case was skipped.

import { readdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { seed } from "./lib/random.ts";
import "./lib/relaxed.ts"; // before anything is compiled
import { startWatchdog } from "./lib/watchdog.ts";

/** What uvu's suites hand back: failure texts (or true), cases passed, cases skipped, cases in all. */
type SuiteResult = [string | true, number, number, number];
type Group = [string | null, ...(() => Promise<SuiteResult>)[]];

interface UvuGlobals {
  UVU_DEFER?: number;
  UVU_QUEUE?: Group[];
  UVU_INDEX?: number;
}

// uvu reads these when it is first loaded, hence the imports of suite.ts only below.
const uvu = globalThis as UvuGlobals;
uvu.UVU_DEFER = 1;
uvu.UVU_QUEUE = [];

const here = dirname(fileURLToPath(import.meta.url));
const filters: string[] = [];
let directory = here;
for (let i = 2; i < process.argv.length; i++) {
  const argument = process.argv[i] as string;
  if (argument === "--dir") directory = resolve(process.argv[++i] ?? ".");
  else filters.push(argument);
}

/** Seconds that one file may take before it counts as hung. */
const limit = Number(process.env.LOWBIT_TEST_LIMIT ?? 600);
const total = { passed: 0, failed: 0, skipped: 0 };
let current = "";

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function summary(): string {
  return `${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}`;
}

function fail(message: string): void {
  total.failed++;
  print(`  FAIL  ${message}`);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)) : String(error);
}

process.on("unhandledRejection", (reason) => fail(`${current}: unhandled rejection: ${describe(reason)}`));
process.on("uncaughtException", (error) => fail(`${current}: uncaught exception: ${describe(error)}`));

// A promise that never settles, with nothing left that could settle it, ends the process in the middle of a file.
let finished = false;
process.on("exit", () => {
  if (finished) return;
  fail(`${current}: a promise never settled, and nothing is left that could settle it`);
  print(summary());
  process.exitCode = 1;
});

const { takeRegistered } = await import("./lib/suite.ts");
const watchdog = startWatchdog(limit);

async function runFile(file: string): Promise<void> {
  current = file;
  watchdog.watch(file, total);
  print(`\n${file}`);
  const started = performance.now();
  const before = { ...total };

  const group: Group = [file];
  uvu.UVU_INDEX = (uvu.UVU_QUEUE as Group[]).push(group) - 1;
  try {
    await import(pathToFileURL(resolve(directory, file)).href);
    const suites = takeRegistered();
    for (const suite of suites) {
      suite.enqueue();
      for (const { name, reason } of suite.skipped) {
        total.skipped++;
        print(`  skipped: ${suite.name}: ${name}: ${reason}`);
      }
    }
    if (suites.every((suite) => suite.cases === 0 && suite.skipped.length === 0)) fail(`${file} registers no test`);
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

  const passed = total.passed - before.passed;
  const failed = total.failed - before.failed;
  const skipped = total.skipped - before.skipped;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  print(`  ${file}: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""} (${seconds} s)`);
}

print(`seed ${seed}`);
const files = readdirSync(directory, { recursive: true, encoding: "utf8" })
  .map((name) => name.replaceAll("\\", "/"))
  .filter((name) => name.endsWith(".test.ts") && !name.includes("fixtures/"))
  .filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter)))
  .sort();
for (const filter of filters) {
  if (!files.some((name) => name.includes(filter))) fail(`no test file matches "${filter}"`);
}
if (files.length === 0) fail(`no test file in ${directory}`);
for (const file of files) await runFile(file);

watchdog.stop();
finished = true;
print(`\n${summary()}`);
// A file that leaves a timer or a worker behind must not keep the run from ending; the empty write waits for the output.
process.stdout.write("", () => process.exit(total.failed > 0 ? 1 : 0));
