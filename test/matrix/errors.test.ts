// Every argument of every public function, wrong in type (TypeError) and in value (RangeError). Messages have the form
// «<function>: <argument>: expected <what>, got <what>», and a failed call leaves memory as it was.
//
// Cases name their formats.

import { equalBits, is, match, rejectsWith, throwsWith } from "../lib/assert.ts";
import {
  binary,
  type Format,
  formats,
  init,
  initSync,
  type Lowbit,
  type Matrix,
  packMatrix,
  randomWeights,
  ternary,
} from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

const lb: Lowbit = await init({ variant: "simd", threads: 1 });
const rng = random("errors");
const rows = 4;
const cols = 10;

/** The types of the library forbid what is tried here. */
type Loose = (...parameters: unknown[]) => unknown;
type Options = Record<string, unknown>;

const notObjects = [null, 5, "text", true, [], new Float32Array(4)];
const notIntegers = [null, "4", true, {}, 4n];
const notCounts = [0, -1, 1.5, NaN, Infinity, 2 ** 40];
const notFloats = [null, [1, 2], 5, "1", new Float64Array(cols), new Int8Array(cols), new ArrayBuffer(40), {}];

/** The call throws that class with that message, and memory in use is what it was. */
function refuses(call: () => unknown, kind: typeof TypeError | typeof RangeError, where: string, rest: string): void {
  const { used, peak } = lb.memory;
  const escaped = where.replace(/[.]/g, "\\.");
  throwsWith(call, kind, new RegExp(`^${escaped}: expected .*${rest}`, "s"));
  is(lb.memory.used, used, `${where} ${rest}: memory in use`);
  is(lb.memory.peak, peak, `${where} ${rest}: peak`);
}

/** What every format function refuses in what is common to all. */
function commonCases(name: string, call: (lb: unknown, options: unknown) => unknown, good: Options): void {
  const t = suite(`errors ${name}`);
  const change =
    (key: string, value: unknown): (() => unknown) =>
    () =>
      call(lb, { ...good, [key]: value });

  t("a good call works", () => (call(lb, good) as Matrix).dispose());

  t("lb", () => {
    for (const value of [undefined, null, 5, {}, Promise.resolve(lb), { ...lb }]) {
      refuses(() => call(value, good), TypeError, `${name}: lb`, "init.*got ");
    }
  });

  t("options", () => {
    for (const value of [undefined, ...notObjects]) {
      refuses(() => call(lb, value), TypeError, `${name}: options`, "object, got ");
    }
  });

  for (const key of ["rows", "cols"]) {
    t(key, () => {
      for (const value of [undefined, ...notIntegers]) {
        refuses(change(key, value), TypeError, `${name}: ${key}`, "integer.*got ");
      }
      for (const value of notCounts) refuses(change(key, value), RangeError, `${name}: ${key}`, `got ${value}`);
    });
  }

  t("groupSize", () => {
    for (const value of notIntegers)
      refuses(change("groupSize", value), TypeError, `${name}: groupSize`, "integer.*got ");
    // -1 is one group a row.
    for (const value of [-2, ...notCounts.filter((count) => count !== -1)])
      refuses(change("groupSize", value), RangeError, `${name}: groupSize`, `got ${value}`);
    for (const value of [1, 7, 9])
      refuses(change("groupSize", value), RangeError, `${name}: groupSize`, `got ${value}`);
  });

  t("activation", () => {
    for (const value of [null, 8, true, {}, ["int8"]]) {
      refuses(change("activation", value), TypeError, `${name}: activation`, '"int8".*got ');
    }
    for (const value of ["", "int4", "INT8", "toString"]) {
      refuses(change("activation", value), RangeError, `${name}: activation`, `"int8".*got "${value}"`);
    }
  });

  t("kernel", () => {
    for (const value of [null, 8, {}]) refuses(change("kernel", value), TypeError, `${name}: kernel`, "got ");
    const other = name.startsWith("binary") ? "gemv_ternary_int8_16x8" : "gemv_binary_int8_32x8";
    for (const value of ["", "nonsense", other]) {
      refuses(change("kernel", value), RangeError, `${name}: kernel`, `gemv_.*got "${value}"`);
    }
  });
}

