// Memory: what is taken, what is given back, and what holds when there is none.

// Not public: the arena, to fill 4 GiB without writing them.
import { engineOf } from "../../src/runtime/engine.ts";
import { equalBits, equalValues, is, match, ok, throwsWith } from "../lib/assert.ts";
import {
  activations,
  binary,
  expectation,
  formats,
  init,
  type Lowbit,
  type Matrix,
  OutOfMemoryError,
  packMatrix,
  randomWeights,
  ternary,
} from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { makeWeights } from "../reference/weights.ts";

const rng = random("memory");
const fresh = (): Promise<Lowbit> => init({ variant: "simd", threads: 1 });

const uses: [string, (matrix: Matrix) => unknown][] = [
  ["gemv", (matrix) => matrix.gemv(new Float32Array(matrix.cols))],
  ["gemm", (matrix) => matrix.gemm(new Float32Array(matrix.cols * 2), 2)],
  ["dequantize", (matrix) => matrix.dequantize()],
];

const t = suite("memory");

t("a new instance has used little, and its numbers agree", async () => {
  const lb = await fresh();
  ok(lb.memory.used >= 0 && lb.memory.used < 65536, `used ${lb.memory.used}`);
  ok(lb.memory.peak >= lb.memory.used);
  ok(lb.memory.capacity >= lb.memory.peak);
  is(lb.memory.capacity % 65536, 0);
});

t("a matrix takes its byteLength and no second copy", async () => {
  const lb = await fresh();
  const before = lb.memory.used;
  const rows = 1024;
  const cols = 4096;
  const matrix = ternary.pack(lb, {
    rows,
    cols,
    codes: rng.trits(rows * cols),
    scales: new Float32Array(rows).fill(1),
  });
  const scales = rows * 4;
  ok(matrix.byteLength <= (2.1 / 8) * rows * cols + scales, `byteLength ${matrix.byteLength}`);
  const after = lb.memory.used - before;
  ok(after >= matrix.byteLength && after < matrix.byteLength + 64, `${after} for ${matrix.byteLength}`);
  matrix.gemv(rng.gaussians(cols));
  // Working memory of a product is shared by all matrices and small.
  const budget = (2.1 / 8) * rows * cols + scales + 65536;
  ok(lb.memory.used <= budget, `used ${lb.memory.used} of ${budget}`);
  matrix.dispose();
});

t("dispose gives back, and twice is harmless", async () => {
  const lb = await fresh();
  for (const format of formats) {
    const used = lb.memory.used;
    const matrix = packMatrix(lb, format, randomWeights(format, 100, 200, rng), "int8");
    ok(lb.memory.used > used);
    const { peak } = lb.memory;
    matrix.dispose();
    is(lb.memory.used, used);
    is(lb.memory.peak, peak, "the peak stays");
    const other = packMatrix(lb, format, randomWeights(format, 100, 200, rng), "int8");
    const held = lb.memory.used;
    // A second dispose must not free what somebody else got since.
    matrix.dispose();
    matrix[Symbol.dispose]();
    is(lb.memory.used, held);
    other[Symbol.dispose]();
    is(lb.memory.used, used);
  }
});

t("use after dispose throws and names the matrix", async () => {
  const lb = await fresh();
  for (const format of formats) {
    const matrix = packMatrix(lb, format, randomWeights(format, 3, 7, rng), "lut8");
    matrix.dispose();
    for (const [name, use] of uses) {
      throwsWith(() => use(matrix), TypeError, new RegExp(`^${format}\\.${name}: .*${format}.*3 x 7.*disposed`));
    }
    is(matrix.rows, 3, "what it was can still be read");
    is(matrix.format, format);
  }
});

t("1000 matrices one after the other do not grow the memory", async () => {
  const lb = await fresh();
  const weights = formats.map((format) => randomWeights(format, 65, 257, rng, 64));
  const x = rng.gaussians(257);
  const cycle = (): void => {
    formats.forEach((format, f) => {
      const matrix = packMatrix(lb, format, weights[f] as (typeof weights)[0], activations[f] as "int8");
      matrix.gemv(x);
      matrix.dispose();
    });
  };
  cycle();
  const { used, peak, capacity } = lb.memory;
  for (let i = 0; i < 500; i++) cycle();
  is(lb.memory.used, used);
  is(lb.memory.peak, peak);
  is(lb.memory.capacity, capacity);
});

