// Numbers of 16 bits by their definitions: IEEE 754 binary16, and bfloat16, the upper half of binary32.

/** The value of float16 bits. */
export function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

/** The value of bfloat16 bits. */
export function bfloat16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 7) & 255;
  const mantissa = bits & 127;
  if (exponent === 255) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -133 : sign * (128 + mantissa) * 2 ** (exponent - 134);
}

/** y = W x in float64, and Σ (w x)², the power of the terms. */
export function denseProduct(
  w: ArrayLike<number>,
  rows: number,
  cols: number,
  x: ArrayLike<number>,
): { y: Float64Array; power: number } {
  const y = new Float64Array(rows);
  let power = 0;
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let col = 0; col < cols; col++) {
      const term = (w[row * cols + col] as number) * (x[col] as number);
      sum += term;
      power += term * term;
    }
    y[row] = sum;
  }
  return { y, power };
}
