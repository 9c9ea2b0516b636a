// Golden vectors of lattice codes, lifted weights and transforms: stored bytes and products, as the oracles make them.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type ProjectionName, projectionData, shippedProjection } from "../../src/formats/lift/projections.ts";
import { HADAMARD_ORDERS, hadamardMatrix, hadamardOrder } from "../../src/transforms/index.ts";
import { toHex } from "../kernels/vectors.ts";
import { type Random, random } from "../lib/random.ts";
import {
  e8pVector,
  e8pVector0,
  e81bVector,
  latticeBytes,
  quipWords,
  storedE8pBytes,
  storedE81bByte,
} from "../reference/e8p.ts";
import { gemvInt8 } from "../reference/gemv.ts";
import { hadamardRounded } from "../reference/hadamard.ts";
import { tileBytes, tileScales } from "../reference/layout.ts";
import { liftProject, productRounded, whiteningFactor } from "../reference/lift.ts";
import { makeWeights } from "../reference/weights.ts";

/** Numbers are little-endian bytes in hexadecimal. */
export interface CodesVector {
  codebook: "e8p" | "e81b";
  rows: number;
  cols: number;
  groupSize: number;
  /** uint16 [rows, ceil(cols / 8)] */
  codes: string;
  /** float32 [rows, groups] */
  scales: string;
  /** Stored bytes: codes, then scales. */
  packed: string;
  /** float32 [cols] */
  x: string;
  /** float32 [rows], of int8 activations */
  int8: string;
}

/** A layer as QuIP# publishes it. */
export interface QuipVector {
  codebook: "E8P12" | "E8P12RVQ3B" | "E8P12RVQ4B";
  version: 0 | 1;
  rows: number;
  cols: number;
  /** Bytes of Qidxs. */
  Qidxs: string;
  /** float32 [cols], [rows], [cols], [rows] */
  SU: string;
  SV: string;
  x: string;
  int8: string;
}

/** What lift.packCodes takes. */
export interface LiftVector {
  projection: ProjectionName;
  whitening: "hadamard" | "none";
  rows: number;
  cols: number;
  /** uint8 [rows][ceil(lifted columns / 8)] */
  signs: string;
  /** float32 [rows], [cols], [columns of whole vectors] */
  scales: string;
  before: string;
  after: string;
  /** SHA-256 of the stored bytes (signs, scales, numbers of the steps), their number, and the first 32. */
  packedHash: string;
  packedLength: number;
  packedStart: string;
  /** float32 [cols], [rows] */
  x: string;
  int8: string;
}

/** A layer of a LiftQuant checkpoint, with the names of its tensors. */
export interface LiftLayerVector {
  rows: number;
  cols: number;
  packedWeight: string;
  scale: string;
  a1: string;
  a2: string;
  left: string;
  right: string;
  /** float32 [cols], [rows] */
  x: string;
  int8: string;
}

/** Of x[i] = ((2654435761 (i + 1) mod 2^32) / 2^31 - 1), rounded to float32. */
export interface TransformVector {
  n: number;
  /** K of n = K 2^m, and the choice and block of the call. */
  k: number;
  choice: "quip" | "quarot";
  block: number;
  inverse: boolean;
  /** SHA-256 of the bytes of y, and its first 4 numbers. */
  hash: string;
  start: string;
}

/** (L ⊗ R) x with the same x, from index 0; L is the same sequence from index 1000 on, R from 2000. */
export interface KroneckerVector {
  m1: number;
  t1: number;
  m2: number;
  t2: number;
  y: string;
}

export interface LatticeVectors {
  /** SHA-256 of the stored bytes of all codes in order: 2 bytes a code of E8P, sign byte first; 1 of E81B. */
  storedE8p: string;
  storedE81b: string;
  codes: CodesVector[];
  quip: QuipVector[];
  /** SHA-256 of the int16 of each shipped projection. */
  projections: Record<string, string>;
  lift: LiftVector[];
  liftLayers: LiftLayerVector[];
  transforms: TransformVector[];
  kronecker: KroneckerVector[];
}

