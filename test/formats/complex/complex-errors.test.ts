// Every argument of complex and fairy2i, wrong in type (TypeError) and in value (RangeError), and memory as it was.

import { equalBits, is, ok, rejectsWith, throwsWith } from "../../lib/assert.ts";
import {
  activations,
  type ComplexMatrix,
  complex,
  fairy2i,
  init,
  type Lowbit,
  type Matrix,
} from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { equalComplex, randomPlane, zeros } from "./matrices.ts";

const lb: Lowbit = await init({ variant: "simd", threads: 1 });
const rng = random("complex errors");
const [rows, cols] = [4, 20];

/** The types of the library forbid what is tried here. */
type Options = Record<string, unknown>;
type Kind = typeof TypeError | typeof RangeError;

/** The call throws that class with a message that begins so, and memory in use is what it was. */
function refuses(call: () => unknown, kind: Kind, message: string): void {
  const { used, peak } = lb.memory;
  let found = "";
  throwsWith(
    () => {
      try {
        call();
      } catch (error) {
        found = (error as Error).message;
        throw error;
      }
    },
    kind,
    message,
  );
  ok(found.startsWith(message), `${found} begins with ${message}`);
  is(lb.memory.used, used, `${message}: memory in use`);
  is(lb.memory.peak, peak, `${message}: peak`);
}

const plane = randomPlane({ rows, cols, granularity: "row" }, rng);
const stage = { u: plane, w: plane };
const w = { re: rng.gaussians(rows * cols), im: rng.gaussians(rows * cols) };
const blocks = new Uint8Array(2 * 68);
for (const at of [64, 66, 132, 134]) blocks.set([0x00, 0x3c], at); // 1 as float16

interface Target {
  call: (handle: unknown, options: unknown) => unknown;
  good: Options;
  /** Whether rows and cols are those of a real matrix. */
  even?: boolean;
  /** Whether it takes groupSize. */
  grouped?: boolean;
}

const targets: Record<string, Target> = {
  "complex.pack": {
    call: (handle, options) => complex.pack(handle as Lowbit, options as never),
    good: { rows, cols, ...plane },
    grouped: true,
  },
  "complex.quantize": {
    call: (handle, options) => complex.quantize(handle as Lowbit, w, options as never),
    good: { rows, cols, scale: "row" },
    grouped: true,
  },
  "complex.fromIfairy": {
    call: (handle, options) => complex.fromIfairy(handle as Lowbit, options as never),
    good: {
      rows,
      cols,
      weightReal: w.re,
      weightImag: { dtype: "bfloat16", data: new Uint16Array(rows * cols).fill(0x3f80) },
    },
  },
  "complex.fromIfairyBlocks": {
    call: (handle, options) => complex.fromIfairyBlocks(handle as Lowbit, options as never),
    good: { rows: 2, cols: 256, blocks },
  },
  "fairy2i.pack": {
    call: (handle, options) => fairy2i.pack(handle as Lowbit, options as never),
    good: { rows: 2 * rows, cols: 2 * cols, stages: [stage, stage] },
    even: true,
    grouped: true,
  },
  "fairy2i.quantize": {
    call: (handle, options) => fairy2i.quantize(handle as Lowbit, w.re, options as never),
    good: { rows, cols },
    even: true,
  },
};

