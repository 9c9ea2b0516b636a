// The packed tensors of AutoAWQ (gemm): outputs along a row, eight nibbles to a word, the even outputs in the low half.

/** [lines, width / 8] words from [lines, width] nibbles. */
export function packAwq(lines: number[][]): Int32Array {
  const words = lines.flatMap((line) => {
    const out: number[] = [];
    for (let at = 0; at < line.length; at += 8) {
      let word = 0;
      for (let i = 0; i < 8; i++) {
        const place = i % 2 === 0 ? i / 2 : 4 + (i - 1) / 2;
        word += (line[at + i] as number) * 16 ** place;
      }
      out.push(word | 0);
    }
    return out;
  });
  return Int32Array.from(words);
}
