// What is left of a product once its tokens are prepared: calls of exports that every range of rows needs. Numbers only, so
// that a worker can be told; pool.ts hands out ranges, worker.ts takes them. Results do not depend on who takes which.

/** A call of an export for a range of rows. */
export interface Call {
  /** Which one, in the order of the binary. */
  readonly export: number;
  readonly args: number[];
  /** args[rowAt] and args[rowAt + 1] become the first row and the one after the last. */
  readonly rowAt: number;
  /** args[scratchAt] is working space of the first thread, that of the others follows; -1 where none is needed. */
  readonly scratchAt: number;
  /**
   * Arguments that are addresses in the working space, too, less so many bytes a row of the first row: what is made there for a
   * few rows at a time is found as if it were there for all.
   */
  readonly bases?: readonly Base[];
}

export interface Base {
  readonly at: number;
  readonly address: number;
  readonly rowBytes: number;
}

export interface Job {
  /** In order: later calls may need what earlier ones left in the same rows. */
  readonly calls: readonly Call[];
  readonly rows: number;
  /** Rows that meet all calls before the next ones do. Like every range but the last whole tiles of TILE_ROWS. */
  readonly rowStep: number;
  /** Bytes of a thread's working space. */
  readonly scratchBytes: number;
  /** Multiplications in all: what is known of its time beforehand. */
  readonly work: number;
}

export type Exports = readonly ((...args: number[]) => number | undefined)[];

/** The calls of a job for rows from `begin` to before `end`. */
export function computeRows(exports: Exports, { calls, rowStep }: Job, begin: number, end: number): void {
  for (let row = begin; row < end; row += rowStep) {
    const rowEnd = Math.min(row + rowStep, end);
    for (const { export: index, args, rowAt, bases } of calls) {
      if (bases) for (const { at, address, rowBytes } of bases) args[at] = address - row * rowBytes;
      args[rowAt] = row;
      args[rowAt + 1] = rowEnd;
      (exports[index] as Exports[number])(...args);
    }
  }
}

/** Doubles of a record, and of its head and of a call's without arguments. */
export const RECORD_LENGTH = 8192;
const HEAD = 6;
const CALL_HEAD = 5;
const BASE_LENGTH = 3;
type Head = readonly [number, number, number, number, number, number];
type CallHead = readonly [number, number, number, number, number];

/** Doubles that a job takes in a record. */
export function recordLength({ calls }: Job): number {
  return calls.reduce((sum, { args, bases = [] }) => sum + CALL_HEAD + args.length + BASE_LENGTH * bases.length, HEAD);
}

/** Writes a job, and the rows of a range that one thread takes at a time. */
export function encode(job: Job, chunkRows: number, record: Float64Array): void {
  const { calls, rows, rowStep, scratchBytes, work } = job;
  record.set([chunkRows, rows, rowStep, scratchBytes, work, calls.length]);
  let at = HEAD;
  for (const { export: index, args, rowAt, scratchAt, bases = [] } of calls) {
    record[at++] = index;
    record[at++] = rowAt;
    record[at++] = scratchAt;
    record[at++] = args.length;
    record[at++] = bases.length;
    for (const arg of args) record[at++] = arg;
    for (const base of bases) {
      record[at++] = base.at;
      record[at++] = base.address;
      record[at++] = base.rowBytes;
    }
  }
}

/**
 * Reads a job as the thread of that number sees it. While another is being written this may be nonsense, which ends: what is
 * read must not be used before a range of the same job was claimed (claim).
 */