/** What it refuses in its codes, its scales, its weights. */
function dataCases(format: Format): void {
  const codesKey = format === "binary" ? "signs" : "codes";
  const pack = (format === "binary" ? binary.pack : ternary.pack) as Loose;
  const quantize = (format === "binary" ? binary.quantize : ternary.quantize) as Loose;
  const { codes } = randomWeights(format, rows, cols, rng);
  const good: Options = { rows, cols, [codesKey]: codes, scales: Float32Array.of(1) };
  const w = rng.gaussians(rows * cols);
  commonCases(`${format}.pack`, pack, good);
  commonCases(`${format}.quantize`, (handle, options) => quantize(handle, w, options), { rows, cols });

  const t = suite(`errors ${format} data`);
  const packWith =
    (key: string, value: unknown): (() => unknown) =>
    () =>
      pack(lb, { ...good, [key]: value });
  const codesWhere = `${format}.pack: ${codesKey}`;
  const scalesWhere = `${format}.pack: scales`;

  t(`${codesKey}: type and length`, () => {
    for (const value of [undefined, null, Array.from(codes), Int16Array.from(codes), new Float32Array(40), "+-", {}]) {
      refuses(packWith(codesKey, value), TypeError, codesWhere, "Int8Array.*got ");
    }
    for (const length of [0, 39, 41]) {
      const message = `length 40 \\(rows 4 x cols 10\\), got ${length}$`;
      refuses(packWith(codesKey, new Int8Array(length).fill(1)), RangeError, codesWhere, message);
    }
    const bytes = format === "binary" ? 8 : 12;
    for (const length of [0, bytes - 1, bytes + 1]) {
      refuses(packWith(codesKey, new Uint8Array(length)), RangeError, codesWhere, `length ${bytes} .*got ${length}$`);
    }
  });

  t(`${codesKey}: values, with their index`, () => {
    for (const bad of format === "binary" ? [0, 2, -2, 127, -128] : [2, -2, 127, -128]) {
      for (const index of [0, 17, 39]) {
        const changed = codes.slice();
        changed[index] = bad;
        refuses(packWith(codesKey, changed), RangeError, codesWhere, `got ${bad} at index ${index}$`);
      }
    }
    if (format === "binary") return;
    // 3 is no code. Three bytes a row; columns 0, 7 and 9.
    for (const [row, column] of [
      [0, 0],
      [1, 7],
      [3, 9],
    ] as const) {
      const bytes = new Uint8Array(12).fill(0x55);
      bytes[row * 3 + (column >> 2)] = 0x55 | (3 << (2 * (column & 3)));
      refuses(packWith(codesKey, bytes), RangeError, codesWhere, `got 3 at row ${row}, column ${column}$`);
    }
    // Several in one byte: the first.
    const bytes = new Uint8Array(12).fill(0xff);
    refuses(packWith(codesKey, bytes), RangeError, codesWhere, "got 3 at row 0, column 0$");
  });

  t("scales", () => {
    for (const value of [undefined, null, 1, [1], new Float64Array(1), {}]) {
      refuses(packWith("scales", value), TypeError, scalesWhere, "Float32Array, got ");
    }
    for (const length of [0, 2, 3, 5, 8, 40]) {
      refuses(packWith("scales", new Float32Array(length)), RangeError, scalesWhere, `got ${length}$`);
    }
    const grouped = (length: number) => () =>
      pack(lb, { ...good, groupSize: 8, activation: "lut8", scales: new Float32Array(length) });
    for (const length of [0, 2, 7, 9]) refuses(grouped(length), RangeError, scalesWhere, `8.*got ${length}$`);
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const index of [0, 3]) {
        const scales = new Float32Array(4).fill(1);
        scales[index] = bad;
        refuses(packWith("scales", scales), RangeError, scalesWhere, `got ${bad} at index ${index}$`);
      }
    }
  });

  t("w", () => {
    const where = `${format}.quantize: w`;
    for (const value of [undefined, ...notFloats]) {
      refuses(() => quantize(lb, value, { rows, cols }), TypeError, where, "Float32Array, got ");
    }
    for (const length of [0, 39, 41]) {
      const message = `length 40 \\(rows 4 x cols 10\\), got ${length}$`;
      refuses(() => quantize(lb, new Float32Array(length), { rows, cols }), RangeError, where, message);
    }
  });
}

