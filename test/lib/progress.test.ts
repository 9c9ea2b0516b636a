// Long work in steps: at once or with turns for the event loop, with progress and a signal that ends it.
import { type ProgressOptions, runAsync, runNow, type Steps } from "../../src/lib/progress.ts";
import { is, ok, rejectsWith, throwsWith } from "./assert.ts";
import { suite } from "./suite.ts";

interface Work {
  steps: Steps<string>;
  taken: number;
  ended: boolean;
}

/** Ten steps of `milliseconds` each. */
function makeWork(milliseconds = 0): Work {
  const work = { taken: 0, ended: false } as Work;
  work.steps = (function* () {
    try {
      for (; work.taken < 10; work.taken++) {
        for (const since = performance.now(); performance.now() - since < milliseconds; );
        yield work.taken / 10;
      }
      return "done";
    } finally {
      work.ended = true;
    }
  })();
  return work;
}

const runners = {
  runNow: async (steps: Steps<string>, options?: ProgressOptions) => runNow("f", steps, options),
  runAsync: (steps: Steps<string>, options?: ProgressOptions) => runAsync("f", steps, options),
};

for (const [name, run] of Object.entries(runners)) {
  const t = suite(name);

  t("gives the result and reports each step", async () => {
    const seen: number[] = [];
    is(await run(makeWork().steps, { onProgress: (done) => seen.push(done) }), "done");
    is(seen.join(), "0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1");
    is(await run(makeWork().steps), "done");
    is(await run(makeWork().steps, {}), "done");
  });

  t("does nothing when the signal is aborted", async () => {
    const work = makeWork();
    await rejectsWith(run(work.steps, { signal: AbortSignal.abort(new RangeError("enough")) }), RangeError, "enough");
    is(work.taken, 0);
  });

  t("stops at the next step once the signal is aborted", async () => {
    const work = makeWork();
    const control = new AbortController();
    const onProgress = (done: number): void => {
      if (done === 0.3) control.abort();
    };
    await rejectsWith(run(work.steps, { signal: control.signal, onProgress }), DOMException, "abort");
    is(work.taken, 3);
    ok(work.ended, "the work cleaned up");
  });

  t("passes on what onProgress throws", async () => {
    const work = makeWork();
    const onProgress = (): void => {
      throw new EvalError("mine");
    };
    await rejectsWith(run(work.steps, { onProgress }), EvalError, "mine");
    ok(work.ended, "the work cleaned up");
  });

  t("refuses options of a wrong type", async () => {
    for (const signal of [null, 5, {}, new AbortController(), "abort"]) {
      const options = { signal } as unknown as ProgressOptions;
      await rejectsWith(run(makeWork().steps, options), TypeError, /^f: signal: expected an AbortSignal, got /);
    }
    for (const onProgress of [null, 5, {}, "f"]) {
      const options = { onProgress } as unknown as ProgressOptions;
      await rejectsWith(run(makeWork().steps, options), TypeError, /^f: onProgress: expected a function, got /);
    }
    for (const options of [null, 5, "text", []]) {
      await rejectsWith(
        run(makeWork().steps, options as ProgressOptions),
        TypeError,
        /^f: options: expected an object/,
      );
    }
  });
}

const u = suite("turns of the event loop");

u("timers fire while the work goes on, and can end it", async () => {
  let fired = 0;
  const timer = setInterval(() => fired++, 1);
  await runAsync("f", makeWork(20).steps);
  clearInterval(timer);
  ok(fired >= 5, `a timer of 1 ms fired ${fired} times in 200 ms of work`);

  const control = new AbortController();
  setTimeout(() => control.abort(), 30);
  const work = makeWork(20);
  await rejectsWith(runAsync("f", work.steps, { signal: control.signal }), DOMException, "abort");
  ok(work.taken < 10, "the work ended early");
});

u("works without message channels", async () => {
  const { MessageChannel } = globalThis;
  try {
    (globalThis as { MessageChannel?: unknown }).MessageChannel = undefined;
    is(await runAsync("f", makeWork(20).steps), "done");
  } finally {
    globalThis.MessageChannel = MessageChannel;
  }
});

u("an error of the work itself comes through", async () => {
  const failing = function* (): Steps<string> {
    yield 0;
    throw new SyntaxError("inside");
  };
  throwsWith(() => runNow("f", failing()), SyntaxError, "inside");
  await rejectsWith(runAsync("f", failing()), SyntaxError, "inside");
});