export function decode(record: Float64Array, thread: number): { job: Job; chunkRows: number } {
  const [chunkRows, rows, rowStep, scratchBytes, work, count] = record as unknown as Head;
  const calls: Call[] = [];
  let at = HEAD;
  for (let i = 0; i < count && at < record.length; i++) {
    const [index, rowAt, scratchAt, length, baseCount] = record.subarray(at, at + CALL_HEAD) as unknown as CallHead;
    at += CALL_HEAD;
    const args = Array.from(record.subarray(at, at + length));
    if (scratchAt >= 0) args[scratchAt] = (args[scratchAt] as number) + thread * scratchBytes;
    at += length;
    const bases: Base[] = [];
    for (let j = 0; j < baseCount && at < record.length; j++, at += BASE_LENGTH) {
      const [place, address, rowBytes] = record.subarray(at, at + BASE_LENGTH) as unknown as readonly [
        number,
        number,
        number,
      ];
      bases.push({ at: place, address: address + thread * scratchBytes, rowBytes });
    }
    calls.push({ export: index, args, rowAt, scratchAt, bases });
  }
  return { job: { calls, rows, rowStep, scratchBytes, work }, chunkRows };
}

/**
 * Words that all threads see, each in a cache line of its own.
 *
 * TICKET: number of the job in the upper bits, ranges not yet taken in the lower ones. A range is taken by an exchange
 * against the value that was seen, which fails if it was of another job: a worker that was not scheduled in between
 * takes nothing, and holds nothing back.
 * PENDING: ranges not yet done. SLEEPERS: workers that wait for a ticket. WAITING: whether the main thread waits for PENDING
 * to be 0. MESSAGE: whether it wants to be told so by a message. QUIT: whether workers should end.
 */
export const WORD = { ticket: 0, pending: 16, sleepers: 32, waiting: 48, message: 64, quit: 80 } as const;
export const WORDS = 96;

/** Bits of a ticket for ranges. With 19 bits left, a job has the number of an earlier one after 524288. */
export const RANGE_BITS = 13;
export const rangesLeft = (ticket: number): number => ticket & (2 ** RANGE_BITS - 1);

/** Takes a range of the job of `ticket`: returns how many were left before, 0 if there is none or another job. */
export function claim(control: Int32Array, ticket: number): number {
  for (;;) {
    const seen = Atomics.load(control, WORD.ticket);
    const left = rangesLeft(seen);
    if (left === 0 || seen >> RANGE_BITS !== ticket >> RANGE_BITS) return 0;
    if (Atomics.compareExchange(control, WORD.ticket, seen, seen - 1) === seen) return left;
  }
}

/** The rows of a range: the last is taken first. */
export function computeRange(exports: Exports, job: Job, chunkRows: number, left: number): void {
  const begin = (left - 1) * chunkRows;
  computeRows(exports, job, begin, Math.min(begin + chunkRows, job.rows));
}

// Polls, about 10 ns each, before a thread goes to sleep; the sleep up to which more of them would have been better (a
// wake by another core takes 30 to 45 µs); sleeps longer than that after which there are no polls.
const MOST_POLLS = 1000;
const SHORT_SLEEP = 0.06;
const PATIENCE = 4;

/** Looks for a while before a thread goes to sleep, as long as that has paid lately: on a busy machine it does not. */
export class Spin {
  #polls = MOST_POLLS;
  #misses = 0;

  /** Whether `ready` became true. */
  poll(ready: () => boolean): boolean {
    for (let i = 0; i < this.#polls; i++) {
      if (!ready()) continue;
      this.#misses = 0;
      return true;
    }
    return false;
  }

  /** Takes note of a sleep, in milliseconds, after polling was in vain. */
  slept(time: number): void {
    if (time < SHORT_SLEEP) {
      this.#misses = 0;
      this.#polls = MOST_POLLS;
    } else if (++this.#misses >= PATIENCE) {
      this.#polls = 0;
    }
  }
}

/** What a worker is told when it starts. */
export interface Start {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: Int32Array;
  readonly record: Float64Array;
  /** From 1: the main thread is 0. */
  readonly thread: number;
}

/** What it answers: that it is there, that a job is done (WORD.message), or why it cannot work. */
export type Answer = "ready" | "done" | { readonly failed: string };
