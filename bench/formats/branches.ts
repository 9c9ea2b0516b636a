import type { Branches, Matrix } from "lowbit";
import { makeRandom } from "../random.ts";
import { type BenchFormat, labelOf } from "./format.ts";

/** One weight in this many is beside the dense ones: 0.5 %, as SpQR and SqueezeLLM have. */
const SPARSE_STEP = 200;
const RANK = 16;

/** A format with a branch of rank 16, or with 0.5 % of the weights in float32. */
export function withBranch(base: BenchFormat, kind: "rank16" | "sparse"): BenchFormat {
  return {
    ...base,
    label: labelOf(base.label, kind),
    make(rows, cols) {
      const weights = base.make(rows, cols);
      const branch = (kind === "rank16" ? lowRank : sparse)(rows, cols);
      return {
        decodeRow(row) {
          const line = weights.decodeRow(row);
          branch.addTo(line, row);
          return line;
        },
        // Only real matrices have branches.
        pack: (lb, options) => (weights.pack(lb, options) as Matrix).with(branch.given),
      };
    },
  };
}

interface Branch {
  readonly given: Branches;
  addTo(line: Float64Array, row: number): void;
}

function lowRank(rows: number, cols: number): Branch {
  const random = makeRandom(6);
  const gaussians = (length: number): Float32Array => Float32Array.from({ length }, () => random.gaussian() / 20);
  const a = gaussians(rows * RANK);
  const b = gaussians(RANK * cols);
  return {
    given: { lowRank: { a, b } },
    addTo(line, row) {
      for (let k = 0; k < RANK; k++) {
        const factor = a[row * RANK + k] as number;
        for (let c = 0; c < cols; c++) line[c] = (line[c] as number) + factor * (b[k * cols + c] as number);
      }
    },
  };
}

function sparse(rows: number, cols: number): Branch {
  const random = makeRandom(7);
  // One column at random out of each SPARSE_STEP, so that they ascend and rows are equally long.
  const each = Math.max(1, Math.floor(cols / SPARSE_STEP));
  const pointers = Uint32Array.from({ length: rows + 1 }, (_, row) => row * each);
  const places = Uint32Array.from({ length: rows * each }, (_, i) => {
    return (i % each) * SPARSE_STEP + random.below(Math.min(SPARSE_STEP, cols));
  });
  const values = Float32Array.from({ length: rows * each }, () => random.gaussian() / 5);
  return {
    given: { sparse: { rows: pointers, cols: places, values } },
    addTo(line, row) {
      for (let i = row * each; i < (row + 1) * each; i++) {
        const c = places[i] as number;
        line[c] = (line[c] as number) + (values[i] as number);
      }
    },
  };
}