for (const [name, { call, good, even, grouped }] of Object.entries(targets)) {
  const t = suite(`errors ${name}`);
  const change = (changes: Options) => () => call(lb, { ...good, ...changes });
  const isComplex = name.startsWith("complex");

  t("a good call works", () => (call(lb, good) as Matrix).dispose());

  t("lb", () => {
    for (const value of [undefined, null, 5, {}, Promise.resolve(lb)]) {
      refuses(() => call(value, good), TypeError, `${name}: lb: expected what init()`);
    }
  });

  t("options", () => {
    for (const value of [undefined, null, 5, "text", [], new Float32Array(4)]) {
      throwsWith(() => call(lb, value), TypeError, /^[\w.]+: options: expected an object, got /);
    }
  });

  t("rows and cols", () => {
    for (const key of ["rows", "cols"]) {
      for (const value of [undefined, null, "4", true, {}]) {
        refuses(change({ [key]: value }), TypeError, `${name}: ${key}: expected an integer from 1`);
      }
      for (const value of [0, -1, 1.5, NaN, Infinity, 2 ** 40]) {
        refuses(change({ [key]: value }), RangeError, `${name}: ${key}: expected an integer from 1`);
      }
      if (!even) continue;
      for (const value of [1, 3, 7]) {
        const message = `${name}: ${key}: expected an even number (halves are real and imaginary parts), got ${value}`;
        refuses(change({ [key]: value }), RangeError, message);
      }
    }
  });

  t("groupSize", () => {
    if (!grouped) return;
    for (const value of [null, "8", {}]) {
      refuses(change({ groupSize: value }), TypeError, `${name}: groupSize: expected an integer`);
    }
    for (const value of [0, -8, 1.5, NaN]) {
      refuses(change({ groupSize: value }), RangeError, `${name}: groupSize: expected an integer`);
    }
    for (const value of [1, 7, 9]) {
      const message = `${name}: groupSize: expected a multiple of 8, or cols (${cols}) or more, got ${value} (8 works)`;
      refuses(change({ groupSize: value }), RangeError, message);
    }
  });

  t("activation and kernel", () => {
    const expected = 'activation: expected "int8" | "lut8" | "f32", got';
    for (const value of [null, 8, ["int8"]]) refuses(change({ activation: value }), TypeError, `${name}: ${expected}`);
    for (const value of ["", "bits", "INT8"]) {
      refuses(change({ activation: value }), RangeError, `${name}: ${expected} "${value}"`);
    }
    for (const value of [null, 8, {}])
      refuses(change({ kernel: value }), TypeError, `${name}: kernel: expected "gemv_`);
    const other = ["", "gemv_complex_int8", "gemv_binary_int8_32x8", "gemv_complex_lut8_32x8"];
    for (const value of [...other, "gemm_complex_int8_16x2_i32"]) {
      refuses(change({ kernel: value }), RangeError, `${name}: kernel: expected "gemv_complex_int8_32x8"`);
    }
  });

  t("conjugate", () => {
    if (!isComplex) return;
    for (const value of [null, 5, true, ["x"]]) {
      refuses(change({ conjugate: value }), TypeError, `${name}: conjugate: expected "none" | "x" | "w", got`);
    }
    for (const value of ["", "X", "W", "conj", "both", "toString"]) {
      const message = `${name}: conjugate: expected "none" | "x" | "w", got "${value}"`;
      refuses(change({ conjugate: value }), RangeError, message);
    }
  });
}

const c = suite("errors complex.pack data");
const pack = (changes: Options) => () => complex.pack(lb, { rows, cols, ...plane, ...changes } as never);

