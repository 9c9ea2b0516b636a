// Hadamard matrices of the orders that rotated checkpoints use, from their constructions, and which order goes with a size.
import { checkChoice, checkInteger, MAX_COLS, rangeError } from "../lib/check.ts";

/**
 * Which order K divides a size n = K · 2^m first: "quip" as QuIP# and QTIP have it, "quarot" as QuaRot and SpinQuant.
 * They differ for 40, 116 and 124 times a power of two (n = 5120: K = 20 or 40): what one rotates the other does not undo.
 */
export type HadamardChoice = "quip" | "quarot";

export const HADAMARD_CHOICES: readonly HadamardChoice[] = ["quip", "quarot"];

/** The first that divides n counts. */
const ORDERS: Readonly<Record<HadamardChoice, readonly number[]>> = {
  quip: [172, 156, 140, 124, 116, 108, 60, 52, 36, 28, 20, 12],
  quarot: [172, 156, 140, 108, 60, 52, 36, 28, 40, 20, 12],
};

/** First rows of the four symmetric circulants of Williamson's array, A = B where there are three. */
const WILLIAMSON: Readonly<Record<number, readonly string[]>> = {
  52: ["+-+--++++--+-", "+---++++++---", "++-+--++--+-+", "+----+--+----"],
  116: [
    "++--+--+-+++-++++-+++-+--+--+",
    "++++-++-+---++++++---+-++-+++",
    "+-+---++--+-++++++-+--++---+-",
    "+++---++--+-+----+-+--++---++",
  ],
  124: ["+--+++-+--+----++----+--+-+++--", "+-----+++-+-+--++--+-+-+++-----", "++++++---+-+-++--++-+-+---+++++"],
  156: [
    "+++--+-+-----+--++----++--+-----+-+--++",
    "++++---+--++----+-+--+-+----++--+---+++",
    "+++--++-+---+-+--+----+--+-+---+-++--++",
    "+---++-+-+-----+++-++-+++-----+-+-++---",
  ],
  172: [
    "+---++--++++-+-+++-++--++-+++-+-++++--++---",
    "++-++++++----+-+--++-++-++--+-+----++++++-+",
    "+++-+-++--+-+-++++-+----+-++++-+-+--++-+-++",
    "++---++++-+--+--++--------++--+--+-++++---+",
  ],
};

/** Rows and columns of the Hadamard matrices that hadamardMatrix() knows, 1 and 2 not among them. */
export const HADAMARD_ORDERS: readonly number[] = [12, 20, 28, 36, 40, 52, 60, 108, 116, 124, 140, 156, 172];

const matrices = new Map<number, Int8Array>();

/**
 * A Hadamard matrix: H Hᵀ = k I. The ones of Sloane's library that QuIP#, QTIP and QuaRot use.
 *
 * 12, 20, 60, 108, 140: Paley I over the field of k - 1 elements. 28, 36: Paley II over k / 2 - 1. 40: twice 20.
 * 52, 116, 124, 156, 172: Williamson.
 *
 * @returns [k, k] of 1 and -1, row-major
 * @throws TypeError, RangeError for an order that is not in HADAMARD_ORDERS
 */
export function hadamardMatrix(k: number): Int8Array {
  const where = "hadamardMatrix: k";
  checkInteger(where, k, 1, MAX_COLS);
  if (!HADAMARD_ORDERS.includes(k)) throw rangeError(where, `one of ${HADAMARD_ORDERS.join(", ")}`, k);
  return matrixOf(k).slice();
}

/** The same, shared: not to be written to. */
export function matrixOf(k: number): Int8Array {
  const known = matrices.get(k);
  if (known) return known;
  const made = build(k);
  matrices.set(k, made);
  return made;
}

function build(k: number): Int8Array {
  const rows = WILLIAMSON[k];
  if (rows) return williamson(rows);
  if (k === 40) return double(matrixOf(20), 20);
  return k === 28 || k === 36 ? paley2(k / 2 - 1) : paley1(k - 1);
}

function fill(k: number, value: (row: number, col: number) => number): Int8Array {
  return Int8Array.from({ length: k * k }, (_, i) => value(Math.floor(i / k), i % k));
}

/** χ(i - j) by residue of i - j mod q: 1 for squares, -1 for the others, 0 for 0. q prime. */
function quadraticCharacter(q: number): Int8Array {
  const character = new Int8Array(q).fill(-1);
  character[0] = 0;
  for (let i = 1; i < q; i++) character[(i * i) % q] = 1;
  return character;
}

