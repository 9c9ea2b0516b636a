// QuIP#: its codebooks by hash, the nearest codes, published layouts and whole layers against an oracle of their own.

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { E8pEncoder, RESIDUAL_SCALE } from "../../../src/formats/e8p/quantize.ts";
import { quipE8p0 } from "../../../src/formats/e8p/quip.ts";
import { d4Entries, e8pEntries, e81bEntries, packedRows } from "../../../src/formats/e8p/tables.ts";
import { hadamardMatrix, hadamardOrder } from "../../../src/transforms/index.ts";
import { is, nmseBelow, ok, throwsWith } from "../../lib/assert.ts";
import { availableVariants, e8p, type Matrix } from "../../lib/library.ts";
import { type Random, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { d4Vector, e8pVector, e8pVector0, e81bVector, packedWords, quipLayer, quipWords } from "../../reference/e8p.ts";

const { instances } = await availableVariants();
const { lb } = instances[0] as (typeof instances)[number];
const bytesOf = (table: Int8Array | Uint32Array): Uint8Array =>
  new Uint8Array(table.buffer, table.byteOffset, table.byteLength);
const sha256 = (table: Int8Array | Uint32Array): string => createHash("sha256").update(bytesOf(table)).digest("hex");

const tables = suite("e8p tables");
tables("packed rows and entries have the published hashes", () => {
  const rows = "efc2c03c60acd955dc812ff2bade9ec6cc31259807e48473506161f3a9a230ce";
  is(sha256(packedRows()), rows);
  is(sha256(packedWords()), rows);
  is(sha256(e8pEntries()), "ea3883a85a627590ca74626320a2a691943386a8c89ac72cdb6388bfe7da5cc0");
  if (typeof crc32 === "function") {
    is(crc32(bytesOf(packedRows())).toString(16), "b1a1a044");
    is(crc32(bytesOf(e8pEntries())).toString(16), "d4e2f266");
  }
});
tables("golden vectors", () => {
  const golden: Record<string, string> = {
    "0000": ".75 .75 .75 .75 .75 .75 .75 .75",
    "0001": ".25 .25 .25 .25 .25 .25 .25 .25",
    "0100": ".75 .75 .75 .75 .75 .75 .75 -1.25",
    "01ff": "-.25 -.25 -.25 -.25 -.25 -.25 -.25 1.75",
    "1234": "-.75 -.75 .25 -.75 -1.75 .25 .25 1.25",
    abcd: "1.25 .25 .25 1.25 -.75 -1.75 -.75 .25",
    e300: "1.75 .75 .75 .75 1.75 1.75 1.75 -1.25",
    ffff: "-1.25 -1.25 -.25 -.25 -1.25 -1.25 -1.25 .75",
  };
  for (const [code, w] of Object.entries(golden)) {
    const at = 8 * Number.parseInt(code, 16);
    is(Array.from(e8pEntries().subarray(at, at + 8), (v) => v / 4).join(" "), w.split(" ").map(Number).join(" "), code);
  }
});
tables("E8P: distinct, in the shifted lattice, of the published sums", () => {
  const entries = e8pEntries();
  const seen = new Set<string>();
  let squares = 0;
  for (let code = 0; code < 65536; code++) {
    const v = Array.from(entries.subarray(8 * code, 8 * code + 8));
    seen.add(v.join());
    // w - 1/4 in E8: all whole or all halves, of even sum.
    const twice = v.map((x) => (x - 1) / 2);
    ok(twice.every((x) => Number.isInteger(x) && (x - (twice[0] as number)) % 2 === 0));
    is(Math.abs(twice.reduce((sum, x) => sum + x, 0) % 4), 0);
    squares += v.reduce((sum, x) => sum + x * x, 0);
  }
  is(seen.size, 65536);
  is(squares / 16, 627200);
  is(
    entries.reduce((sum, x) => sum + x, 0),
    0,
  );
  is(
    entries.reduce((most, x) => Math.max(most, Math.abs(x)), 0),
    11,
  );
});
tables("entries are those of the reference", () => {
  for (let code = 0; code < 65536; code += 7) {
    is(e8pVector(code).join(), Array.from(e8pEntries().subarray(8 * code, 8 * code + 8), (v) => v / 4).join());
  }
  for (let code = 0; code < 256; code++) {
    is(e81bVector(code).join(), Array.from(e81bEntries().subarray(8 * code, 8 * code + 8), (v) => v / 2).join());
    is(d4Vector(code).join(), Array.from(d4Entries().subarray(4 * code, 4 * code + 4), (v) => v / 2).join());
  }
});
tables("D4 and E81B: distinct points of their lattices", () => {
  is(new Set(Array.from({ length: 256 }, (_, code) => e81bVector(code).join())).size, 256);
  const points = Array.from({ length: 256 }, (_, code) => d4Vector(code));
  is(new Set(points.map((v) => v.join())).size, 256);
  for (const v of points) {
    is(Math.abs(v.reduce((sum, x) => sum + x, 0) % 2), 0);
    ok(v.reduce((sum, x) => sum + x * x, 0) <= 9);
  }
});

const kernels = suite("e8p kernels");
for (const { variant, lb: one } of instances) {
  kernels(`${variant}: every code in every place`, () => {
    // x picks one column of 8 at a time, so that each product is one weight.
    for (const codebook of ["e8p", "e81b"] as const) {
      const rows = codebook === "e8p" ? 65536 : 256;
      const codes = Uint16Array.from({ length: rows }, (_, i) => i);
      const entries = codebook === "e8p" ? e8pEntries() : e81bEntries();
      const matrix = e8p.packCodes(one, { rows, cols: 8, codebook, codes });
      const x = new Float32Array(64);
      for (let k = 0; k < 8; k++) x[9 * k] = 127;
      const many = matrix.gemm(x, 8);
      const dense = matrix.dequantize();
      const unit = codebook === "e8p" ? 4 : 2;
      for (let k = 0; k < 8; k++) {
        const y = matrix.gemv(x.subarray(8 * k, 8 * k + 8));
        for (let row = 0; row < rows; row++) {
          const expected = (entries[8 * row + k] as number) / unit;
          if (y[row] !== 127 * expected || many[k * rows + row] !== 127 * expected || dense[8 * row + k] !== expected) {
            throw new Error(`code ${row}, column ${k}: expected ${expected}, got ${y[row]}, ${many[k * rows + row]}`);
          }
        }
      }
      matrix.dispose();
    }
  });
  kernels(`${variant}: the largest sums`, () => {
    // All x are ±127 and every code is the one whose product with them is largest, or least, or has the largest parts.
    for (const codebook of ["e8p", "e81b"] as const) {
      const entries = codebook === "e8p" ? e8pEntries() : e81bEntries();
      const unit = codebook === "e8p" ? 4 : 2;
      for (const cols of [8 * 27, 8 * 28, 8 * 29, 8 * 64, 8 * 65, 8 * 255, 8 * 256, 8200]) {
        for (const pattern of [0, 0xff, 0x0f, 0x55]) {
          const signs = Array.from({ length: 8 }, (_, k) => ((pattern >> k) & 1 ? -1 : 1));
          const dots = Array.from({ length: entries.length / 8 }, (_, code) =>
            signs.reduce((sum, s, k) => sum + s * (entries[8 * code + k] as number), 0),
          );
          const picked = [
            dots.indexOf(dots.reduce((a, b) => Math.max(a, b))),
            dots.indexOf(dots.reduce((a, b) => Math.min(a, b))),
            0,
            dots.length - 1,
          ];
          const units = Math.ceil(cols / 8);
          const codes = Uint16Array.from({ length: 4 * units }, (_, i) => picked[Math.floor(i / units)] as number);
          const matrix = e8p.packCodes(one, { rows: 4, cols, codebook, codes });
          const x = Float32Array.from({ length: cols }, (_, i) => 127 * (signs[i & 7] as number));
          const y = matrix.gemv(x);
          const many = matrix.gemm(tokens(x, 9), 9);
          for (const [row, code] of picked.entries()) {
            const expected = Math.fround((127 * units * (dots[code] as number)) / unit);
            is(y[row], expected, `${codebook} ${cols} ${pattern}`);
            is(many[8 * 4 + row], expected, `${codebook} ${cols} ${pattern} gemm`);
          }
          matrix.dispose();
        }
      }
    }
  });
}

function tokens(x: Float32Array, n: number): Float32Array {
  const all = new Float32Array(n * x.length);
  for (let i = 0; i < n; i++) all.set(x, i * x.length);
  return all;
}

const encoder = suite("e8p encoder");
encoder("finds the nearest code", () => {
  const rng = random("e8p nearest");
  const find = new E8pEncoder();
  const tied = [0, 0.25, -0.25, 0.5, 1, -1.5];
  for (let i = 0; i < 60; i++) {
    const size = [0.3, 1.03, 1.7, 4][i % 4] as number;
    const v = Float64Array.from(rng.gaussians(8), (x) => (i < 10 ? (tied[rng.int(0, 5)] as number) : size * x));
    const away = (entries: Int8Array, code: number, unit: number): number =>
      v.reduce((sum, x, k) => sum + (x - (entries[8 * code + k] as number) / unit) ** 2, 0);
    const least = (entries: Int8Array, unit: number): number => {
      let best = Number.POSITIVE_INFINITY;
      for (let code = 0; code < entries.length / 8; code++) best = Math.min(best, away(entries, code, unit));
      return best;
    };
    ok(away(e8pEntries(), find.e8p(v, 0), 4) <= least(e8pEntries(), 4) + 1e-12, `e8p ${v.join()}`);
    ok(away(e81bEntries(), find.e81b(v, 0), 2) <= least(e81bEntries(), 2) + 1e-12, `e81b ${v.join()}`);
  }
});
encoder("error of a unit Gaussian", () => {
  const rng = random("e8p mse", 1);
  const g = rng.gaussians(1 << 17);
  const find = new E8pEncoder();
  const error = (scale: number, bits: 1 | 2 | 3 | 4): number => {
    const v = Float64Array.from(g, (x) => x * scale);
    for (let i = 0; i < v.length; i += 8) {
      const first = bits === 1 ? 1 : bits === 2 ? 1 : RESIDUAL_SCALE[bits];
      if (bits === 1) find.subtractE81b(v, i, find.e81b(v, i), 1);
      else find.subtractE8p(v, i, find.e8p(v, i), first);
      if (bits === 3) find.subtractE81b(v, i, find.e81b(v, i), 1 / first);
      if (bits === 4) find.subtractE8p(v, i, find.e8p(v, i), 1 / first);
    }
    return v.reduce((sum, x) => sum + x * x, 0) / v.length / scale / scale;
  };
  const near = (got: number, expected: number): void =>
    ok(got <= 1.03 * expected && got > 0.9 * expected, `${got} near ${expected}`);
  near(error(1.03, 2), 0.0917);
  near(error(0.9, 2), 0.0993);
  near(error(0.98, 3), 0.0295);
  near(error(1.03, 4), 0.0096);
  near(error(0.9, 1), 0.388);
  ok(error(0.94, 4) < 0.0089);
});
encoder("D4 and half integers have the error of the published codebooks", () => {
  const g = random("d4 mse", 1).gaussians(1 << 15);
  let d4 = 0;
  let hi = 0;
  const points = Array.from({ length: 256 }, (_, code) => d4Vector(code));
  for (let i = 0; i < g.length; i += 4) {
    let best = Number.POSITIVE_INFINITY;
    for (const p of points) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += ((p[k] as number) - 1.21 * (g[i + k] as number)) ** 2;
      best = Math.min(best, sum);
    }
    d4 += best;
  }
  for (const x of g) hi += (Math.min(Math.max(Math.round(2.97 * x + 7.5), 0), 15) - 7.5 - 2.97 * x) ** 2;
  const perWeight = (sum: number, scale: number): number => sum / g.length / scale ** 2;
  ok(Math.abs(perWeight(d4, 1.21) / 0.1026 - 1) < 0.03, String(perWeight(d4, 1.21)));
  ok(Math.abs(perWeight(hi, 2.97) / 0.01155 - 1) < 0.03, String(perWeight(hi, 2.97)));
});

