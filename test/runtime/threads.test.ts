// Threads: what becomes of a pool, whatever happens to it, and whether it pays. The bits: threads-bits.test.ts.
//
// Runs alone: it measures what workers and waits take, and whether idle ones use a core.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { WORD } from "../../src/runtime/job.ts";
import { Pace } from "../../src/runtime/pace.ts";
import { toShared } from "../../src/runtime/shared-module.ts";
import { equal, equalBits, equalValues, is, match, ok, rejectsWith, throwsWith } from "../lib/assert.ts";
import { init, initSync } from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { always, start, ternaryOf } from "../lib/threads.ts";

const t = suite("threads");
const rng = random("threads");
const root = fileURLToPath(new URL("../../", import.meta.url));
const fake = (name: string): URL => new URL(`../lib/workers/${name}.mjs`, import.meta.url);

t("matrices beyond the memory that workers started with", () =>
  always(async () => {
    const lb = await start(2);
    const small = ternaryOf(lb, 70, 300);
    const x = rng.gaussians(3000);
    const before = small.gemv(x.subarray(0, 300));
    const { capacity } = lb.memory;
    const large = ternaryOf(lb, 3000, 3000);
    ok(lb.memory.capacity > capacity, "memory has grown");
    const expected = ternaryOf(await init(), 3000, 3000).gemv(x);
    equalBits(await large.gemvAsync(x), expected, "behind the growth");
    equalBits(large.gemv(x), expected, "behind the growth");
    equalBits(small.gemv(x.subarray(0, 300)), before, "before it");
    lb.dispose();
  }),
);

t("asynchronous calls take turns, and synchronous ones come in between", () =>
  always(async () => {
    const one = await init();
    const lb = await start(2);
    const [a, b] = [ternaryOf(lb, 500, 600), ternaryOf(lb, 300, 600, "other")];
    const [a1, b1] = [ternaryOf(one, 500, 600), ternaryOf(one, 300, 600, "other")];
    const n = 300;
    const x = rng.gaussians(n * 600);
    const pending: Promise<void>[] = [];
    const check = (result: Promise<Float32Array>, expected: Float32Array): void => {
      pending.push(result.then((y) => equalBits(y, expected, `call ${pending.length}`)));
    };
    for (let i = 0; i < 6; i++) {
      const [xs, out] = [x.slice(i * 600, (i + 1) * 600), new Float32Array(500)];
      check(a.gemvAsync(xs, out), a1.gemv(xs));
      check(b.gemvAsync(xs), b1.gemv(xs));
      xs.fill(9); // x was copied
      if (i % 2 === 0) check(b.gemmAsync(x, n), b1.gemm(x, n));
      if (i % 3 === 0) await Promise.resolve();
      equalBits(a.gemm(x.subarray(0, 3000), 5), a1.gemm(x.slice(0, 3000), 5), "in between");
    }
    await Promise.all(pending);
    const out = new Float32Array(500);
    is(await a.gemvAsync(x.subarray(0, 600), out), out);
    lb.dispose();
  }),
);

t("asynchronous calls refuse what the others refuse, and the next one goes on", async () => {
  const lb = await start(2);
  const matrix = ternaryOf(lb, 700, 900);
  const x = rng.gaussians(900);
  await rejectsWith(matrix.gemvAsync(x.subarray(1)), RangeError, /^ternary\.gemvAsync: x: expected length 900 /);
  await rejectsWith(matrix.gemmAsync(x, 0), RangeError, /^ternary\.gemmAsync: n: /);
  await rejectsWith(matrix.gemvAsync(null as unknown as Float32Array), TypeError, /^ternary\.gemvAsync: x: /);
  const nan = x.slice();
  nan[7] = Number.NaN;
  const { used } = lb.memory;
  const failed = matrix.gemvAsync(nan);
  const right = matrix.gemvAsync(x);
  await rejectsWith(failed, RangeError, /^ternary\.gemvAsync: x: expected finite numbers, got NaN at index 7$/);
  equalBits(await right, ternaryOf(await init(), 700, 900).gemv(x), "after a failure");
  ok(lb.memory.used >= used);
  lb.dispose();
});

