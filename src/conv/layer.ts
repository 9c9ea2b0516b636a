// A convolution with packed weights.
/// <reference lib="esnext.disposable" preserve="true" />
import {
  checkChoice,
  checkFinite,
  checkFloats,
  checkInteger,
  checkLength,
  describe,
  rangeError,
  typeError,
} from "../lib/check.ts";
import { type OptionNames, readOptions, type Settled } from "../lib/options.ts";
import type { Lowbit } from "../runtime/features.ts";
import { ALGORITHMS, type Algorithm, choose } from "./choose.ts";
import { type ConvEngine, convEngineOf } from "./engine.ts";
import { epilogueOf, isDyadic, writeBlocks } from "./epilogue.ts";
import { planOf } from "./plan.ts";
import { OPERAND, type Word, writeRecord } from "./record.ts";
import { checkShape, place, type Shape, type ShapeOptions } from "./shape.ts";
import { CONSTANTS_AT, type Spec, scaleAt, weightBytes, weightsAt, writeWeights } from "./spec.ts";
import { addressOf, type CodeOptions, checkCodes, codesOf, MAX_SIDE, pitchOf, shapeOf, Tensor } from "./tensor.ts";
import {
  BITS,
  type Bits,
  checkWeights,
  filterLength,
  filterSums,
  quantizeWeights,
  shapeText,
  transposeWeights,
} from "./weights.ts";

/** What follows a convolution, and how it is computed. */
export interface LayerOptions extends ShapeOptions {
  /** Bits of the weights: 2 to 8, "ternary" or "binary". Default 8. */
  readonly bits?: Bits;
  /** [outChannels], added to the result. */
  readonly bias?: Float32Array;
  /** The result, with bias and residual, is at least 0. */
  readonly relu?: boolean;
  /** Bounds of the result, with bias and residual. */
  readonly clip?: readonly [number, number];
  /**
   * How sums become codes: "float" (default), one float32 multiplication, or "dyadic", an integer multiplication and a shift, as
   * integer-only networks have it.
   */
  readonly requantize?: "float" | "dyadic";
  /** Height and width of the output, where they are known: they decide about the algorithm. */
  readonly map?: readonly [number, number];
  /** An algorithm in place of the one that would be chosen. All give the same bits. */
  readonly algorithm?: Algorithm;
}

export interface QuantizeOptions extends LayerOptions {
  /** One scale for each filter (default) or one for all. */
  readonly scales?: "filter" | "tensor";
}

export interface PackOptions extends LayerOptions {
  /** [outChannels][inChannels / groups][kernelY][kernelX]. */
  readonly codes: Int8Array;
  /** A weight is code · scale: [outChannels], or [1]. */
  readonly scales: Float32Array;
}

const SHAPE_NAMES: OptionNames<ShapeOptions> = {
  ...{ inChannels: [], outChannels: [], kernel: [], stride: [], dilation: [], padding: [], groups: [] },
  ...{ transposed: [], outputPadding: [] },
};
const LAYER_NAMES: OptionNames<LayerOptions> = {
  ...SHAPE_NAMES,
  ...{ bits: [], bias: [], relu: [], clip: [], requantize: [], map: [], algorithm: [] },
};
const QUANTIZE_NAMES: OptionNames<QuantizeOptions> = { ...LAYER_NAMES, scales: [] };
const PACK_NAMES: OptionNames<PackOptions> = { ...LAYER_NAMES, codes: [], scales: [] };

export interface RunOptions {
  /** Added to the result before bounds and rounding: of the shape of the output. */
  readonly residual?: Tensor;
}

const RUN_NAMES: OptionNames<RunOptions> = { residual: [] };
const CODE_NAMES: OptionNames<CodeOptions> = { type: [], bits: [], scale: [], zeroPoint: [] };

