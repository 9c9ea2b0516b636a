// Golden vectors of trellis codes: published tiles, the states and integers that they are, and a product.
import { fileURLToPath } from "node:url";
import { type ReferenceCodebook, trellisMatrix, trellisWeight } from "../../reference/trellis.ts";

export interface TrellisVector {
  codebook: ReferenceCodebook;
  rows: number;
  cols: number;
  /** [column tiles][row tiles][16 · bits] */
  words: number[];
  /** [rows, cols] */
  states: number[];
  /** [rows, cols]: sums of bytes less 510, or of halves in units of 2^-13 */
  integers: number[];
  /** [cols], whole numbers of which the largest is 127 */
  x: number[];
  /** [rows]: the product in the int8 contract */
  y: number[];
}

export const trellisVectorFile = fileURLToPath(new URL("./vectors.json", import.meta.url));

const UNITS = { "3inst": 2 ** -13, mcg: 2 ** -13, mul1: 1774 / 2 ** 18, "1mad": 1 / 147.800537109375 } as const;
const MUL1_OFFSET = 1534 * (1774 / 2 ** 18) - 10.3828125;

export function makeTrellisVectors(): TrellisVector[] {
  const [rows, cols] = [16, 32];
  let seed = 1;
  const next = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed >>> 16;
  };
  return (["3inst", "mcg", "mul1", "1mad"] as const).map((codebook, i) => {
    const words = Array.from({ length: cols * (i + 1) }, next);
    const states = Array.from(trellisMatrix(Uint16Array.from(words), rows, cols));
    const integers = states.map((state) => trellisWeight(codebook, state).integer);
    const x = Array.from({ length: cols }, (_, col) => (col === 3 ? 127 : (next() % 255) - 127));
    const total = Math.fround(x.reduce((a, b) => a + b, 0));
    const y = Array.from({ length: rows }, (_, row) => {
      const sum = x.reduce((a, v, col) => a + v * (integers[row * cols + col] as number), 0);
      const product = Math.fround(Math.fround(sum) * Math.fround(UNITS[codebook]));
      if (codebook !== "mul1") return product;
      return Math.fround(product + Math.fround(total * Math.fround(MUL1_OFFSET)));
    });
    return { codebook, rows, cols, words, states, integers, x, y };
  });
}