const layers = suite("e8p layers");
const matrixOf = (n: number): ArrayLike<number> => {
  const k = hadamardOrder(n);
  return k === 1 ? [1] : hadamardMatrix(k);
};
const shapes = [
  [16, 64],
  [64, 128],
  [48, 192],
  [112, 320],
] as const;

function published(codebook: string, rows: number, cols: number, rng: Random) {
  const su = rng.signs(cols);
  const sv = rng.gaussians(rows);
  const word = (n: number): Uint32Array => Uint32Array.from({ length: n }, () => rng.int(0, 0xffffffff));
  const count = { E8P12: 32, E8P12RVQ3B: 64 / 3, E8P12RVQ4B: 16, D4: 4, HI4B1C: 8 }[codebook] as number;
  const n = Math.round((rows * cols) / count);
  const Qidxs =
    codebook === "D4" ? Uint8Array.from(word(n), (x) => x & 255) : codebook === "HI4B1C" ? word(n) : word(2 * n);
  return { codebook, Qidxs, SU: Float32Array.from(su), SV: sv };
}

for (const codebook of ["E8P12", "E8P12RVQ3B", "E8P12RVQ4B", "D4", "HI4B1C"] as const) {
  for (const { variant, lb: one } of instances) {
    layers(`${variant}: ${codebook} as published is the layer of the paper`, () => {
      const rng = random(`quip ${codebook}`);
      for (const [rows, cols] of shapes) {
        const tensors = published(codebook, rows, cols, rng);
        const scaleWH = rows === 64 ? rng.uniforms(cols).map((v) => Math.abs(v) + 0.5) : undefined;
        const Wscale = 0.03125;
        const matrix = e8p.pack(one, {
          ...tensors,
          codebook,
          rows,
          cols,
          Wscale,
          activation: "f32",
          ...(scaleWH && { scaleWH }),
        });
        const w = quipWords(codebook, tensors.Qidxs, rows, cols);
        const n = 9;
        const x = rng.gaussians(n * cols);
        const y = matrix.gemm(x, n);
        const dense = matrix.dequantize();
        for (let token = 0; token < n; token += 4) {
          const one = x.subarray(token * cols, (token + 1) * cols);
          const scaled = scaleWH ? one.map((v, i) => v / (scaleWH[i] as number)) : one;
          const expected = quipLayer(w, rows, cols, tensors.SU, tensors.SV, scaled, matrixOf).map((v) => v * Wscale);
          nmseBelow(y.subarray(token * rows, (token + 1) * rows), expected, 1e-10, `${rows} x ${cols}`);
          nmseBelow(matrix.gemv(one), expected, 1e-10, `${rows} x ${cols}`);
          const direct = Float64Array.from({ length: rows }, (_, row) =>
            one.reduce((sum, v, col) => sum + v * (dense[row * cols + col] as number), 0),
          );
          nmseBelow(Float32Array.from(direct), expected, 1e-9, "dequantize");
        }
        matrix.dispose();
      }
    });
  }
}
layers("int64 indices and their halves, names and numbers are the same", () => {
  const rng = random("quip words");
  const tensors = published("E8P12", 32, 128, rng);
  const halves = tensors.Qidxs as Uint32Array;
  const common = { ...tensors, rows: 32, cols: 128 };
  const x = rng.gaussians(128);
  const y = [
    e8p.pack(lb, { ...common, codebook: "E8P12" }),
    e8p.pack(lb, { ...common, codebook: 7, Qidxs: new BigInt64Array(halves.buffer) }),
    e8p.pack(lb, {
      ...common,
      codebook: 7,
      Qidxs: new BigUint64Array(halves.buffer),
      Wscale: new Float32Array(32).fill(1),
    }),
  ].map((matrix) => using(matrix, () => Array.from(matrix.gemv(x)).join()));
  is(y[1], y[0]);
  is(y[2], y[0]);
});
layers("version 0: int16 codes of another order of signs, and a row twice", () => {
  const codes = quipE8p0(
    "test",
    Int16Array.from({ length: 65536 }, (_, i) => i - 32768),
    8192,
    64,
  );
  const entries = e8pEntries();
  for (const [old, code] of codes.entries()) {
    const got = Array.from(entries.subarray(8 * code, 8 * code + 8), (v) => v / 4).join();
    if (got !== e8pVector0(old).join()) throw new Error(`code ${old}: expected ${e8pVector0(old)}, got ${got}`);
  }
  // Every point of version 1 but the 256 of row 254, and those of row 248 twice.
  is(new Set(codes).size, 65536 - 256);
  ok(!codes.some((code) => code >> 8 === 254));

  const rng = random("quip version 0");
  const Qidxs = Int16Array.from({ length: 32 * 16 }, () => rng.int(-32768, 32767));
  const { SU, SV } = published("E8P12", 32, 128, rng);
  const common = { codebook: "E8P12", version: 0, rows: 32, cols: 128, SU, SV } as const;
  const matrix = e8p.pack(lb, { ...common, Qidxs, activation: "f32" });
  const w = Float64Array.from({ length: 32 * 128 }, (_, i) => {
    return e8pVector0((Qidxs[i >> 3] as number) + 32768)[i & 7] as number;
  });
  const x = rng.gaussians(128);
  nmseBelow(matrix.gemv(x), quipLayer(w, 32, 128, SU, SV, x, matrixOf), 1e-10, "version 0");
  matrix.dispose();
  const refuse = (type: ErrorConstructor, text: string, change: object): void =>
    throwsWith(() => e8p.pack(lb, { ...common, Qidxs, ...change }), type, text);
  refuse(RangeError, "e8p.pack: Qidxs: expected length 512", { Qidxs: Qidxs.subarray(1) });
  refuse(TypeError, "e8p.pack: Qidxs: expected an Int16Array (version 0)", { Qidxs: new Uint16Array(512) });
  refuse(RangeError, "e8p.pack: version: expected 1 for D4", { codebook: "D4" });
});

