// Quantising on the threads of an instance: the bits of one thread, and what becomes of the work whatever happens to it.
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { hessianOf } from "../../src/lattice.ts";
import type { Helpers } from "../../src/lib/progress.ts";
import { storedBytes } from "../../src/matrix/stored.ts";
import { QuantizePool } from "../../src/runtime/quantize-pool.ts";
import { equalBits, is, ok, rejectsWith } from "../lib/assert.ts";
import * as library from "../lib/library.ts";
import { init, type Lowbit } from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { start } from "../lib/threads.ts";

const t = suite("quantising on threads");
const rng = random("quantising on threads");

type Options = Readonly<Record<string, unknown>>;
type Call = (lb: Lowbit, w: unknown, options: Options) => unknown;
interface Case {
  readonly format: string;
  readonly rows: number;
  readonly cols: number;
  readonly options?: Options;
  /** Whether workers take it: what the rows of these formats have in common is found by one thread. */
  readonly taken: boolean;
}

/** A positive definite matrix. */
function hessian(cols: number): Float64Array {
  return hessianOf(rng.gaussians(2 * cols * cols), cols);
}

const [rows, cols] = [37, 200];
const cases: readonly Case[] = [
  { format: "bcq", rows, cols, options: { bits: 3 }, taken: true },
  { format: "bcq", rows, cols, options: { bits: 2, offset: true, groupSize: 64 }, taken: true },
  { format: "ptqtp", rows, cols, taken: true },
  { format: "uniform", rows, cols, options: { bits: 4, symmetric: false, groupSize: 32 }, taken: true },
  { format: "uniform", rows, cols, options: { bits: 3 }, taken: true },
  { format: "minifloat", rows, cols, options: { type: "e2m3", bias: "search", groupSize: 32 }, taken: true },
  { format: "minifloat", rows, cols, options: { type: "e4m3" }, taken: true },
  { format: "codebook", rows, cols, options: { bits: 3 }, taken: true },
  { format: "codebook", rows, cols, options: { bits: 2, importance: rng.uniforms(cols).map(Math.abs) }, taken: true },
  {
    format: "codebook",
    rows,
    cols,
    options: { bits: 2, importance: rng.uniforms(rows * cols).map(Math.abs) },
    taken: true,
  },
  { format: "codebook", rows, cols, options: { bits: 2, table: "matrix" }, taken: false },
  { format: "codebook", rows, cols, options: { table: "nf4" }, taken: true },
  { format: "codebook", rows, cols, options: { table: "mxfp4" }, taken: false },
  { format: "codebook", rows, cols, options: { table: "nvfp4" }, taken: false },
  { format: "lift", rows, cols, options: { bits: 2, beam: 4 }, taken: true },
  { format: "lift", rows: 5, cols: 64, options: { bits: 2, beam: 4, hessian: hessian(64) }, taken: false },
  { format: "trellis", rows: 128, cols: 128, options: { search: 4, bits: 3, codebook: "3inst" }, taken: true },
  { format: "e8p", rows: 64, cols: 128, taken: true },
  { format: "e8p", rows: 64, cols: 128, options: { bits: 3 }, taken: true },
  { format: "e8p", rows: 64, cols: 128, options: { bits: 4 }, taken: true },
  { format: "e8p", rows: 64, cols: 64, options: { hessian: hessian(64) }, taken: false },
  { format: "pvq", rows: 64, cols: 128, taken: true },
  { format: "pvq", rows, cols, options: { bits: 4, groupSize: 32 }, taken: true },
  { format: "pvq", rows: 64, cols: 64, options: { hessian: hessian(64) }, taken: true },
  { format: "glvq", rows, cols, options: { groupSize: 32 }, taken: true },
  { format: "glvq", rows, cols, options: { groupSize: 64, dimension: 16, bits: 3 }, taken: true },
  { format: "glvq", rows, cols, options: { groupSize: 64, mu: true, iterations: 2 }, taken: true },
  { format: "glvq", rows, cols: 200, options: { groupSize: 96, hessian: hessian(200), iterations: 1 }, taken: true },
  { format: "binary", rows, cols, taken: false },
  { format: "ternary", rows, cols, taken: false },
  { format: "onebit", rows, cols, taken: false },
  { format: "bitplane", rows, cols, options: { bits: 2, activationBits: 2 }, taken: false },
  { format: "fairy2i", rows: 36, cols, taken: false },
];

