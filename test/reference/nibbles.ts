// How the 4-bit formats put two codes into a byte.

/** MXFP4 of gpt-oss, NVFP4: the first of two codes in the low half. */
export function packLowFirst(codes: Uint8Array): Uint8Array {
  return Uint8Array.from(
    { length: codes.length / 2 },
    (_, i) => (codes[2 * i] as number) + 16 * (codes[2 * i + 1] ?? 0),
  );
}

/** bitsandbytes: the first of two codes in the high half; an odd one at the end stands alone. */
export function packHighFirst(codes: Uint8Array): Uint8Array {
  return Uint8Array.from(
    { length: Math.ceil(codes.length / 2) },
    (_, i) => 16 * (codes[2 * i] as number) + (codes[2 * i + 1] ?? 0),
  );
}

/** MXFP4 of ggml: blocks of 17 bytes, the scale and then 16 bytes, the first half of the codes in the low halves. */
export function packGgmlMxfp4(codes: Uint8Array, exponents: Uint8Array): Uint8Array {
  const out: number[] = [];
  exponents.forEach((exponent, block) => {
    out.push(exponent);
    for (let j = 0; j < 16; j++) {
      out.push((codes[32 * block + j] as number) + 16 * (codes[32 * block + 16 + j] as number));
    }
  });
  return Uint8Array.from(out);
}