/** What is refused of the codes and scales of a plane. */
function planeCases(where: string, make: (changes: Options) => () => unknown): void {
  c(`${where}codes`, () => {
    for (const codes of [undefined, null, Array.from(plane.codes), Int8Array.from(plane.codes), "0123"]) {
      refuses(make({ codes }), TypeError, `${where}codes: expected a Uint8Array, got`);
    }
    for (const length of [0, 79, 81]) {
      const message = `${where}codes: expected length 80 (rows 4 x cols 20), got ${length}`;
      refuses(make({ codes: new Uint8Array(length) }), RangeError, message);
    }
    for (const index of [0, 57, 79]) {
      for (const code of [4, 255]) {
        const codes = plane.codes.slice();
        codes[index] = code;
        refuses(make({ codes }), RangeError, `${where}codes: expected 0 to 3, got ${code} at index ${index}`);
      }
    }
  });

  c(`${where}scales`, () => {
    for (const scales of [undefined, null, 5, [1], new Float32Array(4)]) {
      refuses(make({ scales }), TypeError, `${where}scales: expected an object, got`);
    }
    for (const part of ["re", "im"] as const) {
      const given = (values: unknown) => make({ scales: { ...plane.scales, [part]: values } });
      for (const values of [undefined, null, [1, 1, 1, 1], new Float64Array(4)]) {
        refuses(given(values), TypeError, `${where}scales.${part}: expected a Float32Array, got`);
      }
      for (const [value, expected] of [
        [NaN, "finite numbers"],
        [Infinity, "finite numbers"],
        [-Infinity, "finite numbers"],
        [0, "scales other than 0"],
        [-0, "scales other than 0"],
      ] as const) {
        for (const index of [0, 3]) {
          const values = new Float32Array(rows).fill(1);
          values[index] = value;
          const message = `${where}scales.${part}: expected ${expected}, got ${value} at index ${index}`;
          refuses(given(values), RangeError, message);
        }
      }
    }
  });

  c(`${where}scales: lengths, the same of both parts`, () => {
    const given = (re: number, im: number, groupSize?: number) =>
      make({
        scales: { re: new Float32Array(re).fill(1), im: new Float32Array(im).fill(1) },
        ...(groupSize !== undefined && { groupSize }),
      });
    for (const [re, im, part, length] of [
      [4, 1, "im", 4],
      [1, 4, "im", 1],
      [4, 0, "im", 4],
      [0, 4, "re", 4],
      [2, 2, "re", 4],
      [5, 5, "re", 4],
    ] as const) {
      refuses(
        given(re, im),
        RangeError,
        `${where}scales.${part}: expected length ${length} (rows 4, groups of a row 1`,
      );
    }
    for (const [re, im, part, length] of [
      [1, 1, "re", 12],
      [4, 4, "re", 12],
      [3, 12, "im", 3],
      [12, 3, "im", 12],
      [11, 11, "re", 12],
    ] as const) {
      const message = `${where}scales.${part}: expected length ${length} (rows 4, groups of a row 3; 3 if rows share`;
      refuses(given(re, im, 8), RangeError, message);
    }
  });
}

planeCases("complex.pack: ", pack);
// groupSize is of the matrix, codes and scales of one of its planes. All other scales fit both lengths.
for (const [at, index, key] of [
  ["stages[0].u", 0, "u"],
  ["stages[1].w", 1, "w"],
] as const) {
  planeCases(`fairy2i.pack: ${at}.`, ({ groupSize, ...changes }) => {
    const groups = groupSize === undefined ? 1 : 3;
    const filling = new Float32Array(groups).fill(1);
    const other = { codes: plane.codes, scales: { re: filling, im: filling } };
    const stages = [0, 1].map((i) => ({
      u: i === index && key === "u" ? { ...plane, ...changes } : other,
      w: i === index && key === "w" ? { ...plane, ...changes } : other,
    }));
    const options = { rows: 2 * rows, cols: 2 * cols, stages, ...(groupSize !== undefined && { groupSize }) };
    return () => fairy2i.pack(lb, options as never);
  });
}

c("scales of every length that there is", () => {
  const all = (length: number): Float32Array => new Float32Array(length).fill(2);
  for (const [length, groupSize] of [
    [1, undefined],
    [rows, undefined],
    [1, 24],
    [3, 8],
    [3 * rows, 8],
  ] as const) {
    const scales = { re: all(length), im: all(length) };
    (pack({ scales, ...(groupSize !== undefined && { groupSize }) })() as ComplexMatrix).dispose();
  }
});

const q = suite("errors complex.quantize data");
const quantize = (value: unknown, options: Options = {}) => {
  return () => complex.quantize(lb, value as never, { rows, cols, ...options } as never);
};

