// One line on a terminal about what takes long; nothing where standard error is no terminal.
import type { SingleBar } from "cli-progress";
import { bytesText } from "./terminal.ts";

/** What is over sooner shows nothing. */
const DELAY = 400;

export class Progress {
  readonly #label: string;
  readonly #started = performance.now();
  readonly #shown: boolean;
  #bar: SingleBar | undefined;
  #loading = false;
  #ended = false;

  constructor(label: string, shown = true) {
    this.#label = label;
    this.#shown = shown && process.stderr.isTTY === true;
  }

  bytes(done: number, total: number): void {
    if (!this.#shown || this.#ended || performance.now() - this.#started < DELAY) return;
    const payload = { label: this.#label, read: bytesText(done), all: bytesText(total) };
    if (this.#bar) {
      this.#bar.setTotal(total);
      this.#bar.update(done, payload);
      return;
    }
    if (this.#loading) return;
    this.#loading = true;
    void import("cli-progress").then(({ default: progress }) => {
      if (this.#ended) return;
      const { env, stderr } = process;
      this.#bar = new progress.SingleBar({
        stream: stderr,
        format: "{label} {bar} {percentage} %  {read} of {all}",
        barCompleteChar: "#",
        barIncompleteChar: ".",
        barsize: 30,
        clearOnComplete: true,
        linewrap: env.TERM === "dumb",
      });
      this.#bar.start(total, done, payload);
    });
  }

  end(): void {
    this.#ended = true;
    this.#bar?.stop();
  }
}
