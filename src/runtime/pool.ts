// Workers that share the linear memory of one engine, and how rows of a job are dealt out: ranges that every thread takes from
// one counter, the calling thread too, so that one which the machine does not schedule costs nothing but what it holds.
import { TILE_ROWS } from "../kernels/types.ts";
import type { Helpers } from "../lib/progress.ts";
import {
  type Answer,
  claim,
  computeRange,
  computeRows,
  type Exports,
  encode,
  type Job,
  RANGE_BITS,
  RECORD_LENGTH,
  recordLength,
  Spin,
  type Start,
  WORD,
  WORDS,
} from "./job.ts";
import type { Arena } from "./memory.ts";
import { Pace } from "./pace.ts";
import { QuantizePool } from "./quantize-pool.ts";
import { builtin, nodeThreads, startThread, type Thread } from "./thread.ts";

/** Milliseconds until a worker must have answered that it is there. */
const START_LIMIT = 15000;
/** Waits of SLICE milliseconds without any progress after which a worker counts as dead. */
const SLICE = 50;
const SLICES = 40;
/** Ranges of a job for each thread, where it has that many tiles. */
const RANGES = 32;
/** Paces that are kept: a model has few kinds of jobs. */
const MOST_PACES = 512;

export class Pool {
  /** Threads that compute, the calling one included. */
  readonly threads: number;
  readonly #workers: readonly Thread<Start>[];
  readonly #control = new Int32Array(new SharedArrayBuffer(WORDS * 4));
  readonly #record = new Float64Array(new SharedArrayBuffer(RECORD_LENGTH * 8));
  readonly #spin = new Spin();
  readonly #paces = new Map<number, Pace>();
  readonly #mayWait = mayWait();
  #exports: Exports = [];
  #number = 0;
  #ended: string | undefined;
  #starting: ((reason?: string) => void) | undefined;
  #ready = 0;
  #running: Running | undefined;
  readonly #quantizers: QuantizePool;
  #ranges: Ranges = { job: undefined as unknown as Job, rows: 0, count: 0, ticket: 0 };

  /** Starts workers, which load while the binary is compiled. Does not throw: see `ended`. */
  constructor(threads: number, url: URL | string | undefined, quantizeUrl?: URL | string) {
    this.threads = threads;
    this.#quantizers = new QuantizePool(threads, quantizeUrl);
    const workers: Thread<Start>[] = [];
    try {
      for (let i = 1; i < threads; i++) {
        workers.push(
          startWorker(
            url,
            (answer) => this.#hear(answer),
            (reason) => this.#end(reason),
          ),
        );
      }
    } catch (error) {
      this.#ended = `the worker ${addressOf(url)} cannot be started: ${messageOf(error)}`;
    }
    this.#workers = workers;
    if (this.#ended !== undefined) this.#terminate();
  }

  /** Why all computes on the calling thread from now on: what happened to a worker, or dispose(). */
  get ended(): string | undefined {
    return this.#ended;
  }

  /** Has other workers do parts of long work, which `lib/progress.ts` offers. */
  readonly help: Helpers = (offer, report) => {
    return this.#ended === undefined ? this.#quantizers.take(offer, report) : Promise.resolve(undefined);
  };

  /** Waits until every worker has an instance, or one could not: then `ended` says why. */
  async open(module: WebAssembly.Module, { memory }: Arena, exports: Exports): Promise<void> {
    this.#exports = exports;
    if (this.#ended !== undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#end(`a worker did not start within ${START_LIMIT / 1000} s`), START_LIMIT);
      this.#starting = () => {
        clearTimeout(timer);
        this.#starting = undefined;
        resolve();
      };
      for (const [i, worker] of this.#workers.entries()) {
        const start: Start = { module, memory, control: this.#control, record: this.#record, thread: i + 1 };
        worker.post(start);
      }
    });
  }

