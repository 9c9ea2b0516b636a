// Which weights become which format while a checkpoint is read. Names follow from the formats' rows and published tables.
import * as binary from "../formats/binary/index.ts";
import * as codebook from "../formats/codebook/index.ts";
import * as minifloat from "../formats/minifloat/index.ts";
import { MINIFLOATS } from "../formats/minifloat/types.ts";
import * as ternary from "../formats/ternary/index.ts";
import * as uniform from "../formats/uniform/index.ts";
import { formats } from "../kernels/formats.ts";
import type { Activation, IndexBits, UniformBits } from "../kernels/types.ts";
import { checkInteger, rangeError, typeError } from "../lib/check.ts";
import { nearest, type OptionNames, readOptions } from "../lib/options.ts";
import type { Matrix } from "../matrix/spec.ts";
import type { Lowbit } from "../runtime/features.ts";

/** A format and what shares a scale. */
export interface QuantizeAs {
  /** `uniform4`, `ternary`, `nf4`, … (docs/language-models.md). */
  readonly name: string;
  /** Columns that share a scale; -1: a row. Default: what the format is published with, of `uniform` 32. */
  readonly groupSize?: number;
}

/** A format for all matrices but embeddings and routers, or one for each by its name; undefined: as it is stored. */
export type QuantizeFormat =
  | string
  | QuantizeAs
  | ((tensor: string, shape: readonly [rows: number, cols: number]) => string | QuantizeAs | undefined);

export interface Request {
  readonly rows: number;
  readonly cols: number;
  readonly activation: Activation;
  readonly groupSize?: number;
}

export type Quantizer = (lb: Lowbit, w: Float32Array, options: Request) => Matrix;

const int8 = (options: Request): Request => ({
  ...options,
  activation: options.activation === "f32" ? "f32" : "int8",
});

export function quantizers(): ReadonlyMap<string, Quantizer> {
  const all = new Map<string, Quantizer>();
  for (const format of Object.keys(formats)) {
    const [, family, digits] = /^(uniform|codebook)(\d)$/.exec(format) ?? [];
    if (family === "uniform") {
      const bits = Number(digits) as UniformBits;
      all.set(format, (lb, w, options) => uniform.quantize(lb, w, { groupSize: 32, ...int8(options), bits }));
    } else if (family === "codebook") {
      // A table a row has no groups.
      const bits = Number(digits) as IndexBits;
      all.set(format, (lb, w, options) => codebook.quantize(lb, w, { ...int8(options), bits }));
    }
  }
  all.set("ternary", (lb, w, options) => ternary.quantize(lb, w, options));
  all.set("binary", (lb, w, options) => binary.quantize(lb, w, options));
  for (const table of ["nf4", "fp4", "mxfp4", "nvfp4"] as const) {
    all.set(table, (lb, w, options) => codebook.quantize(lb, w, { ...int8(options), table }));
  }
  for (const type of MINIFLOATS) {
    // Eight bits have lookups of float32 where there is no exact product.
    all.set(type, (lb, w, { activation, ...options }) =>
      minifloat.quantize(lb, w, { ...options, type, ...(/^e[45]/.test(type) ? {} : { activation }) }),
    );
  }
  return all;
}

const NAMES: OptionNames<QuantizeAs> = { name: ["format"], groupSize: ["group_size"] };

/** @throws TypeError, RangeError for another format */
export function checkFormat(where: string, given: unknown): QuantizeAs {
  if (typeof given !== "string" && (typeof given !== "object" || given === null)) {
    throw typeError(where, "a format's name, or { name, groupSize }", given);
  }
  const { name, groupSize } =
    typeof given === "string" ? { name: given } : readOptions<QuantizeAs>(where, given, NAMES, "format");
  if (typeof name !== "string") throw typeError(`${where}: name`, "a format's name", name);
  const known = [...quantizers().keys()];
  if (!known.includes(name)) {
    const near = nearest(name, known);
    throw rangeError(where, near ? `a format (did you mean "${near}"?)` : `one of ${known.join(", ")}`, `"${name}"`);
  }
  if (groupSize === undefined) return { name };
  return { name, groupSize: checkInteger(`${where}: groupSize`, groupSize, -1, 2 ** 24) };
}

/** Reads the option; what it returns says what becomes of a tensor. */
export function readFormat(
  where: string,
  given: unknown,
): (tensor: string, rows: number, cols: number) => QuantizeAs | undefined {
  if (given === undefined) return () => undefined;
  if (typeof given !== "function") {
    const one = checkFormat(where, given);
    return () => one;
  }
  return (tensor, rows, cols) => {
    const format: unknown = given(tensor, [rows, cols]);
    return format === undefined ? undefined : checkFormat(`${where}: ${tensor}`, format);
  };
}

/** @throws RangeError for a group that the format does not have, or weights that are not finite; OutOfMemoryError */
export function quantizeAs(
  lb: Lowbit,
  w: Float32Array,
  rows: number,
  cols: number,
  { name, groupSize }: QuantizeAs,
  activation: Activation,
): Matrix {
  const quantizer = quantizers().get(name) as Quantizer;
  return quantizer(lb, w, { rows, cols, activation, ...(groupSize !== undefined && { groupSize }) });
}
