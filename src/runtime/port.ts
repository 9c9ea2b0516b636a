// A worker's side of its messages: node:worker_threads, or the scope of a worker in a browser.

export interface Port<A> {
  post(answer: A, transfer?: readonly ArrayBuffer[]): void;
  /** Hears no more, so that the worker ends when it has nothing left to do. */
  close(): void;
}

interface Messages {
  postMessage(answer: unknown, transfer?: readonly ArrayBuffer[]): void;
}

type NodePort = Messages & Record<"on" | "off", (event: "message", listener: (message: unknown) => void) => void>;
type Scope = Messages & { onmessage: ((event: { data: unknown }) => void) | null; close(): void };

/** Calls `hear` with every message. */
export function openPort<M, A>(hear: (message: M) => void): Port<A> {
  const { process } = globalThis as {
    process?: { versions?: { node?: string }; getBuiltinModule(id: string): unknown };
  };
  if (process?.versions?.node) {
    // Not an import, which bundlers for browsers would try to follow.
    const { parentPort } = process.getBuiltinModule("node:worker_threads") as { parentPort: NodePort };
    const listener = (message: unknown): void => hear(message as M);
    parentPort.on("message", listener);
    return {
      post: (answer, transfer = []) => parentPort.postMessage(answer, transfer),
      close: () => parentPort.off("message", listener),
    };
  }
  const scope = globalThis as unknown as Scope;
  scope.onmessage = ({ data }) => hear(data as M);
  return { post: (answer, transfer = []) => scope.postMessage(answer, transfer), close: () => scope.close() };
}
