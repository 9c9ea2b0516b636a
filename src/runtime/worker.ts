// A thread of a pool (pool.ts), in Node, Deno and Bun by node:worker_threads, in browsers as a module worker: takes ranges of
// rows until none is left, then waits for the next job. After its start it does not return to its event loop.
import { type Answer, claim, computeRange, decode, type Exports, rangesLeft, Spin, type Start, WORD } from "./job.ts";

interface Port {
  postMessage(answer: Answer): void;
}

function work({ module, memory, control, record, thread }: Start, port: Port): void {
  const exports = Object.values(new WebAssembly.Instance(module, { env: { memory } }).exports) as unknown as Exports;
  const spin = new Spin();
  const hasWork = (): boolean => rangesLeft(Atomics.load(control, WORD.ticket)) > 0;
  port.postMessage("ready");
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
      if (Atomics.load(control, WORD.message) === 1) port.postMessage("done");
    }
  }
}

function begin(start: Start, port: Port): void {
  try {
    work(start, port);
  } catch (error) {
    port.postMessage({ failed: error instanceof Error ? error.message : String(error) });
  }
}

type NodePort = Port & { once(event: "message", listener: (start: Start) => void): void };

const { process } = globalThis as {
  process?: { versions?: { node?: string }; getBuiltinModule(id: string): unknown };
};
if (process?.versions?.node) {
  // Not an import, which bundlers for browsers would try to follow.
  const { parentPort } = process.getBuiltinModule("node:worker_threads") as { parentPort: NodePort };
  parentPort.once("message", (start) => begin(start, parentPort));
} else {
  const scope = globalThis as unknown as Port & {
    onmessage: ((event: { data: Start }) => void) | null;
    close(): void;
  };
  scope.onmessage = ({ data }) => {
    begin(data, scope);
    scope.close();
  };
}