t("many sizes in any order leave nothing behind", async () => {
  const lb = await fresh();
  const start = lb.memory.used;
  const live: { matrix: Matrix; check: () => void }[] = [];
  for (let i = 0; i < 1000; i++) {
    if (live.length > 12 || (live.length > 0 && rng.uniform() < 0.45)) {
      const [gone] = live.splice(rng.int(0, live.length - 1), 1);
      gone?.check();
      gone?.matrix.dispose();
    } else {
      const rows = rng.int(1, 150);
      const cols = rng.int(1, 150);
      const format = rng.uniform() < 0.5 ? "binary" : "ternary";
      const weights = randomWeights(format, rows, cols, rng);
      const matrix = packMatrix(lb, format, weights, "int8");
      const x = rng.gaussians(cols);
      live.push({
        matrix,
        check: () => expectation(weights, "int8", x)(matrix.gemv(x), `${format} ${rows} x ${cols}`),
      });
    }
  }
  const scratch = ((): number => {
    for (const { matrix, check } of live) {
      check();
      matrix.dispose();
    }
    return lb.memory.used - start;
  })();
  // What remains is the working memory of products: the same for the next round.
  ok(scratch < 65536, `${scratch} bytes remain`);
  ok(lb.memory.capacity <= 4 * lb.memory.peak + 131072, `capacity ${lb.memory.capacity}, peak ${lb.memory.peak}`);
});

t("results stay what they are while memory grows", async () => {
  const lb = await fresh();
  for (const format of formats) {
    // Only to take room: the same for all.
    const filler = randomWeights(format, 512, 512, rng);
    for (const activation of activations) {
      const weights = randomWeights(format, 40, 300, rng);
      const matrix = packMatrix(lb, format, weights, activation);
      const x = rng.gaussians(300);
      const check = expectation(weights, activation, x);
      const y = matrix.gemv(x);
      const kept = y.slice();
      is(y.buffer.byteLength, 40 * 4, "a result is no view of linear memory");
      const values = matrix.dequantize();
      const keptValues = values.slice();

      const { capacity } = lb.memory;
      const grown: Matrix[] = [];
      while (lb.memory.capacity === capacity) {
        grown.push(packMatrix(lb, format, filler, activation));
      }
      equalBits(y, kept, "y");
      equalBits(values, keptValues, "values");
      const again = new Float32Array(40);
      matrix.gemv(x, again);
      check(again, `${format} ${activation} after growth`);
      equalValues(matrix.dequantize(), keptValues, "dequantised after growth");
      // Growth in the middle of a call, too: the first product of many columns takes more working memory.
      const wide = randomWeights(format, 20, 60_000, rng);
      const long = rng.gaussians(60_000);
      const wideMatrix = packMatrix(lb, format, wide, activation);
      expectation(wide, activation, long)(wideMatrix.gemv(long), `${format} ${activation} wide`);
      wideMatrix.dispose();
      for (const other of grown) other.dispose();
      matrix.dispose();
    }
  }
});

t("instances do not share memory", async () => {
  const a = await fresh();
  const b = await fresh();
  const { used } = b.memory;
  const matrix = packMatrix(a, "binary", randomWeights("binary", 100, 100, rng), "int8");
  is(b.memory.used, used);
  matrix.dispose();
});

t("the numbers cannot be set", async () => {
  const lb = await fresh();
  const loose = lb as unknown as { memory: { used: number }; features: { threads: number } };
  throwsWith(() => (loose.memory.used = 0), TypeError, "");
  throwsWith(() => (loose.features.threads = 9), TypeError, "");
});

