import { binary, type Lowbit, type Matrix, ternary } from "lowbit";
import type { Activation, FormatName } from "../src/registry.ts";
import { makeRandom } from "./random.ts";

export interface PackInput {
  readonly rows: number;
  readonly cols: number;
  /** Row-major codes as the format's `pack` takes them, `bytesPerRow` bytes a row. */
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly activation: Activation;
  /** The kernel to force. */
  readonly kernel: string;
}

/** What a bench needs of a weight format. Nothing here calls the library except `pack`: the reference must not. */
export interface BenchFormat {
  readonly planes: 1 | 2;
  bytesPerRow(cols: number): number;
  /** Random codes, made as bytes: quantising 268 million floats would take longer than the bench. */
  randomCodes(rows: number, cols: number): Uint8Array;
  /** The weights of one row before scaling. */
  decodeRow(codes: Uint8Array, row: number, cols: number): Int8Array;
  /** The bit of `plane` for a weight, on the packed layout. */
  signBit(weight: number, plane: number): number;
  pack(lb: Lowbit, input: PackInput): Matrix;
}

function randomWords(bytes: number, seed: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  const random = makeRandom(seed);
  for (let i = 0; i < words.length; i++) words[i] = random.bits();
  return words;
}

const binaryFormat: BenchFormat = {
  planes: 1,
  bytesPerRow: (cols) => Math.ceil(cols / 8),
  randomCodes(rows, cols) {
    const bytes = rows * this.bytesPerRow(cols);
    return new Uint8Array(randomWords(bytes, 1).buffer, 0, bytes);
  },
  decodeRow(codes, row, cols) {
    const start = row * this.bytesPerRow(cols);
    const weights = new Int8Array(cols);
    for (let c = 0; c < cols; c++) weights[c] = 2 * (((codes[start + (c >> 3)] as number) >> (c & 7)) & 1) - 1;
    return weights;
  },
  signBit: (weight) => (weight > 0 ? 1 : 0),
  pack: (lb, { codes, ...rest }) => binary.pack(lb, { ...rest, signs: codes }),
};

const ternaryFormat: BenchFormat = {
  planes: 2,
  bytesPerRow: (cols) => Math.ceil(cols / 4),
  randomCodes(rows, cols) {
    const bytes = rows * this.bytesPerRow(cols);
    const words = randomWords(bytes, 2);
    // Code 3 does not exist; made a 1 it leaves the usual mix: half of the weights 0, a quarter each -1 and +1.
    for (let i = 0; i < words.length; i++) {
      const word = words[i] as number;
      words[i] = word & ~((word & (word >>> 1) & 0x55555555) << 1);
    }
    return new Uint8Array(words.buffer, 0, bytes);
  },
  decodeRow(codes, row, cols) {
    const start = row * this.bytesPerRow(cols);
    const weights = new Int8Array(cols);
    for (let c = 0; c < cols; c++) weights[c] = (((codes[start + (c >> 2)] as number) >> (2 * (c & 3))) & 3) - 1;
    return weights;
  },
  signBit: (weight, plane) => (weight > (plane === 0 ? -1 : 0) ? 1 : 0),
  pack: (lb, input) => ternary.pack(lb, input),
};

export const formats: Readonly<Record<FormatName, BenchFormat>> = { binary: binaryFormat, ternary: ternaryFormat };
