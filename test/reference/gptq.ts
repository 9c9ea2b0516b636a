// The packed tensors of AutoGPTQ: codes along the inputs, zero points along the outputs, lowest bits first.

/**
 * Codes in words of 32 bits. 2, 4 and 8 bits: 32 / bits to a word. 3 bits: 32 in three words, the 11th and the 22nd of
 * them being cut:
 *
 *     word 0: codes 0..9 in bits 0..29, the 2 low bits of code 10 in bits 30, 31
 *     word 1: its high bit in bit 0, codes 11..20 in bits 1..30, the low bit of code 21 in bit 31
 *     word 2: its 2 high bits in bits 0, 1, codes 22..31 in bits 2..31
 */
export function packWords(codes: number[], bits: number): number[] {
  const words: number[] = [];
  if (bits !== 3) {
    const perWord = 32 / bits;
    for (let at = 0; at < codes.length; at += perWord) {
      let word = 0;
      for (let j = 0; j < perWord; j++) word += (codes[at + j] as number) * 2 ** (bits * j);
      words.push(word | 0);
    }
    return words;
  }
  for (let at = 0; at < codes.length; at += 32) {
    const code = (i: number): number => codes[at + i] as number;
    let [a, b, c] = [0, 0, 0];
    for (let i = 0; i < 10; i++) {
      a += code(i) * 2 ** (3 * i);
      b += code(11 + i) * 2 ** (3 * i + 1);
      c += code(22 + i) * 2 ** (3 * i + 2);
    }
    a += (code(10) % 4) * 2 ** 30;
    b += Math.floor(code(10) / 4) + (code(21) % 2) * 2 ** 31;
    c += Math.floor(code(21) / 2);
    words.push(a | 0, b | 0, c | 0);
  }
  return words;
}

/** [words, rows] from codes [rows, cols], columns in the order of the inputs. */
export function packGptqWeights(codes: Uint8Array, rows: number, cols: number, bits: number): Int32Array {
  const out = new Int32Array((cols * bits * rows) / 32);
  for (let r = 0; r < rows; r++) {
    packWords(Array.from(codes.subarray(r * cols, (r + 1) * cols)), bits).forEach((word, i) => {
      out[i * rows + r] = word;
    });
  }
  return out;
}

/** [groups, words] from zero points [groups, rows]; "gptq" stores them less 1, modulo 2^bits. */
export function packGptqZeros(zeros: number[][], bits: number, format: "gptq" | "gptq_v2"): Int32Array {
  const less = format === "gptq" ? 1 : 0;
  return Int32Array.from(
    zeros.flatMap((line) =>
      packWords(
        line.map((zero) => (zero - less + 2 ** bits) % 2 ** bits),
        bits,
      ),
    ),
  );
}
