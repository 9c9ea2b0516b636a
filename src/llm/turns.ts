// Turns of the event loop between pieces of work.

/** A task of its own: timers and messages get their turn before it. */
function nextTask(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };
  if (setImmediate) return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

/** Lets others have a turn when work has gone on for so many milliseconds. */
export class Turns {
  readonly #most: number;
  #since = performance.now();

  constructor(most: number) {
    this.#most = most;
  }

  async maybe(): Promise<void> {
    if (performance.now() - this.#since < this.#most) return;
    await nextTask();
    this.#since = performance.now();
  }
}
