// The runner itself: what it must not take for success. uvu alone would exit 0 for most of these.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { is, match, ok } from "./assert.ts";
import { suite } from "./suite.ts";

const t = suite("runner");
const fixtures = fileURLToPath(new URL("fixtures", import.meta.url));
const runner = fileURLToPath(new URL("../run.ts", import.meta.url));

function run(...filters: string[]): { status: number | null; output: string; last: string } {
  const result = spawnSync(process.execPath, [...process.execArgv, runner, "--dir", fixtures, ...filters], {
    encoding: "utf8",
    env: { ...process.env, LOWBIT_TEST_LIMIT: "2", LOWBIT_SEED: "7" },
  });
  const output = result.stdout + result.stderr;
  return { status: result.status, output, last: result.stdout.trimEnd().split("\n").at(-1) ?? "" };
}

if ("Deno" in globalThis || "Bun" in globalThis) {
  t.skip("everything", "starts itself the way Node does");
} else {
  t("counts, and prints seed and skips", () => {
    const { status, output, last } = run("passing");
    is(last, "2 passed, 0 failed, 1 skipped");
    is(status, 0);
    match(output, /^seed 7\n/);
    match(output, /skipped: passing: three: not today/);
  });

  t("fails when a case fails, and shows why", () => {
    const { status, output, last } = run("failing");
    is(last, "1 passed, 2 failed");
    is(status, 1);
    match(output, /on purpose/);
    match(output, /failing\.test\.ts:\d+/);
  });

  t("fails when a file registers no test or nothing matches", () => {
    const { status, output, last } = run("empty", "passing", "nonsense");
    is(last, "2 passed, 2 failed, 1 skipped");
    is(status, 1);
    match(output, /empty\.test\.ts registers no test/);
    match(output, /no format, folder or test file matches "nonsense"/);
  });

  t("fails on errors outside the cases, and goes on", () => {
    const { status, output, last } = run("toplevel", "unhandled", "passing");
    is(last, "3 passed, 2 failed, 1 skipped");
    is(status, 1);
    match(output, /at the top level/);
    match(output, /unhandled rejection: Error: nobody waits for this/);
  });

  t("fails when a promise never settles", () => {
    const { status, last } = run("unsettled");
    is(last, "0 passed, 1 failed");
    is(status, 1);
  });

  t("ends a file that loops for ever", () => {
    const { status, output, last } = run("looping");
    is(last, "0 passed, 1 failed");
    ok(status !== 0);
    match(output, /looping\.test\.ts: not finished after 2 s/);
  });

  t("ends although a file left a timer behind", () => {
    const { status, last } = run("leaking");
    is(last, "1 passed, 0 failed");
    is(status, 0);
  });
}
