// I2_S of microsoft/BitNet (type 36 in its GGUF files): codes of 2 bits with one scale behind them. The repository writes
// three layouts, by the machine that the quantiser was built for, and nothing in a file tells them apart (its issues 585,
// 598 and 600 are about files of one read as another).
import { checkChoice, checkFinite, checkLength, checkOptions, rangeError, typeError } from "../../lib/check.ts";
import type { Settled } from "../../lib/options.ts";
import { checkImportShape, checkMultiple } from "../shared/tensors.ts";
import type { ImportedTernary } from "./from-bitnet.ts";

/**
 * - "x86": 128 columns in 32 bytes, byte m having columns m, 32 + m, 64 + m and 96 + m in bits 7-6, 5-4, 3-2 and 1-0; what
 *   x86 builds and the Python converters write, so the published files;
 * - "arm": 64 columns in 16 bytes, byte m having columns m, 16 + m, 32 + m and 48 + m; ARM builds;
 * - "rows": byte [r, c] has rows 4r to 4r + 3 of column c, from bits 7-6 down; x86 builds without ACT_PARALLEL.
 */
export const I2S_LAYOUTS = ["x86", "arm", "rows"] as const;

export interface I2sTensors {
  readonly rows: number;
  /** A multiple of 128 for "x86", of 64 for "arm"; rows · cols is one of 4 for "rows". */
  readonly cols: number;
  readonly layout: (typeof I2S_LAYOUTS)[number];
  /** The tensor's bytes, rows · cols / 4 + 32, of which the first four behind the codes are the scale, a float32. */
  readonly packed: Uint8Array;
  /** In place of the scale in `packed`, whose length may then be rows · cols / 4. */
  readonly scale?: number | undefined;
}

/** Bytes behind the codes: the scale, and 28 that mean nothing. */
const TAIL = 32;

/**
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, a code 3, which means nothing (its
 * row and column are named), a scale that is not finite
 */
export function importI2s(where: string, tensors: Settled<I2sTensors>): ImportedTernary {
  checkOptions(`${where}: tensors`, tensors);
  const { rows, cols } = checkImportShape(where, { rows: tensors.rows, cols: tensors.cols, groupSize: -1 });
  const { layout, packed, scale } = tensors;
  checkChoice(`${where}: layout`, layout, I2S_LAYOUTS);
  if (layout === "rows") checkMultiple(`${where}: rows`, rows, 4, "rows of a byte");
  else checkMultiple(`${where}: cols`, cols, layout === "x86" ? 128 : 64, "columns that are packed together");
  if (!(packed instanceof Uint8Array)) throw typeError(`${where}: packed`, "a Uint8Array", packed);
  const bytes = (rows * cols) / 4;
  if (scale === undefined || packed.length !== bytes) {
    checkLength(`${where}: packed`, packed, bytes + TAIL, `rows ${rows} x cols ${cols} / 4 + ${TAIL}`);
  }
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  if (scale !== undefined && typeof scale !== "number") throw typeError(`${where}: scale`, "a number", scale);
  const scales = Float32Array.of(scale === undefined ? view.getFloat32(bytes, true) : scale);
  checkFinite(
    `${where}: ${scale === undefined ? "packed: scale behind the codes" : "scale"}`,
    scales,
    "a finite number",
  );
  const codes = new Int8Array(rows * cols);
  const put = (at: number, code: number): void => {
    if (code === 3) {
      const place = `row ${Math.floor(at / cols)}, column ${at % cols}`;
      throw rangeError(`${where}: packed`, "codes 0, 1 or 2", `3 at ${place}; another layout may be meant`);
    }
    codes[at] = code - 1;
  };
  const step = layout === "x86" ? 32 : 16;
  for (let i = 0; i < bytes; i++) {
    const byte = packed[i] as number;
    for (let j = 0; j < 4; j++) {
      const code = (byte >> (6 - 2 * j)) & 3;
      if (layout === "rows") put((4 * Math.floor(i / cols) + j) * cols + (i % cols), code);
      else put(4 * (i - (i % step)) + step * j + (i % step), code);
    }
  }
  return { rows, cols, codes, scales };
}