const bounds = { 2: 0.0917, 3: 0.0295, 4: 0.0089 } as const;
for (const bits of [2, 3, 4] as const) {
  layers(`quantize ${bits} bits: error of Gaussian weights`, () => {
    const rng = random(`e8p quantize ${bits}`, 1);
    const rows = 96;
    const cols = 256;
    const w = rng.gaussians(rows * cols);
    const matrix = e8p.quantize(lb, w, { rows, cols, bits });
    is(matrix.format, bits === 2 ? "e8p" : `e8p${bits}`);
    const got = matrix.dequantize();
    let error = 0;
    let power = 0;
    for (const [i, v] of w.entries()) {
      error += (v - (got[i] as number)) ** 2;
      power += v * v;
    }
    ok(error / power < 1.03 * bounds[bits], String(error / power));
    const x = rng.gaussians(cols);
    const y = matrix.gemv(x);
    const exact = Float64Array.from({ length: rows }, (_, r) =>
      x.reduce((sum, v, c) => sum + v * (got[r * cols + c] as number), 0),
    );
    nmseBelow(y, exact, 1e-3, "int8");
    ok(matrix.bitsPerWeight < bits + 1.2, String(matrix.bitsPerWeight));
    matrix.dispose();
  });
}
layers("with a Hessian of correlated inputs the product changes less", () => {
  const rng = random("e8p hessian", 1);
  const rows = 64;
  const cols = 128;
  const w = rng.gaussians(rows * cols);
  // Inputs with few directions, and noise.
  const basis = rng.gaussians(16 * cols);
  const inputs = Array.from({ length: 512 }, () => {
    const t = rng.gaussians(16);
    return rng
      .gaussians(cols)
      .map((noise, col) => t.reduce((sum, v, i) => sum + v * (basis[i * cols + col] as number), noise / 4));
  });
  const hessian = new Float32Array(cols * cols);
  for (const x of inputs) {
    for (let i = 0; i < cols; i++) {
      for (let j = 0; j < cols; j++)
        hessian[i * cols + j] = (hessian[i * cols + j] as number) + (x[i] as number) * (x[j] as number);
    }
  }
  const error = (matrix: Matrix): number =>
    using(matrix, () => {
      const got = matrix.dequantize();
      let sum = 0;
      for (const x of inputs.slice(0, 64)) {
        for (let row = 0; row < rows; row++) {
          const at = row * cols;
          sum += x.reduce((dot, v, col) => dot + v * ((got[at + col] as number) - (w[at + col] as number)), 0) ** 2;
        }
      }
      return sum;
    });
  for (const bits of [2, 3, 4] as const) {
    const plain = error(e8p.quantize(lb, w, { rows, cols, bits }));
    const fed = error(e8p.quantize(lb, w, { rows, cols, bits, hessian }));
    ok(fed < 0.6 * plain, `${bits} bits: ${fed / plain}`);
  }
  throwsWith(
    () => e8p.quantize(lb, w, { rows, cols, hessian: new Float32Array(5) }),
    RangeError,
    "e8p.quantize: hessian",
  );
});
layers("outliers of a weight matrix are spread before they are rounded", () => {
  const rng = random("e8p outliers");
  const w = rng.gaussians(64 * 128);
  w[5] = 40;
  w[700] = -60;
  const matrix = e8p.quantize(lb, w, { rows: 64, cols: 128 });
  const got = matrix.dequantize();
  let error = 0;
  for (const [i, v] of w.entries()) error += (v - (got[i] as number)) ** 2;
  ok(error / w.reduce((sum, v) => sum + v * v, 0) < 0.13);
  matrix.dispose();
});
layers("zero weights are zero", () => {
  const matrix = e8p.quantize(lb, new Float32Array(16 * 32), { rows: 16, cols: 32 });
  ok(matrix.gemv(new Float32Array(32).fill(3)).every((v) => Math.abs(v) === 0));
  matrix.dispose();
});
layers("the seed decides, and quantizeAsync is quantize", async () => {
  const w = random("e8p seed").gaussians(32 * 64);
  const at = (seed: number): Matrix => e8p.quantize(lb, w, { rows: 32, cols: 64, seed });
  const [a, b, c] = [at(1), at(1), at(2)].map((matrix) => using(matrix, () => matrix.dequantize().join()));
  is(a, b);
  ok(a !== c);
  const done: number[] = [];
  const options = { rows: 32, cols: 64, seed: 1, onProgress: (fraction: number) => done.push(fraction) };
  const later = await e8p.quantizeAsync(lb, w, options);
  is(later.dequantize().join(), a);
  is(done.at(-1), 1);
  later.dispose();
});
layers("a signal ends the work and gives its memory back", async () => {
  const w = random("e8p abort").gaussians(256 * 256);
  const before = lb.memory.used;
  const control = new AbortController();
  const work = e8p.quantizeAsync(lb, w, {
    rows: 256,
    cols: 256,
    signal: control.signal,
    onProgress: () => control.abort(new Error("enough")),
  });
  let message = "";
  await work.catch((error: Error) => {
    message = error.message;
  });
  is(message, "enough");
  is(lb.memory.used, before);
});
layers("branches are on the outside", () => {
  const rng = random("e8p branches");
  const w = rng.gaussians(32 * 64);
  const bias = rng.gaussians(32);
  const x = rng.gaussians(64);
  const plain = e8p.quantize(lb, w, { rows: 32, cols: 64, activation: "f32" });
  const expected = Float64Array.from(plain.gemv(x), (v, i) => v + (bias[i] as number));
  const matrix = plain.with({ bias });
  nmseBelow(matrix.gemv(x), expected, 1e-12, "bias");
  matrix.dispose();
});