q("w: re and im", () => {
  for (const value of [undefined, null, 5, w.re, [w.re, w.im]]) {
    refuses(quantize(value), TypeError, "complex.quantize: w: expected an object, got");
  }
  for (const part of ["re", "im"] as const) {
    const where = `complex.quantize: w.${part}`;
    for (const value of [undefined, null, [1], new Float64Array(80)]) {
      refuses(quantize({ ...w, [part]: value }), TypeError, `${where}: expected a Float32Array, got`);
    }
    for (const length of [0, 79, 81]) {
      const message = `${where}: expected length 80 (rows 4 x cols 20), got ${length}`;
      refuses(quantize({ ...w, [part]: new Float32Array(length) }), RangeError, message);
    }
    for (const bad of [NaN, Infinity, -Infinity]) {
      const broken = w[part].slice();
      broken[61] = bad;
      const message = `${where}: expected finite weights, got ${bad} at index 61`;
      refuses(quantize({ ...w, [part]: broken }), RangeError, message);
    }
  }
});

q("scale and ties", () => {
  for (const value of [null, 5, {}]) {
    refuses(quantize(w, { scale: value }), TypeError, 'complex.quantize: scale: expected "matrix" | "row" | "tile"');
    refuses(quantize(w, { ties: value }), TypeError, 'complex.quantize: ties: expected "sector" | "imaginary"');
  }
  for (const value of ["", "rows", "Matrix"]) {
    refuses(quantize(w, { scale: value }), RangeError, 'complex.quantize: scale: expected "matrix" | "row" | "tile"');
    refuses(quantize(w, { ties: value }), RangeError, 'complex.quantize: ties: expected "sector" | "imaginary"');
  }
  const tile = 'complex.quantize: groupSize: expected the columns of a tile for scale "tile", got none';
  refuses(quantize(w, { scale: "tile" }), RangeError, tile);
  const matrix = 'complex.quantize: groupSize: expected none for scale "matrix" ("tile" or "row" have groups), got 8';
  refuses(quantize(w, { scale: "matrix", groupSize: 8 }), RangeError, matrix);
  refuses(quantize(w, { groupSize: 8 }), RangeError, matrix);
});

q("quantizeAsync and progress", async () => {
  const at = "complex.quantizeAsync: ";
  const call = (value: unknown, options: Options) => complex.quantizeAsync(lb, value as never, options as never);
  await rejectsWith(call(w, { rows, cols, ties: "up" }), RangeError, `${at}ties`);
  await rejectsWith(call(w, { rows, cols: 19 }), RangeError, `${at}w.re`);
  await rejectsWith(call(null, { rows, cols }), TypeError, `${at}w`);
  const signal = AbortSignal.abort(new Error("enough"));
  await rejectsWith(call(w, { rows, cols, signal }), Error, "enough");
  throwsWith(quantize(w, { signal }), Error, "enough");
  throwsWith(quantize(w, { onProgress: 5 }), TypeError, "complex.quantize: onProgress");
  throwsWith(() => fairy2i.quantize(lb, w.re, { rows, cols, signal }), Error, "enough");
  await rejectsWith(fairy2i.quantizeAsync(lb, w.re, { rows, cols: 21 }), RangeError, "fairy2i.quantizeAsync: cols");
  await rejectsWith(fairy2i.quantizeAsync(lb, w.re, { rows, cols, signal }), Error, "enough");
  const done: number[] = [];
  fairy2i.quantize(lb, w.re, { rows, cols, onProgress: (part) => done.push(part) }).dispose();
  is(done.at(-1), 1);
});

const f = suite("errors fairy2i data");

f("stages of quantize", () => {
  const at = "fairy2i.quantize: stages: expected an integer from 1 to 4, got";
  const call = (stages: unknown) => () => fairy2i.quantize(lb, w.re, { rows, cols, stages } as never);
  for (const value of [null, "2", {}]) refuses(call(value), TypeError, at);
  for (const value of [0, 5, 1.5, -1, NaN]) refuses(call(value), RangeError, `${at} ${value}`);
});