/**
 * Quantises float weights [outChannels, inChannels / groups, kernelY, kernelX] and packs them.
 *
 * @throws TypeError, RangeError for wrong arguments; OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: Float32Array, options: QuantizeOptions): Conv2d {
  const where = "conv.quantize";
  const given = readOptions(where, options, QUANTIZE_NAMES);
  const engine = convEngineOf(where, lb);
  const shape = checkShape(where, given);
  const bits = checkBits(`${where}: bits`, given.bits ?? 8);
  const scales = checkChoice(`${where}: scales`, given.scales ?? "filter", ["filter", "tensor"] as const);
  const all = checkFloats(`${where}: w`, w, shape.outChannels * filterLength(shape), shapeText(shape));
  const floats = shape.transposed ? transposeWeights(all, shape) : all;
  return new Conv2d(
    engine,
    makeSpec(where, engine, given, shape, bits, quantizeWeights(where, floats, shape, bits, scales)),
  );
}

/**
 * Packs weights that are codes already.
 *
 * @throws TypeError, RangeError for wrong arguments; OutOfMemoryError
 */
export function pack(lb: Lowbit, options: PackOptions): Conv2d {
  const where = "conv.pack";
  const given = readOptions(where, options, PACK_NAMES);
  const engine = convEngineOf(where, lb);
  const shape = checkShape(where, given);
  const bits = checkBits(`${where}: bits`, given.bits ?? 8);
  const all = checkWeights(`${where}: codes`, given.codes, shape, bits);
  const codes = shape.transposed ? transposeWeights(all, shape) : all.slice();
  const scales = checkScales(`${where}: scales`, given.scales, shape);
  return new Conv2d(engine, makeSpec(where, engine, given, shape, bits, { codes, scales: scales.slice() }));
}

function checkBits(where: string, value: unknown): Bits {
  const found = BITS.find((bits) => bits === value);
  const expected = '2 to 8 | "ternary" | "binary"';
  if (found !== undefined) return found;
  if (typeof value !== "number" && typeof value !== "string") throw typeError(where, expected, value);
  throw rangeError(where, expected, describe(value));
}

function checkScales(where: string, value: unknown, { outChannels }: Shape): Float32Array {
  const length = value instanceof Float32Array && value.length === 1 ? 1 : outChannels;
  const scales = checkFloats(where, value, length, `outChannels ${outChannels}, or 1`);
  checkFinite(where, scales);
  return scales;
}

function makeSpec(
  where: string,
  engine: ConvEngine,
  given: Settled<LayerOptions>,
  shape: Shape,
  bits: Bits,
  { codes, scales }: { codes: Int8Array; scales: Float32Array },
): Spec {
  const { bias } = given;
  const map = given.map ?? undefined;
  if (bias !== undefined) {
    checkFloats(`${where}: bias`, bias, shape.outChannels, `outChannels ${shape.outChannels}`);
    checkFinite(`${where}: bias`, bias);
  }
  const { sums, extents } = filterSums(codes, shape);
  for (let k = 0; k < extents.length; k++) extents[k] = 255 * (extents[k] as number);
  const most = extents.reduce((a, b) => Math.max(a, b), 0);
  if (most >= 2 ** 31) {
    throw rangeError(`${where}: codes`, "filters whose sums are below 2^31", `one of up to ${most}`);
  }
  const asked = given.algorithm ?? undefined;
  const forced = asked === undefined ? undefined : checkChoice(`${where}: algorithm`, asked, ALGORITHMS);
  const requantize = checkChoice(`${where}: requantize`, given.requantize ?? "float", ["float", "dyadic"] as const);
  const { operand } = engine;
  const algorithm = choose(
    where,
    { shape, operand, map: map === undefined ? undefined : checkMap(`${where}: map`, map), most },
    forced,
  );
  return {
    ...{ shape, bits, codes, scales, bias: bias?.slice(), sums, extents, algorithm, operand },
    clip: checkClip(where, given),
    dyadic: requantize === "dyadic",
  };
}

function checkMap(where: string, map: unknown): readonly [number, number] {
  if (!Array.isArray(map)) throw typeError(where, "[height, width]", map);
  checkLength(where, map, 2, "height and width");
  for (const side of map)
    if (!Number.isInteger(side) || side < 1) throw rangeError(where, "positive integers", describe(side));
  return [map[0], map[1]];
}

