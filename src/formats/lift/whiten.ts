// Rotations that make the weights of a row look like independent Gaussians: T = diag(s1) (P1 ⊗ P2) diag(s2), as steps for
// the activations (LiftQuant, section 4). P is orthogonal, so the weights go through the same rotation.
import { checkFinite, checkFloats, checkOptions, rangeError } from "../../lib/check.ts";
import { tryOrder } from "../../numeric/hadamard.ts";
import type { Step } from "../../transforms/steps.ts";

/** Orthogonal factors for x as [t1, t2], padded with zeros: left · x · rightᵀ. */
export interface KroneckerWhitening {
  /** [t1, t1] */
  readonly left: Float32Array;
  /** [t2, t2]; t1 · t2 is cols or more */
  readonly right: Float32Array;
}

/** Order of the dense factor where no Hadamard matrix has the size: small, and the padding is below cols / 64. */
const MAX_DENSE = 128;

/** How far P Pᵀ may be from I in any entry: float32 factors that were made orthogonal are at 1e-6. */
const ORTHOGONAL = 1e-3;

/**
 * The rotation P1 ⊗ P2 of `cols` numbers, and how many come out.
 *
 * "hadamard": P is a Hadamard matrix of order cols if there is one. Otherwise P2 is one of a power of two and P1 a fixed
 * orthogonal matrix of at most 128 rows; cols is padded where it has no such factor.
 */
export function rotation(
  where: string,
  cols: number,
  whitening: "hadamard" | "none" | KroneckerWhitening,
): { steps: Step[]; length: number } {
  if (whitening === "none") return { steps: [], length: cols };
  if (whitening !== "hadamard") return kronecker(where, cols, whitening);
  if (tryOrder(cols, "quip") !== undefined) return { steps: [{ kind: "hadamard" }], length: cols };
  let t2 = 1;
  while (cols % (2 * t2) === 0) t2 *= 2;
  if (cols / t2 > MAX_DENSE) for (t2 = 1; cols / t2 > MAX_DENSE; ) t2 *= 2;
  const t1 = Math.ceil(cols / t2);
  const steps: Step[] = [
    { kind: "resize", length: t1 * t2 },
    { kind: "hadamard", block: t2 },
    { kind: "left", matrix: orthogonal(t1), out: t1, inner: t1 },
  ];
  return { steps, length: t1 * t2 };
}

function kronecker(where: string, cols: number, whitening: KroneckerWhitening): { steps: Step[]; length: number } {
  checkOptions(where, whitening);
  const { left, right } = whitening;
  const t1 = checkOrthogonal(`${where}: left`, left);
  const t2 = checkOrthogonal(`${where}: right`, right);
  const length = t1 * t2;
  if (length < cols || length - cols >= Math.max(t1, t2)) {
    throw rangeError(
      where,
      `left [t1, t1] and right [t2, t2] with t1 x t2 = cols ${cols} or just above`,
      `${t1} x ${t2}`,
    );
  }
  return {
    steps: [
      { kind: "resize", length },
      { kind: "left", matrix: left, out: t1, inner: t1 },
      { kind: "right", matrix: right, out: t2, inner: t2 },
    ],
    length,
  };
}

function checkOrthogonal(where: string, matrix: unknown): number {
  const n = matrix instanceof Float32Array ? Math.max(1, Math.round(Math.sqrt(matrix.length))) : 1;
  const values = checkFloats(where, matrix, n * n, "a square matrix");
  checkFinite(where, values);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += (values[i * n + k] as number) * (values[j * n + k] as number);
      if (Math.abs(sum - (i === j ? 1 : 0)) <= ORTHOGONAL) continue;
      throw rangeError(where, "orthonormal rows", `${sum} as the product of rows ${i} and ${j}`);
    }
  }
  return n;
}

/**
 * A fixed orthogonal matrix [n, n]: random signs made orthonormal row by row (Gram and Schmidt, twice over), with
 * operations that are exact or correctly rounded only, so that every engine makes the same one.
 */
function orthogonal(n: number): Float32Array {
  const rows: Float64Array[] = [];
  for (let seed = 1; rows.length < n; ) {
    const row = Float64Array.from({ length: n }, () => randomSign(seed++));
    for (let pass = 0; pass < 2; pass++) {
      for (const other of rows) {
        const along = dot(row, other);
        for (let i = 0; i < n; i++) row[i] = (row[i] as number) - along * (other[i] as number);
      }
    }
    const norm = Math.sqrt(dot(row, row));
    if (norm > 1e-3) rows.push(row.map((value) => value / norm));
  }
  return Float32Array.from(rows.flatMap((row) => Array.from(row)));
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** 1 or -1 from a counter (the finaliser of MurmurHash3, Appleby). */
export function randomSign(counter: number): number {
  let h = Math.imul(counter, 0x9e3779b9);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) & 1 ? 1 : -1;
}
