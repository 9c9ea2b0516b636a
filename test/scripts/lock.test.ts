// The lock of builds: one at a time has it, also when those that had it die.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { holdLock } from "../../scripts/lock.ts";
import { equal, is, ok } from "../lib/assert.ts";
import { suite } from "../lib/suite.ts";

const t = suite("lock");
const contender = fileURLToPath(new URL("../lib/workers/contender.ts", import.meta.url));

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "lowbit-lock-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What a process with these arguments prints, and how it ends. */
function run(...args: string[]): Promise<{ output: string; status: number | null }> {
  const child = spawn(process.execPath, [...process.execArgv, contender, ...args], { stdio: ["ignore", "pipe", 2] });
  let output = "";
  child.stdout?.on("data", (text: Buffer) => {
    output += text;
  });
  return new Promise((done) => child.on("close", (status) => done({ output, status })));
}

if ("Deno" in globalThis || "Bun" in globalThis) {
  t.skip("everything", "starts itself the way Node does");
} else {
  t("is held until it is given back, and leaves nothing", () =>
    inFolder(async (folder) => {
      const path = join(folder, "deep", "lock");
      const release = await holdLock(path);
      const second = holdLock(path);
      is(
        await Promise.race([second.then(() => "taken"), new Promise((done) => setTimeout(done, 200, "held"))]),
        "held",
      );
      release();
      release();
      (await second)();
      equal(readdirSync(join(folder, "deep")), []);
    }),
  );

  t("of a process that was killed is taken over", () =>
    inFolder(async (folder) => {
      const path = join(folder, "lock");
      const { status } = await run(path, "killed");
      is(status, null);
      ok(existsSync(path));
      (await holdLock(path))();
      equal(readdirSync(folder), []);
    }),
  );

  t("who dies while it removes what another left is taken over too", () =>
    inFolder(async (folder) => {
      const path = join(folder, "lock");
      // The number of a process that is gone.
      const { output } = await run(path, "number");
      writeFileSync(path, `${output}-first`);
      writeFileSync(`${path}.${output}-first.gone`, `${output}-second`);
      (await holdLock(path))();
      equal(readdirSync(folder), []);
    }),
  );

  t("three that take it and die, again and again: never two at a time", () =>
    inFolder(async (folder) => {
      const results = await Promise.all(["1", "2", "3"].map((seed) => run(join(folder, "lock"), "often", seed)));
      for (const { output, status } of results) {
        is(output, "60 times\n");
        is(status, 0);
      }
    }),
  );
}
