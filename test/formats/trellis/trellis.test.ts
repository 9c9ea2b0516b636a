// EXL3 and QTIP: codebooks by hash, published layers and paths through the trellis against an oracle of their own.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { tilePlaces, writeStream } from "../../../src/formats/trellis/bytes.ts";
import { BeamSearch, FullSearch, makeTable } from "../../../src/formats/trellis/quantize.ts";
import { trellisHalves, trellisIntegers } from "../../../src/formats/trellis/tables.ts";
import type { TrellisBits } from "../../../src/kernels/types.ts";
import { is, nmseBelow, ok, throwsWith } from "../../lib/assert.ts";
import { availableVariants, type Matrix, trellis } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { halfValue } from "../../reference/half.ts";
import {
  exl3Layer,
  trellisHalf,
  trellisMatrix,
  trellisPlace,
  trellisStates,
  trellisWeight,
} from "../../reference/trellis.ts";
import { type TrellisVector, trellisVectorFile } from "./vectors.ts";

const { instances } = await availableVariants();
const { lb } = instances[0] as (typeof instances)[number];
const CODEBOOKS = ["3inst", "mcg", "mul1", "1mad"] as const;
const BITS = [1, 2, 3, 4, 5, 6, 7, 8] as const;
const sha256 = (table: Int16Array | Uint16Array): string =>
  createHash("sha256")
    .update(new Uint8Array(table.buffer, table.byteOffset, table.byteLength))
    .digest("hex")
    .slice(0, 16);

const tables = suite("trellis tables");
tables("float16 weights and integers have the published hashes", () => {
  is(sha256(trellisHalves("3inst")), "ad88de2dcff5bb05");
  is(sha256(trellisHalves("mcg")), "95383563929baa9d");
  is(sha256(trellisHalves("mul1")), "bc48d02cb1c14939");
  is(sha256(trellisIntegers("1mad")), "06b616de9eb33ffe");
});
tables("integers and float16 are those of the definition", () => {
  for (const name of CODEBOOKS) {
    const integers = trellisIntegers(name);
    const halves = trellisHalves(name);
    for (let state = 0; state < 65536; state += 5) {
      is(integers[state], trellisWeight(name, state).integer, `${name} ${state}`);
      is(halfValue(halves[state] as number), trellisHalf(name, state), `${name} ${state}`);
    }
  }
});
tables("published values", () => {
  const first = (name: (typeof CODEBOOKS)[number], n: number): string =>
    Array.from({ length: n }, (_, s) => trellisWeight(name, s).integer).join(" ");
  is(first("1mad", 8), "-185 -124 -63 -2 59 -135 -74 -13");
  is(trellisWeight("1mad", 0xabcd).integer, 218);
  is(first("mul1", 6), "-510 95 -66 29 -132 -37");
  const near = (name: (typeof CODEBOOKS)[number], values: number[]): void => {
    for (const [state, value] of values.entries()) {
      ok(Math.abs(trellisHalf(name, state) - value) < 6e-4, `${name} ${state}: ${trellisHalf(name, state)}`);
    }
  };
  near("3inst", [0.768, -0.9194, 0.9316, 0.2944, 0.6426, 0.0732]);
  near("mcg", [1.844, 0.1345, -0.7593, 0.84, 0.665, -0.4607]);
  near("mul1", [-3.453, 0.641, -0.4485, 0.1945, -0.895, -0.2522]);
});
tables("the order of a tile is a bijection, as published", () => {
  const places = Array.from({ length: 256 }, (_, t) => trellisPlace(t));
  is(new Set(places.map((p) => 16 * p.in + p.out)).size, 256);
  is(
    places
      .slice(0, 8)
      .map((p) => 16 * p.in + p.out)
      .join(),
    "0,16,128,144,8,24,136,152",
  );
  for (const [t, place] of places.entries()) is(tilePlaces()[16 * place.out + place.in], t);
});
tables("streams are written as they are read", () => {
  const rng = random("trellis streams");
  for (const bits of BITS) {
    const words = Uint16Array.from({ length: 16 * bits }, () => rng.int(0, 65535));
    const out = new Uint16Array(16 * bits);
    writeStream(Uint16Array.from(trellisStates(words)), bits, out);
    is(out.join(), words.join(), `${bits} bits`);
  }
});