f("w and ties", () => {
  const call = (value: unknown, options: Options = {}) => {
    return () => fairy2i.quantize(lb, value as never, { rows, cols, ...options });
  };
  for (const value of [undefined, null, [1], w, new Float64Array(80)]) {
    refuses(call(value), TypeError, "fairy2i.quantize: w: expected a Float32Array, got");
  }
  for (const length of [0, 79, 81]) {
    const message = `fairy2i.quantize: w: expected length 80 (rows 4 x cols 20), got ${length}`;
    refuses(call(new Float32Array(length)), RangeError, message);
  }
  const broken = w.re.slice();
  broken[42] = NaN;
  refuses(call(broken), RangeError, "fairy2i.quantize: w: expected finite weights, got NaN at index 42");
  refuses(call(w.re, { ties: "up" }), RangeError, 'fairy2i.quantize: ties: expected "sector" | "imaginary", got "up"');
});

f("stages of pack", () => {
  const call = (stages: unknown) => () => fairy2i.pack(lb, { rows: 2 * rows, cols: 2 * cols, stages } as never);
  for (const value of [undefined, null, 2, stage, "uw"]) {
    refuses(call(value), TypeError, "fairy2i.pack: stages: expected an array of stages, got");
  }
  refuses(call([]), RangeError, "fairy2i.pack: stages.length: expected an integer from 1 to 4, got 0");
  const five = new Array(5).fill(stage);
  refuses(call(five), RangeError, "fairy2i.pack: stages.length: expected an integer from 1 to 4, got 5");
  for (const value of [undefined, null, 5, []]) {
    refuses(call([stage, value]), TypeError, "fairy2i.pack: stages[1]: expected an object, got");
    refuses(call([{ u: value, w: plane }]), TypeError, "fairy2i.pack: stages[0].u: expected an object, got");
    refuses(call([stage, { u: plane, w: value }]), TypeError, "fairy2i.pack: stages[1].w: expected an object, got");
  }
});

const i = suite("errors importers of iFairy");

i("conjugate x is theirs", () => {
  const { good: master } = targets["complex.fromIfairy"] as Target;
  const { good: tensors } = targets["complex.fromIfairyBlocks"] as Target;
  for (const options of [{}, { conjugate: undefined }, ...["x", "none", "w"].map((conjugate) => ({ conjugate }))]) {
    for (const matrix of [
      complex.fromIfairy(lb, { ...master, ...options } as never),
      complex.fromIfairyBlocks(lb, { ...tensors, ...options } as never),
    ]) {
      is(matrix.conjugate, (options as Options).conjugate ?? "x");
      is(matrix.format, "complex");
      matrix.dispose();
    }
  }
});

i("fromIfairy is quantize of its weights", () => {
  const imag = new Uint16Array(rows * cols).map(() => rng.int(0x3e00, 0x4000) | (rng.int(0, 1) << 15));
  const bits = new Uint32Array(imag).map((half) => half << 16);
  const im = new Float32Array(bits.buffer);
  const x = { re: rng.gaussians(cols), im: rng.gaussians(cols) };
  for (const ties of ["sector", "imaginary"] as const) {
    const imported = complex.fromIfairy(lb, {
      rows,
      cols,
      weightReal: w.re,
      weightImag: { dtype: "bfloat16", data: imag },
      ties,
    });
    const own = complex.quantize(lb, { re: w.re, im }, { rows, cols, ties, conjugate: "x" });
    equalComplex(imported.gemv(x), own.gemv(x), "y", equalBits);
    equalComplex(imported.dequantize(), own.dequantize(), "W", equalBits);
    imported.dispose();
    own.dispose();
  }
});