function checkClip(
  where: string,
  { relu, clip }: Pick<Settled<LayerOptions>, "relu" | "clip">,
): readonly [number, number] {
  if (relu !== undefined && typeof relu !== "boolean") throw typeError(`${where}: relu`, "a boolean", relu);
  if (clip === undefined) return [relu ? 0 : Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  if (!Array.isArray(clip)) throw typeError(`${where}: clip`, "[least, most]", clip);
  checkLength(`${where}: clip`, clip, 2, "least and most");
  const [least, most] = clip as unknown[];
  for (const bound of [least, most]) {
    if (typeof bound !== "number") throw typeError(`${where}: clip`, "numbers", bound);
    if (Number.isNaN(bound)) throw rangeError(`${where}: clip`, "numbers", "NaN");
  }
  if ((least as number) > (most as number)) throw rangeError(`${where}: clip`, "least <= most", `${least} and ${most}`);
  return [relu ? Math.max(0, least as number) : (least as number), most as number];
}

// Weights that the collector finds before dispose() does.
const abandoned = /* @__PURE__ */ new FinalizationRegistry<{ engine: ConvEngine; address: number }>(
  ({ engine, address }) => engine.arena.release(address),
);

/** A convolution of packed weights: run() maps tensors to tensors. */
export class Conv2d {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly bits: Bits;
  /** What computes it. */
  readonly algorithm: Algorithm;
  /** Bytes in linear memory: weights as the algorithm wants them. */
  readonly byteLength: number;
  readonly #engine: ConvEngine;
  readonly #spec: Spec;
  #address: number;

  constructor(engine: ConvEngine, spec: Spec) {
    const { shape, bits, algorithm } = spec;
    this.inChannels = shape.inChannels;
    this.outChannels = shape.outChannels;
    this.bits = bits;
    this.algorithm = algorithm;
    this.byteLength = weightsAt(spec) + weightBytes(spec);
    this.#engine = engine;
    this.#spec = spec;
    this.#address = engine.arena.allocate(this.byteLength);
    writeWeights(engine, spec, this.#address + weightsAt(spec));
    abandoned.register(this, { engine, address: this.#address }, this);
  }

  /** A tensor for what run() makes of a map of this size. */
  output(height: number, width: number, codes: CodeOptions = {}): Tensor {
    const where = "Conv2d.output";
    this.#live(where);
    const checked = checkCodes(where, readOptions(where, codes, CODE_NAMES));
    const side = checkInteger(`${where}: height`, height, 1, MAX_SIDE);
    const out = place(`${where}: map`, this.#spec.shape, side, checkInteger(`${where}: width`, width, 1, MAX_SIDE));
    return new Tensor(this.#engine, { height: out.height, width: out.width, channels: this.outChannels, ...checked });
  }

  /**
   * The convolution of a map of codes. With acc = Σ (x - zeroPoint) · code, exact, for a filter of scale s and bias b:
   *
   * - int32 output: acc
   * - float32 output: clip(acc · (x.scale · s) + b [+ residual])
   * - int8, uint8 output: clip(acc · (x.scale · s / out.scale) + b / out.scale [+ residual / out.scale]), rounded to the nearest,
   *   halves to even, plus out.zeroPoint
   *
   * where what stands in brackets is rounded to float32 once and the other operations are float32 ones in this order; "dyadic"
   * outputs are ((acc + b') · m [+ (r - r.zeroPoint) · m'] + 2^(n-1)) >> n in integers instead.
   *
   * @param x int8 or uint8
   * @param out of the shape that `output` makes; its type decides what is computed; it may be the residual
   * @returns out
   * @throws TypeError, RangeError for tensors that do not fit; OutOfMemoryError
   */
  run(x: Tensor, out: Tensor, options: RunOptions = {}): Tensor {
    const where = "Conv2d.run";
    // First, since it may run the caller's code.
    const { residual } = readOptions(where, options, RUN_NAMES) as RunOptions;
    this.#live(where);
    const engine = this.#engine;
    const spec = this.#spec;
    const { shape } = spec;
    const from = addressOf(`${where}: x`, x, engine);
    const to = addressOf(`${where}: out`, out, engine);
    if (x.type !== "int8" && x.type !== "uint8")
      throw typeError(`${where}: x`, "an int8 or uint8 tensor", `a ${x.type} one`);
    if (x.channels !== shape.inChannels) {
      throw rangeError(`${where}: x`, `${shape.inChannels} channels`, String(x.channels));
    }
    const placed = place(`${where}: x`, shape, x.height, x.width);
    const expected = shapeOf({ ...placed, channels: shape.outChannels });
    if (shapeOf(out) !== expected) throw rangeError(`${where}: out`, expected, shapeOf(out));
    if (from === to) throw rangeError(`${where}: out`, "a tensor other than x", "x");
    const beside = residual && { tensor: residual, address: this.#residual(`${where}: residual`, residual, out) };
    const plan = planOf(spec.algorithm, shape, spec.operand, placed, pitchOf(x), engine.threads);
    const epilogue = epilogueOf(where, spec, x, out, beside);
    const source = codesOf(x);
    const words: Partial<Record<Word, number>> = {
      ...epilogue.words,
      ...{ x: from, xHeight: x.height, xWidth: x.width, xPitch: pitchOf(x), xFlip: source.flip, xZero: source.zero },
      ...{ y: to, yHeight: out.height, yWidth: out.width },
      ...{ weights: this.#address + weightsAt(spec), constants: this.#address + CONSTANTS_AT },
      ...{ groups: shape.groups, groupIn: shape.groupIn, groupOut: shape.groupOut },
      ...{ strideY: shape.strideY, strideX: shape.strideX, dilationY: shape.dilationY, dilationX: shape.dilationX },
      ...{ kernelY: shape.kernelY, kernelX: shape.kernelX, padTop: placed.top, padLeft: placed.left },
      ...{
        spreadY: shape.spreadY,
        spreadX: shape.spreadX,
        operand: spec.algorithm === "direct" ? OPERAND[spec.operand] : OPERAND.wide,
      },
      ...plan.words,
    };
    // Memory may grow here, and then its views are others.
    engine.reserve(plan.scratchBytes);
    const { buffer } = engine.arena.memory;
    writeRecord(buffer, this.#address, words, epilogue.asFloats);
    writeBlocks(buffer, this.#address + CONSTANTS_AT, spec, epilogue);
    const work = placed.height * placed.width * shape.outChannels * filterLength(shape);
    engine.run(plan.kernel, this.#address, plan.units, plan.scratchBytes, work);
    return out;
  }

  /** The weights, code · scale, in the order in which they were given. */
  dequantize(): Float32Array {
    this.#live("Conv2d.dequantize");
    const spec = this.#spec;
    const length = filterLength(spec.shape);
    const w = Float32Array.from(spec.codes, (code, i) => code * scaleAt(spec, Math.floor(i / length)));
    return spec.shape.transposed ? transposeWeights(w, spec.shape, true) : w;
  }

  /** A copy of the codes, in the order in which they were given. */
  codes(): Int8Array {
    this.#live("Conv2d.codes");
    const { codes, shape } = this.#spec;
    return shape.transposed ? transposeWeights(codes, shape, true) : codes.slice();
  }

  /** A copy of the scales: [outChannels] or [1]. */
  scales(): Float32Array {
    this.#live("Conv2d.scales");
    return this.#spec.scales.slice();
  }

  /** Gives its memory back. Doing it twice is harmless. */
  dispose(): void {
    if (this.#address === 0) return;
    abandoned.unregister(this);
    this.#engine.arena.release(this.#address);
    this.#address = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #live(where: string): void {
    if (this.#address !== 0) return;
    throw new TypeError(`${where}: this convolution (${shapeText(this.#spec.shape)}) was disposed`);
  }

  #residual(where: string, residual: Tensor, out: Tensor): number {
    const address = addressOf(where, residual, this.#engine);
    if (out.type === "int32") throw rangeError(where, "none for an int32 output", "one");
    if (residual.type === "int32" || (isDyadic(this.#spec, out) && residual.type === "float32")) {
      throw typeError(where, "an int8 or uint8 tensor, or float32 beside float scales", `a ${residual.type} one`);
    }
    if (shapeOf(residual) !== shapeOf(out)) throw rangeError(where, shapeOf(out), shapeOf(residual));
    return address;
  }
}