for (const format of formats) dataCases(format);

const s = suite("errors ternary.quantize scale");
s("type and value", () => {
  const w = rng.gaussians(rows * cols);
  const quantize = ternary.quantize as Loose;
  const where = "ternary.quantize: scale";
  for (const scale of [null, true, {}, [1], Float32Array.of(1)]) {
    refuses(() => quantize(lb, w, { rows, cols, scale }), TypeError, where, "got ");
  }
  for (const scale of ["", "rows", "Matrix"]) {
    refuses(() => quantize(lb, w, { rows, cols, scale }), RangeError, where, `"matrix".*got "${scale}"`);
  }
  // The last two become 0 and Infinity as float32.
  for (const scale of [0, -1, NaN, Infinity, 1e-50, 1e39]) {
    const shown = String(scale).replace("+", "\\+");
    refuses(() => quantize(lb, w, { rows, cols, scale }), RangeError, where, `got ${shown}$`);
  }
});
s("not together with groupSize", () => {
  const w = rng.gaussians(rows * cols);
  const call = (scale: "row" | number) => () => ternary.quantize(lb, w, { rows, cols, groupSize: 16, scale });
  refuses(call("row"), RangeError, "ternary.quantize: scale", "groupSize");
  refuses(call(2), RangeError, "ternary.quantize: scale", "groupSize");
});

for (const format of formats) {
  for (const activation of ["int8", "lut8", "f32"] as const) {
    const t = suite(`errors ${format}.gemv and gemm, ${activation}`);
    const matrix = packMatrix(lb, format, randomWeights(format, rows, cols, rng), activation);
    // Working memory is taken once and kept; what fails later must not change it.
    t.before(() => {
      matrix.gemv(new Float32Array(cols));
      matrix.gemm(new Float32Array(140 * cols), 140);
    });
    t.after(() => matrix.dispose());
    const gemv = matrix.gemv.bind(matrix) as Loose;
    const gemm = matrix.gemm.bind(matrix) as Loose;
    const x = rng.gaussians(cols);

    t("gemv: x", () => {
      const where = `${format}.gemv: x`;
      for (const value of [undefined, ...notFloats]) refuses(() => gemv(value), TypeError, where, "Float32Array, got ");
      for (const length of [0, 9, 11]) {
        refuses(() => gemv(new Float32Array(length)), RangeError, where, `length 10 \\(cols 10\\), got ${length}$`);
      }
    });

    t("gemv: out", () => {
      const where = `${format}.gemv: out`;
      for (const value of notFloats) refuses(() => gemv(x, value), TypeError, where, "Float32Array, got ");
      for (const length of [0, 3, 5]) {
        refuses(() => gemv(x, new Float32Array(length)), RangeError, where, `length 4 \\(rows 4\\), got ${length}$`);
      }
    });

    t("gemm: n", () => {
      const where = `${format}.gemm: n`;
      for (const value of [undefined, ...notIntegers]) refuses(() => gemm(x, value), TypeError, where, "integer.*got ");
      for (const value of notCounts) refuses(() => gemm(x, value), RangeError, where, `got ${value}$`);
    });

    t("gemm: x and out", () => {
      for (const value of [undefined, ...notFloats]) {
        refuses(() => gemm(value, 1), TypeError, `${format}.gemm: x`, "Float32Array, got ");
      }
      for (const value of notFloats) {
        refuses(() => gemm(x, 1, value), TypeError, `${format}.gemm: out`, "Float32Array, got ");
      }
      const message = "length 20 \\(n 2 x cols 10\\), got 10$";
      refuses(() => gemm(x, 2), RangeError, `${format}.gemm: x`, message);
      const two = rng.gaussians(20);
      refuses(
        () => gemm(two, 2, new Float32Array(9)),
        RangeError,
        `${format}.gemm: out`,
        "length 8 \\(n 2 x rows 4\\), got 9$",
      );
    });

    const places = [
      [2, 13],
      [7, 69],
      [20, 0],
      [20, 137],
      [20, 199],
      [140, 1395],
    ] as const;

    t("x that is not finite, with its index", () => {
      for (const bad of [NaN, Infinity, -Infinity]) {
        for (const index of [0, 3, 9]) {
          const broken = x.slice();
          broken[index] = bad;
          refuses(() => gemv(broken), RangeError, `${format}.gemv: x`, `got ${bad} at index ${index}$`);
        }
        for (const [n, index] of places) {
          const broken = rng.gaussians(n * cols);
          broken[index] = bad;
          refuses(() => gemm(broken, n), RangeError, `${format}.gemm: x`, `got ${bad} at index ${index}$`);
        }
      }
    });

    t("a call that fails leaves out alone", () => {
      for (const [n, index] of [[1, 9], ...places] as const) {
        const broken = rng.gaussians(n * cols);
        broken[index] = NaN;
        const out = new Float32Array(n * rows).fill(7);
        throwsWith(() => gemm(broken, n, out), RangeError, "at index");
        equalBits(out, new Float32Array(n * rows).fill(7), `out of ${n} tokens, NaN at index ${index}`);
      }
    });

    t("of several that are not finite, the first is named", () => {
      const broken = x.slice();
      broken[2] = Infinity;
      broken[5] = NaN;
      refuses(() => gemv(broken), RangeError, `${format}.gemv: x`, "got Infinity at index 2$");
    });
  }
}

