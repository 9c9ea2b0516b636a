// Activations as kernels have them: codes or numbers of a map in linear memory, pixel after pixel (NHWC, one image).
/// <reference lib="esnext.disposable" preserve="true" />
import {
  checkArray,
  checkChoice,
  checkFinite,
  checkFloats,
  checkInteger,
  checkLength,
  describe,
  rangeError,
  typeError,
} from "../lib/check.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";
import { roundHalfEven } from "../numeric/scale.ts";
import type { Lowbit } from "../runtime/features.ts";
import { type ConvEngine, convEngineOf } from "./engine.ts";

const TYPES = ["int8", "uint8", "int32", "float32"] as const;
/** What a tensor holds: codes of at most 8 bits with a scale and a zero point, whole sums, or numbers. */
export type TensorType = (typeof TYPES)[number];

export interface TensorOptions {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** Default "int8". */
  readonly type?: TensorType;
  /** Codes of so many bits, 2 to 8: -2^(bits-1) … 2^(bits-1) - 1, or 0 … 2^bits - 1 of "uint8". Default 8. */
  readonly bits?: number;
  /** A code stands for (code - zeroPoint) · scale. Default 1; only for "int8" and "uint8". */
  readonly scale?: number;
  /** The code of 0, which also stands outside of the map. Default 0. */
  readonly zeroPoint?: number;
}

const NAMES: OptionNames<TensorOptions> = {
  ...{ height: [], width: [], channels: [] },
  ...{ type: [], bits: [], scale: [], zeroPoint: [] },
};

/** Pixels of images have so many bytes at most that one pass of `writeBytes` and `readBytes` reads: RGBA. */
const IMAGE_CHANNELS = 4;
export const MAX_SIDE = 65536;
const MAX_CHANNELS = 65536;
/** Bytes that are brought in or out at a time. */
const STAGE = 262144;

/** From bytes of an image to numbers: (byte / 255 - mean) / deviation of each channel. */
export interface ImageOptions {
  /** Bytes of a pixel of the image: 4 (default), RGBA; 3, RGB; 1. */
  readonly pixelBytes?: number;
  /** A number, or one a channel. Default 0. */
  readonly mean?: number | readonly number[];
  /** Default 1. */
  readonly deviation?: number | readonly number[];
}

const IMAGE_NAMES: OptionNames<ImageOptions> = { pixelBytes: [], mean: [], deviation: ["std"] };

const abandoned = /* @__PURE__ */ new FinalizationRegistry<{ engine: ConvEngine; address: number }>(
  ({ engine, address }) => engine.arena.release(address),
);

export interface Range {
  readonly least: number;
  readonly most: number;
}

/** A map of codes or numbers in linear memory. */
export class Tensor {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly type: TensorType;
  readonly bits: number;
  readonly scale: number;
  readonly zeroPoint: number;
  readonly #engine: ConvEngine;
  #address: number;

