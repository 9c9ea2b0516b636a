// Workers that quantise. Not those of products (pool.ts), which never return to their event loop: these load the quantisers,
// are told parts by messages, and end when there has been nothing to do for a while. Parts are copies, so that no memory is
// shared; the calling thread only waits.
import type { Offer, PartResult } from "../lib/progress.ts";
import { startThread, type Thread } from "./thread.ts";

/** What a worker is told. */
export interface PartMessage {
  readonly task: string;
  readonly args: unknown;
}

/** What it answers: the fraction done, the result, or that there is none: then the work is done again where it is wanted. */
export type PartAnswer = { readonly done: number } | { readonly result: unknown } | { readonly failed: string };

/** Milliseconds of work below which starting workers (20 to 100 ms each) does not pay. */
const LEAST_TIME = 200;
/** Milliseconds of a part: threads that others slow down take fewer. */
const PART_TIME = 100;
/** Parts for each thread at most: each needs tables of its own. */
const MOST_PARTS = 16;
/** Milliseconds after which idle workers end, and between two looks at whether the work is still wanted. */
const IDLE = 2000;
const LOOK = 50;
/** Looks without a sign of a worker that has a part after which it counts as lost: a minute. Those at work say so every 20 ms. */
const MOST_LOOKS = 1200;

interface Run {
  readonly offer: Offer;
  readonly report: (done: number) => void;
  readonly results: (PartResult | undefined)[];
  readonly fractions: Float64Array;
  readonly timer: ReturnType<typeof setInterval>;
  left: number;
  readonly resolve: (results: readonly PartResult[] | undefined) => void;
  readonly reject: (reason: unknown) => void;
}

interface Part {
  readonly run: Run;
  readonly index: number;
  readonly begin: number;
  readonly end: number;
}

interface Helper {
  readonly thread: Thread<PartMessage>;
  part: Part | undefined;
  /** Looks since it said something. */
  silence: number;
}

export class QuantizePool {
  /** Whether work of so many milliseconds is done here. */
  static tooLittle = (time: number): boolean => time < LEAST_TIME;
  /** Looks after which a worker counts as lost. */
  static mostLooks = MOST_LOOKS;