const i = suite("errors init");
const start = init as unknown as (options?: unknown) => Promise<Lowbit>;
const startSync = initSync as unknown as Loose;
const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0); // a module without exports

i("options", async () => {
  for (const value of notObjects)
    await rejectsWith(start(value), TypeError, /^init: options: expected an object, got /);
  throwsWith(() => startSync(empty, 5), TypeError, /^initSync: options: expected an object, got 5/);
});

i("variant", async () => {
  for (const variant of [null, 5, {}]) {
    await rejectsWith(start({ variant }), TypeError, /^init: variant: expected "auto".*got /);
  }
  for (const variant of ["", "fast", "SIMD"]) {
    await rejectsWith(start({ variant }), RangeError, new RegExp(`^init: variant: expected "auto".*got "${variant}"$`));
  }
});

i("threads", async () => {
  for (const threads of [null, true, {}])
    await rejectsWith(start({ threads }), TypeError, /^init: threads: expected .*got /);
  for (const threads of [0, -1, 1.5, NaN, 257, "many"]) {
    await rejectsWith(start({ threads }), RangeError, /^init: threads: expected .*got /);
  }
});

i("module", async () => {
  for (const module of [null, 5, true, {}, "simd.wasm", []]) {
    await rejectsWith(start({ module }), TypeError, /^init: module: expected a WebAssembly.Module.*got /);
    await rejectsWith(start({ module: Promise.resolve(module) }), TypeError, /^init: module: expected .*got /);
    throwsWith(
      () => startSync(module),
      TypeError,
      /^initSync: module: expected a WebAssembly.Module or its bytes, got /,
    );
  }
  const page = new TextEncoder().encode("<!doctype html><title>404</title>");
  for (const bytes of [new Uint8Array(0), page, page.buffer, page.subarray(5)]) {
    await rejectsWith(start({ module: bytes }), RangeError, /^init: module: expected WebAssembly bytes, got /);
    throwsWith(() => startSync(bytes), RangeError, /^initSync: module: expected WebAssembly bytes, got /);
  }
  await rejectsWith(start({ module: page }), RangeError, /begin with "<!doctype html>/);
  // Another program's module; more of those in wrong-module.test.ts.
  await rejectsWith(start({ module: empty }), RangeError, /^init: module: expected .*got a module without gemv_\w+/);
  await rejectsWith(start({ module: new WebAssembly.Module(empty) }), RangeError, /^init: module: expected /);
  throwsWith(() => startSync(empty), RangeError, /^initSync: module: expected /);
  const response = new Response("gone", { status: 404 });
  await rejectsWith(start({ module: response }), RangeError, /^init: module: expected .*got status 404$/);
});

i("a promise of a module that fails passes its own error on", async () => {
  class Mine extends Error {}
  await rejectsWith(start({ module: Promise.reject(new Mine("mine")) }), Mine, "mine");
});

i("a missing file says so", async () => {
  const missing = new URL("../vectors/no-such-file.wasm", import.meta.url);
  let message = "";
  try {
    await start({ module: missing });
  } catch (error) {
    message = String(error);
  }
  match(message, /no-such-file\.wasm/);
});
