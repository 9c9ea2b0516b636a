// Golden vectors of PVQ: what is stored for a vector may not change from version to version.
import { pvqCode } from "../../../src/formats/pvq/bytes.ts";
import { pyramidAt, pyramidCount, pyramidNumber } from "../../reference/pvq.ts";

export interface PvqVector {
  vectorSize: 8 | 16;
  pulses: number;
  /** [vectorSize] */
  y: number[];
  /** In Fischer's order. */
  index: number;
  /** The 32 bits in memory. */
  stored: number;
}

export const pvqVectorFile = new URL("./vectors.json", import.meta.url);

/** The first and the last vector, and five of equal distance in between. */
export function makePvqVectors(): PvqVector[] {
  const all: PvqVector[] = [];
  for (const [vectorSize, pulses] of [
    [8, 7],
    [8, 14],
    [16, 5],
    [16, 12],
  ] as const) {
    const last = pyramidCount(vectorSize, pulses) - 1n;
    for (let i = 0n; i <= 6n; i++) {
      const y = pyramidAt((last * i) / 6n, vectorSize, pulses);
      const stored = pvqCode(vectorSize, pulses)?.encode(y, 0) as number;
      all.push({ vectorSize, pulses, y, index: Number(pyramidNumber(y)), stored });
    }
  }
  return all;
}