i("fromIfairyBlocks has the weights of the blocks", () => {
  // -1, 1, -i and i are 0 to 3; byte 0 has columns 0, 32, 64 and 96.
  const bytes = blocks.slice();
  bytes[0] = 0b11_10_01_00;
  bytes.set([0x00, 0x40, 0x00, 0x42], 64); // 2 and 3
  bytes.set([0x00, 0x44, 0x00, 0x45], 132); // 4 and 5
  bytes[68] = 0b00_00_00_11;
  const matrix = complex.fromIfairyBlocks(lb, { rows: 2, cols: 256, blocks: bytes });
  const { re, im } = matrix.dequantize();
  const at = (index: number): string => `${re[index]} ${im[index]}`;
  is([0, 32, 64, 96, 1, 256, 257].map(at).join(), "-2 0,2 0,0 -3,0 3,-2 0,0 5,-4 0");
  matrix.dispose();
});

i("weights and blocks that do not fit", () => {
  const master = (changes: Options) => {
    const { call, good } = targets["complex.fromIfairy"] as Target;
    return () => call(lb, { ...good, ...changes });
  };
  const at = "complex.fromIfairy: ";
  refuses(master({ weightReal: new Float64Array(80) }), TypeError, `${at}weightReal: expected a Float32Array`);
  const named = (length: number) => ({ dtype: "bfloat16", data: new Uint16Array(length) });
  refuses(master({ weightImag: named(79) }), RangeError, `${at}weightImag: expected length 80`);
  refuses(
    master({ weightImag: new Uint16Array(80) }),
    TypeError,
    `${at}weightImag: expected a Float32Array, or 16-bit`,
  );
  const bad = w.re.slice();
  bad[7] = NaN;
  refuses(master({ weightReal: bad }), RangeError, `${at}weightReal: expected finite weights, got NaN at index 7`);
  refuses(master({ ties: "up" }), RangeError, `${at}ties: expected "sector" | "imaginary", got "up"`);
  const tensors = (changes: Options) => () => complex.fromIfairyBlocks(lb, { rows: 2, cols: 256, blocks, ...changes });
  const from = "complex.fromIfairyBlocks: ";
  refuses(tensors({ cols: 100 }), RangeError, `${from}cols: expected a multiple of 256 (whole blocks), got 100`);
  refuses(tensors({ blocks: blocks.subarray(1) }), RangeError, `${from}blocks: expected length 136`);
  refuses(tensors({ blocks: Array.from(blocks) }), TypeError, `${from}blocks: expected a Uint8Array`);
  const zero = blocks.slice();
  zero.set([0, 0], 134);
  refuses(tensors({ blocks: zero }), RangeError, `${from}blocks: expected finite d_imag, not 0, got 0 in block 1`);
});