export const latticeVectorFile = new URL("./vectors.json", import.meta.url);

/** The vectors as checked in. */
export function readLatticeVectors(): LatticeVectors {
  return JSON.parse(readFileSync(latticeVectorFile, "utf8")) as LatticeVectors;
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
export const bytesOf = (array: Float32Array | Uint16Array | Int16Array | Uint32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const concat = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => Array.from(part)));
/** Numbers of a step start at multiples of 64 bytes. */
const step = (numbers: Float32Array): Uint8Array =>
  concat(bytesOf(numbers), new Uint8Array(63 - ((numbers.byteLength + 63) % 64)));

export function sequence(length: number, from = 0): Float32Array {
  return Float32Array.from({ length }, (_, i) => (Math.imul(i + from + 1, 2654435761) >>> 0) / 2 ** 31 - 1);
}

/** The vectors as the oracles make them now; the seed is fixed and no engine-dependent function is involved. */
export function makeLatticeVectors(): LatticeVectors {
  const rng = random("vectors lattice", 1);
  const all = (size: number, of: (code: number) => readonly number[]): string =>
    sha256(Uint8Array.from(Array.from({ length: size }, (_, code) => of(code)).flat()));
  return {
    storedE8p: all(65536, storedE8pBytes),
    storedE81b: all(256, (code) => [storedE81bByte(code)]),
    codes: makeCodes(rng),
    quip: makeQuip(rng),
    projections: Object.fromEntries(
      Object.entries(projectionData).map(([name, { data }]) => [name, sha256(Buffer.from(data, "base64"))]),
    ),
    lift: makeLift(rng),
    liftLayers: [makeLiftLayer(rng)],
    transforms: makeTransforms(),
    kronecker: makeKronecker(),
  };
}

/** Data and not computed, so not the oracle's: vectors and hadamard.json have their hashes. */
const orderMatrix = (k: number): ArrayLike<number> => (k === 1 ? [1] : hadamardMatrix(k));

function rotate(values: Float32Array, inverse = false): Float32Array {
  const k = hadamardOrder(values.length);
  return hadamardRounded(values, orderMatrix(k), values.length / k, inverse);
}

function makeCodes(rng: Random): CodesVector[] {
  const shapes = [
    ["e8p", 1, 8, 8],
    ["e8p", 18, 44, 16],
    ["e8p", 70, 24, 24],
    ["e81b", 3, 60, 60],
    ["e81b", 66, 32, 8],
  ] as const;
  return shapes.map(([codebook, rows, cols, groupSize]) => {
    const units = Math.ceil(cols / 8);
    const groups = Math.ceil(cols / groupSize);
    const codes = Uint16Array.from({ length: rows * units }, () => rng.int(0, codebook === "e8p" ? 65535 : 255));
    const scales = rng.uniforms(rows * groups);
    const unit = codebook === "e8p" ? 4 : 2;
    // Kernels multiply by whole numbers.
    const stored = scales.map((scale) => scale / unit);
    const vector = codebook === "e8p" ? e8pVector : e81bVector;
    const points = Int8Array.from({ length: rows * cols }, (_, i) => {
      const [row, col] = [Math.floor(i / cols), i % cols];
      return unit * (vector(codes[row * units + (col >> 3)] as number)[col & 7] as number);
    });
    const weights = makeWeights({ rows, cols, planes: 1, codes: points, scales: stored, groupSize });
    const of = codebook === "e8p" ? storedE8pBytes : (code: number): number[] => [storedE81bByte(code)];
    const bytes = latticeBytes(Array.from(codes, of), rows, units);
    const x = rng.uniforms(cols, 3);
    return {
      ...{ codebook, rows, cols, groupSize },
      codes: toHex(bytesOf(codes)),
      scales: toHex(scales),
      packed: toHex(concat(bytes, bytesOf(tileScales(weights)))),
      x: toHex(x),
      int8: toHex(gemvInt8(weights, x)),
    };
  });
}

const RESIDUAL = { E8P12RVQ3B: 2.04, E8P12RVQ4B: 3.45 } as const;

