import Benchmark from "benchmark";

/** One call of what is measured. */
export type Run = () => void;

/** Every case adds something of its result here: exported, so that no compiler can prove the work useless. */
export const sink = { total: 0 };

export interface Budget {
  /** Milliseconds that one measurement should take; the best of up to nine counts for a round. */
  readonly slice: number;
  /** Milliseconds after which a case counts as warm, even if it has had fewer than 10 calls. */
  readonly warm: number;
  readonly minRounds: number;
  readonly maxRounds: number;
  /** After these seconds no round beyond `minRounds` starts. */
  readonly seconds: number;
}

export const fullBudget: Budget = { slice: 2, warm: 1000, minRounds: 5, maxRounds: 41, seconds: 20 };
export const quickBudget: Budget = { slice: 1, warm: 200, minRounds: 5, maxRounds: 31, seconds: 12 };

/**
 * Measures all cases of a group in turn, in many short rounds, each in a new order, so that a machine which slows down
 * or a noisy neighbour touches all of them alike. Returns, for each, the median over the rounds of the best of up to nine
 * measurements within 20 ms: a neighbour that steals a few milliseconds spoils some of them and not the round.
 */
export function interleave(runs: readonly Run[], budget: Budget, betweenRounds: () => void): number[] {
  const cases = runs.map((run) => {
    const time = warm(run, budget.warm);
    return {
      run,
      calls: Math.max(1, Math.round(budget.slice / time)),
      repeats: Math.max(1, Math.min(9, Math.floor(20 / Math.max(budget.slice, time)))),
      samples: [] as number[],
    };
  });
  const order = [...cases];
  const start = performance.now();
  for (let round = 0; round < budget.maxRounds; round++) {
    if (round >= budget.minRounds && performance.now() - start > budget.seconds * 1000) break;
    shuffle(order);
    for (const { run, calls, repeats, samples } of order) {
      let best = Infinity;
      for (let i = 0; i < repeats; i++) best = Math.min(best, measure(run, calls));
      samples.push(best);
    }
    betweenRounds();
  }
  return cases.map(({ samples }) => median(samples));
}

/**
 * V8 starts a WebAssembly function in its baseline compiler and swaps in optimised code after some calls: 10 calls and
 * 30 ms, but not more than `most` ms of calls that are long. Returns the fastest call in milliseconds.
 */
function warm(run: Run, most: number): number {
  const start = performance.now();
  let fastest = Infinity;
  let elapsed = 0;
  for (let calls = 0; calls < 2 || (calls < 10 && elapsed < most) || elapsed < 30; calls++) {
    const before = performance.now();
    run();
    const after = performance.now();
    fastest = Math.min(fastest, after - before);
    elapsed = after - start;
  }
  return fastest;
}

/**
 * One sample by benchmark.js, in milliseconds a call. It compiles a timing loop of its own for every sample, so no case
 * runs in a loop whose call site other cases have made megamorphic, and it makes one untimed call first, which brings
 * the case's own data back into the caches. minTime and maxTime below any clock keep it from adding cycles of its own;
 * with `setup` or `teardown` it would inline decompiled source and lose the closure, so there are none.
 */
function measure(run: Run, calls: number): number {
  const bench = new Benchmark(run, { initCount: calls, minSamples: 1, minTime: 1e-9, maxTime: -1 });
  bench.run();
  if (bench.error) throw bench.error;
  return bench.times.period * 1000;
}

function shuffle<T>(items: T[]): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
}

export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}
