// FP8 of checkpoints: codes of a byte, and scales of the tensor, of its rows, or of blocks of 128 x 128.
import { checkArray, checkInteger, checkLength, MAX_COLS, MAX_ROWS, rangeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { e8m0ToFloat } from "../../lib/half.ts";
import type { Settled } from "../../lib/options.ts";

export interface Fp8Tensors {
  readonly rows: number;
  readonly cols: number;
  /** [rows, cols], as stored (`weight`). */
  readonly weight: Uint8Array;
  /**
   * What a code is multiplied by (`weight_scale_inv`, `weight_scale`, `scale`): [1], [rows], or [ceil(rows / block), ceil(cols / block)].
   * Bytes are E8M0.
   */
  readonly scale: FloatTensor | Uint8Array;
  /** Rows and columns of a block (`weight_block_size`). Default 128. */
  readonly block?: number | readonly [number, number];
}

export interface Fp8Codes {
  readonly rows: number;
  readonly cols: number;
  readonly groupSize: number;
  readonly scales: Float32Array;
  readonly codes: Uint8Array;
}

/** Checked tensors, the scales of blocks given to each row. */
export function importFp8(where: string, tensors: Settled<Fp8Tensors>): Fp8Codes {
  const rows = checkInteger(`${where}: rows`, tensors.rows, 1, MAX_ROWS);
  const cols = checkInteger(`${where}: cols`, tensors.cols, 1, MAX_COLS);
  const codes = checkArray(`${where}: weight`, tensors.weight, ["Uint8Array"]);
  checkLength(`${where}: weight`, codes, rows * cols, `rows ${rows} x cols ${cols}`);
  const given = readScale(where, tensors);
  const { block = 128 } = tensors;
  const [height, width] = (typeof block === "number" ? [block, block] : Array.from(block)).map((one) =>
    checkInteger(`${where}: block`, one, 1, MAX_COLS),
  ) as [number, number];
  const across = Math.ceil(cols / width);
  const down = Math.ceil(rows / height);
  if (given.length === 1 || (given.length === rows && given.length !== down * across)) {
    return { rows, cols, groupSize: cols, scales: given, codes };
  }
  if (given.length !== down * across) {
    const blocks = `${down * across} (${down} x ${across} blocks of ${height} x ${width})`;
    throw rangeError(`${where}: scale`, `length 1, ${rows} (rows), or ${blocks}`, String(given.length));
  }
  if (width < cols && width % 8 !== 0) throw rangeError(`${where}: block`, "a multiple of 8 columns", width);
  const scales = Float32Array.from({ length: rows * across }, (_, i) => {
    return given[Math.floor(Math.floor(i / across) / height) * across + (i % across)] as number;
  });
  return { rows, cols, groupSize: Math.min(width, cols), scales, codes };
}

function readScale(where: string, { scale }: Settled<Fp8Tensors>): Float32Array {
  const given = checkArray(`${where}: scale`, scale, ["Float32Array", "Uint8Array"]);
  return given instanceof Float32Array ? given : e8m0ToFloat(`${where}: scale`, given);
}
