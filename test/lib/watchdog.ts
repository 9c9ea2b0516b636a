// Ends the process when one test file takes too long. It lives in a thread of its own, because a kernel that loops for
// ever blocks the main thread, timers and all.

import { Worker } from "node:worker_threads";

export interface Watchdog {
  /** The clock starts again, now for `file`; `counts` is what the summary says should the file hang. */
  watch(file: string, counts: { passed: number; failed: number; skipped: number }): void;
  stop(): void;
}

// Plain JavaScript in a string: a worker does not everywhere inherit the loader that understands TypeScript.
// writeSync, because process.stdout of a worker goes through the main thread, which is the one that hangs.
const source = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { writeSync } = require("node:fs");
  let timer;
  parentPort.on("message", ({ file, counts }) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const skipped = counts.skipped > 0 ? ", " + counts.skipped + " skipped" : "";
      writeSync(1, "\\n  FAIL  " + file + ": not finished after " + workerData.seconds + " s\\n\\n" +
        counts.passed + " passed, " + (counts.failed + 1) + " failed" + skipped + "\\n");
      process.kill(workerData.pid, "SIGKILL");
    }, workerData.seconds * 1000);
  });
`;

export function startWatchdog(seconds: number): Watchdog {
  const worker = new Worker(source, { eval: true, workerData: { seconds, pid: process.pid } });
  // The watchdog alone must not keep a process alive that has nothing left to do.
  worker.unref();
  return {
    watch(file, counts) {
      worker.postMessage({ file, counts: { ...counts } });
    },
    stop() {
      void worker.terminate();
    },
  };
}