function using<T>(matrix: Matrix, body: () => T): T {
  try {
    return body();
  } finally {
    matrix.dispose();
  }
}

const errors = suite("e8p errors");
errors("quantize", () => {
  const w = new Float32Array(64 * 64);
  const quantize =
    (options: object, weights: Float32Array = w) =>
    (): unknown =>
      e8p.quantize(lb, weights, { rows: 64, cols: 64, ...options });
  throwsWith(
    quantize({ cols: 60 }, new Float32Array(64 * 60)),
    RangeError,
    "e8p.quantize: cols: expected a multiple of 8 that has a Hadamard transform, got 60 (the nearest that work are 56 and 64)",
  );
  throwsWith(
    quantize({ cols: 152 }, new Float32Array(64 * 152)),
    RangeError,
    "cols: expected a multiple of 8 that has",
  );
  throwsWith(quantize({ cols: 4 }, new Float32Array(64 * 4)), RangeError, "got 4 (the least that works is 8)");
  throwsWith(
    quantize({ rows: 19 }, new Float32Array(64 * 19)),
    RangeError,
    "e8p.quantize: rows: expected a size with a Hadamard transform, got 19 (the nearest that work are 16 and 20)",
  );
  throwsWith(quantize({ bits: 5 }), RangeError, "e8p.quantize: bits: expected an integer from 2 to 4");
  throwsWith(quantize({ seed: -1 }), RangeError, "e8p.quantize: seed");
  throwsWith(quantize({ scale: 0 }), RangeError, "e8p.quantize: scale: expected a positive number");
  throwsWith(
    quantize({ groupSize: 8 }),
    TypeError,
    "e8p.quantize: options: expected one of rows, cols, activation, kernel,",
  );
  throwsWith(quantize({}, new Float32Array(5)), RangeError, "e8p.quantize: w: expected length 4096");
  throwsWith(
    quantize(
      {},
      w.map((v, i) => (i === 7 ? Number.NaN : v)),
    ),
    RangeError,
    "NaN at index 7",
  );
  throwsWith(quantize({ activation: "lut8" }), RangeError, "e8p.quantize: activation");
});
errors("packCodes", () => {
  const pack = (options: object) => (): unknown =>
    e8p.packCodes(lb, { rows: 2, cols: 9, codes: new Uint16Array(4), ...options } as never);
  (pack({})() as Matrix).dispose();
  throwsWith(pack({ codes: new Uint16Array(3) }), RangeError, "e8p.packCodes: codes: expected length 4");
  throwsWith(pack({ codes: new Uint8Array(4) }), TypeError, "e8p.packCodes: codes: expected a Uint16Array");
  const codes = Uint16Array.of(0, 255, 256, 0);
  throwsWith(pack({ codes, codebook: "e81b" }), RangeError, "expected 0 to 255, got 256 at index 2");
  throwsWith(pack({ codebook: "d4" }), RangeError, "e8p.packCodes: codebook");
  throwsWith(pack({ scales: new Float32Array(3) }), RangeError, "e8p.packCodes: scales");
});
errors("pack", () => {
  const tensors = published("E8P12", 16, 64, random("quip errors"));
  const pack = (options: object) => (): unknown =>
    e8p.pack(lb, { ...tensors, rows: 16, cols: 64, ...options } as never);
  (pack({})() as Matrix).dispose();
  throwsWith(pack({ codebook: 8 }), RangeError, "e8p.pack: codebook: expected one of 0, 7, 10, 17, 18, got 8");
  throwsWith(pack({ codebook: "E8" }), RangeError, "e8p.pack: codebook");
  throwsWith(pack({ version: 2 }), RangeError, "e8p.pack: version: expected 0 or 1");
  throwsWith(pack({ version: 0, codebook: "D4" }), RangeError, "e8p.pack: version: expected 1 for D4");
  throwsWith(
    pack({ rows: 8 }),
    RangeError,
    "e8p.pack: rows: expected a multiple of 16 that has a Hadamard transform, got 8",
  );
  // 144 and 160 have transforms, but the layout keeps 64 columns together.
  throwsWith(
    pack({ cols: 152 }),
    RangeError,
    "e8p.pack: cols: expected a multiple of 64 that has a Hadamard transform, got 152 (the nearest that work are 128 and 192)",
  );
  throwsWith(pack({ Qidxs: new BigInt64Array(31) }), RangeError, "e8p.pack: Qidxs: expected length 32");
  throwsWith(pack({ Qidxs: new Float32Array(64) }), TypeError, "e8p.pack: Qidxs");
  throwsWith(pack({ SU: new Float32Array(63) }), RangeError, "e8p.pack: SU");
  throwsWith(pack({ SV: new Float32Array(16).fill(Number.NaN) }), RangeError, "e8p.pack: SV");
  throwsWith(pack({ Wscale: Number.POSITIVE_INFINITY }), RangeError, "e8p.pack: Wscale");
  throwsWith(pack({ scaleWH: new Float32Array(64) }), RangeError, "e8p.pack: scaleWH: expected no zeros");
});