  /** @param options checked */
  constructor(engine: ConvEngine, options: Required<TensorOptions>) {
    const { height, width, channels, type, bits, scale, zeroPoint } = options;
    this.height = height;
    this.width = width;
    this.channels = channels;
    this.type = type;
    this.bits = bits;
    this.scale = scale;
    this.zeroPoint = zeroPoint;
    this.#engine = engine;
    this.#address = engine.arena.allocate(this.byteLength);
    abandoned.register(this, { engine, address: this.#address }, this);
  }

  /** Bytes in linear memory: pixels are padded to multiples of 16 channels. */
  get byteLength(): number {
    // What a vector reads beyond the last pixel of a group of channels.
    return this.height * this.width * pitchOf(this) + 16;
  }

  /** Least and largest code. */
  get range(): Range {
    if (this.type === "uint8") return { least: 0, most: 2 ** this.bits - 1 };
    return { least: -(2 ** (this.bits - 1)), most: 2 ** (this.bits - 1) - 1 };
  }

  /** Numbers to codes: clip(round(x / scale) + zeroPoint), halves to even; float32 tensors take them as they are. */
  write(values: Float32Array): void {
    const where = "Tensor.write";
    this.#live(where);
    const { height, width, channels } = this;
    const all = checkFloats(`${where}: values`, values, height * width * channels, shapeOf(this));
    checkFinite(`${where}: values`, all);
    this.#checkNumbers(where);
    const { exports, arena } = this.#engine;
    const step = channels * 4;
    this.#inPieces(step, (stage, begin, end) => {
      arena.floats.set(all.subarray(begin * channels, end * channels), stage / 4);
      if (this.type === "float32") {
        this.#floats(begin, end, (to, from) =>
          to.set(arena.floats.subarray(stage / 4 + from, stage / 4 + from + channels)),
        );
      } else {
        const { zero, least, most, flip } = codesOf(this);
        const at = this.#address + begin * pitchOf(this);
        exports.conv_quantize(
          stage,
          step,
          at,
          pitchOf(this),
          0,
          end - begin,
          channels,
          this.scale,
          zero,
          least,
          most,
          flip,
        );
      }
    });
  }

  /** Its numbers [height, width, channels]: (code - zeroPoint) · scale. Of int32 tensors as float32, rounded. */
  read(out?: Float32Array): Float32Array {
    const where = "Tensor.read";
    this.#live(where);
    const { height, width, channels, type } = this;
    const length = height * width * channels;
    const all = out === undefined ? new Float32Array(length) : checkFloats(`${where}: out`, out, length, shapeOf(this));
    const { exports, arena } = this.#engine;
    if (type === "int32") {
      const ints = this.readCodes() as Int32Array;
      all.set(ints);
    } else if (type === "float32") {
      this.#floats(0, height * width, (from, to) => all.set(from, to));
    } else {
      const step = channels * 4;
      const { zero, flip } = codesOf(this);
      this.#inPieces(step, (stage, begin, end) => {
        const at = this.#address + begin * pitchOf(this);
        exports.conv_dequantize(at, pitchOf(this), stage, step, 0, end - begin, channels, this.scale, zero, flip);
        all.set(arena.floats.subarray(stage / 4, stage / 4 + (end - begin) * channels), begin * channels);
      });
    }
    return out ?? all;
  }

  /**
   * Codes [height, width, channels] as they are.
   *
   * @throws TypeError for an array of another type than the tensor's, RangeError for a code beyond `range`
   */
  writeCodes(codes: Int8Array | Uint8Array | Int32Array): void {
    const where = "Tensor.writeCodes";
    this.#live(where);
    const { height, width, channels, type } = this;
    if (type === "float32" || type === "int32") throw typeError(where, "an int8 or uint8 tensor", `a ${type} one`);
    const kind = type === "int8" ? "Int8Array" : "Uint8Array";
    const all = checkArray(`${where}: codes`, codes, [kind]);
    checkLength(`${where}: codes`, all, height * width * channels, shapeOf(this));
    const { least, most } = this.range;
    for (let i = 0; this.bits < 8 && i < all.length; i++) {
      const code = all[i] as number;
      if (code < least || code > most) {
        throw rangeError(`${where}: codes`, `codes from ${least} to ${most}`, `${code} at index ${i}`);
      }
    }
    const pitch = pitchOf(this);
    const bytes = new Uint8Array(all.buffer, all.byteOffset, all.length);
    const memory = this.#engine.arena.bytes;
    for (let pixel = 0; pixel < height * width; pixel++) {
      memory.set(bytes.subarray(pixel * channels, (pixel + 1) * channels), this.#address + pixel * pitch);
    }
  }

  /** Codes, or the sums of an int32 tensor, [height, width, channels]. */
  readCodes(): Int8Array | Uint8Array | Int32Array {
    const where = "Tensor.readCodes";
    this.#live(where);
    const { height, width, channels, type } = this;
    if (type === "float32") throw typeError(where, "a tensor of codes", "a float32 one");
    const size = type === "int32" ? 4 : 1;
    const bytes = new Uint8Array(height * width * channels * size);
    const pitch = pitchOf(this);
    const memory = this.#engine.arena.bytes;
    for (let pixel = 0; pixel < height * width; pixel++) {
      const at = this.#address + pixel * pitch;
      bytes.set(memory.subarray(at, at + channels * size), pixel * channels * size);
    }
    if (type === "uint8") return bytes;
    return type === "int8" ? new Int8Array(bytes.buffer) : new Int32Array(bytes.buffer);
  }

  /**
   * From the bytes of an image, as a canvas has them: the first `channels` of a pixel, in one pass. A byte stands for
   * (byte / 255 - mean) / deviation, which becomes the nearest code.
   */
  writeBytes(image: Uint8Array | Uint8ClampedArray, options: ImageOptions = {}): void {
    const where = "Tensor.writeBytes";
    this.#live(where);
    const { channels, scale, zeroPoint, range } = this;
    const { pixelBytes, mean, deviation } = this.#image(where, options);
    const bytes = this.#imageBytes(where, image, pixelBytes);
    const table = new Uint8Array(channels * 256);
    for (let i = 0; i < table.length; i++) {
      const channel = i >> 8;
      const x = ((i & 255) / 255 - (mean[channel] as number)) / (deviation[channel] as number);
      table[i] = Math.min(range.most, Math.max(range.least, roundHalfEven(x / scale) + zeroPoint));
    }
    const { exports, arena } = this.#engine;
    this.#inPieces(
      pixelBytes,
      (stage, begin, end, tables) => {
        arena.bytes.set(table, tables);
        arena.bytes.set(bytes.subarray(begin * pixelBytes, end * pixelBytes), stage);
        const at = this.#address + begin * pitchOf(this);
        exports.conv_map_bytes(stage, pixelBytes, at, pitchOf(this), 0, end - begin, channels, tables);
      },
      table.length,
    );
  }

  /**
   * To the bytes of an image: round(255 · (x · deviation + mean)) of the first `channels` bytes of each pixel, 255 in the others
   * (opaque).
   */
  readBytes(options: ImageOptions = {}, out?: Uint8Array | Uint8ClampedArray): Uint8Array | Uint8ClampedArray {
    const where = "Tensor.readBytes";
    this.#live(where);
    const { height, width, channels, scale, zeroPoint } = this;
    const { pixelBytes, mean, deviation } = this.#image(where, options);
    const given = out ?? new Uint8ClampedArray(height * width * pixelBytes);
    const bytes = this.#imageBytes(where, given, pixelBytes);
    if (channels < pixelBytes) bytes.fill(255);
    const table = new Uint8Array(channels * 256);
    for (let i = 0; i < table.length; i++) {
      const channel = i >> 8;
      const code = this.type === "uint8" ? i & 255 : ((i & 255) << 24) >> 24;
      const x = (code - zeroPoint) * scale * (deviation[channel] as number) + (mean[channel] as number);
      table[i] = Math.min(255, Math.max(0, roundHalfEven(255 * x)));
    }
    const { exports, arena } = this.#engine;
    this.#inPieces(
      pixelBytes,
      (stage, begin, end, tables) => {
        arena.bytes.set(table, tables);
        arena.bytes.set(bytes.subarray(begin * pixelBytes, end * pixelBytes), stage);
        const at = this.#address + begin * pitchOf(this);
        exports.conv_map_bytes(at, pitchOf(this), stage, pixelBytes, 0, end - begin, channels, tables);
        bytes.set(arena.bytes.subarray(stage, stage + (end - begin) * pixelBytes), begin * pixelBytes);
      },
      table.length,
    );
    return given;
  }

  /** The largest |number| of a float32 tensor: what activation scales of an image are made of. */
  absmax(): number {
    const where = "Tensor.absmax";
    this.#live(where);
    const { height, width, channels, type } = this;
    if (type !== "float32") throw typeError(where, "a float32 tensor", `a ${type} one`);
    return this.#engine.exports.conv_absmax(this.#address, pitchOf(this), 0, height * width, channels);
  }

  /** The codes of a float32 tensor of the same shape, in linear memory: see `write`. */
  quantizeFrom(source: Tensor): void {
    const where = "Tensor.quantizeFrom";
    this.#live(where);
    const { height, width, channels } = this;
    const from = addressOf(`${where}: source`, source, this.#engine);
    if (source.type !== "float32") throw typeError(`${where}: source`, "a float32 tensor", `a ${source.type} one`);
    if (shapeOf(source) !== shapeOf(this)) throw rangeError(`${where}: source`, shapeOf(this), shapeOf(source));
    if (this.type !== "int8" && this.type !== "uint8") {
      throw typeError(where, "an int8 or uint8 tensor", `a ${this.type} one`);
    }
    const { zero, least, most, flip } = codesOf(this);
    const { exports } = this.#engine;
    const [step, pitch] = [pitchOf(source), pitchOf(this)];
    const pixels = height * width;
    exports.conv_quantize(from, step, this.#address, pitch, 0, pixels, channels, this.scale, zero, least, most, flip);
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

  /** Where it is, for kernels of the same instance. */
  static address(where: string, value: unknown, engine: ConvEngine): number {
    if (!(typeof value === "object" && value !== null && #engine in value)) {
      throw typeError(where, "a tensor of lowbit/conv", value);
    }
    value.#live(where);
    if (value.#engine !== engine) throw typeError(where, "a tensor of the same instance", "one of another");
    return value.#address;
  }

  #live(where: string): void {
    if (this.#address === 0) throw new TypeError(`${where}: this tensor (${shapeOf(this)}) was disposed`);
  }

  #checkNumbers(where: string): void {
    if (this.type === "int32") throw typeError(where, "an int8, uint8 or float32 tensor", "an int32 one");
  }

  // Pixels of a float32 tensor: a view of each, or of all where there are no gaps, and the index of its first number.
  #floats(begin: number, end: number, body: (pixels: Float32Array, from: number) => void): void {
    const { channels } = this;
    const floats = this.#engine.arena.floats;
    const step = pitchOf(this) / 4;
    for (let pixel = begin; pixel < end; pixel++) {
      const at = this.#address / 4 + pixel * step;
      body(floats.subarray(at, at + channels), (pixel - begin) * channels);
    }
  }

  // Ranges of pixels with room for `bytes` a pixel, and for `beside` more.
  #inPieces(
    bytes: number,
    body: (stage: number, begin: number, end: number, beside: number) => void,
    beside = 0,
  ): void {
    const pixels = this.height * this.width;
    const count = Math.max(1, Math.floor(STAGE / bytes));
    const room = Math.ceil((Math.min(count, pixels) * bytes) / 64) * 64;
    const stage = this.#engine.scratch(room + beside);
    for (let begin = 0; begin < pixels; begin += count) {
      body(stage, begin, Math.min(pixels, begin + count), stage + room);
    }
  }

  #image(
    where: string,
    options: ImageOptions,
  ): { pixelBytes: number; mean: readonly number[]; deviation: readonly number[] } {
    const { type, channels } = this;
    if (type !== "int8" && type !== "uint8") throw typeError(where, "an int8 or uint8 tensor", `a ${type} one`);
    const given = readOptions(where, options, IMAGE_NAMES);
    const pixelBytes = checkInteger(`${where}: pixelBytes`, given.pixelBytes ?? IMAGE_CHANNELS, 1, IMAGE_CHANNELS);
    if (channels > pixelBytes) {
      throw rangeError(`${where}: pixelBytes`, `at least the ${channels} channels of the tensor`, String(pixelBytes));
    }
    const mean = perChannel(`${where}: mean`, given.mean ?? 0, channels);
    const deviation = perChannel(`${where}: deviation`, given.deviation ?? 1, channels);
    for (const value of deviation) {
      if (value === 0) throw rangeError(`${where}: deviation`, "numbers other than 0", "0");
    }
    return { pixelBytes, mean, deviation };
  }

  #imageBytes(where: string, image: unknown, pixelBytes: number): Uint8Array {
    const bytes = imageBytes(`${where}: image`, image);
    const { height, width } = this;
    checkLength(`${where}: image`, bytes, height * width * pixelBytes, `${height} x ${width} x ${pixelBytes}`);
    return bytes;
  }
}

