// The pitfalls of published layouts, each against numbers written out from its definition.
import { codebook, type Matrix, uniform } from "../../../src/index.ts";
import { equal, equalValues, is, throwsWith } from "../../lib/assert.ts";
import { availableVariants } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";

const t = suite("importers of the hub");
const { instances } = await availableVariants();
const [{ lb }] = instances as unknown as [(typeof instances)[number]];

function numbersOf(matrix: Matrix): Float32Array {
  const w = matrix.dequantize();
  matrix.dispose();
  return w;
}

/** Codes of a line, one after the other in bits, lowest first, or so many a word. */
function packed(codes: readonly number[], bits: number, dense: boolean): number[] {
  const per = Math.floor(32 / bits);
  const width = dense ? Math.ceil(codes.length / 32) * bits : Math.ceil(codes.length / per);
  const words = Array.from({ length: width }, () => 0n);
  for (const [i, code] of codes.entries()) {
    for (let bit = 0; bit < bits; bit++) {
      const at = dense ? i * bits + bit : 32 * Math.floor(i / per) + bits * (i % per) + bit;
      words[at >> 5] = (words[at >> 5] as bigint) | (BigInt((code >> bit) & 1) << BigInt(at & 31));
    }
  }
  return words.map((word) => Number(BigInt.asIntN(32, word)));
}

const [rows, cols] = [32, 64];
const next = random("hub-importers");
const whole = (below: number): number => next.int(0, below - 1);

for (const bits of [2, 3, 4, 5, 6, 7, 8]) {
  for (const dense of [false, true]) {
    t(`pack-quantized: ${bits} bits, ${dense ? "densely" : "in words"}, zero points down the rows`, () => {
      const groups = 2;
      const codes = Array.from({ length: rows }, () => Array.from({ length: cols }, () => whole(2 ** bits)));
      const zeros = Array.from({ length: groups }, () => Array.from({ length: rows }, () => whole(2 ** bits)));
      const lines = zeros.map((line) => packed(line, bits, dense));
      const [first] = lines as [number[]];
      const scales = Float32Array.from({ length: rows * groups }, () => (1 + whole(200)) / 1024);
      const zeroPoints = Int32Array.from({ length: first.length * groups }, (_, i) => {
        return lines[i % groups]?.[Math.floor(i / groups)] as number;
      });
      const w = numbersOf(
        uniform.fromCompressed(lb, {
          ...{ rows, cols, groupSize: 32, bits, scales, zeroPoints },
          packed: Int32Array.from(codes.flatMap((line) => packed(line, bits, dense))),
        }),
      );
      const expected = Float32Array.from({ length: rows * cols }, (_, i) => {
        const [row, group] = [Math.floor(i / cols), Math.floor((i % cols) / 32)];
        const zero = zeros[group]?.[row] as number;
        return ((codes[row]?.[i % cols] as number) - zero) * (scales[row * groups + group] as number);
      });
      equalValues(w, expected, `${bits} bits`);
    });
  }
}

t("pack-quantized: a number of words that both layouts have is refused", () => {
  const tensors = { rows: 1, cols: 24, groupSize: -1, bits: 3, scales: Float32Array.of(1) };
  throwsWith(
    () => uniform.fromCompressed(lb, { ...tensors, packed: new Int32Array(3) }),
    RangeError,
    /packed: .*packings/,
  );
  throwsWith(() => uniform.fromCompressed(lb, { ...tensors, packed: new Int32Array(4) }), RangeError, /packed/);
});

t("GPTQ: a zero point of 0 is all ones in v1 and 0 in v2", () => {
  const common = { rows: 8, cols: 8, groupSize: -1, bits: 4 as const, scales: new Float32Array(8).fill(0.5) };
  const qweight = new Int32Array(8).fill(0x76543210);
  const old = numbersOf(uniform.fromGptq(lb, { ...common, qweight, qzeros: Int32Array.of(-1) }));
  const now = numbersOf(uniform.fromGptq(lb, { ...common, qweight, qzeros: Int32Array.of(0), format: "gptq_v2" }));
  equalValues(
    old,
    Float32Array.from({ length: 64 }, (_, i) => (i % 8) / 2),
    "v1",
  );
  equalValues(old, now, "both");
});