const golden = suite("trellis golden vectors");
golden("tiles, states and products", () => {
  const vectors = JSON.parse(readFileSync(trellisVectorFile, "utf8")) as TrellisVector[];
  ok(vectors.length === CODEBOOKS.length);
  for (const { codebook, rows, cols, words, states, integers, x, y } of vectors) {
    is(Array.from(trellisMatrix(Uint16Array.from(words), rows, cols)).join(), states.join());
    is(states.map((state) => trellisWeight(codebook, state).integer).join(), integers.join());
    for (const { lb: one } of instances) {
      const matrix = trellis.packCodes(one, { rows, cols, codebook, trellis: Uint16Array.from(words) });
      is(Array.from(matrix.gemv(Float32Array.from(x))).join(), y.join(), codebook);
      matrix.dispose();
    }
  }
});

const kernels = suite("trellis kernels");
for (const { variant, lb: one } of instances) {
  kernels(`${variant}: every state of every codebook`, () => {
    // 8 bits: two codes are a state, so 512 tiles have them all; x picks a column at a time.
    const rows = 16 * 512;
    const words = new Uint16Array(128 * 512);
    const rng = random("trellis states");
    for (let i = 0; i < words.length; i++) words[i] = rng.int(0, 65535);
    for (let high = 0; high < 256; high++) {
      // Codes high, 0, high, 1, … of one tile: states high·256 + low; those between are others.
      for (let half = 0; half < 2; half++) {
        const states = Uint16Array.from({ length: 256 }, (_, t) => (t % 2 === 0 ? high : (t >> 1) + 128 * half));
        writeStream(states, 8, words.subarray(128 * (2 * high + half), 128 * (2 * high + half + 1)));
      }
    }
    const all = trellisMatrix(words, rows, 16);
    is(new Set(all).size, 65536);
    for (const codebook of CODEBOOKS) {
      const matrix = trellis.packCodes(one, { rows, cols: 16, codebook, trellis: words });
      const x = new Float32Array(256);
      for (let k = 0; k < 16; k++) x[17 * k] = 127;
      const many = matrix.gemm(x, 16);
      const dense = matrix.dequantize();
      for (let k = 0; k < 16; k++) {
        const y = matrix.gemv(x.subarray(16 * k, 16 * k + 16));
        for (let row = 0; row < rows; row++) {
          const expected = 127 * trellisWeight(codebook, all[16 * row + k] as number).weight;
          const at = `${codebook}, state ${all[16 * row + k]}: ${y[row]}, ${expected}`;
          ok(Math.abs((y[row] as number) - expected) <= 1e-4 && y[row] === many[k * rows + row], at);
          ok(Math.abs((dense[16 * row + k] as number) - expected / 127) <= 1e-6, at);
        }
      }
      matrix.dispose();
    }
  });
  kernels(`${variant}: the largest sums`, () => {
    // Streams of one state over and over, whose products with x of one sign are as large as constant streams make them, and
    // groups at, below and beyond their limit.
    for (const codebook of CODEBOOKS) {
      for (const bits of [1, 2, 4, 8] as const) {
        const constant = Array.from({ length: 1 << bits }, (_, code) =>
          Number.parseInt(
            code
              .toString(2)
              .padStart(bits, "0")
              .repeat(16 / bits),
            2,
          ),
        );
        const size = (state: number): number => trellisWeight(codebook, state).integer;
        const most = constant.reduce((a, b) => (size(a) > size(b) ? a : b));
        const least = constant.reduce((a, b) => (size(a) < size(b) ? a : b));
        for (const cols of [240, 256, 272, 4096, 32768, 32784]) {
          for (const state of [most, least]) {
            const words = new Uint16Array(Math.ceil(cols / 16) * 16 * bits).fill(state);
            const matrix = trellis.packCodes(one, { rows: 3, cols, codebook, trellis: words });
            const dense = matrix.dequantize()[0] as number;
            const x = new Float32Array(cols * 3).fill(127);
            const y = matrix.gemv(x.subarray(0, cols));
            const expected = 127 * cols * dense;
            ok(
              Math.abs((y[0] as number) / expected - 1) < 2e-6,
              `${codebook} ${bits} ${cols}: ${y[0]} for ${expected}`,
            );
            is(matrix.gemm(x, 3)[8], y[2]);
            matrix.dispose();
          }
        }
      }
    }
  });
  kernels(`${variant}: the largest weights of halves`, () => {
    // |hi + lo| up to 32752 in units of 2^-13; the largest there are, in one column each, with x alone in it.
    for (const codebook of ["3inst", "mcg"] as const) {
      const all = Array.from({ length: 65536 }, (_, state) => trellisWeight(codebook, state).integer);
      const largest = all.reduce((best, v, state) => (Math.abs(v) > Math.abs(all[best] as number) ? state : best), 0);
      ok(Math.abs(all[largest] as number) <= 32752);
      const states = new Uint16Array(256).fill(largest >> 8);
      for (let t = 1; t < 256; t += 2) states[t] = largest & 255;
      const words = new Uint16Array(128);
      writeStream(states, 8, words);
      const codes = trellisMatrix(words, 16, 16);
      const matrix = trellis.packCodes(one, { rows: 16, cols: 16, codebook, trellis: words });
      const x = new Float32Array(16);
      for (let k = 0; k < 16; k++) {
        x.fill(0);
        x[k] = -127;
        const y = matrix.gemv(x);
        for (let row = 0; row < 16; row++) {
          is(y[row], -127 * ((all[codes[16 * row + k] as number] as number) / 8192), `${codebook} ${row} ${k}`);
        }
      }
      matrix.dispose();
    }
  });
}