t("disposing of a matrix completes the call under way and refuses those that wait", () =>
  always(async () => {
    const lb = await start(2);
    const [matrix, other] = [ternaryOf(lb, 3000, 900), ternaryOf(lb, 64, 64)];
    const x = rng.gaussians(900);
    const expected = matrix.gemv(x);
    const [first, second] = [matrix.gemvAsync(x), matrix.gemvAsync(x)];
    second.catch(() => {});
    await Promise.resolve();
    await Promise.resolve();
    matrix.dispose();
    ternaryOf(lb, 2900, 900, "in its place").gemv(x);
    equalBits(await first, expected, "under way");
    await rejectsWith(second, TypeError, /^ternary\.gemvAsync: this ternary matrix \(3000 x 900\) was disposed$/);
    is((await other.gemvAsync(x.subarray(0, 64))).length, 64);
    lb.dispose();
  }),
);

t("dispose: completes what is under way, matrices compute on, twice is harmless", () =>
  always(async () => {
    const lb = await start(3);
    const matrix = ternaryOf(lb, 3000, 900);
    const x = rng.gaussians(900);
    const expected = matrix.gemv(x);
    const pending = [matrix.gemvAsync(x), matrix.gemvAsync(x)];
    await Promise.resolve();
    lb.dispose();
    lb[Symbol.dispose]();
    is(lb.features.threads, 1);
    is(lb.features.threadsReason, "the workers were disposed of");
    for (const y of await Promise.all(pending)) equalBits(y, expected, "under way");
    equalBits(matrix.gemv(x), expected, "afterwards");
    equalBits(await matrix.gemvAsync(x), expected, "afterwards");
    const alone = await init();
    alone.dispose();
    is(alone.features.threadsReason, undefined);
    equalBits(ternaryOf(alone, 3000, 900).gemv(x), expected, "of one that has no workers");
  }),
);

t("two pools at once", () =>
  always(async () => {
    const [a, b] = await Promise.all([start(2), start(3)]);
    const [c, d] = [ternaryOf(a, 1000, 900), ternaryOf(b, 1000, 900)];
    const x = rng.gaussians(900);
    const y = c.gemvAsync(x);
    equalBits(d.gemv(x), await y, "both");
    a.dispose();
    equalBits(await d.gemvAsync(x), await y, "the second");
    is(b.features.threads, 3);
    b.dispose();
  }),
);

t("a worker that dies with work in hand: the call is computed again, and all others on one thread", () =>
  always(async () => {
    const x = rng.gaussians(500);
    const expected = ternaryOf(await init(), 2000, 500).gemv(x);
    for (const call of ["gemv", "gemvAsync"] as const) {
      const lb = await start(2, { worker: fake("dies") });
      is(lb.features.threads, 2);
      const matrix = ternaryOf(lb, 2000, 500);
      const before = performance.now();
      // Until it was quick enough to take something.
      while (lb.features.threads === 2 && performance.now() - before < 20000)
        equalBits(await matrix[call](x), expected, call);
      is(lb.features.threads, 1);
      match(lb.features.threadsReason ?? "", /^a worker did not finish its rows within [\d.]+ s$|^the worker .* ended/);
      equalBits(matrix.gemv(x), expected, "afterwards");
      equalBits(await matrix.gemvAsync(x), expected, "afterwards");
    }
  }),
);

t("a worker that ends between calls", () =>
  always(async () => {
    const lb = await start(2, { worker: fake("leaves") });
    const matrix = ternaryOf(lb, 300, 100);
    const x = rng.gaussians(100);
    const expected = matrix.gemv(x);
    for (let i = 0; i < 200 && lb.features.threads > 1; i++) await new Promise((done) => setTimeout(done, 20));
    is(lb.features.threads, 1);
    is(lb.features.threadsReason, `the worker ${fake("leaves").href} ended (exit code 3)`);
    equalBits(matrix.gemv(x), expected, "afterwards");
  }),
);

t("a worker that does not load: one thread, and which address it was", async () => {
  const missing = new URL("../nowhere/worker.js", import.meta.url);
  for (const address of [missing, missing.href]) {
    const lb = await start(2, { worker: address });
    is(lb.features.threads, 1);
    ok(lb.features.threadsReason?.startsWith(`the worker ${missing.href} failed: `), lb.features.threadsReason);
    is(ternaryOf(lb, 64, 64).gemv(new Float32Array(64))[0], 0);
  }
  match((await start(2, { worker: "not an address" })).features.threadsReason ?? "", /not an address/);
  await rejectsWith(start(2, { worker: 5 as unknown as string }), TypeError, /^init: worker: expected a URL/);
});