const callOf = (format: string, name: string): Call =>
  Reflect.get(Reflect.get(library, format) as object, name) as Call;

/** Every offer goes to workers, however little it is. Returns how many they took. */
async function eagerly(body: () => Promise<void>): Promise<number> {
  const { tooLittle } = QuantizePool;
  const { take } = QuantizePool.prototype;
  let taken = 0;
  QuantizePool.tooLittle = () => false;
  QuantizePool.prototype.take = async function (...args: Parameters<Helpers>) {
    const results = await Reflect.apply(take, this, args);
    if (results !== undefined) taken++;
    return results;
  };
  try {
    await body();
  } finally {
    QuantizePool.tooLittle = tooLittle;
    QuantizePool.prototype.take = take;
  }
  return taken;
}

const weights = new Map(cases.map((one) => [one, rng.gaussians(one.rows * one.cols)]));
const textOf = ({ format, options = {} }: Case): string =>
  `${format} ${JSON.stringify(options, (_, value) => (ArrayBuffer.isView(value) ? "array" : value))}`;

const stored = new Map<Case, Uint8Array>();

/** What one thread without turns stores. */
function storedOf(one: Lowbit, each: Case, all: Options): Uint8Array {
  let bytes = stored.get(each);
  if (!bytes) {
    const matrix = callOf(each.format, "quantize")(one, weights.get(each), all) as library.Matrix;
    bytes = storedBytes(matrix);
    stored.set(each, bytes);
    matrix.dispose();
  }
  return bytes;
}

for (const threads of [1, 2, 3]) {
  t(`the bits of one thread on ${threads}`, async () => {
    const one = await init();
    const lb = await start(threads);
    is(lb.features.threads, threads);
    for (const each of cases) {
      const { format, options, taken, ...shape } = each;
      const w = weights.get(each) as Float32Array;
      const all = { ...shape, ...options };
      const expected = storedOf(one, each, all);
      const fractions: number[] = [];
      const count = await eagerly(async () => {
        const given = w.slice();
        const onProgress = (done: number): void => void fractions.push(done);
        const pending = callOf(format, "quantizeAsync")(lb, given, { ...all, onProgress });
        // They were copied.
        structuredClone(given, { transfer: [given.buffer] });
        const matrix = (await pending) as { dispose(): void };
        equalBits(storedBytes(matrix), expected, `${textOf(each)} on ${threads}`);
        matrix.dispose();
      });
      is(count > 0, taken && threads > 1, `${textOf(each)}: parts taken ${count}`);
      is(fractions.at(-1), 1, textOf(each));
      for (const [i, done] of fractions.entries()) {
        ok(done >= (fractions[i - 1] ?? 0) && done <= 1, `${textOf(each)}: ${done} after ${fractions[i - 1]}`);
      }
    }
    ok(lb.memory.used < 65536, "nothing is left but working space");
    lb.dispose();
    one.dispose();
  });
}

/** Work of some hundred milliseconds. */
const long = { format: "lift", rows: 32, cols: 256, options: { rows: 32, cols: 256, bits: 2, beam: 32 } } as const;
const longWeights = rng.gaussians(32 * 256);
const quantizeLong = (lb: Lowbit, more: Options = {}): Promise<library.Matrix> =>
  library.lift.quantizeAsync(lb, longWeights, { ...long.options, ...more });

t("calls at the same time share the workers", async () => {
  const lb = await start(2);
  const expected = storedBytes(library.lift.quantize(lb, longWeights, long.options));
  const count = await eagerly(async () => {
    const all = await Promise.all([quantizeLong(lb), quantizeLong(lb), quantizeLong(lb)]);
    for (const matrix of all) equalBits(storedBytes(matrix), expected, "together");
  });
  is(count, 3);
  lb.dispose();
});

t("a signal ends the work half way, and others go on", async () => {
  const lb = await start(2);
  const before = lb.memory.used;
  const expected = storedBytes(library.lift.quantize(lb, longWeights, long.options));
  await eagerly(async () => {
    const control = new AbortController();
    const seen: number[] = [];
    const ended = quantizeLong(lb, {
      signal: control.signal,
      onProgress: (done: number) => {
        seen.push(done);
        if (done > 0.1) control.abort(new Error("enough"));
      },
    });
    const other = quantizeLong(lb);
    await rejectsWith(ended, Error, "enough");
    ok((seen.at(-1) as number) < 1, `${seen}`);
    equalBits(storedBytes(await other), expected, "the other");
    const thrown = quantizeLong(lb, {
      onProgress: () => {
        throw new SyntaxError("of the caller");
      },
    });
    await rejectsWith(thrown, SyntaxError, "of the caller");
    const matrix = await quantizeLong(lb);
    equalBits(storedBytes(matrix), expected, "afterwards");
    matrix.dispose();
  });
  ok(lb.memory.used >= before, "matrices that are left");
  lb.dispose();
});