const layers = suite("trellis layers");
for (const codebook of ["3inst", "mcg", "mul1"] as const) {
  layers(`${codebook} as published is the layer of its definition`, () => {
    const rng = random(`exl3 ${codebook}`);
    const rows = 256;
    const cols = 128;
    for (const bits of codebook === "mcg" ? BITS : ([2, 3, 5] as const)) {
      const words = Uint16Array.from({ length: (rows / 16) * cols * bits }, () => rng.int(0, 65535));
      const suh = rng.gaussians(cols);
      const svh = rng.gaussians(rows);
      const bias = rng.gaussians(rows);
      const selector = codebook === "3inst" ? {} : { [codebook]: Int32Array.of(1) };
      const w = Float64Array.from(trellisMatrix(words, rows, cols), (s) => trellisWeight(codebook, s).weight);
      const n = 3;
      const x = rng.gaussians(n * cols);
      for (const { lb: one } of instances) {
        const options = { rows, cols, suh, svh, bias, ...selector, activation: "f32" } as const;
        const matrix = trellis.pack(one, { ...options, trellis: new Int16Array(words.buffer) });
        is(matrix.format, `trellis${bits}`);
        const y = matrix.gemm(x, n);
        for (let token = 0; token < n; token++) {
          const its = x.subarray(token * cols, (token + 1) * cols);
          const expected = exl3Layer(w, rows, cols, suh, svh, its).map((v, i) => v + (bias[i] as number));
          nmseBelow(y.subarray(token * rows, (token + 1) * rows), expected, 1e-10, `${bits} bits`);
        }
        const dense = matrix.dequantize();
        const direct = Float32Array.from({ length: rows }, (_, row) => {
          return dense.subarray(row * cols, (row + 1) * cols).reduce((sum, v, col) => sum + v * (x[col] as number), 0);
        });
        nmseBelow(direct, exl3Layer(w, rows, cols, suh, svh, x.subarray(0, cols)), 1e-9, "dequantize");
        matrix.dispose();
      }
    }
  });
}
layers("signs of older files, float16 scales, names of codebooks", () => {
  const rng = random("exl3 older");
  const [rows, cols] = [128, 256];
  const words = Uint16Array.from({ length: (rows / 16) * cols * 2 }, () => rng.int(0, 65535));
  const su = Uint16Array.from({ length: cols / 16 }, () => rng.int(0, 65535));
  const sv = Int16Array.from({ length: rows / 16 }, () => rng.int(-32768, 32767));
  const signsOf = (v: ArrayLike<number>, n: number): Uint16Array =>
    Uint16Array.from({ length: n }, (_, i) => (((v[i >> 4] as number) >> (i & 15)) & 1 ? 0xbc00 : 0x3c00));
  const x = rng.gaussians(cols);
  const product = (options: object): string =>
    using(trellis.pack(lb, { rows, cols, trellis: words, ...options }), (m) => Array.from(m.gemv(x)).join());
  const old = product({ su, sv });
  const half = (data: Uint16Array) => ({ dtype: "float16", data });
  is(product({ suh: half(signsOf(su, cols)), svh: half(signsOf(sv, rows)) }), old);
  is(product({ su, sv, codebook: "3inst" }), old);
  is(product({ su, sv, mcg: Int32Array.of(0) }), product({ su, sv, codebook: "mcg" }));
  is(product({ su, sv, mul1: true }), product({ su, sv, codebook: "mul1", mcg: undefined }));
});