  /**
   * Computes a job. Not while another one runs: join() ends that.
   * @returns whether it is complete; otherwise the pool has ended, and a worker may still write where the job wrote
   */
  run(job: Job): boolean {
    if (this.#ended !== undefined || Pace.tooLittle(job.work) || recordLength(job) > RECORD_LENGTH) {
      computeRows(this.#exports, job, 0, job.rows);
      return true;
    }
    const pace = this.#paceOf(job);
    const start = performance.now();
    if (!pace.next()) {
      computeRows(this.#exports, job, 0, job.rows);
      pace.tookAlone(performance.now() - start);
      return true;
    }
    this.#publish(job, false, pace.helpers);
    const before = performance.now();
    const own = this.#takeRanges();
    const after = performance.now();
    const complete = this.#wait(own > 0 ? (after - before) / own : 1);
    pace.tookTogether(performance.now() - start, after - before, own / this.#ranges.count);
    return complete;
  }

  /**
   * Has the workers compute a job, without this thread.
   * @param done called once, with what run() returns: by an event, or by join()
   * @returns whether they do; if not, nothing has happened
   */
  start(job: Job, done: (complete: boolean) => void): boolean {
    if (this.#ended !== undefined || Pace.tooLittle(job.work) || recordLength(job) > RECORD_LENGTH) return false;
    // Keeps the process alive, which workers do not, and sees to it that somebody gets on.
    let before = -1;
    let idle = 0;
    const timer = setInterval(() => {
      const pending = Atomics.load(this.#control, WORD.pending);
      idle = pending === before ? idle + 1 : 0;
      before = pending;
      if (pending === 0 || idle >= SLICES) this.join();
    }, SLICE);
    this.#running = { done, timer };
    this.#publish(job, true, this.#paceOf(job).helpers);
    return true;
  }

  /** Completes what start() started. */
  join(): void {
    const running = this.#running;
    if (!running) return;
    this.#running = undefined;
    clearInterval(running.timer);
    Atomics.store(this.#control, WORD.message, 0);
    if (this.#ended !== undefined) {
      running.done(false);
      return;
    }
    const start = performance.now();
    const own = this.#takeRanges();
    running.done(this.#wait(own > 0 ? (performance.now() - start) / own : 1));
  }

  /** Ends the workers. */
  dispose(): void {
    this.join();
    this.#end("the workers were disposed of");
  }

  #paceOf(job: Job): Pace {
    const key = job.work * 256 + (job.calls[0]?.export ?? 0);
    let pace = this.#paces.get(key);
    if (!pace) {
      if (this.#paces.size >= MOST_PACES) this.#paces.clear();
      pace = new Pace(job.work);
      this.#paces.set(key, pace);
    }
    return pace;
  }

  #publish(job: Job, message: boolean, helpers: number): void {
    const tiles = Math.ceil(job.rows / TILE_ROWS);
    const rows = Math.ceil(tiles / Math.min(tiles, RANGES * this.threads, 2 ** RANGE_BITS - 1)) * TILE_ROWS;
    const count = Math.ceil(job.rows / rows);
    encode(job, rows, this.#record);
    const control = this.#control;
    Atomics.store(control, WORD.pending, count);
    Atomics.store(control, WORD.message, message ? 1 : 0);
    this.#number = (this.#number + 1) | 0;
    const ticket = (this.#number << RANGE_BITS) | count;
    this.#ranges = { job, rows, count, ticket };
    Atomics.store(control, WORD.ticket, ticket);
    if (Atomics.load(control, WORD.sleepers) > 0) Atomics.notify(control, WORD.ticket, Math.min(helpers, count));
  }

  // Computes ranges until none is left: returns how many.
  #takeRanges(): number {
    const control = this.#control;
    const { job, rows, ticket } = this.#ranges;
    let own = 0;
    for (let left = claim(control, ticket); left > 0; left = claim(control, ticket)) {
      computeRange(this.#exports, job, rows, left);
      Atomics.sub(control, WORD.pending, 1);
      own++;
    }
    return own;
  }

  // Waits for the ranges of others, of which one should take `time` milliseconds. Time in which the whole process was
  // stopped counts as one slice.
  #wait(time: number): boolean {
    const control = this.#control;
    const isDone = (): boolean => Atomics.load(control, WORD.pending) === 0;
    if (isDone() || this.#spin.poll(isDone)) return true;
    const slices = SLICES + Math.ceil(time);
    const complete = this.#waitForZero(slices);
    if (!complete) this.#end(`a worker did not finish its rows within ${(slices * SLICE) / 1000} s`);
    return complete;
  }

  // Whether PENDING became 0, before it has stayed the same for so many slices.
  //
  // No wake is lost. Atomics are sequentially consistent, so there is one order of these:
  //
  //   here     waiting = 1;  p = pending;  if p is 0: done;  wait while pending is p, until woken
  //   worker   pending -= 1;  if that made it 0 and waiting is 1: wake
  //
  // A worker that saw waiting = 0 had made pending 0 before p was read, so p is 0. One that saw 1 wakes: before the wait
  // began, then pending is no longer p and the wait does not; or after. What is waited for is never 0, because p is read
  // once, is looked at, and is what is handed to the wait.
  #waitForZero(slices: number): boolean {
    const control = this.#control;
    Atomics.store(control, WORD.waiting, 1);
    let before = -1;
    let idle = 0;
    let pending = Atomics.load(control, WORD.pending);
    while (pending !== 0 && idle < slices) {
      const start = performance.now();
      if (this.#mayWait) Atomics.wait(control, WORD.pending, pending, SLICE);
      else while (Atomics.load(control, WORD.pending) !== 0 && performance.now() - start < SLICE);
      this.#spin.slept(performance.now() - start);
      idle = pending === before ? idle + 1 : 0;
      before = pending;
      pending = Atomics.load(control, WORD.pending);
    }
    Atomics.store(control, WORD.waiting, 0);
    return pending === 0;
  }

  #hear(answer: Answer): void {
    if (answer === "ready") {
      if (++this.#ready === this.#workers.length) this.#starting?.();
    } else if (answer === "done") {
      if (this.#running && Atomics.load(this.#control, WORD.pending) === 0) this.join();
    } else {
      this.#end(`a worker failed: ${answer.failed}`);
    }
  }

  #end(reason: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#quantizers.dispose();
    const control = this.#control;
    Atomics.store(control, WORD.quit, 1);
    this.#number++;
    Atomics.store(control, WORD.ticket, this.#number << RANGE_BITS);
    Atomics.notify(control, WORD.ticket);
    this.#terminate();
    this.#starting?.();
    this.join();
  }

  #terminate(): void {
    for (const worker of this.#workers) worker.terminate();
  }
}

/** How the rows of the latest job were dealt out: `count` ranges of so many rows. */
interface Ranges {
  readonly job: Job;
  readonly rows: number;
  readonly count: number;
  readonly ticket: number;
}

interface Running {
  readonly done: (complete: boolean) => void;
  readonly timer: ReturnType<typeof setInterval>;
}

// Main threads of browsers, and workerd, may not.
function mayWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
    return true;
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// Beside this file. Not as bundlers know it, which would bring along another copy.
function addressOf(given: URL | string | undefined): string {
  return String(given ?? import.meta.url.replace(/[^/]*$/, "worker.js"));
}

function startWorker(
  given: URL | string | undefined,
  hear: (answer: Answer) => void,
  end: (reason: string) => void,
): Thread<Start> {
  return startThread(
    addressOf(given),
    () =>
      given
        ? new Worker(given, { type: "module" })
        : new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
    hear,
    end,
  );
}

/** Why this runtime cannot have threads, if it cannot. */
export function threadsMissing(): string | undefined {
  if (
    typeof SharedArrayBuffer !== "function" ||
    (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === false
  ) {
    return "no shared memory here: a page needs the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp";
  }
  if (!nodeThreads() && typeof Worker !== "function") return "this runtime has no workers";
  return undefined;
}

/** Threads that "auto" stands for: as many as there are processors, at most 8. */
export function automaticThreads(): number {
  const os = builtin("node:os") as { availableParallelism?: () => number } | undefined;
  return Math.min(8, os?.availableParallelism?.() ?? globalThis.navigator?.hardwareConcurrency ?? 1);
}
