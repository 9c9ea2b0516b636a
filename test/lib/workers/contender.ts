// A process that takes a lock: contender.ts <path> killed | number | often <seed> (test/scripts/lock.test.ts).
import fs, { closeSync, openSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { holdLock } from "../../../scripts/lock.ts";

const [path, what, seed] = process.argv.slice(2) as [string, string, string];
if (what === "number") process.stdout.write(String(process.pid));
else if (what === "killed") {
  await holdLock(path);
  process.kill(process.pid, "SIGKILL");
} else {
  // Processes number up to 2^22: this one is nobody.
  const nobody = 2 ** 30;
  // What is read may be old when it is acted upon: now and then others run in between.
  const still = new Int32Array(new SharedArrayBuffer(4));
  const read = fs.readFileSync;
  fs.readFileSync = ((...args: Parameters<typeof read>) => {
    const text = read(...args);
    if (Math.random() < 0.3) Atomics.wait(still, 0, 0, 5);
    return text;
  }) as typeof read;
  syncBuiltinESMExports();
  // Nothing to wait for between two looks: as many meetings as there can be.
  const wait = globalThis.setTimeout;
  globalThis.setTimeout = ((call: () => void) => wait(call, 0)) as typeof setTimeout;
  let state = Number(seed);
  for (let i = 0; i < 60; i++) {
    const release = await holdLock(path);
    // Fails if it is there.
    closeSync(openSync(`${path}-inside`, "wx"));
    Atomics.wait(still, 0, 0, 2);
    unlinkSync(`${path}-inside`);
    state = (state * 1103515245 + 12345) % 2 ** 31;
    if (state % 3 === 0) release();
    else {
      // As if this process had died and another one began.
      writeFileSync(`${path}-${process.pid}`, `${nobody}-${seed}-${i}`);
      renameSync(`${path}-${process.pid}`, path);
      release();
    }
  }
  process.stdout.write("60 times\n");
}
