// Shapes that fill no word and no unit: GPTQ layers of any rows and columns, groups of 8 and 16 columns at every width.
import { equalBits, equalValues, throwsWith } from "../../lib/assert.ts";
import { codebook, init, uniform } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";

const lb = await init();
const rng = random("ragged");
const t = suite("uniform: ragged shapes");

/** Fields of `bits` bits, lowest first, down a column of words; the bits that are left over in the last are set. */
function words(
  bits: number,
  width: number,
  count: number,
  field: (column: number, index: number) => number,
): Uint32Array {
  const high = Math.ceil((count * bits) / 32);
  const out = new Uint32Array(high * width).fill(0xffffffff);
  for (let column = 0; column < width; column++) {
    for (let bit = 0; bit < count * bits; bit++) {
      const at = (bit >> 5) * width + column;
      const one = 2 ** (bit & 31);
      if (((field(column, Math.floor(bit / bits)) >> (bit % bits)) & 1) === 0) out[at] = (out[at] as number) - one;
    }
  }
  return out;
}

function layer(rows: number, cols: number, bits: 2 | 3 | 4 | 8, groupSize: number) {
  const size = groupSize === -1 ? cols : Math.min(groupSize, cols);
  const groups = Math.ceil(cols / size);
  const most = 2 ** bits - 1;
  const codes = Uint8Array.from({ length: rows * cols }, () => rng.int(0, most));
  const zeros = Uint8Array.from({ length: groups * rows }, () => rng.int(0, most));
  const scales = rng.uniforms(groups * rows);
  const rowWords = Math.ceil((rows * bits) / 32);
  const qzeros = new Uint32Array(groups * rowWords);
  for (let group = 0; group < groups; group++) {
    qzeros.set(
      words(bits, 1, rows, (_, row) => ((zeros[group * rows + row] as number) - 1) & most),
      group * rowWords,
    );
  }
  const want = Float32Array.from(codes, (code, i) => {
    const at = Math.floor((i % cols) / size) * rows + Math.floor(i / cols);
    // Rounded as uniform.pack rounds: scale · (code - middle), then scale · (middle - zero).
    const middle = 2 ** (bits - 1);
    const scale = scales[at] as number;
    return Math.fround(scale * (code - middle) + Math.fround(scale * (middle - (zeros[at] as number))));
  });
  const qweight = words(bits, rows, cols, (row, col) => codes[row * cols + col] as number);
  return { tensors: { rows, cols, groupSize, bits, qweight, qzeros, scales }, want };
}

t("gptq: rows and columns that end within a word, one group or several", () => {
  for (const bits of [2, 3, 4, 8] as const) {
    for (const [rows, cols, groupSize] of [
      [20, 64, 64],
      [1, 64, -1],
      [48, 96, 32],
      [32, 100, -1],
      [32, 80, 32],
      [7, 33, 16],
      [3, 11, -1],
      [1, 1, -1],
      [33, 129, 128],
      [17, 48, 16],
    ] as const) {
      const { tensors, want } = layer(rows, cols, bits, groupSize);
      equalBits(
        uniform.fromGptq(lb, tensors).dequantize(),
        want,
        `${rows} x ${cols}, ${bits} bits, groups of ${groupSize}`,
      );
    }
  }
});

t("zeros of negative scales keep their sign, with an offset or without", () => {
  // -1 · (4 - 4) is -0, and so is -0 + -1 · (4 - 4); were 0 added for an offset that is not there, it would be 0.
  const one = { rows: 1, cols: 1, bits: 3, scales: Float32Array.of(-1) } as const;
  const want = Float32Array.of(-0);
  const codes = Uint8Array.of(4);
  equalBits(uniform.pack(lb, { ...one, codes }).dequantize(), want, "no zeros");
  equalBits(uniform.pack(lb, { ...one, codes, zeros: Float32Array.of(4) }).dequantize(), want, "zeros");
  const tensors = { ...one, groupSize: -1, qweight: Uint32Array.of(4), qzeros: Uint32Array.of(3) };
  equalBits(uniform.fromGptq(lb, tensors).dequantize(), want, "GPTQ, symmetric");
});

