// The record of a convolution that kernels read (assembly/conv/record.ts, whose words have the same order).

/** What the words are, in their order: 32 bits each. */
export const WORDS = [
  ...["x", "xHeight", "xWidth", "xPitch", "xFlip", "xZero"],
  ...["y", "yHeight", "yWidth", "yPitch", "yKind", "yFlip", "yZero", "least", "most"],
  ...["weights", "constants", "groups", "groupIn", "groupOut"],
  ...["strideY", "strideX", "dilationY", "dilationX", "kernelY", "kernelX", "padTop", "padLeft", "spreadY", "spreadX"],
  ...["unit", "form", "shift"],
  ...["residual", "residualPitch", "residualKind", "residualFlip", "residualZero", "residualScale"],
  ...["operand", "pixel", "sumsAt", "tilesAcross", "tiles", "xPlane", "mPlane", "mAt", "workAt"],
] as const;

export type Word = (typeof WORDS)[number];
export const RECORD_BYTES: number = WORDS.length * 4;

/** Words that are float32: bounds of the float form, and the scale of a residual in it. */
export type FloatWord = "least" | "most" | "residualScale";

/** yKind and residualKind. */
export const KIND = { bytes: 0, int32: 1, float32: 2 } as const;
/** form */
export const FORM = { float: 0, dyadic: 1 } as const;
/** operand: how activations meet weights. */
export const OPERAND = { wide: 0, signed: 1, unsigned: 2 } as const;
export type Operand = keyof typeof OPERAND;

/** Bytes of the constants of 16 outputs: what is added to sums, multipliers, what is added after them. */
export const BLOCK_BYTES = 192;
/** Rows of a job for a unit of work: ranges of jobs are whole tiles of so many. */
export const UNIT_ROWS = 64;

/** Writes words of a record. */
export function writeRecord(
  buffer: ArrayBufferLike,
  address: number,
  values: Partial<Readonly<Record<Word, number>>>,
  asFloats: readonly FloatWord[],
): void {
  const ints = new Int32Array(buffer, address, WORDS.length);
  const floats = new Float32Array(buffer, address, WORDS.length);
  for (const [at, name] of WORDS.entries()) {
    const value = values[name] ?? 0;
    if ((asFloats as readonly string[]).includes(name)) floats[at] = value;
    else ints[at] = value;
  }
}
