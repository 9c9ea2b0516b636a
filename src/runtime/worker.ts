// A thread of a pool (pool.ts), in Node, Deno and Bun by node:worker_threads, in browsers as a module worker: takes ranges of
// rows until none is left, then waits for the next job. After its start it does not return to its event loop.
import { type Answer, claim, computeRange, decode, type Exports, rangesLeft, Spin, type Start, WORD } from "./job.ts";
import { openPort } from "./port.ts";

function work({ module, memory, control, record, thread }: Start): void {
  const exports = Object.values(new WebAssembly.Instance(module, { env: { memory } }).exports) as unknown as Exports;
  const spin = new Spin();
  const hasWork = (): boolean => rangesLeft(Atomics.load(control, WORD.ticket)) > 0;
  port.post("ready");
  while (Atomics.load(control, WORD.quit) === 0) {
    if (!hasWork() && !spin.poll(hasWork)) {
      const start = performance.now();
      Atomics.add(control, WORD.sleepers, 1);
      const ticket = Atomics.load(control, WORD.ticket);
      if (rangesLeft(ticket) === 0 && Atomics.load(control, WORD.quit) === 0) {
        Atomics.wait(control, WORD.ticket, ticket);
      }
      Atomics.sub(control, WORD.sleepers, 1);
      spin.slept(performance.now() - start);
      continue;
    }
    const ticket = Atomics.load(control, WORD.ticket);
    const { job, chunkRows } = decode(record, thread);
    for (let left = claim(control, ticket); left > 0; left = claim(control, ticket)) {
      computeRange(exports, job, chunkRows, left);
      if (Atomics.sub(control, WORD.pending, 1) > 1) continue;
      if (Atomics.load(control, WORD.waiting) === 1) Atomics.notify(control, WORD.pending);
      if (Atomics.load(control, WORD.message) === 1) port.post("done");
    }
  }
}

const port = openPort<Start, Answer>((start) => {
  try {
    work(start);
  } catch (error) {
    port.post({ failed: error instanceof Error ? error.message : String(error) });
  }
  port.close();
});