const search = suite("trellis search");
const gaussianError = (
  bits: TrellisBits,
  tiles: number,
  width: number | "full",
  codebook: "mul1" | "3inst",
): number => {
  const rng = random(`trellis mse ${codebook}`, 1);
  const { table, scale } = makeTable(codebook, bits);
  const finder = width === "full" ? new FullSearch(table, bits) : new BeamSearch(table, bits, width);
  const states = new Uint16Array(256);
  let error = 0;
  let power = 0;
  for (let tile = 0; tile < tiles; tile++) {
    const target = Float64Array.from(rng.gaussians(256));
    finder.find(
      target.map((v) => v / scale),
      states,
    );
    for (let t = 0; t < 256; t++) {
      const before = states[(t + 255) % 256] as number;
      is(((states[t] as number) >> bits) & 65535, before & ((1 << (16 - bits)) - 1), `place ${t}`);
      error += ((target[t] as number) - scale * (table[states[t] as number] as number)) ** 2;
      power += (target[t] as number) ** 2;
    }
  }
  return error / power;
};
search("Viterbi's algorithm has the error of QTIP", () => {
  for (const [bits, expected] of [
    [2, 0.0687],
    [4, 0.0046],
  ] as const) {
    const got = gaussianError(bits, 4, "full", "mul1");
    ok(Math.abs(got / expected - 1) < 0.04, `${bits} bits: ${got} near ${expected}`);
  }
});
search("a beam comes near it, and meets at the seam with any number of bits", () => {
  for (const bits of BITS) {
    const codebook = bits % 2 ? "3inst" : "mul1";
    const got = gaussianError(bits, 1, bits > 4 ? 128 : 256, codebook);
    const least = gaussianError(bits, 1, "full", codebook);
    ok(got < 1.3 * least, `${bits} bits: ${got} for ${least}`);
  }
});
search("hostile tiles: all zero, all equal, huge, denormal", () => {
  const { table } = makeTable("mcg", 2);
  const states = new Uint16Array(256);
  for (const value of [0, 1, -1e30, 1e-45]) {
    new BeamSearch(table, 2, 16).find(new Float64Array(256).fill(value), states);
    for (let t = 0; t < 256; t++) is((states[t] as number) >> 2, (states[(t + 255) % 256] as number) & 16383);
  }
});