t("gptq: what is too short for the last words is refused", () => {
  const { tensors } = layer(20, 100, 3, -1);
  throwsWith(
    () => uniform.fromGptq(lb, { ...tensors, qweight: tensors.qweight.subarray(20) }),
    RangeError,
    "qweight: expected length 200 (10 words x rows 20), got 180",
  );
  throwsWith(
    () => uniform.fromGptq(lb, { ...tensors, qzeros: tensors.qzeros.subarray(1) }),
    RangeError,
    "qzeros: expected length 2 (groups of a row 1 x 2 words), got 1",
  );
  throwsWith(() => uniform.fromGptq(lb, { ...tensors, groupSize: 1.5 }), RangeError, "groupSize: expected");
});

t("groups of 8, 16 and 24 columns at every width, with zero points and without", () => {
  const [rows, cols] = [5, 83];
  for (const bits of [2, 3, 4, 5, 6, 8] as const) {
    for (const groupSize of [8, 16, 24, 40]) {
      const groups = Math.ceil(cols / groupSize);
      const codes = Uint8Array.from({ length: rows * cols }, () => rng.int(0, 2 ** bits - 1));
      const scales = rng.uniforms(rows * groups);
      const middle = 2 ** (bits - 1);
      const group = (i: number): number => Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize);
      const want = Float32Array.from(codes, (code, i) => (scales[group(i)] as number) * (code - middle));
      const name = `${bits} bits, groups of ${groupSize}`;
      const matrix = uniform.pack(lb, { rows, cols, bits, groupSize, codes, scales });
      equalValues(matrix.dequantize(), want, name);
      // int8: whole numbers that fit their scale are exact, so are sums of them.
      const x = Float32Array.from({ length: cols }, (_, i) => (i === 0 ? 127 : rng.int(-127, 127)));
      const whole = uniform.pack(lb, {
        rows,
        cols,
        bits,
        groupSize,
        codes,
        scales: new Float32Array(rows * groups).fill(1),
      });
      const y = Float32Array.from({ length: rows }, (_, row) => {
        let sum = 0;
        for (let col = 0; col < cols; col++) sum += ((codes[row * cols + col] as number) - middle) * (x[col] as number);
        return sum;
      });
      equalValues(whole.gemv(x), y, `${name}: gemv`);
      const zeros = Float32Array.from({ length: rows * groups }, () => rng.int(0, 2 ** bits - 1));
      const shifted = Float32Array.from(codes, (code, i) => {
        const scale = scales[group(i)] as number;
        return Math.fround(scale * (code - middle) + Math.fround(scale * (middle - (zeros[group(i)] as number))));
      });
      equalBits(
        uniform.pack(lb, { rows, cols, bits, groupSize, codes, scales, zeros }).dequantize(),
        shifted,
        `${name}, zeros`,
      );
    }
  }
});

t("codebooks of 2 and 3 bits with groups of 8 and 16", () => {
  const [rows, cols] = [3, 50];
  for (const bits of [2, 3] as const) {
    for (const groupSize of [8, 16]) {
      for (const tables of [rng.uniforms(2 ** bits), Float32Array.from({ length: 2 ** bits }, (_, i) => 3 + i)]) {
        const groups = Math.ceil(cols / groupSize);
        const codes = Uint8Array.from({ length: rows * cols }, () => rng.int(0, 2 ** bits - 1));
        const scales = new Float32Array(rows * groups).map(() => 2 ** rng.int(-3, 3));
        const shape = { rows, cols, bits };
        // Groups of 32 have the layout of their own width, the same table, and the scales in their codes' columns.
        const plain = codebook.pack(lb, { ...shape, codes, tables }).dequantize();
        const want = plain.map((v, i) => {
          return v * (scales[Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize)] as number);
        });
        const got = codebook.pack(lb, { ...shape, groupSize, codes, tables, scales }).dequantize();
        equalBits(got, want, `${bits} bits, groups of ${groupSize}`);
      }
    }
  }
});