function makeQuip(rng: Random): QuipVector[] {
  const shapes = [
    ["E8P12", 1, 16, 64],
    ["E8P12RVQ3B", 1, 48, 192],
    ["E8P12RVQ4B", 1, 32, 128],
    ["E8P12", 0, 20, 56],
  ] as const;
  return shapes.map(([codebook, version, rows, cols]) => {
    const words = { E8P12: 16, E8P12RVQ3B: 32 / 3, E8P12RVQ4B: 8 }[codebook];
    const Qidxs =
      version === 1
        ? Uint32Array.from({ length: (rows * cols) / words }, () => rng.bits())
        : Int16Array.from({ length: (rows * cols) / 8 }, () => rng.int(-32768, 32767));
    const SU = Float32Array.from(rng.signs(cols));
    const SV = rng.uniforms(rows);
    const x = rng.uniforms(cols, 3);
    const rotated = rotate(
      x.map((value, i) => value * (SU[i] as number)),
      true,
    );
    const times = (w: ArrayLike<number>, unit: number, scale: number): Float32Array => {
      const codes = Int8Array.from(w, (value) => Math.round(unit * value));
      return gemvInt8(makeWeights({ rows, cols, planes: 1, codes, scales: [scale / unit] }), rotated);
    };
    let sums: Float32Array;
    if (version === 0) {
      const w = Array.from(Qidxs, (index) => e8pVector0(index + 32768)).flat();
      sums = times(w, 4, 1);
    } else {
      const main = quipWords(codebook, Qidxs, rows, cols, "main");
      sums = times(main, 4, 1);
      if (codebook !== "E8P12") {
        const rest = quipWords(codebook, Qidxs, rows, cols, "residual");
        const more = times(rest, codebook === "E8P12RVQ3B" ? 2 : 4, 1 / RESIDUAL[codebook]);
        sums = sums.map((sum, row) => sum + (more[row] as number));
      }
    }
    const y = rotate(sums).map((value, row) => value * (SV[row] as number));
    return {
      ...{ codebook, version, rows, cols },
      Qidxs: toHex(bytesOf(Qidxs)),
      SU: toHex(SU),
      SV: toHex(SV),
      x: toHex(x),
      int8: toHex(y),
    };
  });
}

/** Signs of bits, 1 = +1; each row starts with a byte. */
function signsOf(bits: Uint8Array, rows: number, cols: number): Int8Array {
  const rowBytes = Math.ceil(cols / 8);
  return Int8Array.from({ length: rows * cols }, (_, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    return ((bits[row * rowBytes + (col >> 3)] as number) >> (col & 7)) & 1 ? 1 : -1;
  });
}

function makeLift(rng: Random): LiftVector[] {
  const shapes = [
    ["16to8", "none", 3, 37],
    ["24to10", "hadamard", 20, 64],
    ["12to8", "hadamard", 5, 44],
    ["5to2", "hadamard", 17, 20],
  ] as const;
  return shapes.map(([projection, whitening, rows, cols]) => {
    const { dims, lifted, matrix } = shippedProjection(projection);
    const vectors = Math.ceil(cols / dims);
    const liftedCols = lifted * vectors;
    const bits = Uint8Array.from({ length: rows * Math.ceil(liftedCols / 8) }, () => rng.int(0, 255));
    const scales = rng.uniforms(rows);
    const before = rng.uniforms(cols, 2);
    const after = rng.uniforms(dims * vectors, 2);
    const x = rng.uniforms(cols, 3);
    const numbers: Uint8Array[] = [];
    let v = x;
    if (whitening === "hadamard") {
      numbers.push(step(before));
      v = v.map((value, i) => value * (before[i] as number));
      if (cols === 44) {
        // 4 · 11: no Hadamard matrix has this order.
        const factor = whiteningFactor(11);
        numbers.push(step(factor));
        v = productRounded(factor, hadamardRounded(v, [1], 4), 11);
      } else {
        v = rotate(v);
      }
    }
    const whole = Float32Array.from(after, (by, i) => (v[i] ?? 0) * by);
    const transposed = Float32Array.from({ length: lifted * dims }, (_, i) => {
      return matrix[(i % dims) * lifted + Math.floor(i / dims)] as number;
    });
    numbers.push(step(after), step(transposed));
    const codes = signsOf(bits, rows, liftedCols);
    const weights = makeWeights({ rows, cols: liftedCols, planes: 1, codes, scales });
    const signBytes = tileBytes(codes, rows, liftedCols, 1);
    const packed = concat(signBytes, bytesOf(tileScales(weights)), ...numbers);
    return {
      ...{ projection, whitening, rows, cols },
      signs: toHex(bits),
      scales: toHex(scales),
      before: toHex(before),
      after: toHex(after),
      packedHash: sha256(packed),
      packedLength: packed.length,
      packedStart: toHex(packed.slice(0, 32)),
      x: toHex(x),
      int8: toHex(gemvInt8(weights, productRounded(transposed, whole, dims))),
    };
  });
}

