// Whether several threads pay for one kind of job: kept as running estimates of both ways, because it depends on the machine,
// on what else it does, and on whether workers still look for work or sleep.

/** Milliseconds of one thread below which several are not tried: waking one costs 0.03 to 0.045 (docs/performance.md). */
const LEAST = 0.08;
/** Multiplications a millisecond of a thread that has not been measured yet: about what the slowest kernels do. */
const GUESS = 1e7;
/** Multiplications that take less than LEAST with the slowest kernels too. */
const LEAST_WORK = 2 ** 19;
/** Several threads go on while they take at most this share of the time of one. */
const WORTH = 0.95;
/** Calls on one thread between two attempts with several: doubled after each that did not pay. */
const FIRST_PAUSE = 8;
const LAST_PAUSE = 512;
/** While several threads pay, every so many calls one of one thread, so that the comparison stays true: 1 %. */
const PROBE = 128;
const FIRST_PROBES = [2, 4, 8, 16, 32, 64];

export class Pace {
  #single: number;
  #measured = false;
  #several = 0;
  #calls = 0;
  #pause = FIRST_PAUSE;
  #retryAt = 0;

  /** @param work multiplications of a job */
  constructor(work: number) {
    this.#single = work / GUESS;
  }

  /** Whether so many multiplications are certainly not worth it. */
  static tooLittle(work: number): boolean {
    return work < LEAST_WORK;
  }

  /** Whether the next job should go to several threads. */
  next(): boolean {
    const calls = this.#calls++;
    if (this.#single < LEAST) return false;
    if (this.#several === 0) return true;
    if (this.#several <= WORTH * this.#single) {
      return this.#measured ? calls % PROBE !== 0 && !FIRST_PROBES.includes(calls) : calls % 4 !== 1;
    }
    if (calls < this.#retryAt) return false;
    this.#retryAt = calls + this.#pause;
    this.#pause = Math.min(2 * this.#pause, LAST_PAUSE);
    this.#several = 0;
    return true;
  }

  /** How long a job took, in milliseconds. */
  took(several: boolean, time: number): void {
    if (!several) {
      this.#single = this.#measured ? follow(this.#single, time) : time;
      this.#measured = true;
      return;
    }
    this.#several = this.#several === 0 ? time : follow(this.#several, time);
    if (this.#several <= WORTH * this.#single && this.#calls > this.#retryAt + 2 * this.#pause)
      this.#pause = FIRST_PAUSE;
  }
}

// Faster calls count more, because the first ones ran code that was not optimised yet; one in which a thread was not
// scheduled for a while counts as twice the usual time.
function follow(estimate: number, time: number): number {
  return estimate + (Math.min(time, 2 * estimate) - estimate) / (time < estimate ? 2 : 4);
}