  readonly #threads: number;
  readonly #url: URL | string | undefined;
  readonly #helpers = new Set<Helper>();
  readonly #runs = new Set<Run>();
  #queue: Part[] = [];
  #idle: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(threads: number, url: URL | string | undefined) {
    this.#threads = threads;
    this.#url = url;
  }

  /**
   * Results of all parts of an offer; `undefined` where it is too little, or could not be done by workers.
   * @param report called with the fraction done; what it throws ends the work and is what is thrown
   */
  take(offer: Offer, report: (done: number) => void): Promise<readonly PartResult[] | undefined> {
    const { units, time } = offer;
    // Options that are not checked yet may make it anything.
    if (this.#ended || units < 2 || !Number.isFinite(time) || QuantizePool.tooLittle(time))
      return Promise.resolve(undefined);
    const wanted = Math.max(this.#threads, Math.min(MOST_PARTS * this.#threads, Math.round(time / PART_TIME)));
    const count = Math.min(units, wanted);
    return new Promise((resolve, reject) => {
      const run: Run = {
        offer,
        report,
        results: new Array(count).fill(undefined),
        fractions: new Float64Array(count),
        // Workers do not keep the process alive, and may be too busy to say anything when a signal comes.
        timer: setInterval(() => this.#look(run), LOOK),
        left: count,
        resolve,
        reject,
      };
      this.#runs.add(run);
      const at = (index: number): number => Math.floor((index * units) / count);
      for (let index = 0; index < count; index++) {
        this.#queue.push({ run, index, begin: at(index), end: at(index + 1) });
      }
      this.#deal();
    });
  }

  /** Ends the workers: what they were at is done where it is wanted. */
  dispose(): void {
    this.#ended = true;
    for (const run of this.#runs) this.#drop(run).resolve(undefined);
    this.#terminate();
  }

  #terminate(): void {
    clearTimeout(this.#idle);
    for (const { thread } of this.#helpers) thread.terminate();
    this.#helpers.clear();
  }

  // Gives parts to workers that have none, and starts workers while there are too few.
  #deal(): void {
    clearTimeout(this.#idle);
    while (this.#queue.length > 0) {
      let helper = [...this.#helpers].find(({ part }) => part === undefined);
      if (!helper) {
        if (this.#helpers.size >= this.#threads) return;
        helper = this.#start();
        if (!helper) return;
      }
      const part = this.#queue.shift() as Part;
      helper.part = part;
      helper.silence = 0;
      const { offer } = part.run;
      const { message, buffers } = sendable(offer.part(part.begin, part.end));
      try {
        helper.thread.post({ task: offer.task, args: message }, buffers);
      } catch {
        // No memory for the copy.
        this.#drop(part.run).resolve(undefined);
      }
    }
    if (this.#runs.size > 0) return;
    this.#idle = setTimeout(() => this.#terminate(), IDLE);
    (this.#idle as { unref?: () => void }).unref?.();
  }

  #start(): Helper | undefined {
    try {
      const helper: Helper = {
        part: undefined,
        silence: 0,
        thread: startThread<PartMessage, PartAnswer>(
          addressOf(this.#url),
          () =>
            this.#url
              ? new Worker(this.#url, { type: "module" })
              : new Worker(new URL("../quantize-worker.js", import.meta.url), { type: "module" }),
          (answer) => this.#hear(helper, answer),
          // One that cannot be loaded or ends by itself: there is something here that does not suit workers.
          () => {
            if (this.#helpers.has(helper)) this.dispose();
          },
        ),
      };
      this.#helpers.add(helper);
      return helper;
    } catch {
      this.dispose();
      return undefined;
    }
  }

  #hear(helper: Helper, answer: PartAnswer): void {
    const { part } = helper;
    if (!part || !this.#helpers.has(helper)) return;
    const { run, index, begin, end } = part;
    helper.silence = 0;
    if ("done" in answer) {
      run.fractions[index] = answer.done;
      this.#report(run);
      return;
    }
    helper.part = undefined;
    if ("failed" in answer) {
      // What is wrong with the input is found again, and said, where it is wanted.
      this.#drop(run).resolve(undefined);
    } else {
      run.results[index] = { begin, end, result: answer.result };
      run.fractions[index] = 1;
      if (--run.left === 0) this.#drop(run).resolve(run.results as PartResult[]);
      else this.#report(run);
    }
    this.#deal();
  }

  #look(run: Run): void {
    this.#report(run);
    const lost = [...this.#helpers].some(
      (helper) => helper.part?.run === run && helper.silence++ > QuantizePool.mostLooks,
    );
    if (lost) this.dispose();
  }

  #report(run: Run): void {
    if (!this.#runs.has(run)) return;
    const { from, to } = run.offer;
    const mean = run.fractions.reduce((sum, one) => sum + one, 0) / run.fractions.length;
    try {
      run.report(from + (to - from) * mean);
    } catch (error) {
      this.#drop(run).reject(error);
      this.#deal();
    }
  }

  // Forgets a run: its parts that wait, and workers that are still at one.
  #drop(run: Run): Run {
    clearInterval(run.timer);
    this.#runs.delete(run);
    this.#queue = this.#queue.filter((part) => part.run !== run);
    for (const helper of this.#helpers) {
      if (helper.part?.run !== run) continue;
      this.#helpers.delete(helper);
      helper.thread.terminate();
    }
    return run;
  }
}

function addressOf(given: URL | string | undefined): string {
  return String(given ?? import.meta.url.replace(/[^/]*\/[^/]*$/, "quantize-worker.js"));
}

/** A record whose arrays have memory of their own, of just their size: it is moved, not copied again. */
function sendable(args: unknown): { message: unknown; buffers: ArrayBuffer[] } {
  const buffers: ArrayBuffer[] = [];
  const message = Object.fromEntries(
    Object.entries(args as object).map(([name, value]) => {
      if (!ArrayBuffer.isView(value)) return [name, value];
      const copy = (value as Float32Array).slice();
      buffers.push(copy.buffer);
      return [name, copy];
    }),
  );
  return { message, buffers };
}