t("working memory does not grow with the number of tokens", async () => {
  for (const activation of activations) {
    const lb = await fresh();
    const matrix = packMatrix(lb, "ternary", randomWeights("ternary", 30, 50, rng), activation);
    matrix.gemm(new Float32Array(128 * 50), 128);
    const { used } = lb.memory;
    matrix.gemm(new Float32Array(2000 * 50), 2000);
    is(lb.memory.used, used, activation);
  }
});

t("a product that fails takes no memory, even as the first", async () => {
  for (const activation of activations) {
    const lb = await fresh();
    const matrix = packMatrix(lb, "binary", randomWeights("binary", 30, 50, rng), activation);
    const { used } = lb.memory;
    const x = new Float32Array(50 * 20);
    x[0] = NaN;
    throwsWith(() => matrix.gemv(x.subarray(0, 50)), RangeError, "NaN at index 0");
    is(lb.memory.used, used, `${activation} gemv`);
    throwsWith(() => matrix.gemm(x, 20), RangeError, "NaN at index 0");
    is(lb.memory.used, used, `${activation} gemm`);
  }
});

/** Runs `body` while memory cannot grow. */
function withoutGrowth(body: () => void): void {
  const { grow } = WebAssembly.Memory.prototype;
  WebAssembly.Memory.prototype.grow = () => {
    throw new RangeError("WebAssembly.Memory.grow(): Maximum memory size exceeded");
  };
  try {
    body();
  } finally {
    WebAssembly.Memory.prototype.grow = grow;
  }
}

t("an allocation that fails leaves everything as it was", async () => {
  const lb = await fresh();
  const weights = randomWeights("ternary", 20, 50, rng);
  const matrix = packMatrix(lb, "ternary", weights, "int8");
  const x = rng.gaussians(50);
  matrix.gemv(x);
  const { used, peak, capacity } = lb.memory;
  const rows = 1024;
  const cols = 2048;
  const w = rng.gaussians(rows * cols);
  const scales = Float32Array.of(1);
  withoutGrowth(() => {
    const calls: (() => unknown)[] = [
      () => ternary.quantize(lb, w, { rows, cols }),
      () => binary.quantize(lb, w, { rows, cols }),
      () => ternary.pack(lb, { rows, cols, scales, codes: new Int8Array(rows * cols) }),
      () => binary.pack(lb, { rows, cols, scales, signs: new Uint8Array((rows * cols) / 8) }),
    ];
    for (const call of calls) {
      throwsWith(call, OutOfMemoryError, /out of memory.*dispose/);
      is(lb.memory.used, used);
      is(lb.memory.peak, peak);
      is(lb.memory.capacity, capacity);
    }
    // What is there still works, without more memory.
    expectation(weights, "int8", x)(matrix.gemv(x), "what was there before");
    // A product that would need more working memory than there is.
    throwsWith(() => matrix.gemm(new Float32Array(50 * 4000), 4000), OutOfMemoryError, "out of memory");
    is(lb.memory.used, used);
    is(lb.memory.peak, peak);
    expectation(weights, "int8", x)(matrix.gemv(x), "after a product that failed");
  });
  const error = new OutOfMemoryError("text");
  ok(error instanceof RangeError);
  is(error.name, "OutOfMemoryError");
  // And with growth allowed again, the same call succeeds.
  const large = packMatrix(lb, "binary", randomWeights("binary", 4, 60_000, rng), "int8");
  large.gemv(rng.gaussians(60_000));
  large.dispose();
  ternary.quantize(lb, w, { rows, cols }).dispose();
  matrix.dispose();
});

const high = suite("memory: high addresses");

/** The arena behind a handle. */
function arenaOf(lb: Lowbit): { allocate(bytes: number): number; release(address: number): void } {
  return engineOf("test", lb).arena;
}

/** Reserves memory without writing it, so it costs nothing; false if there is not that much. */
function reserve(lb: Lowbit, bytes: number): boolean {
  try {
    arenaOf(lb).allocate(bytes);
    return true;
  } catch (error) {
    if (error instanceof OutOfMemoryError) return false;
    throw error;
  }
}

