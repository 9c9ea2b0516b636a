import { dense } from "lowbit";
import { type BenchFormat, randomScales } from "./format.ts";

type DenseType = "float32" | "float16" | "bfloat16";

const FORMATS = { float32: "dense32", float16: "dense16", bfloat16: "denseb16" } as const;
/** The bits of a float32 that the type has, too. */
const KEPT = { float32: 0xffffffff, float16: 0xffffe000, bfloat16: 0xffff0000 } as const;

/** The sixteen bits of a float32 of normal size whose last 13 bits are 0, as float16. */
const half = (word: number): number =>
  ((word >>> 16) & 0x8000) | ((((word >>> 23) & 0xff) - 112) << 10) | ((word >>> 13) & 0x3ff);

/** Numbers around 0.02, cut to what each type has. */
export function denseFormat(type: DenseType): BenchFormat {
  return {
    label: type,
    format: FORMATS[type],
    make(rows, cols) {
      const words = new Uint32Array(randomScales(rows * cols, 1).buffer).map((word) => word & KEPT[type]);
      const weights = new Float32Array(words.buffer);
      const bits = (): Uint16Array =>
        Uint16Array.from(words, (word) => (type === "float16" ? half(word) : word >>> 16));
      return {
        decodeRow: (row) => Float64Array.from(weights.subarray(row * cols, (row + 1) * cols)),
        pack: (lb) =>
          dense.pack(lb, type === "float32" ? { rows, cols, weights } : { rows, cols, weights: bits(), type }),
      };
    },
  };
}

/** What is measured: the first of a kernel format is the one that is counted. */
export const benches: readonly BenchFormat[] = (["float32", "float16", "bfloat16"] as const).map(denseFormat);
