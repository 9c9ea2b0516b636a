// Whether several threads pay for one kind of job. It depends on the machine and on what else that does, so it is kept as an
// account in milliseconds: what other threads took over is earned, what this one waited for them is spent. While there is
// credit they are used, which bounds what can be lost.
//
// When the credit is gone there is a pause, and then an attempt with a little credit. The pause is as long as the time that
// the job lost which ended the credit; it doubles with every pause in a row, to fifty times that loss, and two seconds, at
// most. So one bad call, a thread that was not scheduled for 50 ms, costs 50 ms without threads, while a machine that stays
// busy loses a fiftieth in the end. Pauses are no longer in a row once threads have earned the most credit again: a machine
// that is good for a few jobs and then bad may not begin anew each time.
/** Milliseconds of one thread below which several are not tried: waking one takes 0.03 to 0.045. */
const LEAST = 0.04;
/** Multiplications that take less than LEAST with the slowest kernels too. */
const LEAST_WORK = 2 ** 18;
/** Multiplications a millisecond of a thread that has not been measured yet: about what the slowest kernels do. */
const GUESS = 1e7;
/** Most credit: a few times what a thread loses that is not scheduled. */
const MOST_CREDIT = 20;
/** The longest pause, as a multiple of the loss before it, and in milliseconds. */
const MOST_LOSSES = 50;
const LONGEST_PAUSE = 2000;
/** While several threads are used, every so many jobs one of one thread, which says what that would take. */
const PROBE = 128;
const FIRST_PROBES = [1, 2, 4, 8, 16, 32, 64];

export class Pace {
  /** Milliseconds of one thread. */
  #single: number;
  #measured = false;
  #credit: number;
  #rest = 0;
  /** The next pause, as a multiple of the loss before it. */
  #losses = 1;
  #jobs = 0;

  /** @param work multiplications of a job */
  constructor(work: number) {
    this.#single = work / GUESS;
    this.#credit = this.#single;
  }

  /** Whether so many multiplications are certainly not worth it. */
  static tooLittle(work: number): boolean {
    return work < LEAST_WORK;
  }

  /** How many other threads are worth waking: each has at least as much to do as that takes. */
  get helpers(): number {
    return Math.ceil(this.#single / LEAST);
  }

  /** Whether the next job should go to several threads. */
  next(): boolean {
    const jobs = this.#jobs++;
    if (this.#single < LEAST) return false;
    if (this.#credit > 0) return jobs % PROBE !== PROBE - 1 && !FIRST_PROBES.includes(jobs);
    if (this.#rest > 0) return false;
    this.#credit = this.#single / 8;
    return true;
  }

  /** One thread took so long, in milliseconds. */
  tookAlone(time: number): void {
    this.#single = this.#measured ? follow(this.#single, time) : time;
    this.#measured = true;
    if (this.#credit <= 0) this.#rest -= time;
  }

  /**
   * Several threads did.
   * @param share of the rows that this thread computed, in `own` milliseconds
   * @param time from beginning to end
   */
  tookTogether(time: number, own: number, share: number): void {
    const expected = this.#single * share;
    // Slower where threads share a memory bus or a core; much slower is a pause that would have been there without them.
    const slower = Math.min(Math.max(own - expected, 0), expected);
    const gain = this.#single - expected - slower - (time - own);
    this.#credit = Math.min(this.#credit + gain, MOST_CREDIT);
    if (this.#credit === MOST_CREDIT) this.#losses = 1;
    if (this.#credit > 0) return;
    this.#rest = Math.min(-gain * this.#losses, LONGEST_PAUSE);
    this.#losses = Math.min(2 * this.#losses, MOST_LOSSES);
  }
}

// Faster jobs count more, because the first ones ran code that was not optimised yet; one in which the thread was not
// scheduled for a while counts as twice the usual time.
function follow(estimate: number, time: number): number {
  return estimate + (Math.min(time, 2 * estimate) - estimate) / (time < estimate ? 2 : 4);
}
