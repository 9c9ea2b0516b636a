// Long work is written once, as a generator that yields the fraction done every few milliseconds, and run to its end
// either at once or with turns for the event loop in between. The result is the same.
import { checkOptions, typeError } from "./check.ts";
import { type OptionNames, readOptions, type Settled, settle, settleCopies } from "./options.ts";

export interface ProgressOptions {
  /** Called every few milliseconds with the fraction done, and with 1 at the end. What it throws ends the work. */
  readonly onProgress?: ((done: number) => void) | undefined;
  /** Ends the work: what is thrown is its `reason`. */
  readonly signal?: AbortSignal | undefined;
}

export const PROGRESS_NAMES: OptionNames<ProgressOptions> = { onProgress: [], signal: [] };

/**
 * Work that yields the fraction done, from 0 to below 1, every few milliseconds, and returns its result. What it yields besides
 * are offers of parts that others may compute; an answer of `undefined` means that nobody did.
 */
export type Steps<T> = Generator<number | Offer, T, unknown>;

/** Work on parts of an input, each by itself, that other threads may do (lib/parts.ts). The answer is a list of results. */
export interface Offer {
  /** By this name workers know it. */
  readonly task: string;
  /** What is cut into parts: rows, groups. */
  readonly units: number;
  /** Milliseconds that all of it takes on one thread, about. */
  readonly time: number;
  /** What a worker is told about the units from `begin` to before `end`: it can be cloned. */
  part(begin: number, end: number): unknown;
  /** Fractions of the whole work before and after it. */
  readonly from: number;
  readonly to: number;
}

/**
 * Those who may take an offer.
 *
 * @param report called with the fraction done now and then; what it throws ends the work
 * @returns the results of the parts in order with the unit that each begins at; `undefined` where it is not worth it, or could
 * not be done
 */
export type Helpers = (offer: Offer, report: (done: number) => void) => Promise<readonly PartResult[] | undefined>;

export interface PartResult {
  readonly begin: number;
  readonly end: number;
  readonly result: unknown;
}

const helpers = /* @__PURE__ */ new WeakMap<object, Helpers>();

/** Work that gets this handle may be done by others from now on. */
export function setHelpers(handle: object, others: Helpers): void {
  helpers.set(handle, others);
}

/** Milliseconds of work between two turns of the event loop: a frame of a 60 Hz display. */
const TURN = 16;

/**
 * Runs the work to its end.
 *
 * @throws TypeError for options of a wrong type; the reason of an aborted signal, which is looked at before the work and
 * at each of its yields; what the work throws
 */
export function runNow<T>(where: string, steps: Steps<T>, options: ProgressOptions = {}): T {
  checkProgress(where, options);
  try {
    for (;;) {
      const step = advance(steps, options);
      if (step.done) return step.value;
    }
  } catch (error) {
    throw end(steps, error);
  }
}

/**
 * Runs the work to its end, with a turn for the event loop about every 16 ms; the first part runs before this returns.
 *
 * @returns a promise of the result, rejected with what `runNow` would throw
 */
export async function runAsync<T>(
  where: string,
  steps: Steps<T>,
  options: ProgressOptions = {},
  others?: Helpers,
): Promise<T> {
  checkProgress(where, options);
  const report = (done: number): void => {
    options.signal?.throwIfAborted();
    options.onProgress?.(done);
  };
  try {
    let answer: unknown;
    for (let since = performance.now(); ; ) {
      const step = advance(steps, options, answer);
      if (step.done) return step.value;
      answer = typeof step.value === "number" ? undefined : await others?.(step.value, report);
      if (answer === undefined && performance.now() - since < TURN) continue;
      await turn();
      since = performance.now();
    }
  } catch (error) {
    throw end(steps, error);
  }
}

/** What a quantiser does, once its options are read: checks, fits, packs. */
export type Work<L, W, O, T> = (where: string, lb: L, w: W, options: Settled<O>) => Steps<T>;

/**
 * A call that quantises: options are read first, then the work is run to its end.
 *
 * @throws what `readOptions`, `runNow` and the work throw
 */
export function callNow<L, W, O extends ProgressOptions, T>(
  where: string,
  names: OptionNames<O>,
  work: Work<L, W, O, T>,
  lb: L,
  w: unknown,
  options: unknown,
): T {
  const given = readOptions(where, options, names);
  checkProgress(where, given);
  // Without these no code of the caller's runs before the end, and the arrays can be read where they are.
  const quiet = given.onProgress === undefined && given.signal === undefined;
  const weights = (quiet ? settle : settleCopies)(`${where}: w`, w);
  return runNow(where, work(where, lb, weights as W, quiet ? given : settleCopies(where, given)), given);
}

/** As `callNow`, with turns for the event loop: arrays are copied before this returns. */
export async function callAsync<L, W, O extends ProgressOptions, T>(
  where: string,
  names: OptionNames<O>,
  work: Work<L, W, O, T>,
  lb: L,
  w: unknown,
  options: unknown,
): Promise<T> {
  const given = readOptions(where, options, names);
  checkProgress(where, given);
  const steps = work(where, lb, settleCopies(`${where}: w`, w) as W, settleCopies(where, given));
  return runAsync(where, steps, given, typeof lb === "object" && lb !== null ? helpers.get(lb) : undefined);
}

/** Checks the members of ProgressOptions in the options of a function. */
export function checkProgress(where: string, options: ProgressOptions): void {
  checkOptions(`${where}: options`, options);
  const { onProgress, signal } = options;
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw typeError(`${where}: onProgress`, "a function", onProgress);
  }
  // By what is used of it, since AbortSignal differs from realm to realm.
  if (signal !== undefined && typeof signal?.throwIfAborted !== "function") {
    throw typeError(`${where}: signal`, "an AbortSignal", signal);
  }
}

function advance<T>(
  steps: Steps<T>,
  { onProgress, signal }: ProgressOptions,
  answer?: unknown,
): IteratorResult<number | Offer, T> {
  signal?.throwIfAborted();
  const step = steps.next(answer);
  if (step.done) onProgress?.(1);
  else if (typeof step.value === "number") onProgress?.(step.value);
  return step;
}

// Lets the work's own `finally` blocks run.
function end(steps: Steps<unknown>, error: unknown): unknown {
  steps.return(undefined);
  return error;
}

// Timers wait at least 4 ms in browsers once they are nested, and up to a second in a page in the background; messages
// do not. A channel for each turn: Node delivers all messages of one channel before it looks at timers again, and an
// open one keeps a process from ending.
function turn(): Promise<void> {
  return new Promise((resume) => {
    if (typeof MessageChannel === "undefined") {
      setTimeout(resume, 0);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resume();
    };
    port2.postMessage(0);
  });
}

/** Steps whose fractions count from `begin` to `end`. */
export function* part<T>(steps: Steps<T>, begin: number, end: number): Steps<T> {
  const at = (fraction: number): number => begin + (end - begin) * fraction;
  try {
    let answer: unknown;
    for (;;) {
      const step = steps.next(answer);
      if (step.done) return step.value;
      const { value } = step;
      answer = yield typeof value === "number" ? at(value) : { ...value, from: at(value.from), to: at(value.to) };
    }
  } finally {
    steps.return(undefined as T);
  }
}