function imageBytes(where: string, image: unknown): Uint8Array {
  const expected = "a Uint8Array or a Uint8ClampedArray";
  if (Object.prototype.toString.call(image) !== "[object Uint8ClampedArray]") {
    return checkArray(where, image, ["Uint8Array"], expected);
  }
  const clamped = image as Uint8ClampedArray;
  return checkArray(
    where,
    new Uint8Array(clamped.buffer, clamped.byteOffset, clamped.length),
    ["Uint8Array"],
    expected,
  );
}

function perChannel(where: string, value: unknown, channels: number): readonly number[] {
  const values: unknown[] = Array.isArray(value) ? Array.from(value) : Array.from({ length: channels }, () => value);
  if (values.length !== channels) throw rangeError(where, `${channels} numbers, one a channel`, String(values.length));
  return values.map((one) => {
    if (typeof one !== "number") throw typeError(where, "a finite number, or one a channel", one);
    if (!Number.isFinite(one)) throw rangeError(where, "a finite number, or one a channel", String(one));
    return one;
  });
}

/**
 * A map of the given shape, whose content is whatever memory holds until something is written.
 *
 * @throws TypeError, RangeError for wrong options; OutOfMemoryError
 */
export function tensor(lb: Lowbit, options: TensorOptions): Tensor {
  const where = "conv.tensor";
  const given = readOptions(where, options, NAMES);
  return new Tensor(convEngineOf(where, lb), checkTensor(where, given));
}

