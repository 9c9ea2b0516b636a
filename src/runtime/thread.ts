// A worker, as node:worker_threads or a browser has it, seen from outside.

export interface Thread<M> {
  post(message: M, transfer?: readonly ArrayBuffer[]): void;
  terminate(): void;
}

interface NodeWorker {
  on(event: "message", listener: (answer: unknown) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  on(event: "exit", listener: (code: number) => void): void;
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  unref(): void;
  terminate(): unknown;
}

/**
 * Starts a worker, which does not keep the process alive.
 *
 * @param place its file, for messages and for runtimes that have node:worker_threads
 * @param make makes one where they are not: bundlers look for `new Worker(new URL(…))` where the file is named
 * @param hear called with what it answers
 * @param end called when it fails or ends
 */
export function startThread<M, A>(
  place: string,
  make: () => Worker,
  hear: (answer: A) => void,
  end: (reason: string) => void,
): Thread<M> {
  const threads = nodeThreads();
  if (threads) {
    // Flags of this process are not for it: a loader takes time, and with --input-type it would not start.
    const worker: NodeWorker = new threads.Worker(new URL(place), { execArgv: [] });
    worker.on("message", (answer) => hear(answer as A));
    worker.on("error", (error) => end(`the worker ${place} failed: ${error.message}`));
    worker.on("exit", (code) => end(`the worker ${place} ended (exit code ${code})`));
    // After the listeners, which undo it. Whoever waits keeps the process alive: what comes before may never end, as a
    // module's promise may not.
    worker.unref();
    return {
      post: (message, transfer = []) => worker.postMessage(message, transfer),
      terminate: () => void worker.terminate(),
    };
  }
  const worker = make();
  worker.onmessage = ({ data }) => hear(data as A);
  worker.onerror = (event) => {
    event.preventDefault();
    end(`the worker ${place} failed: ${event.message ?? "it did not load"}`);
  };
  return {
    post: (message, transfer = []) => worker.postMessage(message, [...transfer]),
    terminate: () => worker.terminate(),
  };
}

type NodeThreads = { Worker: new (url: URL, options: { execArgv: string[] }) => NodeWorker };

// Deno and Bun have it too; the global Worker of Deno would keep the process alive.
export function nodeThreads(): NodeThreads | undefined {
  return builtin("node:worker_threads") as NodeThreads | undefined;
}

export function builtin(name: string): unknown {
  const { process } = globalThis as {
    process?: { versions?: { node?: string }; getBuiltinModule?: (id: string) => unknown };
  };
  return process?.versions?.node ? process.getBuiltinModule?.(name) : undefined;
}
