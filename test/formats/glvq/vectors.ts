// The golden vectors of grouped lattice vectors: test/formats/glvq/vectors.json, written by test/formats/glvq/make-vectors.ts.

import { bytesFromHex, floatsFromHex, toHex } from "../../kernels/vectors.ts";
import { random } from "../../lib/random.ts";
import { gemvInt8 } from "../../reference/gemv.ts";
import { type GlvqTensors, glvqProject, glvqUniform, glvqWeights } from "../../reference/glvq.ts";

/** Numbers are little-endian bytes in hexadecimal. */
export interface GlvqVector {
  rows: number;
  cols: number;
  bits: 2 | 3 | 4;
  dimension: 8 | 16 | 32;
  groupSize: number;
  /** uint8 [rows, ceil(cols / d) · d] */
  codes: string;
  /** float32 [groups, d, d] */
  bases: string;
  /** float32 [rows]; 1 where companded, so that the stored bytes are those of the matrix */
  scales: string;
  /** float32 [groups] each, or empty */
  mu: string;
  gains: string;
  /** float32 [cols] */
  x: string;
  /** float32 [rows] */
  int8: string;
  /** Companded: the stored codes. */
  stored: string;
}

export const glvqVectorFile = new URL("./vectors.json", import.meta.url);

export function vectorTensors(vector: GlvqVector): GlvqTensors {
  const { rows, cols, bits, dimension, groupSize, mu, gains } = vector;
  return {
    ...{ rows, cols, bits, dimension, groupSize },
    codes: bytesFromHex(vector.codes),
    bases: floatsFromHex(vector.bases),
    scales: floatsFromHex(vector.scales),
    ...(mu && { mu: floatsFromHex(mu), gains: floatsFromHex(gains) }),
  };
}

/** [strip of 16 rows][4 columns][16 rows], of columns padded to 32: a byte is the codes of 4 columns, the first lowest. */
function storedBytes({ rows, cols, dimension, codes }: GlvqTensors): Uint8Array {
  const perRow = Math.ceil(cols / dimension) * dimension;
  const bytesOfRow = Math.ceil(cols / 32) * 8;
  const stored = new Uint8Array(Math.ceil(rows / 16) * 16 * bytesOfRow);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < perRow; col++) {
      const at = (row - (row % 16)) * bytesOfRow + Math.floor(col / 4) * 16 + (row % 16);
      stored[at] = (stored[at] as number) + (codes[row * perRow + col] as number) * 4 ** (col % 4);
    }
  }
  return stored;
}

/** The seed is fixed and no engine-dependent function decides a bit. */
export function makeGlvqVectors(): GlvqVector[] {
  const rng = random("glvq vectors", 1);
  return (
    [
      [3, 20, 2, 8, 32, false],
      [2, 70, 3, 16, 64, false],
      [5, 33, 4, 8, 32, false],
      [17, 20, 2, 8, 32, true],
      [3, 70, 2, 16, 64, true],
      [2, 40, 2, 32, 64, true],
    ] as const
  ).map(([rows, cols, bits, dimension, groupSize, companded]) => {
    const groups = Math.ceil(cols / groupSize);
    const noise = rng.uniforms(groups * dimension * dimension, 0.1);
    const bases = noise.map((value, i) => {
      const at = i % (dimension * dimension);
      return value + (at % (dimension + 1) === 0 ? 0.3 : 0);
    });
    const tensors: GlvqTensors = {
      ...{ rows, cols, bits, dimension, groupSize, bases },
      codes: Uint8Array.from({ length: rows * Math.ceil(cols / dimension) * dimension }, () =>
        rng.int(0, 2 ** bits - 1),
      ),
      scales: companded ? new Float32Array(rows).fill(1) : rng.uniforms(rows),
      ...(companded && {
        mu: Float32Array.from({ length: groups }, () => rng.int(10, 255)),
        gains: rng.uniforms(groups, 2),
      }),
    };
    const x = rng.uniforms(cols, 4);
    const y = companded ? gemvInt8(glvqWeights(tensors), x) : gemvInt8(glvqUniform(tensors), glvqProject(tensors, x));
    return {
      ...{ rows, cols, bits, dimension, groupSize },
      codes: toHex(tensors.codes),
      bases: toHex(bases),
      scales: toHex(tensors.scales),
      mu: tensors.mu ? toHex(tensors.mu) : "",
      gains: tensors.gains ? toHex(tensors.gains) : "",
      x: toHex(x),
      int8: toHex(y),
      stored: companded ? toHex(storedBytes(tensors)) : "",
    };
  });
}