export function checkTensor(where: string, given: Partial<TensorOptions>): Required<TensorOptions> {
  const height = checkInteger(`${where}: height`, given.height, 1, MAX_SIDE);
  const width = checkInteger(`${where}: width`, given.width, 1, MAX_SIDE);
  const channels = checkInteger(`${where}: channels`, given.channels, 1, MAX_CHANNELS);
  return { height, width, channels, ...checkCodes(where, given) };
}

export type CodeOptions = Pick<TensorOptions, "type" | "bits" | "scale" | "zeroPoint">;

/** What codes stand for. */
export function checkCodes(where: string, given: CodeOptions): Required<CodeOptions> {
  const type = checkChoice(`${where}: type`, given.type ?? "int8", TYPES);
  const codes = type === "int8" || type === "uint8";
  if (!codes) {
    for (const name of ["bits", "scale", "zeroPoint"] as const) {
      if (given[name] !== undefined) throw rangeError(`${where}: ${name}`, `none for ${type}`, describe(given[name]));
    }
    return { type, bits: 32, scale: 1, zeroPoint: 0 };
  }
  const bits = checkInteger(`${where}: bits`, given.bits ?? 8, 2, 8);
  const [least, most] = type === "uint8" ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const zeroPoint = checkInteger(`${where}: zeroPoint`, given.zeroPoint ?? 0, least, most);
  return { type, bits, scale: checkScale(`${where}: scale`, given.scale ?? 1), zeroPoint };
}