for (const activation of activations) {
  const g = suite(`errors complex.gemv and gemm, ${activation}`);
  const matrix = complex.pack(lb, { rows, cols, ...plane, activation });
  // Working memory is taken once and kept; what fails later must not change it.
  g.before(() => {
    matrix.gemv(zeros(cols));
    matrix.gemm(zeros(140 * cols), 140);
  });
  g.after(() => matrix.dispose());
  const gemv = matrix.gemv.bind(matrix) as (...parameters: unknown[]) => unknown;
  const gemm = matrix.gemm.bind(matrix) as (...parameters: unknown[]) => unknown;
  const x = { re: rng.gaussians(cols), im: rng.gaussians(cols) };

  g("x and out: re and im", () => {
    for (const value of [undefined, null, 5, x.re, [x.re, x.im]]) {
      refuses(() => gemv(value), TypeError, "complex.gemv: x: expected an object, got");
      refuses(() => gemm(value, 1), TypeError, "complex.gemm: x: expected an object, got");
      if (value === undefined) continue;
      refuses(() => gemv(x, value), TypeError, "complex.gemv: out: expected an object, got");
      refuses(() => gemm(x, 1, value), TypeError, "complex.gemm: out: expected an object, got");
    }
    const out = zeros(rows);
    for (const part of ["re", "im"]) {
      for (const value of [undefined, null, [1], new Float64Array(cols)]) {
        const wrong = { ...x, [part]: value };
        refuses(() => gemv(wrong), TypeError, `complex.gemv: x.${part}: expected a Float32Array, got`);
        refuses(() => gemm(wrong, 1), TypeError, `complex.gemm: x.${part}: expected a Float32Array, got`);
        const wrongOut = { ...out, [part]: value };
        refuses(() => gemv(x, wrongOut), TypeError, `complex.gemv: out.${part}: expected a Float32Array, got`);
      }
      for (const length of [0, 19, 21, 40]) {
        const wrong = { ...x, [part]: new Float32Array(length) };
        refuses(() => gemv(wrong), RangeError, `complex.gemv: x.${part}: expected length 20 (cols 20), got ${length}`);
      }
      for (const length of [0, 3, 8]) {
        const wrong = { ...out, [part]: new Float32Array(length) };
        const message = `complex.gemv: out.${part}: expected length 4 (rows 4), got ${length}`;
        refuses(() => gemv(x, wrong), RangeError, message);
      }
      const two = { ...zeros(40), [part]: new Float32Array(20) };
      const message = `complex.gemm: x.${part}: expected length 40 (n 2 x cols 20), got 20`;
      refuses(() => gemm(two, 2), RangeError, message);
      const wrong = { ...zeros(8), [part]: new Float32Array(4) };
      const outMessage = `complex.gemm: out.${part}: expected length 8 (n 2 x rows 4), got 4`;
      refuses(() => gemm(zeros(40), 2, wrong), RangeError, outMessage);
    }
  });

  g("n", () => {
    for (const value of [undefined, null, "4", {}]) {
      refuses(() => gemm(x, value), TypeError, "complex.gemm: n: expected an integer");
    }
    for (const value of [0, -1, 1.5, NaN, 2 ** 40]) {
      refuses(() => gemm(x, value), RangeError, "complex.gemm: n: expected an integer");
    }
  });

  g("x that is not finite, with part and index; out and memory are left alone", () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const part of ["re", "im"] as const) {
        for (const [n, index] of [
          [1, 0],
          [1, 19],
          [2, 27],
          [7, 139],
          [20, 0],
          [20, 277],
          [140, 2799],
        ] as const) {
          const broken = { re: rng.gaussians(n * cols), im: rng.gaussians(n * cols) };
          broken[part][index] = bad;
          const out = { re: new Float32Array(n * rows).fill(7), im: new Float32Array(n * rows).fill(7) };
          const found = `x.${part}: expected finite numbers, got ${bad} at index ${index}`;
          refuses(() => gemm(broken, n, out), RangeError, `complex.gemm: ${found}`);
          if (n === 1) refuses(() => gemv(broken, out), RangeError, `complex.gemv: ${found}`);
          const sevens = new Float32Array(n * rows).fill(7);
          equalComplex(out, { re: sevens, im: sevens }, "out", equalBits);
        }
      }
    }
    equalComplex(matrix.gemv(zeros(cols)), zeros(rows), "still works");
  });
}

const m = suite("errors complex: working memory");
m("a first call that fails takes none", () => {
  for (const activation of activations) {
    const matrix = complex.pack(lb, { rows, cols: 20, ...plane, activation });
    const { used } = lb.memory;
    const n = 9000;
    const broken = zeros(n * cols);
    broken.im[5] = NaN;
    throwsWith(
      () => matrix.gemm(broken, n),
      RangeError,
      "complex.gemm: x.im: expected finite numbers, got NaN at index 5",
    );
    is(lb.memory.used, used, activation);
    matrix.dispose();
  }
  const big = randomPlane({ rows: 16, cols: 60_000, granularity: "row" }, rng);
  const matrix = complex.pack(lb, { rows: 16, cols: 60_000, ...big, activation: "f32" });
  const { used } = lb.memory;
  const broken = zeros(60_000);
  broken.im[59_999] = NaN;
  throwsWith(
    () => matrix.gemv(broken),
    RangeError,
    "complex.gemv: x.im: expected finite numbers, got NaN at index 59999",
  );
  is(lb.memory.used, used);
  matrix.dispose();
});