t("dispose() half way: the calling thread goes on, with the same bits", async () => {
  const lb = await start(2);
  const expected = storedBytes(library.lift.quantize(lb, longWeights, long.options));
  const count = await eagerly(async () => {
    let disposed = false;
    const matrix = await quantizeLong(lb, {
      onProgress: (done: number) => {
        if (done === 0 || disposed) return;
        disposed = true;
        lb.dispose();
      },
    });
    equalBits(storedBytes(matrix), expected, "half way");
    ok(disposed, "it was disposed of half way");
    equalBits(storedBytes(await quantizeLong(lb)), expected, "afterwards");
  });
  is(count, 0);
  is(lb.features.threads, 1);
});

t("a worker that does not load, ends or says nothing leaves the work to the calling thread", async () => {
  const expected = storedBytes(library.lift.quantize(await init(), longWeights, long.options));
  const { mostLooks } = QuantizePool;
  for (const name of ["missing", "quits", "mute"]) {
    if (name === "mute") QuantizePool.mostLooks = 20;
    const lb = await start(2, { quantizeWorker: new URL(`../lib/workers/${name}.mjs`, import.meta.url) });
    const count = await eagerly(async () => equalBits(storedBytes(await quantizeLong(lb)), expected, name));
    is(count, 0, name);
    is(lb.features.threads, 2, "products have their threads");
    lb.dispose();
  }
  QuantizePool.mostLooks = mostLooks;
});

t("errors are those of one thread", async () => {
  const [one, lb] = [await init(), await start(2)];
  const before = lb.memory.used;
  await eagerly(async () => {
    for (const each of cases) {
      const { format, options, taken: _, ...shape } = each;
      const w = (weights.get(each) as Float32Array).slice();
      w[w.length - 3] = Number.NaN;
      const all = { ...shape, ...options };
      const failures = await Promise.all(
        [one, lb].map(async (instance) => {
          try {
            await callOf(format, "quantizeAsync")(instance, w, all);
          } catch (error) {
            return String(error);
          }
          return "no error";
        }),
      );
      ok(/w: expected finite .*NaN at index/.test(failures[0] as string), `${textOf(each)}: ${failures[0]}`);
      is(failures[1], failures[0], textOf(each));
    }
    await rejectsWith(
      library.bcq.quantizeAsync(lb, longWeights, { rows: 32, cols: 256, bits: 99 }),
      RangeError,
      "bits",
    );
  });
  is(lb.memory.used, before);
  lb.dispose();
});

t("little work stays on the calling thread, and no worker is started for it", async () => {
  const lb = await start(2);
  const { take } = QuantizePool.prototype;
  const answers: unknown[] = [];
  QuantizePool.prototype.take = async function (...args: Parameters<Helpers>) {
    const results = await Reflect.apply(take, this, args);
    answers.push(results);
    return results;
  };
  try {
    await library.bcq.quantizeAsync(lb, longWeights, { rows: 32, cols: 256, bits: 2 });
  } finally {
    QuantizePool.prototype.take = take;
  }
  is(answers.length, 1);
  is(answers[0], undefined);
  lb.dispose();
});

t("the worker loads quantisers: no engine, no matrices, and nothing later", () => {
  const root = new URL("../../src/", import.meta.url);
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const text = readFileSync(new URL(path, root), "utf8");
    ok(!/\bimport\(/.test(text), `${path} imports something later`);
    for (const [statement, from] of text.matchAll(/^(?:import|export)\b[^;]*?from "(\.[^"]+)";/gms)) {
      if (!/^(import|export) type\b/.test(statement)) visit(posix.join(posix.dirname(path), from as string));
    }
  };
  visit("quantize-worker.ts");
  ok(seen.has("formats/trellis/quantize.ts"), "files are found");
  const wrong = [...seen].filter((path) =>
    /^(runtime\/(?!port)|transforms|matrix\/(?!layout|scale-records))/.test(path),
  );
  is(wrong.join(), "");
});