/** A float32 that is finite and above 0. */
export function checkScale(where: string, scale: unknown): number {
  if (typeof scale !== "number") throw typeError(where, "a positive number", scale);
  const rounded = Math.fround(scale);
  if (!(rounded > 0 && Number.isFinite(rounded))) throw rangeError(where, "a positive float32", String(scale));
  return rounded;
}

/** Bytes from a pixel to the next: 16 channels are a vector of codes. */
export function pitchOf({ channels, type }: Pick<Tensor, "channels" | "type">): number {
  const padded = Math.ceil(channels / 16) * 16;
  return type === "int8" || type === "uint8" ? padded : 4 * padded;
}

export function shapeOf({ height, width, channels }: Pick<Tensor, "height" | "width" | "channels">): string {
  return `${height} x ${width} x ${channels}`;
}

/** How kernels see codes: signed ones, their zero point, and what may be stored, less the zero point. */
export function codesOf(t: Pick<Tensor, "type" | "zeroPoint" | "range">): {
  readonly flip: number;
  readonly zero: number;
  readonly least: number;
  readonly most: number;
} {
  const flip = t.type === "uint8" ? 128 : 0;
  return { flip, zero: t.zeroPoint - flip, least: t.range.least - t.zeroPoint, most: t.range.most - t.zeroPoint };
}

export const addressOf: typeof Tensor.address = (where, value, engine) => Tensor.address(where, value, engine);
