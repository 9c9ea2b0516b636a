// The stored bytes and products of lattice codes, lifted weights and transforms, against vectors that are checked in: files
// that users keep depend on them.

import { storedE8p, storedE81b } from "../../src/formats/e8p/bytes.ts";
import { projectionData } from "../../src/formats/lift/projections.ts";
import { storedBytes } from "../../src/matrix/stored.ts";
import { hadamard, hadamardInverse, kronecker } from "../../src/transforms/index.ts";
import { bytesFromHex, floatsFromHex } from "../kernels/vectors.ts";
import { equal, equalBits, is } from "../lib/assert.ts";
import { availableVariants, e8p, lift, type Matrix } from "../lib/library.ts";
import { suite } from "../lib/suite.ts";
import { bytesOf, makeLatticeVectors, readLatticeVectors, sequence, sha256 } from "./vectors.ts";

const t = suite("lattice vectors");
const { instances } = await availableVariants();
const vectors = readLatticeVectors();

const words16 = (hex: string): Uint16Array => new Uint16Array(bytesFromHex(hex).buffer as ArrayBuffer);
/** gemv, and gemm of as many tokens as take its own kernel, give the bits of `int8`. */
function check(matrix: Matrix, vector: { x: string; int8: string }, label: string): void {
  const [x, y] = [floatsFromHex(vector.x), floatsFromHex(vector.int8)];
  equalBits(matrix.gemv(x), y, label);
  const n = 9;
  const xs = new Float32Array(n * x.length);
  for (let token = 0; token < n; token++) xs.set(x, token * x.length);
  const ys = matrix.gemm(xs, n);
  for (let token = 0; token < n; token++) {
    equalBits(ys.slice(token * y.length, (token + 1) * y.length), y, `${label}, token ${token}`);
  }
  matrix.dispose();
}

t("are what the oracles make", () => equal(vectors, makeLatticeVectors()));

t("every code of E8P and E81B is stored as it was", () => {
  // Sign byte first: little endian.
  is(sha256(bytesOf(storedE8p())), vectors.storedE8p);
  is(sha256(Uint8Array.from(storedE81b())), vectors.storedE81b);
});

t("projections are those that matrices were made with", () => {
  equal(Object.keys(projectionData), Object.keys(vectors.projections));
  for (const [name, { data }] of Object.entries(projectionData)) {
    is(sha256(Buffer.from(data, "base64")), vectors.projections[name], name);
  }
});

for (const { variant, lb } of instances) {
  for (const vector of vectors.codes) {
    const { codebook, rows, cols, groupSize } = vector;
    t(`${variant}: ${codebook} ${rows} x ${cols} group ${groupSize}`, () => {
      const options = { rows, cols, groupSize, codebook };
      const codes = words16(vector.codes);
      const matrix = e8p.packCodes(lb, { ...options, codes, scales: floatsFromHex(vector.scales) });
      equalBits(storedBytes(matrix), bytesFromHex(vector.packed), "stored bytes");
      check(matrix, vector, "int8");
    });
  }

  for (const vector of vectors.quip) {
    const { codebook, version, rows, cols } = vector;
    t(`${variant}: ${codebook} version ${version}, a layer of ${rows} x ${cols}`, () => {
      const { buffer } = bytesFromHex(vector.Qidxs) as Uint8Array<ArrayBuffer>;
      const Qidxs = version === 0 ? new Int16Array(buffer) : new Uint32Array(buffer);
      const [SU, SV] = [floatsFromHex(vector.SU), floatsFromHex(vector.SV)];
      check(e8p.pack(lb, { rows, cols, codebook, version, Qidxs, SU, SV }), vector, "int8");
    });
  }

  for (const vector of vectors.lift) {
    const { projection, whitening, rows, cols } = vector;
    t(`${variant}: lift ${projection} ${whitening}, ${rows} x ${cols}`, () => {
      const matrix = lift.packCodes(lb, {
        ...{ rows, cols, projection, whitening },
        signs: bytesFromHex(vector.signs),
        scales: floatsFromHex(vector.scales),
        before: floatsFromHex(vector.before),
        after: floatsFromHex(vector.after),
      });
      const bytes = storedBytes(matrix);
      is(bytes.length, matrix.byteLength);
      is(bytes.length, vector.packedLength);
      equalBits(bytes.slice(0, 32), bytesFromHex(vector.packedStart), "stored bytes");
      is(sha256(bytes), vector.packedHash);
      check(matrix, vector, "int8");
    });
  }

  for (const vector of vectors.liftLayers) {
    const { rows, cols } = vector;
    t(`${variant}: a LiftQuant layer of ${rows} x ${cols}`, () => {
      const tensor = (name: "scale" | "a1" | "a2" | "left" | "right"): Float32Array => floatsFromHex(vector[name]);
      const matrix = lift.pack(lb, {
        ...{ rows, cols, packedWeight: bytesFromHex(vector.packedWeight), scale: tensor("scale") },
        ...{ a1: tensor("a1"), a2: tensor("a2"), left: tensor("left"), right: tensor("right") },
      });
      check(matrix, vector, "int8");
    });
  }

  t(`${variant}: Hadamard transforms`, () => {
    for (const { n, choice, block, inverse, hash, start } of vectors.transforms) {
      const y = (inverse ? hadamardInverse : hadamard)(lb, sequence(n), n, { choice, block });
      equalBits(y.slice(0, 4), floatsFromHex(start), `${n} by ${block}`);
      is(sha256(bytesOf(y)), hash, `${n} by ${block}, ${choice}, inverse ${inverse}`);
    }
  });

  t(`${variant}: Kronecker pairs`, () => {
    for (const { m1, t1, m2, t2, y } of vectors.kronecker) {
      const pair = { left: sequence(m1 * t1, 1000), right: sequence(m2 * t2, 2000), t1, t2 };
      equalBits(kronecker(lb, sequence(t1 * t2), pair), floatsFromHex(y), `${m1} x ${t1}, ${m2} x ${t2}`);
    }
  });
}
