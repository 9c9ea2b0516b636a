// Blocks of bitsandbytes run over the flattened matrix: their borders are wherever cols puts them.
import { equalBits, equalValues, throwsWith } from "../../lib/assert.ts";
import { codebook, init } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { bnbFp4Table, nf4Table } from "../../reference/table.ts";

const lb = await init();
const rng = random("blocks");
const t = suite("codebook: blocks of bitsandbytes");

function layer(rows: number, cols: number, blockSize: number, type: "nf4" | "fp4") {
  const codes = Uint8Array.from({ length: rows * cols }, () => rng.int(0, 15));
  const packed = new Uint8Array(Math.ceil(codes.length / 2));
  for (const [i, code] of codes.entries()) packed[i >> 1] = (packed[i >> 1] as number) | (code << (i & 1 ? 0 : 4));
  const absmax = rng.uniforms(Math.ceil(codes.length / blockSize)).map(Math.abs);
  return { codes, tensors: { rows, cols, packed, absmax, blockSize, type } };
}

t("any number of columns: the weights of each block have its scale", () => {
  for (const type of ["nf4", "fp4"] as const) {
    // Entries as they are stored: one row whose only block has scale 1.
    const entries = codebook
      .fromBitsAndBytes(lb, {
        rows: 1,
        cols: 16,
        type,
        packed: Uint8Array.of(0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef),
        absmax: Float32Array.of(1),
      })
      .dequantize();
    const exact = type === "nf4" ? nf4Table : bnbFp4Table;
    for (const [rows, cols, blockSize] of [
      [4, 588, 64],
      [3, 27, 64],
      [7, 147, 64],
      [5, 12, 64],
      [4, 4, 64],
      [9, 3, 8],
      [2, 100, 32],
      [3, 50, 64],
      [1, 1000, 64],
      [6, 20, 4096],
      [5, 36, 12],
      [40, 33, 64],
    ] as const) {
      const { codes, tensors } = layer(rows, cols, blockSize, type);
      const name = `${type}, ${rows} x ${cols}, blocks of ${blockSize}`;
      const matrix = codebook.fromBitsAndBytes(lb, tensors);
      const scale = (i: number): number => tensors.absmax[Math.floor(i / blockSize)] as number;
      const got = matrix.dequantize();
      // A table that is rounded has its unit folded into scales, one rounding more or less.
      const near = Float32Array.from(codes, (code, i) => (exact[code] as number) * scale(i));
      for (let i = 0; i < got.length; i++) {
        const bound = 2e-5 * scale(i);
        if (!(Math.abs((got[i] as number) - (near[i] as number)) <= bound)) throw new Error(`${name}: weight ${i}`);
      }
      // Block by block the same bits as a matrix that is that block.
      for (let block = 0; block < tensors.absmax.length; block++) {
        const start = block * blockSize;
        const run = codes.subarray(start, start + blockSize);
        const bytes = new Uint8Array(Math.ceil(run.length / 2));
        for (const [i, code] of run.entries()) bytes[i >> 1] = (bytes[i >> 1] as number) | (code << (i & 1 ? 0 : 4));
        const absmax = tensors.absmax.subarray(block, block + 1);
        const one = { rows: 1, cols: run.length, type, packed: bytes, absmax, blockSize };
        const whole = codebook.fromBitsAndBytes(lb, one);
        equalValues(got.subarray(start, start + run.length), whole.dequantize(), `${name}: block ${block}`);
        whole.dispose();
      }
      const x = rng.uniforms(cols);
      const y = matrix.gemv(x);
      const exactly = Float32Array.from({ length: rows }, (_, row) => {
        let sum = 0;
        for (let col = 0; col < cols; col++) sum += (got[row * cols + col] as number) * (x[col] as number);
        return sum;
      });
      const size = Math.sqrt(exactly.reduce((sum, v) => sum + v * v, 0) / rows);
      for (let row = 0; row < rows; row++) {
        if (Math.abs((y[row] as number) - (exactly[row] as number)) > 0.2 * size + 1e-3)
          throw new Error(`${name}: gemv`);
      }
      equalBits(matrix.gemm(x, 1), y, `${name}: gemm`);
      matrix.dispose();
    }
    if (entries.length !== 16) throw new Error("entries");
  }
});

t("blocks with two borders in 8 columns are refused by the names of this call, and take no memory", () => {
  const used = lb.memory.used;
  const { tensors } = layer(3, 27, 4, "nf4");
  throwsWith(
    () => codebook.fromBitsAndBytes(lb, tensors),
    RangeError,
    "codebook.fromBitsAndBytes: blockSize: expected 8 or more where it does not divide cols (27), got 4",
  );
  if (lb.memory.used !== used) throw new Error("memory");
});