t("a worker that never answers", async () => {
  const { setTimeout } = globalThis;
  const hurry = (run: () => void, time: number): unknown => setTimeout(run, time / 100);
  globalThis.setTimeout = hurry as typeof setTimeout;
  try {
    const lb = await start(2, { worker: fake("silent") });
    is(lb.features.threads, 1);
    match(lb.features.threadsReason ?? "", /^a worker did not start within 15 s$/);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
});

t("a failed init leaves no worker", async () => {
  await rejectsWith(start(2, { module: new Uint8Array(20) }), RangeError, /^init: module: /);
});

t("modules: bytes and files are made to fit a shared memory, a compiled module is not", async () => {
  const file = new URL("../../dist/wasm/simd.wasm", import.meta.url);
  const bytes = Uint8Array.from(readFileSync(file));
  for (const module of [bytes, bytes.buffer, file, new Response(bytes), { default: bytes }]) {
    const lb = await start(2, { module });
    is(lb.features.threads, 2);
    lb.dispose();
  }
  const compiled = await start(2, { module: await WebAssembly.compile(bytes) });
  is(compiled.features.threads, 1);
  match(compiled.features.threadsReason ?? "", /^the module given is compiled for a memory of its own/);
  const module = await WebAssembly.compile(toShared("test", bytes));
  const shared = await start(2, { module });
  is(shared.features.threads, 2);
  shared.dispose();
  is((await init({ module })).features.threadsReason, undefined);
  const now = initSync(bytes, { threads: 2 });
  is(now.features.threads, 1);
  match(now.features.threadsReason ?? "", /^initSync computes on one thread/);
  const x = rng.gaussians(90);
  equalBits(ternaryOf(initSync(module), 100, 90).gemv(x), ternaryOf(now, 100, 90).gemv(x), "a shared module");
});

t("auto: at most 8, and never none", async () => {
  const lb = await start("auto");
  const { threads } = lb.features;
  ok(threads >= 1 && threads <= 8, `threads ${threads}`);
  lb.dispose();
});

t("idle workers use no processor", () =>
  always(async () => {
    const lb = await start(8);
    const matrix = ternaryOf(lb, 1000, 900);
    const x = rng.gaussians(900);
    for (let i = 0; i < 20; i++) matrix.gemv(x);
    await new Promise((done) => setTimeout(done, 50));
    const before = process.cpuUsage();
    await new Promise((done) => setTimeout(done, 200));
    const { user, system } = process.cpuUsage(before);
    // Seven workers that look for work would use two processors, or what others leave of them.
    ok(user + system < 50000, `${user + system} µs in 200 ms`);
    lb.dispose();
  }),
);

/** What a program prints, in a process of its own. */
function outputOf(code: string, ...flags: string[]): string {
  const program = `const { init, ternary } = await import("lowbit");
    const matrixOf = (lb) => ternary.pack(lb, { rows: 3000, cols: 1000, scales: new Float32Array(3000).fill(1),
      codes: Int8Array.from({ length: 3000000 }, (_, i) => (i % 7919 >> 4) % 3 - 1) });
    const x = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i));
    ${code}`;
  const args = [...flags, "--input-type=module", "-e", program];
  return execFileSync(process.execPath, args, { cwd: root, encoding: "utf8", timeout: 60000 }).trim();
}

t("a process ends by itself, after what it waits for", () => {
  const code = `const lb = await init({ threads: 4 });
    const m = matrixOf(lb);
    const y = m.gemv(x);
    for (let i = 0; i < 20; i++) m.gemv(x);
    const z = await m.gemvAsync(x);
    const long = new Float32Array(200 * 1000).fill(1);
    const w = await m.gemmAsync(long, 200);
    console.log(lb.features.threads, y.every((v, i) => v === z[i]), w.length);`;
  is(outputOf(code), "4 true 600000");
});

t("workers of an instance that nobody holds any more end", () => {
  const code = `const threads = process.getBuiltinModule("node:worker_threads");
    let ended = 0;
    threads.Worker = class extends threads.Worker {
      constructor(...args) { super(...args); this.on("exit", () => ended++); }
    };
    let m = matrixOf(await init({ threads: 3 }));
    const collect = async (until) => {
      for (let i = 0; i < until && ended < 2; i++) {
        await new Promise((done) => setTimeout(done, 10));
        gc();
      }
      return ended;
    };
    const before = await collect(10);
    const kept = m.gemv(x).length;
    m = undefined;
    console.log(before, kept, await collect(500));`;
  is(outputOf(code, "--expose-gc"), "0 3000 2");
});

t("one thread: no worker, and a memory of its own", () => {
  const code = `const threads = process.getBuiltinModule("node:worker_threads");
    let workers = 0;
    threads.Worker = class { constructor() { workers++; } };
    const { Memory } = WebAssembly;
    let shared = 0;
    WebAssembly.Memory = function (options) { shared += options.shared ? 1 : 0; return new Memory(options); };
    const lb = await init({ threads: 1 });
    matrixOf(lb).gemv(x);
    console.log(workers, shared, lb.features.threads, lb.features.threadsReason);`;
  is(outputOf(code), "0 0 1 undefined");
});

/** Runs `body` while an operation on a word of a pool's control comes after `before`. */
function delayed<T>(before: (control: Int32Array, word: number) => void, body: () => T): T {
  const { load, wait } = Atomics;
  const late = <F extends typeof load | typeof wait>(operation: F): F =>
    ((control: Int32Array, word: number, ...rest: [number, number]) => {
      // What it sees is what was there; then the worker comes to its end before anything else happens here.
      if (operation !== load) before(control, word);
      const result = (operation as typeof wait)(control, word, ...rest);
      if (operation === load) before(control, word);
      return result;
    }) as unknown as F;
  Atomics.load = late(load);
  Atomics.wait = late(wait);
  try {
    return body();
  } finally {
    Object.assign(Atomics, { load, wait });
  }
}

t("no wake is lost: a worker that ends between two steps of the wait", () =>
  always(async () => {
    const lb = await start(2);
    const matrix = ternaryOf(lb, 2000, 900);
    const x = rng.gaussians(900);
    const expected = matrix.gemv(x);
    const { load } = Atomics;
    let waits = 0;
    const untilDone = (control: Int32Array, word: number): void => {
      if (word !== WORD.pending || load(control, WORD.waiting) !== 1) return;
      waits++;
      for (const end = performance.now() + 40; load(control, word) !== 0 && performance.now() < end; );
    };
    for (let i = 0, end = performance.now() + 5000; waits < 50 && performance.now() < end; i++) {
      const y = new Float32Array(2000);
      const before = performance.now();
      const seen = waits;
      delayed(untilDone, () => matrix.gemv(x, y));
      const time = performance.now() - before;
      equalBits(y, expected, `call ${i}`);
      // A wait for a wake that has come already lasts its whole slice of 50 ms.
      if (waits > seen) ok(time < 45, `${time} ms`);
    }
    lb.dispose();
  }),
);

t("many short jobs: nothing waits for a count that is 0", () =>
  always(async () => {
    const lb = await start(2);
    const matrix = ternaryOf(lb, 256, 256);
    const x = rng.gaussians(256);
    const expected = matrix.gemv(x);
    const y = new Float32Array(256);
    const { wait } = Atomics;
    const waited: number[] = [];
    Atomics.wait = ((control: Int32Array, word: number, value: number, time: number) => {
      if (word === WORD.pending) waited.push(value);
      return wait(control, word, value, time);
    }) as typeof wait;
    try {
      for (let i = 0; i < 20000; i++) {
        matrix.gemv(x, y);
        if (i % 500 === 0) equalBits(y, expected, `call ${i}`);
      }
    } finally {
      Atomics.wait = wait;
    }
    ok(!waited.includes(0), `of ${waited.length} waits`);
    lb.dispose();
  }),
);

t("where there are no threads: one, and why", () => {
  const show = `const lb = await init({ threads: 2 }); matrixOf(lb).gemv(x);
    console.log(lb.features.threads, lb.features.threadsReason);`;
  match(outputOf(`delete globalThis.SharedArrayBuffer; ${show}`), /^1 .*Cross-Origin-Opener-Policy/);
  match(outputOf(`globalThis.crossOriginIsolated = false; ${show}`), /^1 .*Cross-Origin-Opener-Policy/);
  const without = `process.getBuiltinModule = undefined; delete globalThis.Worker;`;
  match(outputOf(`${without} ${show}`), /^1 this runtime has no workers/);
  const refused = `process.getBuiltinModule("node:worker_threads").Worker = class { constructor() { throw new Error("no"); } };`;
  match(outputOf(`${refused} ${show}`), /^1 the worker file:.*worker.js cannot be started: no$/);
});

t("a main thread that may not wait", () => {
  const code = `Atomics.wait = () => { throw new TypeError("not here"); };
    const lb = await init({ threads: 2 });
    const m = matrixOf(lb);
    const expected = matrixOf(await init()).gemv(x);
    let same = true;
    for (let i = 0; i < 50; i++) same &&= m.gemv(x).every((v, j) => v === expected[j]);
    console.log(lb.features.threads, same, (await m.gemvAsync(x)).every((v, j) => v === expected[j]));`;
  is(outputOf(code), "2 true true");
});

const p = suite("threads: whether they pay");

/** Total time of jobs that take `one` and `several` milliseconds, and how many went to several threads. */
function play(pace: Pace, jobs: number, one: () => number, several: () => number): { time: number; shared: number } {
  let time = 0;
  let shared = 0;
  for (let i = 0; i < jobs; i++) {
    if (pace.next()) {
      const took = several();
      // Half of the rows in half of the time of one; the rest is waiting.
      pace.tookTogether(took, Math.min(took, one() / 2), 0.5);
      time += took;
      shared++;
    } else {
      const took = one();
      pace.tookAlone(took);
      time += took;
    }
  }
  return { time, shared };
}
const always1 = (): number => 1;

p("they are used when they are faster, and tried now and then when not", () => {
  const fast = play(new Pace(2 ** 24), 2000, always1, () => 0.55);
  ok(fast.shared > 1950, `${fast.shared} of 2000`);
  for (const several of [1.05, 1.2, 2, 5]) {
    const slow = play(new Pace(2 ** 24), 5000, always1, () => several);
    ok(slow.time < 5000 * 1.03, `${several}: ${slow.time} of 5000`);
    ok(slow.shared > 5, "tried again");
  }
});

p("a worker that is not scheduled now and then: used while that pays, and never a loss", () => {
  for (const every of [20, 60, 200]) {
    let jobs = 0;
    const { time, shared } = play(new Pace(2 ** 24), 20000, always1, () => (++jobs % every === 0 ? 15 : 0.55));
    ok(time < 20000 * 1.03, `every ${every}: ${time} of 20000`);
    if (every > 50) ok(shared > 10000, `every ${every}: ${shared} of 20000`);
  }
});

p("jobs of one thread that are shorter than a wake stay there", () => {
  const pace = new Pace(2 ** 21);
  const { shared } = play(
    pace,
    500,
    () => 0.03,
    () => 0.01,
  );
  ok(shared <= 2, `${shared}`);
});

p("they come back when the machine is free again, and go when it is not", () => {
  const pace = new Pace(2 ** 24);
  let several = 0.6;
  const run = (jobs: number): number => play(pace, jobs, always1, () => several).shared;
  run(300);
  several = 1.5;
  ok(run(1000) < 150, "busy");
  several = 0.6;
  run(1000);
  ok(run(1000) > 900, "free again");
});

p("one bad call: threads rest for as long as it lost, and not for seconds", () => {
  for (const lost of [5, 30, 50, 200]) {
    const pace = new Pace(2 ** 24);
    play(pace, 500, always1, () => 0.55);
    let bad = 1;
    const several = (): number => (bad-- > 0 ? lost : 0.55);
    // Until the bad call, then how long one thread computes alone.
    let alone = 0;
    for (let i = 0; i < 5 && bad > 0; i++) play(pace, 1, always1, several);
    while (play(pace, 1, always1, several).shared === 0) alone++;
    ok(alone <= Math.max(lost, 1) + 1, `${alone} ms alone after a call that lost ${lost} ms`);
    const { shared } = play(pace, 1000, always1, several);
    ok(shared > 950, `${shared} of 1000 afterwards`);
  }
});

p("bad calls one after the other: pauses double, to fifty times the loss at most", () => {
  const pace = new Pace(2 ** 24);
  play(pace, 300, always1, () => 0.55);
  const pauses: number[] = [];
  let alone = 0;
  for (let i = 0; i < 20000 && pauses.length < 12; i++) {
    if (play(pace, 1, always1, () => 11).shared === 0) alone++;
    else {
      pauses.push(alone);
      alone = 0;
    }
  }
  const [first, second] = pauses.filter((pause) => pause > 1) as [number, number];
  ok(first <= 11 && second >= 1.8 * first && second <= 2.2 * first, pauses.join());
  const longest = Math.max(...pauses);
  ok(longest >= 400 && longest <= 550, pauses.join());
});

p("good for a few jobs and bad again: never a loss", () => {
  let jobs = 0;
  // Seven good jobs earn 3 ms, the eighth loses 20.
  const { time } = play(new Pace(2 ** 24), 30000, always1, () => (++jobs % 8 === 0 ? 21 : 0.55));
  ok(time < 30000 * 1.05, `${time} of 30000`);
});

p("what the first jobs took, before optimised code, is forgotten", () => {
  let jobs = 0;
  const one = (): number => (jobs++ < 4 ? 5 : 1);
  const { shared } = play(new Pace(2 ** 24), 2000, one, () => 1.3);
  ok(shared < 200, `${shared} of 2000`);
});

const b = suite("threads: shared modules");

const bytes = Uint8Array.from(readFileSync(new URL("../../dist/wasm/simd.wasm", import.meta.url)));
const magic = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const link = (bytes: BufferSource, shared: boolean): WebAssembly.Instance =>
  new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    env: { memory: new WebAssembly.Memory({ initial: 1, maximum: 10, shared }), f: () => {}, g: 1 },
  });