/** [[1, -1ᵀ], [1, χ(i - j) + I]], q = 3 mod 4 (Paley 1933). */
function paley1(q: number): Int8Array {
  const character = quadraticCharacter(q);
  return fill(q + 1, (row, col) => {
    if (row === 0 || col === 0) return row === 0 && col > 0 ? -1 : 1;
    return row === col ? 1 : (character[(row - col + q) % q] as number);
  });
}

/** [[1, 1], [1, -1]] ⊗ S + [[1, -1], [-1, -1]] ⊗ I with S = [[0, 1], [1, χ(i - j)]], q = 1 mod 4 (Paley 1933). */
function paley2(q: number): Int8Array {
  const character = quadraticCharacter(q);
  const half = q + 1;
  return fill(2 * half, (row, col) => {
    const [blockRow, blockCol] = [Math.floor(row / half), Math.floor(col / half)];
    const [i, j] = [row % half, col % half];
    if (i === j) return blockRow === 0 && blockCol === 0 ? 1 : -1;
    const s = i === 0 || j === 0 ? 1 : (character[(i - j + q) % q] as number);
    return blockRow === 1 && blockCol === 1 ? -s : s;
  });
}

/** [[1, 1], [1, -1]] ⊗ H (Sylvester 1867). */
function double(h: Int8Array, k: number): Int8Array {
  return fill(2 * k, (row, col) => {
    const value = h[(row % k) * k + (col % k)] as number;
    return row >= k && col >= k ? -value : value;
  });
}

/** [[A, B, C, D], [-B, A, -D, C], [-C, D, A, -B], [-D, -C, B, A]] of symmetric circulants (Williamson 1944). */
function williamson(rows: readonly string[]): Int8Array {
  const four = rows.length === 3 ? [rows[0] as string, ...rows] : rows;
  const array = [
    [1, 2, 3, 4],
    [-2, 1, -4, 3],
    [-3, 4, 1, -2],
    [-4, -3, 2, 1],
  ];
  const q = (four[0] as string).length;
  return fill(4 * q, (row, col) => {
    const block = array[Math.floor(row / q)]?.[Math.floor(col / q)] as number;
    const sign = four[Math.abs(block) - 1]?.[((col % q) - (row % q) + q) % q] === "+" ? 1 : -1;
    return block < 0 ? -sign : sign;
  });
}

const isPowerOfTwo = (n: number): boolean => n === 1 || (n > 1 && isPowerOfTwo(n / 2));

export function tryOrder(n: number, choice: HadamardChoice): number | undefined {
  if (n < 1) return undefined;
  const k = ORDERS[choice].find((order) => n % order === 0) ?? 1;
  return isPowerOfTwo(n / k) ? k : undefined;
}

/**
 * K of n = K · 2^m: 1 for powers of two, else the first order of the choice that divides n.
 *
 * @throws TypeError, RangeError for a size that has none, naming the nearest that do
 */
export function hadamardOrder(n: number, choice: HadamardChoice = "quip"): number {
  checkChoice("hadamardOrder: choice", choice, HADAMARD_CHOICES);
  return orderOf("hadamardOrder: n", n, choice);
}

/** The same for another function: `where` is what messages begin with. */
export function orderOf(where: string, n: number, choice: HadamardChoice = "quip"): number {
  checkInteger(where, n, 1, MAX_COLS);
  const k = tryOrder(n, choice);
  if (k !== undefined) return k;
  let [below, above] = [n - 1, n + 1];
  while (tryOrder(below, choice) === undefined) below--;
  while (tryOrder(above, choice) === undefined) above++;
  throw rangeError(
    where,
    "a power of two, or one times a Hadamard order",
    `${n} (the nearest that work are ${below} and ${above})`,
  );
}

const offsets = new Map<string, Uint16Array>();

/**
 * The matrix as transform_signs reads it (assembly/transform/README.md), or its transpose: [k][k / 4].
 */
export function signOffsets(k: number, transposed: boolean): Uint16Array {
  const key = `${k}${transposed}`;
  const known = offsets.get(key);
  if (known) return known;
  const h = matrixOf(k);
  const units = k / 4;
  const made = Uint16Array.from({ length: k * units }, (_, i) => {
    const [row, unit] = [Math.floor(i / units), i % units];
    let index = 0;
    for (let j = 0; j < 4; j++) {
      const col = 4 * unit + j;
      if ((h[transposed ? col * k + row : row * k + col] as number) < 0) index |= 1 << j;
    }
    return 1024 * unit + 64 * index;
  });
  offsets.set(key, made);
  return made;
}
