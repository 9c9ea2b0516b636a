// Whether several threads pay for one kind of job. It depends on the machine and on what else that does, so it is kept as an
// account in milliseconds: what other threads took over is earned, what this one waited for them is spent. While there is
// credit they are used, which bounds what can be lost; without, they are tried again after a pause that such attempts cost
// at most a fiftieth of.

/** Milliseconds of one thread below which several are not tried: waking one takes 0.03 to 0.045. */
const LEAST = 0.04;
/** Multiplications that take less than LEAST with the slowest kernels too. */
const LEAST_WORK = 2 ** 18;
/** Multiplications a millisecond of a thread that has not been measured yet: about what the slowest kernels do. */
const GUESS = 1e7;
/** Most credit: a few times what a thread loses that is not scheduled. */
const MOST_CREDIT = 20;
const ATTEMPT_SHARE = 1 / 50;
/** The shortest pause, in jobs, and the longest, in milliseconds. */
const SHORTEST_PAUSE = 8;
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
    if (this.#credit > 0) return;
    this.#rest = Math.min(Math.max(SHORTEST_PAUSE * this.#single, -gain / ATTEMPT_SHARE), LONGEST_PAUSE);
  }
}

// Faster jobs count more, because the first ones ran code that was not optimised yet; one in which the thread was not
// scheduled for a while counts as twice the usual time.
function follow(estimate: number, time: number): number {
  return estimate + (Math.min(time, 2 * estimate) - estimate) / (time < estimate ? 2 : 4);
}
