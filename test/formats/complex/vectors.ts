// Golden vectors of complex weights: small matrices with their stored bytes and products, as the oracle makes them.

import { readFileSync } from "node:fs";
import { storedBytes } from "../../../src/matrix/stored.ts";
import { bytesFromHex, floatsFromHex, toHex } from "../../kernels/vectors.ts";
import type { ComplexArray, Conjugate, Lowbit } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import {
  type Complex,
  type ComplexWeights,
  complexBytes,
  gemvComplexInt8,
  gemvComplexLut8,
  makeComplex,
} from "../../reference/complex.ts";
import { type GivenPlane, type Granularity, packComplex, packFairy2i, randomPlane } from "./matrices.ts";

interface HexComplex {
  re: string;
  im: string;
}

/** Numbers are little-endian bytes in hexadecimal. rows and cols are those of the complex matrices. */
export interface ComplexVector {
  format: "complex" | "fairy2i";
  rows: number;
  cols: number;
  groupSize: number;
  granularity: Granularity;
  /** Of complex. The planes of fairy2i are U ("none") and W ("x") in turn. */
  conjugate: Conjugate;
  /**
   * codes: uint8 [rows, cols]; re, im: float32 [1] (matrix), [rows] (row), [rows, groups] (group) or [groups] (tile)
   */
  planes: (HexComplex & { codes: string })[];
  /** The stored bytes of the matrix: signs s and t of each plane, then its scales. */
  packed: string;
  /** float32 [cols]; fairy2i takes the real x [2 cols], re and then im. */
  x: HexComplex;
  /** float32 [rows] */
  int8: HexComplex;
  /** float32 [rows] */
  lut8: HexComplex;
}

type Outline = Omit<ComplexVector, "planes" | "packed" | "x" | "int8" | "lut8"> & { stages: number };

const outlines: readonly Outline[] = [
  ...([
    ["complex", 1, 1, 1, "matrix", "none", 1],
    ["complex", 3, 10, 10, "row", "x", 1],
    ["complex", 17, 20, 8, "group", "w", 1],
    ["complex", 49, 12, 12, "matrix", "x", 1],
    ["complex", 66, 40, 16, "tile", "none", 1],
    ["complex", 4, 530, 512, "tile", "x", 1],
    ["complex", 130, 9, 8, "group", "none", 1],
    ["fairy2i", 3, 12, 12, "matrix", "none", 2],
    ["fairy2i", 18, 20, 8, "group", "none", 1],
    ["fairy2i", 65, 9, 8, "tile", "none", 3],
  ] as const),
].map(([format, rows, cols, groupSize, granularity, conjugate, stages]) => {
  return { format, rows, cols, groupSize, granularity, conjugate, stages };
});

const hexOf = ({ re, im }: ComplexArray): HexComplex => ({ re: toHex(re), im: toHex(im) });
const complexOf = ({ re, im }: HexComplex): Complex => ({ re: floatsFromHex(re), im: floatsFromHex(im) });

function weightsOf(shape: Omit<Outline, "stages">, planes: readonly GivenPlane[]): ComplexWeights {
  const { format, granularity, conjugate } = shape;
  const tiles = granularity === "tile";
  const kinds: readonly Conjugate[] = format === "complex" ? [conjugate] : ["none", "x"];
  return makeComplex({
    ...shape,
    tiles,
    planes: planes.map((p, i) => ({ ...p, conjugate: kinds[i % kinds.length] as Conjugate })),
  });
}

/** The vectors as the oracle makes them now; the seed is fixed and no engine-dependent function is involved. */
export function makeComplexVectors(): ComplexVector[] {
  const rng = random("vectors complex", 1);
  return outlines.map(({ stages, ...shape }) => {
    const { format, rows, cols, granularity } = shape;
    // Not gaussians, which differ between engines in the last bit.
    const exact = { ...rng, gaussians: (length: number) => rng.uniforms(length) };
    const count = format === "complex" ? 1 : 2 * stages;
    const planes = Array.from({ length: count }, () => randomPlane(shape, exact));
    const weights = weightsOf(shape, planes);
    const x = { re: rng.uniforms(cols, 4), im: rng.uniforms(cols, 1) };
    // The scales of one row are those that all rows share.
    const shared = rows === 1 || granularity === "matrix" || granularity === "tile";
    return {
      ...shape,
      planes: planes.map(({ codes, scales }) => ({ codes: toHex(codes), ...hexOf(scales) })),
      packed: toHex(complexBytes(weights, shared)),
      x: hexOf(x),
      int8: hexOf(gemvComplexInt8(weights, x, format === "fairy2i")),
      lut8: hexOf(gemvComplexLut8(weights, x)),
    };
  });
}

const planesOf = ({ planes }: ComplexVector): GivenPlane[] =>
  planes.map((plane) => ({ codes: bytesFromHex(plane.codes), scales: complexOf(plane) }));

export function complexVectorCase(vector: ComplexVector): { weights: ComplexWeights; x: Complex } {
  return { weights: weightsOf(vector, planesOf(vector)), x: complexOf(vector.x) };
}

/** What the library stores and computes. */
export function packVector(
  lb: Lowbit,
  vector: ComplexVector,
  activation: "int8" | "lut8",
  x: Complex,
): { packed: Uint8Array; y: ComplexArray } {
  const planes = planesOf(vector);
  const { rows } = vector;
  if (vector.format === "complex") {
    const matrix = packComplex(lb, { ...vector, ...(planes[0] as GivenPlane) }, activation);
    const result = { packed: storedBytes(matrix), y: matrix.gemv(x) };
    matrix.dispose();
    return result;
  }
  const matrix = packFairy2i(lb, vector, planes, activation);
  const y = matrix.gemv(Float32Array.from([...x.re, ...x.im]));
  const result = { packed: storedBytes(matrix), y: { re: y.slice(0, rows), im: y.slice(rows) } };
  matrix.dispose();
  return result;
}

export const complexVectorFile = new URL("./vectors.json", import.meta.url);

/** The vectors as checked in. */
export function readComplexVectors(): ComplexVector[] {
  return JSON.parse(readFileSync(complexVectorFile, "utf8")) as ComplexVector[];
}
