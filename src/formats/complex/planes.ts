// What complex and fairy2i share: planes of i^code, each stored as two sign planes and two matrices of scales.
import { lengthOf } from "../../lib/arrays.ts";
import { checkFinite, rangeError } from "../../lib/check.ts";
import { type ComplexArray, checkComplex } from "../../lib/complex-array.ts";
import type { ComplexTensor } from "../../lib/floats.ts";
import type { Conjugate } from "../../matrix/complex.ts";
import { scaleFloats, scalePlace, scalesAt } from "../../matrix/layout.ts";
import { makeMatrix } from "../../matrix/make.ts";
import type { PackedMatrix } from "../../matrix/packed.ts";
import { checkCodes, type Shape } from "../../matrix/shape.ts";
import { type ComplexSpec, conjugateOf, KINDS, type Reader } from "../../matrix/spec.ts";
import { groupsOf } from "../../numeric/shape.ts";
import { type Planes, type RowWriter, readPlane, writePlanes } from "../shared/planes.ts";
import type { ComplexCodes } from "./quantize.ts";

/** Bits that a kernel gets for the conjugation of a plane. */
const KIND_BITS = 2;

export interface ComplexPlane extends ComplexCodes {
  readonly conjugate: Conjugate;
}

/** Codes and scales of a plane as callers have them: what `ComplexCodes` are. */
export interface ComplexPlaneTensors {
  /** [rows, cols] of 0 to 3 */
  readonly codes: Uint8Array;
  /** s_re and s_im */
  readonly scales: ComplexTensor;
}

/** Checks the codes and scales of a plane of rows x cols. */
export function checkPlane(
  where: string,
  { codes, scales }: { readonly codes: unknown; readonly scales: unknown },
  shape: Shape,
): ComplexCodes {
  return {
    codes: checkCodes(`${where}codes`, codes, shape, 3),
    scales: checkPlaneScales(`${where}scales`, scales, shape),
  };
}

// re and im [groups], the same for all rows, or [rows, groups]; finite and not zero.
function checkPlaneScales(where: string, value: unknown, shape: Shape): ComplexArray {
  const groups = groupsOf(shape);
  const most = shape.rows * groups;
  const re = (value as ComplexArray | undefined)?.re;
  const length = ArrayBuffer.isView(re) && lengthOf(re) === groups ? groups : most;
  const lengths = `rows ${shape.rows}, groups of a row ${groups}; ${groups} if rows share them`;
  const scales = checkComplex(where, value, length, lengths);
  for (const part of ["re", "im"] as const) {
    const values = scales[part];
    checkFinite(`${where}.${part}`, values);
    const zero = values.indexOf(0);
    if (zero >= 0) throw rangeError(`${where}.${part}`, "scales other than 0", `0 at index ${zero}`);
  }
  return scales;
}

// s = +1 for codes 0 and 3, t = +1 for 0 and 1: Re i^code = (s + t) / 2, Im i^code = (t - s) / 2.
const S_BITS = 0b1001;
const T_BITS = 0b0011;

/**
 * @param shape of the complex matrix
 * @param planes checked
 * @param oneScale int8: Re x and Im x of a token are quantised together
 */
export function makeComplexPlanes(
  where: string,
  lb: unknown,
  label: string,
  shape: Shape,
  planes: readonly ComplexPlane[],
  oneScale: boolean,
): PackedMatrix {
  const { rows, cols } = shape;
  const groups = groupsOf(shape);
  const all = planes.flatMap(({ scales }) => [scales.re, scales.im]);
  const sharedScales = all.every((values) => values.length === groups);
  const stored: Planes = { count: 2 * planes.length, together: false };
  const writeRow: RowWriter = (row, out) => {
    const lineBytes = out.length / stored.count;
    for (const [i, { codes }] of planes.entries()) {
      const s = out.subarray(2 * i * lineBytes, (2 * i + 1) * lineBytes);
      const t = out.subarray((2 * i + 1) * lineBytes, 2 * (i + 1) * lineBytes);
      for (let col = 0, at = row * cols; col < cols; col++, at++) {
        const code = codes[at] as number;
        const byte = col >> 3;
        s[byte] = (s[byte] as number) | (((S_BITS >> code) & 1) << (col & 7));
        t[byte] = (t[byte] as number) | (((T_BITS >> code) & 1) << (col & 7));
      }
    }
  };
  // Planes of which only some have scales a row are expanded to those.
  const scales = sharedScales ? all : all.map((values) => expandTiles(values, rows, groups));
  const kinds = planes.reduce((bits, { conjugate }, i) => bits | (KINDS[conjugate] << (KIND_BITS * i)), 0);
  return makeMatrix(where, lb, {
    label,
    format: "complex",
    shape,
    scales,
    sharedScales,
    complex: { kinds, oneScale },
    write: (bytes, layout) => writePlanes(bytes, rows, stored, layout, writeRow),
    reader: complexReader,
  });
}

/** Rows and columns are those of [Re; Im]. */
export const complexReader: Reader = ({ rows: bothRows, cols: bothCols, layout, complex }) => {
  const rows = bothRows / 2;
  const cols = bothCols / 2;
  const planes: Planes = { count: layout.planes, together: false };
  const { kinds } = complex as ComplexSpec;
  const conjugates = Array.from({ length: planes.count / 2 }, (_, i) => conjugateOf(kinds, i));
  const { groupByteCols, byteCols } = layout;
  const s = new Uint8Array(byteCols);
  const t = new Uint8Array(byteCols);
  const sums = new Float64Array(2 * cols);
  const planeScales = scaleFloats(layout);
  return (bytes, floats, row, out) => {
    const imaginary = row >= rows;
    const from = imaginary ? row - rows : row;
    sums.fill(0);
    for (const [i, conjugate] of conjugates.entries()) {
      readPlane(bytes, from, 2 * i, planes, layout, s);
      readPlane(bytes, from, 2 * i + 1, planes, layout, t);
      const first = scalesAt(layout) / 4 + 2 * i * planeScales;
      const [onRe, onIm] = signsOf(conjugate, imaginary);
      for (let col = 0; col < cols; col++) {
        const place = first + scalePlace(from, Math.floor((col >> 3) / groupByteCols), layout);
        const signS = ((s[col >> 3] as number) >> (col & 7)) & 1 ? 1 : -1;
        const signT = ((t[col >> 3] as number) >> (col & 7)) & 1 ? 1 : -1;
        const re = ((signS + signT) / 2) * (floats[place] as number);
        const im = ((signT - signS) / 2) * (floats[place + planeScales] as number);
        sums[col] = (sums[col] as number) + onRe * (imaginary ? im : re);
        sums[cols + col] = (sums[cols + col] as number) + onIm * (imaginary ? re : im);
      }
    }
    out.set(sums);
  };
};

// Re y = ±Re w Re x ± Im w Im x, Im y = ±Im w Re x ± Re w Im x: the signs.
function signsOf(conjugate: Conjugate, imaginary: boolean): readonly [onRe: number, onIm: number] {
  if (!imaginary) return [1, conjugate === "none" ? -1 : 1];
  return [conjugate === "w" ? -1 : 1, conjugate === "x" ? -1 : 1];
}

// [groups] of all rows, or [rows, groups], as [rows, groups].
function expandTiles(values: Float32Array, rows: number, groups: number): Float32Array {
  if (values.length !== groups) return values;
  return Float32Array.from({ length: rows * groups }, (_, i) => values[i % groups] as number);
}
