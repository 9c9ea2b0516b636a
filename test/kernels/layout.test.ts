// The stored bytes, against vectors that are checked in: files that users keep depend on them, and so do the kernels.
//
// Cases name their formats.

import { storedBytes } from "../../src/matrix/stored.ts";
import { equalBits, equalValues, is } from "../lib/assert.ts";
import { binary, type Format, formats, init, type Lowbit, type Matrix, ternary } from "../lib/library.ts";
import { suite } from "../lib/suite.ts";
import { bytesFromHex, codesFromText, floatsFromHex, readVectors, type Vector } from "./vectors.ts";

const lb: Lowbit = await init({ variant: "simd", threads: 1 });

function pack(format: Format, vector: Vector, codes: Int8Array | Uint8Array, activation: "int8" | "lut8"): Matrix {
  const { rows, cols, groupSize } = vector;
  const common = { rows, cols, groupSize, activation, scales: floatsFromHex(vector.scales) };
  return format === "binary" ? binary.pack(lb, { ...common, signs: codes }) : ternary.pack(lb, { ...common, codes });
}

for (const format of formats) {
  const t = suite(`layout ${format}`);
  for (const vector of readVectors(format)) {
    const label = `${vector.rows} x ${vector.cols} group ${vector.groupSize}`;

    t(label, () => {
      for (const activation of ["int8", "lut8"] as const) {
        for (const codes of [codesFromText(vector.codes), bytesFromHex(vector.packed)]) {
          const matrix = pack(format, vector, codes, activation);
          const bytes = storedBytes(matrix);
          const inWords = activation === "int8" && vector.words;
          const stored = bytesFromHex(inWords || vector.tiles);
          const scales = bytesFromHex((inWords && vector.stripScales) || vector.tileScales);
          const from = `${label} ${activation} from ${codes.constructor.name}`;
          equalBits(bytes.slice(0, stored.length), stored, `${from}: weights`);
          equalBits(bytes.slice(stored.length), scales, `${from}: scales`);
          is(bytes.length, matrix.byteLength);
          matrix.dispose();
        }
      }
    });

    for (const activation of ["int8", "lut8"] as const) {
      t(`${label}: ${activation} product`, () => {
        const matrix = pack(format, vector, codesFromText(vector.codes), activation);
        equalValues(matrix.gemv(floatsFromHex(vector.x)), floatsFromHex(vector[activation]), label);
        matrix.dispose();
      });
    }
  }

  t("storedBytes() is a copy", () => {
    const vector = readVectors(format)[3] as Vector;
    const matrix = pack(format, vector, codesFromText(vector.codes), "lut8");
    storedBytes(matrix).fill(0xff);
    equalBits(storedBytes(matrix).slice(0, vector.tiles.length / 2), bytesFromHex(vector.tiles), "tiles");
    matrix.dispose();
  });
}
