// Complex weights {±1, ±i}, alone and as the parts of a real matrix.

import { complex, fairy2i } from "lowbit";
import type { ComplexCodes } from "../../src/index.ts";
import { type BenchFormat, common, labelOf, randomBytes, randomScales } from "./format.ts";

/** Re and Im of i^code times its scale. */
function value(code: number, re: number, im: number): readonly [re: number, im: number] {
  if (code & 1) return [0, code === 1 ? im : -im];
  return [code === 0 ? re : -re, 0];
}

/**
 * Each token of the layer is taken as x + i x, and Re y is what is compared: Σ (Re w - Im w) x. Gw/s are complex weights.
 */
export function complexFormat(scale: "matrix" | "rows" | "tiles"): BenchFormat {
  const groupSize = scale === "tiles" ? 64 : undefined;
  return {
    label: labelOf("complex", scale !== "matrix" && scale, groupSize),
    format: "complex",
    make(rows, cols) {
      const codes = randomBytes(rows * cols, 1, 4);
      const count = { matrix: 1, rows, tiles: Math.ceil(cols / 64) }[scale];
      const scales = { re: randomScales(count, 3), im: randomScales(count, 4) };
      const at = (row: number, col: number): number => (scale === "rows" ? row : scale === "tiles" ? col >> 6 : 0);
      return {
        decodeRow: (row) =>
          Float64Array.from({ length: cols }, (_, col) => {
            const i = at(row, col);
            const [re, im] = value(codes[row * cols + col] as number, scales.re[i] as number, scales.im[i] as number);
            return re - im;
          }),
        pack(lb, options) {
          const matrix = complex.pack(lb, { ...common(rows, cols, groupSize, options), codes, scales });
          let spare = new Float32Array(rows);
          const out = (y: Float32Array): { re: Float32Array; im: Float32Array } => {
            if (spare.length !== y.length) spare = new Float32Array(y.length);
            return { re: y, im: spare };
          };
          return {
            activation: matrix.activation,
            kernel: matrix.kernel,
            gemmKernel: matrix.gemmKernel,
            byteLength: matrix.byteLength,
            gemv: (x, y) => matrix.gemv({ re: x, im: x }, out(y)),
            gemm: (x, n, y) => matrix.gemm({ re: x, im: x }, n, out(y)),
            dispose: () => matrix.dispose(),
          };
        },
      };
    },
  };
}

/** Gw/s are real weights. */
export function fairy2iFormat(count: number): BenchFormat {
  return {
    label: `fairy2i x${count}`,
    format: "complex",
    make(rows, cols) {
      const half = { rows: rows / 2, cols: cols / 2 };
      const stages = Array.from({ length: count }, (_, t) => {
        const codes = (seed: number): ComplexCodes => ({
          codes: randomBytes(half.rows * half.cols, seed, 4),
          scales: { re: randomScales(1, seed), im: randomScales(1, seed + 1) },
        });
        return { u: codes(4 * t + 1), w: codes(4 * t + 3) };
      });
      return {
        decodeRow(row) {
          const imaginary = row >= half.rows;
          const start = (imaginary ? row - half.rows : row) * half.cols;
          const line = new Float64Array(cols);
          for (const { u, w } of stages) {
            for (const [{ codes, scales }, sign] of [[u, 1] as const, [w, -1] as const]) {
              for (let col = 0; col < half.cols; col++) {
                const code = codes[start + col] as number;
                const [re, im] = value(code, scales.re[0] as number, scales.im[0] as number);
                // w x has Re w Re x - Im w Im x and Im w Re x + Re w Im x; conj(x) turns the signs of Im x.
                const [onRe, onIm] = imaginary ? [im, sign * re] : [re, -sign * im];
                line[col] = (line[col] as number) + onRe;
                line[half.cols + col] = (line[half.cols + col] as number) + onIm;
              }
            }
          }
          return line;
        },
        pack: (lb, options) => fairy2i.pack(lb, { ...common(rows, cols, undefined, options), stages }),
      };
    },
  };
}

/** What is measured: the first of a kernel format is the one that is counted. */
export const benches: readonly BenchFormat[] = [
  complexFormat("matrix"),
  complexFormat("rows"),
  complexFormat("tiles"),
  fairy2iFormat(1),
  fairy2iFormat(2),
];