function makeLiftLayer(rng: Random): LiftLayerVector {
  const [rows, cols, t1, t2, out] = [5, 22, 3, 8, 16];
  const packedWeight = Uint8Array.from({ length: (rows * t1 * out) / 8 }, () => rng.int(0, 255));
  const tensors = {
    ...{ rows, cols, signs: signsOf(packedWeight, rows, t1 * out), scale: rng.uniforms(rows) },
    a1: rng.uniforms(t1 * t2).map((value) => value + (value < 0 ? -1 : 1)),
    a2: rng.uniforms(t1 * out),
    left: rng.uniforms(t1 * t1),
    right: rng.uniforms(out * t2),
  };
  const { signs, scale, a1, a2, left, right } = tensors;
  const x = rng.uniforms(cols, 3);
  const halves = scale.map((value) => value / 2);
  const weights = makeWeights({ rows, cols: t1 * out, planes: 1, codes: signs, scales: halves });
  return {
    ...{ rows, cols, packedWeight: toHex(packedWeight), scale: toHex(scale), a1: toHex(a1), a2: toHex(a2) },
    ...{ left: toHex(left), right: toHex(right), x: toHex(x) },
    int8: toHex(gemvInt8(weights, liftProject(tensors, x))),
  };
}

function makeTransforms(): TransformVector[] {
  const cases: [n: number, k: number, choice: "quip" | "quarot", block: number, inverse: boolean][] = [];
  for (let n = 1; n <= 16384; n *= 2) cases.push([n, 1, "quip", n, false]);
  cases.push([4096, 1, "quip", 128, false], [5120, 40, "quarot", 5120, false], [11008, 172, "quip", 11008, true]);
  cases.push([240, 12, "quip", 24, false], [20, 20, "quip", 20, true]);
  for (const k of HADAMARD_ORDERS) {
    const choice = k === 40 ? "quarot" : "quip";
    for (const inverse of [false, true]) cases.push([8 * k, k, choice, 8 * k, inverse]);
  }
  return cases.map(([n, k, choice, block, inverse]) => {
    const y = hadamardRounded(sequence(n), orderMatrix(k), block / k, inverse);
    return { n, k, choice, block, inverse, hash: sha256(bytesOf(y)), start: toHex(y.slice(0, 4)) };
  });
}

function makeKronecker(): KroneckerVector[] {
  const shapes = [
    [3, 3, 5, 5],
    [4, 6, 9, 2],
    [1, 1, 16, 8],
    [17, 8, 2, 3],
  ] as const;
  return shapes.map(([m1, t1, m2, t2]) => {
    const left = sequence(m1 * t1, 1000);
    const right = sequence(m2 * t2, 2000);
    const transposed = Float32Array.from({ length: t2 * m2 }, (_, i) => {
      return right[(i % m2) * t2 + Math.floor(i / m2)] as number;
    });
    const y = productRounded(left, productRounded(sequence(t1 * t2), transposed, t2), t1);
    return { m1, t1, m2, t2, y: toHex(y) };
  });
}