const quantizer = suite("trellis quantize");
for (const codebook of ["mul1", "mcg"] as const) {
  quantizer(`${codebook}: error of Gaussian weights with rows of many sizes`, () => {
    const rng = random(`trellis quantize ${codebook}`, 1);
    const [rows, cols] = [128, 128];
    const w = rng.gaussians(rows * cols);
    for (let i = 0; i < w.length; i++) w[i] = (w[i] as number) * 2 ** (Math.floor(i / cols) % 5);
    const matrix = trellis.quantize(lb, w, { rows, cols, codebook, seed: 5, search: 128 });
    is(matrix.format, "trellis2");
    const got = matrix.dequantize();
    const error = got.reduce((sum, v, i) => sum + (v - (w[i] as number)) ** 2, 0);
    const power = w.reduce((sum, v) => sum + v * v, 0);
    ok(error / power < 0.087, `${error / power}`);
    const x = rng.gaussians(cols);
    const y = matrix.gemv(x);
    const expected = Float64Array.from({ length: rows }, (_, row) =>
      x.reduce((sum, v, col) => sum + v * (got[row * cols + col] as number), 0),
    );
    nmseBelow(y, expected, 2e-4, "gemv");
    matrix.dispose();
  });
}
quantizer("a Hessian brings products nearer", () => {
  const rng = random("trellis hessian", 1);
  const [rows, cols] = [128, 128];
  const w = rng.gaussians(rows * cols);
  // Inputs of which a few directions are strong.
  const n = 512;
  const mix = rng.gaussians(8 * cols);
  const inputs = rng.gaussians(n * cols).map((v, i) => {
    const token = Math.floor(i / cols);
    let sum = 0.3 * v;
    for (let k = 0; k < 8; k++) sum += Math.sin(token * (k + 1)) * (mix[k * cols + (i % cols)] as number);
    return sum;
  });
  const hessian = new Float64Array(cols * cols);
  for (let token = 0; token < n; token++) {
    for (let i = 0; i < cols; i++) {
      for (let j = 0; j < cols; j++) {
        const product = (inputs[token * cols + i] as number) * (inputs[token * cols + j] as number);
        hessian[i * cols + j] = (hessian[i * cols + j] as number) + product;
      }
    }
  }
  const options = { rows, cols, search: 32, activation: "f32" } as const;
  const errorOf = (matrix: Matrix): number =>
    using(matrix, (m) => {
      const d = m.dequantize().map((v, i) => v - (w[i] as number));
      let error = 0;
      for (let row = 0; row < rows; row++) {
        for (let i = 0; i < cols; i++) {
          for (let j = 0; j < cols; j++) {
            error += (d[row * cols + i] as number) * (hessian[i * cols + j] as number) * (d[row * cols + j] as number);
          }
        }
      }
      return error;
    });
  const plain = errorOf(trellis.quantize(lb, w, options));
  const fed = errorOf(trellis.quantize(lb, w, { ...options, hessian }));
  ok(fed < 0.7 * plain, `${fed} of ${plain}`);
});
quantizer("zero, progress, the event loop, an aborted signal", async () => {
  const [rows, cols] = [128, 128];
  const zero = trellis.quantize(lb, new Float32Array(rows * cols), { rows, cols, search: 4 });
  ok(zero.dequantize().every((v) => v === 0));
  zero.dispose();
  const w = random("trellis progress").gaussians(rows * cols);
  const seen: number[] = [];
  const options = { rows, cols, bits: 3, search: 4 };
  const first = trellis.quantize(lb, w, { ...options, onProgress: (done) => seen.push(done) });
  ok(seen.length > 20 && seen.at(-1) === 1);
  ok(seen.every((v, i) => i === 0 || v >= (seen[i - 1] as number)));
  const second = await trellis.quantizeAsync(lb, w, options);
  is(second.dequantize().join(), first.dequantize().join());
  first.dispose();
  second.dispose();
  const before = lb.memory.used;
  const control = new AbortController();
  let message = "";
  await trellis
    .quantizeAsync(lb, w, { ...options, signal: control.signal, onProgress: () => control.abort(new Error("enough")) })
    .catch((error: Error) => {
      message = error.message;
    });
  is(message, "enough");
  is(lb.memory.used, before);
});

