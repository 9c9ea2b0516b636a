// Dot products whose codes are whole bytes, on every kind of machine: what processors make of operand 2 beyond 0..127 is put
// into the relaxed binary in place of its instruction, as a function of plain SIMD, so that all three kinds run anywhere.
// Kernels must give the bits of the simd128 binary, which reference.test.ts and kernels.test.ts hold to the oracle.
import { candidates } from "../../src/kernels/registry.ts";
import { acceptsRelaxed } from "../../src/runtime/features.ts";
import { equalBits, is } from "../lib/assert.ts";
import { codebook, init, type Lowbit, type Matrix, ternary, uniform } from "../lib/library.ts";
import { binaryOf, type Dot, MACHINES } from "../lib/machines.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

const t = suite("whole bytes");

const rng = random("whole bytes");
const simd = await init({ variant: "simd", threads: 1 });

/** Columns around one chunk, one block of gemm and several; groups of one chunk and more. */
const shapes = [
  { rows: 1, cols: 1 },
  { rows: 17, cols: 33 },
  { rows: 50, cols: 72, groupSize: 16 },
  { rows: 130, cols: 264, groupSize: 32 },
  { rows: 65, cols: 520, groupSize: 128 },
] as const;

type Format = "ternary" | "uniform2" | "uniform4" | "uniform8" | "codebook4_i16";

function pack(lb: Lowbit, format: Format, codes: Uint8Array, options: object): Matrix {
  const { rows, cols } = options as { rows: number; cols: number };
  const common = { ...options, rows, cols, scales: Float32Array.of(0.75) };
  if (format === "ternary") return ternary.pack(lb, { ...common, codes: Int8Array.from(codes, (c) => (c % 3) - 1) });
  if (format === "codebook4_i16") return codebook.pack(lb, { ...common, bits: 4, codes, tables });
  return uniform.pack(lb, { ...common, bits: Number(format.slice(7)) as 2 | 4 | 8, codes });
}

// Entries of every sign and both bytes, the extremes among them: no whole multiples of one number.
const tables = Float32Array.from({ length: 16 }, (_, i) =>
  i === 0 ? -1 : i === 15 ? 1 : Math.fround((i - 7.3) / 9.1),
);

/** Codes of which a part are the extremes. */
function codesOf(format: Format, length: number): Uint8Array {
  const largest = format === "uniform8" ? 255 : format === "uniform4" || format === "codebook4_i16" ? 15 : 3;
  return Uint8Array.from({ length }, () => {
    const draw = rng.int(0, 8);
    return draw === 0 ? 0 : draw === 1 ? largest : rng.int(0, largest);
  });
}

if (!acceptsRelaxed()) {
  t.skip("every machine", "no relaxed SIMD here");
} else {
  for (const dot of Object.keys(MACHINES) as Dot[]) {
    const lb = await init({ module: binaryOf(MACHINES[dot]), threads: 1 });

    t(`${dot}: features say so`, () => is(lb.features.dot, dot));

    t(`${dot}: 8-bit codes are met whole where that is exact`, () => {
      const matrix = pack(lb, "uniform8", codesOf("uniform8", 64), { rows: 8, cols: 8 });
      is(matrix.kernel, `gemv_uniform8_int8_16x8${dot === "i16" ? "" : "_byte"}`);
      is(matrix.gemmKernel, `gemm_uniform8_int8_16x2${dot === "i16" ? "" : "_byte"}`);
      matrix.dispose();
    });

    for (const format of ["ternary", "uniform2", "uniform4", "uniform8", "codebook4_i16"] as const) {
      for (const activation of ["int8", "f32"] as const) {
        t(`${dot}: ${format} ${activation}, every kernel`, () => {
          for (const shape of shapes) {
            const codes = codesOf(format, shape.rows * shape.cols);
            const expected = pack(simd, format, codes, { ...shape, activation });
            const kernels = (["gemv", "gemm"] as const).flatMap((op) =>
              candidates(op, format, activation, "relaxed").map(({ name }) => name),
            );
            for (const kernel of [undefined, ...kernels]) {
              const matrix = pack(lb, format, codes, { ...shape, activation, ...(kernel && { kernel }) });
              for (const n of [1, 2, 7]) {
                const x = rng.gaussians(n * shape.cols);
                x[0] = 9; // the largest: q = 127
                const label = `${kernel} ${shape.rows} x ${shape.cols}, ${n} tokens`;
                equalBits(matrix.gemm(x, n), expected.gemm(x, n), label);
              }
              matrix.dispose();
            }
            expected.dispose();
          }
        });
      }
    }
  }
}