async function checkAbove(bytes: number): Promise<void> {
  for (const format of formats) {
    for (const activation of activations) {
      const lb = await fresh();
      if (!reserve(lb, bytes)) return;
      const weights = randomWeights(format, 100, 100, rng, 48);
      const matrix = packMatrix(lb, format, weights, activation);
      const x = rng.gaussians(20 * 100);
      const label = `${format} ${activation}`;
      const y = matrix.gemm(x, 20);
      for (const token of [0, 19]) {
        const one = x.subarray(token * 100, (token + 1) * 100);
        expectation(weights, activation, one)(matrix.gemv(one), `${label} gemv`);
        expectation(weights, activation, one)(y.subarray(token * 100, (token + 1) * 100), `${label} gemm`);
      }
      const dense = makeWeights({ ...weights, groupSize: 48 });
      const values = matrix.dequantize();
      for (let i = 0; i < values.length; i++) {
        const scale = dense.scales[Math.floor(i / 100) * dense.groups + Math.floor((i % 100) / 48)] as number;
        const expected = Math.fround((dense.codes[i] as number) * scale);
        if (values[i] !== expected)
          throw new Error(`${label} dequantised [${i}]: expected ${expected}, got ${values[i]}`);
      }
      matrix.dispose();
    }
  }
}

high("above 2 GiB, where addresses are negative as int32", () => checkAbove(2 ** 31));
high("above 3.9 GiB", () => checkAbove(0xf9000000));

high("up to the last byte", async () => {
  // One matrix of 16 x 64 (planes 128 or 256 bytes, scales 64), and the working memory of its product, at the very end,
  // in whatever order they come to lie: ends of loops at 2^32 would be 0.
  for (const format of formats) {
    for (const activation of activations) {
      // The least room that is enough, found by trying: the arena may keep some for itself at either end.
      let room = 1024;
      for (let done = false; !done; room += 64) {
        const lb = await fresh();
        while (!reserve(lb, 2 ** 32 - lb.memory.used - room)) {
          room += 64;
          if (room > 2 ** 20) return;
        }
        const weights = randomWeights(format, 16, 64, rng);
        const x = rng.gaussians(64);
        let y: Float32Array = new Float32Array();
        try {
          y = packMatrix(lb, format, weights, activation).gemv(x);
          done = true;
        } catch (error) {
          if (!(error instanceof OutOfMemoryError)) throw error;
        }
        if (done) expectation(weights, activation, x)(y, `${format} ${activation}, ${room} bytes left`);
      }
    }
  }
});

high("beyond 4 GiB there is an error with the way out", async () => {
  const lb = await fresh();
  if (!reserve(lb, 0xff000000)) return;
  const { used } = lb.memory;
  const rows = 4096;
  const cols = 65536;
  const signs = new Uint8Array((rows * cols) / 8);
  let message = "";
  try {
    binary.pack(lb, { rows, cols, signs, scales: Float32Array.of(1) });
  } catch (error) {
    ok(error instanceof OutOfMemoryError);
    message = (error as Error).message;
  }
  match(message, /out of memory: \d+ bytes.*4 GiB.*dispose\(\)/);
  is(lb.memory.used, used);
});

const collector = suite("memory: what is forgotten");
const gc = await (async (): Promise<(() => void) | undefined> => {
  if ("Deno" in globalThis || "Bun" in globalThis) return undefined;
  const v8 = await import("node:v8");
  const vm = await import("node:vm");
  v8.setFlagsFromString("--expose-gc");
  return vm.runInNewContext("gc") as () => void;
})();
if (gc === undefined) {
  collector.skip("is collected some time", "no way to start the collector here");
} else {
  collector("is collected some time", async () => {
    const lb = await fresh();
    const { used } = lb.memory;
    ((): void => {
      for (let i = 0; i < 20; i++) packMatrix(lb, "binary", randomWeights("binary", 64, 64, rng), "int8");
    })();
    const held = lb.memory.used - used;
    for (let i = 0; i < 20 && lb.memory.used - used > held / 2; i++) {
      gc();
      await new Promise((done) => setTimeout(done, 5));
    }
    ok(lb.memory.used - used <= held / 2, `${lb.memory.used - used} of ${held} bytes are still held`);
  });
}