function using<T>(matrix: Matrix, body: (matrix: Matrix) => T): T {
  try {
    return body(matrix);
  } finally {
    matrix.dispose();
  }
}

const errors = suite("trellis errors");
errors("quantize", () => {
  const w = new Float32Array(128 * 128);
  const quantize =
    (options: object, weights: Float32Array = w) =>
    (): unknown =>
      trellis.quantize(lb, weights, { rows: 128, cols: 128, ...options });
  throwsWith(
    quantize({ cols: 200 }),
    RangeError,
    "trellis.quantize: cols: expected a multiple of 128 (columns or rows that are transformed together), got 200 (128 and 256 work)",
  );
  throwsWith(quantize({ rows: 100 }), RangeError, "got 100 (128 works)");
  throwsWith(quantize({ bits: 9 }), RangeError, "trellis.quantize: bits: expected an integer from 1 to 8");
  throwsWith(quantize({ bits: 2.5 }), RangeError, "trellis.quantize: bits");
  throwsWith(quantize({ codebook: "hyb" }), RangeError, "trellis.quantize: codebook");
  throwsWith(quantize({ search: 0 }), RangeError, "trellis.quantize: search");
  throwsWith(quantize({ search: "all" }), TypeError, `trellis.quantize: search: expected a number or "full"`);
  throwsWith(quantize({ seed: -1 }), RangeError, "trellis.quantize: seed");
  throwsWith(
    quantize({ groupSize: 8 }),
    TypeError,
    "trellis.quantize: options: expected one of rows, cols, activation, kernel,",
  );
  throwsWith(quantize({ hessian: new Float32Array(5) }), RangeError, "trellis.quantize: hessian");
  throwsWith(quantize({}, new Float32Array(5)), RangeError, "trellis.quantize: w: expected length 16384");
  throwsWith(quantize({ activation: "lut8" }), RangeError, "trellis.quantize: activation");
  const bad = w.slice();
  bad[7] = Number.NaN;
  throwsWith(quantize({}, bad), RangeError, "NaN at index 7");
});
errors("pack", () => {
  const suh = new Float32Array(128).fill(1);
  const good = { rows: 128, cols: 128, trellis: new Uint16Array(64 * 32), suh, svh: suh };
  const pack = (options: object) => (): unknown => trellis.pack(lb, { ...good, ...options } as never);
  const before = lb.memory.used;
  (pack({})() as Matrix).dispose();
  throwsWith(
    pack({ trellis: new Uint16Array(64 * 32 - 1) }),
    RangeError,
    "trellis.pack: trellis: expected length 1024 · bits",
  );
  throwsWith(pack({ trellis: new Uint16Array(1024 * 9) }), RangeError, "trellis.pack: trellis");
  throwsWith(pack({ trellis: new Uint8Array(2048) }), TypeError, "trellis.pack: trellis: expected an Int16Array");
  throwsWith(pack({ cols: 1000 }), RangeError, "trellis.pack: trellis: expected length 8192 · bits");
  const twice = { cols: 130, trellis: new Uint16Array(2 * 64 * 32) };
  throwsWith(pack(twice), RangeError, "trellis.pack: suh: expected length 256 (cols 130 padded to 256), got 128");
  throwsWith(pack({ mcg: true, mul1: true }), RangeError, "expected one of codebook, mcg and mul1, got mcg and mul1");
  throwsWith(pack({ mcg: true, codebook: "mcg" }), RangeError, "trellis.pack: codebook");
  throwsWith(pack({ suh: suh.map((v, i) => (i === 3 ? Number.NaN : v)) }), RangeError, "NaN at index 3");
  throwsWith(pack({ svh: undefined }), TypeError, "trellis.pack: svh");
  throwsWith(pack({ su: new Int16Array(8) }), RangeError, "trellis.pack: suh: expected suh or su, got both");
  throwsWith(pack({ suh: undefined, su: new Int16Array(7) }), RangeError, "trellis.pack: su: expected length 8");
  throwsWith(pack({ bias: new Float32Array(5) }), RangeError, "trellis.pack: bias");
  throwsWith(pack({ bias: new Float32Array(128).fill(Number.NaN) }), RangeError, "trellis.pack: bias");
  is(lb.memory.used, before);
});
const ragged = suite("trellis: layers that were padded to runs of 128");
ragged("are the corner of the padded layer", () => {
  const rng = random("padded");
  const [P, Q] = [256, 384];
  const suh = rng.uniforms(Q);
  const svh = rng.uniforms(P);
  const bias = rng.uniforms(P);
  const codes = Uint16Array.from({ length: (P / 16) * (Q / 16) * 16 * 2 }, () => rng.bits());
  const tensors = { trellis: codes, suh, svh, bias, mcg: true, activation: "f32" } as const;
  const whole = trellis.pack(lb, { ...tensors, rows: P, cols: Q });
  const w = whole.dequantize();
  for (const [rows, cols] of [
    [256, 300],
    [200, 384],
    [129, 257],
  ] as const) {
    const used = lb.memory.used;
    for (const part of [tensors, { ...tensors, bias: bias.slice(0, rows) }]) {
      const matrix = trellis.pack(lb, { ...part, rows, cols });
      const x = rng.uniforms(3 * cols);
      const padded = new Float32Array(3 * Q);
      for (let token = 0; token < 3; token++) padded.set(x.subarray(token * cols, (token + 1) * cols), token * Q);
      const y = whole.gemm(padded, 3);
      const expected = Float32Array.from(
        { length: 3 * rows },
        (_, i) => y[Math.floor(i / rows) * P + (i % rows)] as number,
      );
      is(matrix.gemm(x, 3).join(), expected.join(), `${rows} x ${cols}: gemm`);
      is(matrix.gemv(x.subarray(0, cols)).join(), expected.subarray(0, rows).join(), `${rows} x ${cols}: gemv`);
      const corner = Float32Array.from(
        { length: rows * cols },
        (_, i) => w[Math.floor(i / cols) * Q + (i % cols)] as number,
      );
      is(matrix.dequantize().join(), corner.join(), `${rows} x ${cols}: weights`);
      matrix.dispose();
    }
    is(lb.memory.used, used);
  }
});
errors("packCodes", () => {
  const pack = (options: object) => (): unknown =>
    trellis.packCodes(lb, { rows: 17, cols: 5, trellis: new Int16Array(64), ...options } as never);
  (pack({})() as Matrix).dispose();
  throwsWith(
    pack({ trellis: new Int16Array(65) }),
    RangeError,
    "trellis.packCodes: trellis: expected length 32 · bits",
  );
  throwsWith(pack({ scales: new Float32Array(3) }), RangeError, "trellis.packCodes: scales");
  throwsWith(pack({ scales: Float32Array.of(Number.POSITIVE_INFINITY) }), RangeError, "trellis.packCodes: scales");
  throwsWith(
    pack({ groupSize: 16 }),
    TypeError,
    "trellis.packCodes: options: expected one of rows, cols, activation, kernel,",
  );
  throwsWith(pack({ kernel: "gemv" }), RangeError, "trellis.packCodes: kernel");
});
