// Matryoshka quantisation (MatQuant, Nair et al. 2025, arXiv:2502.06786): the high bits of 8-bit codes are codes too.
import { UNIFORM_BITS, type UniformBits } from "../../kernels/types.ts";
import { checkFinite, checkFloats, checkInteger, rangeError, typeError } from "../../lib/check.ts";
import { checkBytes, checkImportShape, type ImportShape } from "../shared/tensors.ts";

export interface MatryoshkaCodes extends ImportShape {
  /** [rows, cols], 8 bits */
  readonly codes: Uint8Array;
  /** [rows, groups] */
  readonly scales: Float32Array;
  /** [rows, groups]; default 128 */
  readonly zeros?: Float32Array | undefined;
}

export interface SlicedCodes extends ImportShape {
  /** Bits of a code: the smallest that `uniform` stores and that hold them all. */
  readonly bits: UniformBits;
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  /** Not whole numbers in general. Absent: all are 2^(bits - 1). */
  readonly zeros?: Float32Array;
}

/**
 * The highest `bits` bits of each code, rounded: round(code / 2^(8 - bits)), halves up, that is, plus the bit below
 * (as MatGPTQ does). A code c stands for c · 2^(8 - bits) of the old ones, so scales are multiplied by 2^(8 - bits) and zero points divided by it.
 *
 * Rounding up makes 2^bits + 1 codes. They are clamped to 2^bits - 1, as the paper does it, unless
 * `extraPrecision`: its variant without clamp, which keeps the last one. Here that takes codes of bits + 1 bits (8 for 6
 * and 7), as its 2^bits needs them; the paper counts the overflow as a sparse bit, 2.05 bits instead of 2.
 *
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, NaN or Infinity in scales or
 * zeros, scales that become infinite
 */
export function sliceCodes(
  where: string,
  from: MatryoshkaCodes,
  bits: number,
  options: { readonly extraPrecision?: boolean | undefined } = {},
): SlicedCodes {
  checkInteger(`${where}: bits`, bits, 1, 8);
  const { extraPrecision = false } = options;
  if (typeof extraPrecision !== "boolean") throw typeError(`${where}: extraPrecision`, "a boolean", extraPrecision);
  const { rows, cols, groupSize, groups } = checkImportShape(where, from);
  const old = checkBytes(`${where}: codes`, from.codes, rows * cols, `rows ${rows} x cols ${cols}`);
  const shape = `rows ${rows} x groups of a row ${groups}`;
  const scales = checkFloats(`${where}: scales`, from.scales, rows * groups, shape).slice();
  checkFinite(`${where}: scales`, scales);
  const zeros =
    from.zeros === undefined
      ? new Float32Array(rows * groups).fill(128)
      : checkFloats(`${where}: zeros`, from.zeros, rows * groups, shape).slice();
  checkFinite(`${where}: zeros`, zeros);

  const drop = 8 - bits;
  const step = 2 ** drop;
  for (let i = 0; i < scales.length; i++) {
    const scale = scales[i] as number;
    scales[i] = scale * step;
    if (!Number.isFinite(scales[i])) {
      throw rangeError(`${where}: scales`, `less than 2^${128 - drop}`, `${scale} at index ${i}`);
    }
    zeros[i] = (zeros[i] as number) / step;
  }
  // Of 8 bits nothing is dropped, and nothing rounded.
  const most = drop === 0 ? 255 : extraPrecision ? 2 ** bits : 2 ** bits - 1;
  const half = step >> 1;
  const codes = old.map((code) => Math.min((code + half) >> drop, most));
  const stored = UNIFORM_BITS.find((width) => 2 ** width > most) as UniformBits;
  const plain = { rows, cols, groupSize, bits: stored, codes, scales };
  return zeros.every((zero) => zero === 2 ** (stored - 1)) ? plain : { ...plain, zeros };
}