b("only the memory changes, and a second time nothing", () => {
  const before = bytes.slice();
  const shared = toShared("test", bytes);
  equalValues(bytes, before, "what was given");
  equal(Object.keys(link(shared, true).exports), Object.keys(link(bytes, false).exports));
  throwsWith(() => link(bytes, true), WebAssembly.LinkError as unknown as typeof Error, /./);
  throwsWith(() => link(shared, false), WebAssembly.LinkError as unknown as typeof Error, /./);
  is(toShared("test", shared), shared);
  equalValues(shared.slice(-1000), bytes.slice(-1000), "code");
});

b("imports before it, a maximum, and sizes that need another byte", () => {
  const name = (text: string): number[] =>
    [text.length, ...text].map((c) => (typeof c === "string" ? c.charCodeAt(0) : c));
  const imports = (count: number, limits: number[]): number[] => {
    const f = [...name("env"), ...name("f"), 0, 0];
    const g = [...name("env"), ...name("g"), 3, 0x7f, 0];
    const memory = [...name("env"), ...name("memory"), 2, ...limits];
    const body = [count + 2, ...new Array<number[]>(count).fill(f).flat(), ...g, ...memory];
    const size = body.length < 128 ? [body.length] : [(body.length & 127) | 128, body.length >> 7];
    return [...magic, 1, 4, 1, 0x60, 0, 0, 2, ...size, ...body, 0, 2, 1, 0x61];
  };
  for (const limits of [
    [0, 1],
    [1, 1, 10],
    [1, 1, 0x80, 0x80, 4],
  ]) {
    for (const count of [0, 1, 8, 11, 12, 13, 14, 40]) {
      const plain = Uint8Array.from(imports(count, limits));
      if (count > 0 || limits[1] === 1) link(toShared("test", plain), true);
    }
  }
});

b("bytes that are no such module", () => {
  const refused: [number[], RegExp][] = [
    [[], /^test: module: expected \\0asm at the start, got byte 0 of 0$/],
    [[1, 2, 3, 4, 5, 6, 7, 8], /expected \\0asm at the start/],
    [magic, /expected an imported memory, got byte 8 of 8$/],
    [[...magic, 1, 200, 1], /expected a section of 200 bytes/],
    [[...magic, 2], /expected more bytes/],
    [[...magic, 2, 0xff, 0xff, 0xff, 0xff, 0xff], /expected an integer of 32 bits/],
    [[...magic, 2, 1, 0], /expected an imported memory/],
    [[...magic, 2, 5, 1, 0, 0, 9, 0], /expected an import of a known kind/],
    [[...magic, 2, 6, 1, 0, 0, 2, 4, 1], /expected limits 0, 1 or 3/],
    [[...magic, 2, 5, 1, 0, 0, 2, 0], /expected more bytes/],
  ];
  for (const [list, text] of refused) throwsWith(() => toShared("test", Uint8Array.from(list)), RangeError, text);
  for (let length = 0; length < 60; length++) {
    throwsWith(() => toShared("test", bytes.slice(0, length)), RangeError, /^test: module: expected /);
  }
});