for (const bits of [2, 3, 4, 5, 6, 8]) {
  t(`MLX: ${bits} bits, negative scales`, () => {
    const codes = Array.from({ length: rows }, () => Array.from({ length: cols }, () => whole(2 ** bits)));
    const scales = Float32Array.from({ length: rows * 2 }, (_, i) => ((i % 2 ? 1 : -1) * (1 + whole(100))) / 256);
    const biases = Float32Array.from({ length: rows * 2 }, () => (whole(200) - 100) / 64);
    const weight = Uint32Array.from(codes.flatMap((line) => packed(line, bits, true)));
    const w = numbersOf(uniform.fromMlx(lb, { rows, cols, groupSize: 32, bits, weight, scales, biases }));
    const expected = Float32Array.from({ length: rows * cols }, (_, i) => {
      const group = Math.floor(i / 32);
      return (
        (codes[Math.floor(i / cols)]?.[i % cols] as number) * (scales[group] as number) + (biases[group] as number)
      );
    });
    equalValues(w, expected, `${bits} bits`);
  });
}

t("NVFP4: one global scale divides, the other multiplies", () => {
  const tensors = { rows: 1, cols: 16, packed: new Uint8Array(8).fill(0x72), scales: Uint8Array.of(0x38) };
  // 2 and 7 are 1 and 6, 0x38 is 1.
  is(numbersOf(codebook.fromNvfp4(lb, { ...tensors, globalDivisor: 4 }))[1], 1.5);
  is(numbersOf(codebook.fromNvfp4(lb, { ...tensors, globalScale: 4 }))[0], 4);
});

t("HQQ: the first rows are in the high bits; broken zero points; both axes", () => {
  const codes = Uint8Array.from({ length: 8 * 16 }, () => whole(16));
  for (const axis of [0, 1] as const) {
    const packed = Uint8Array.from({ length: 64 }, (_, i) => ((codes[i] as number) << 4) | (codes[64 + i] as number));
    const groups = 16;
    const scale = Float32Array.from({ length: groups }, (_, i) => (i + 1) / 8);
    const zero = Float32Array.from({ length: groups }, (_, i) => i / 4);
    const w = numbersOf(uniform.fromHqq(lb, { rows: 8, cols: 16, bits: 4, groupSize: 8, axis, packed, scale, zero }));
    const expected = Float32Array.from({ length: 128 }, (_, i) => {
      const group = axis === 1 ? Math.floor(i / 8) : i % groups;
      return ((codes[i] as number) - (zero[group] as number)) * (scale[group] as number);
    });
    equalValues(w, expected, `axis ${axis}`);
  }
});

t("MatMulNBits: rubbish in the padding is not read", () => {
  const common = { rows: 2, cols: 24, bits: 4 as const, blockSize: 16, scales: new Float32Array(4).fill(1) };
  const packed = new Uint8Array(32).fill(0x98);
  const clean = numbersOf(uniform.fromMatMulNBits(lb, { ...common, packed, zeroPoints: Uint8Array.of(0x21, 0x43) }));
  for (const row of [0, 1]) packed.fill(0xff, row * 16 + 12, row * 16 + 16);
  const dirty = numbersOf(uniform.fromMatMulNBits(lb, { ...common, packed, zeroPoints: Uint8Array.of(0x21, 0x43) }));
  equalValues(dirty, clean, "rubbish");
  equal(Array.from(clean.subarray(14, 18)), [7, 8, 6, 7]);
  equal(Array.from(clean.subarray(24, 26)), [5, 6]);
});

t("bitsandbytes: scales that are quantised, high nibble first, and a table of its own", () => {
  const nestedMap = Float32Array.from({ length: 256 }, (_, i) => i / 256);
  const w = numbersOf(
    codebook.fromBitsAndBytes(lb, {
      ...{ rows: 1, cols: 64, packed: new Uint8Array(32).fill(0x1f), absmax: Uint8Array.of(64) },
      ...{ nestedMap, nestedAbsmax: Float32Array.of(2), nestedOffset: 0.5 },
      quantMap: Float32Array.from({ length: 16 }, (_, i) => i),
    }),
  );
  equal(Array.from(w.subarray(0, 2)), [1, 15]);
});
