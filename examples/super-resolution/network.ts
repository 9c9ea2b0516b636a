/**
 * A network that doubles the size of a picture: a convolution, residual blocks of two, two more, and pixels from channels; beside it
 * the bilinear enlargement, to which it adds what that loses (Lim et al., "Enhanced deep residual networks for single image
 * super-resolution", 2017). All convolutions run on integers. Nothing here needs Node: a page can use it as it is.
 */
import type { Lowbit } from "lowbit";
import * as conv from "lowbit/conv";
import type { Safetensors } from "lowbit/files";

/** Weights of the body: as trained for so many bits (2: ternary), or float weights, which are quantised to 8. */
export type Bits = "fp" | 8 | 4 | 2;

/** RGBA, a byte each, row after row. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

export interface EnlargeOptions {
  /** Pixels of the picture that are computed at a time, on a side, without the border that they need. Default 320. */
  readonly tile?: number;
  /** Keeps the scales of the picture before, as of a film. */
  readonly keepScales?: boolean;
  /** Called with the fraction done after each tile. */
  readonly onProgress?: (done: number) => void;
}

/** Size of the result in sizes of the picture. */
const FACTOR = 2;
const COLOURS = 3;
const DEFAULT_TILE = 320;
/** Parts of a picture, evenly spread, on which scales are measured, and their size. */
const PARTS = 4;
const PART = 64;

/** A convolution of a file. */
export interface Filter {
  readonly bias: Float32Array;
  readonly inChannels: number;
  readonly outChannels: number;
  /** [out, in, 3, 3]: float weights, or whole ones with a scale for each output. */
  readonly w: Float32Array | Int8Array;
  readonly scales?: Float32Array;
}

/** A part of a picture, with as much around it as the result of the part depends on. */
interface Tile {
  /** In the picture, with the border. */
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
  /** Of it without the border, from the tile's corner. */
  readonly skipY: number;
  readonly skipX: number;
  readonly rows: number;
  readonly cols: number;
}

export class SuperResolution {
  /** Residual blocks. */
  readonly depth: number;
  /** Channels. */
  readonly width: number;
  readonly bits: Bits;
  readonly #lb: Lowbit;
  readonly #head: readonly [conv.Conv2d, conv.Conv2d];
  readonly #blocks: readonly (readonly [conv.Conv2d, conv.Conv2d])[];
  readonly #fuse: conv.Conv2d;
  readonly #up: readonly [conv.Conv2d, conv.Conv2d];
  /** Largest activation that every convolution but the first meets, in the order of the network; of the last picture. */
  #extents: number[] = [];

  /**
   * @param lb with lowbit/conv loaded
   * @param file `head`, `body.<block>.<0 or 1>`, `fuse` and `up`, each `.weight` [out, in, 3, 3] and `.bias`, float32
   */
  constructor(lb: Lowbit, file: Safetensors, bits: Bits) {
    this.bits = bits;
    this.#lb = lb;
    const head = readFloats(file, "head");
    this.width = head.outChannels;
    this.depth = 0;
    while (file.tensors.has(`body.${this.depth}.0.weight`)) this.depth++;
    const body = bodyBits(bits);
    this.#head = packFine(lb, withCentre(head));
    this.#blocks = Array.from({ length: this.depth }, (_, i) => [
      pack(lb, readFilter(file, `body.${i}.0`), body, { relu: true }),
      pack(lb, readFilter(file, `body.${i}.1`), body),
    ]);
    this.#fuse = pack(lb, readFilter(file, "fuse"), body);
    this.#up = packFine(lb, readFloats(file, "up"));
  }

  /** Bytes of weights in linear memory. */
  get byteLength(): number {
    return this.#layers().reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Multiplications of the convolutions that run, counted as of the direct algorithm, for a pixel of the picture. */
  get workPerPixel(): number {
    return this.#layers().reduce((sum, { inChannels, outChannels }) => sum + 9 * inChannels * outChannels, 0);
  }

  /** Pixels around a part of the picture that its result depends on: one a convolution. */
  get border(): number {
    return 2 * this.depth + 3;
  }

  /**
   * The picture at twice its width and height, opaque.
   *
   * Activations are integers of 8 bits from the first convolution to the last, with one scale a convolution, measured on parts
   * of the picture first: so the result does not depend on tiles, nor on threads.
   */
  enlarge(picture: Picture, options: EnlargeOptions = {}): Picture {
    const { tile = DEFAULT_TILE, keepScales = false, onProgress } = options;
    if (!keepScales || this.#extents.length === 0) this.measure(picture);
    const width = picture.width * FACTOR;
    const data = new Uint8ClampedArray(width * picture.height * FACTOR * 4).fill(255);
    const tiles = this.#tiles(picture, tile);
    for (const [i, part] of tiles.entries()) {
      const values = this.#join(picture, part, this.#run(picture, part, false));
      let from = 0;
      for (let y = 0; y < part.rows * FACTOR; y++) {
        let to = (((part.top + part.skipY) * FACTOR + y) * width + (part.left + part.skipX) * FACTOR) * 4;
        for (let x = 0; x < part.cols * FACTOR; x++, to += 4) {
          for (let c = 0; c < COLOURS; c++) data[to + c] = values[from++] as number;
        }
      }
      onProgress?.((i + 1) / tiles.length);
    }
    return { width, height: picture.height * FACTOR, data };
  }

  /** The result as numbers [colour][height][width], before they become bytes. */
  enlargeToFloats(picture: Picture, tile: number = DEFAULT_TILE): Float32Array {
    this.measure(picture);
    const plane = picture.width * picture.height * FACTOR * FACTOR;
    const values = new Float32Array(COLOURS * plane);
    for (const part of this.#tiles(picture, tile)) {
      const found = this.#join(picture, part, this.#run(picture, part, false));
      for (const [i, value] of found.entries()) {
        const pixel = Math.floor(i / COLOURS);
        const y = (part.top + part.skipY) * FACTOR + Math.floor(pixel / (part.cols * FACTOR));
        const x = (part.left + part.skipX) * FACTOR + (pixel % (part.cols * FACTOR));
        values[(i % COLOURS) * plane + y * picture.width * FACTOR + x] = value / 255;
      }
    }
    return values;
  }

  /** Measures the scales of activations on parts of a picture: what is larger elsewhere is clipped. */
  measure(picture: Picture): void {
    this.#extents = [];
    const parts = this.#tiles(picture, PART);
    const count = Math.min(PARTS, parts.length);
    for (let i = 0; i < count; i++) {
      this.#run(picture, parts[Math.floor(((i + 0.5) * parts.length) / count)] as Tile, true);
    }
  }

  dispose(): void {
    for (const layer of this.#layers()) layer.dispose();
  }

  #layers(): conv.Conv2d[] {
    return [...this.#head, ...this.#blocks.flat(), this.#fuse, ...this.#up];
  }

  #tiles({ width, height }: Picture, size: number): Tile[] {
    const across = spans(width, size, this.border);
    return spans(height, size, this.border).flatMap((y) =>
      across.map((x) => ({
        ...{ top: y.begin, height: y.length, skipY: y.skip, rows: y.size },
        ...{ left: x.begin, width: x.length, skipX: x.skip, cols: x.size },
      })),
    );
  }

  // The bytes of a tile. The fourth is 255 everywhere: see withCentre.
  #cut(picture: Picture, { top, left, height, width }: Tile): Uint8Array {
    const bytes = new Uint8Array(height * width * 4);
    for (let y = 0; y < height; y++) {
      const from = ((top + y) * picture.width + left) * 4;
      bytes.set(picture.data.subarray(from, from + width * 4), y * width * 4);
    }
    for (let i = 3; i < bytes.length; i += 4) bytes[i] = 255;
    return bytes;
  }

  /**
   * What is added to the enlarged tile: [height, width, colour · 4 + row · 2 + column].
   *
   * @param measured whether every activation stays float32 until its largest is known, which is the network as it was trained and
   * measures its scales; else activations are integers from the first to the last convolution
   */
  #run(picture: Picture, tile: Tile, measured: boolean): Float32Array {
    const { height, width } = tile;
    const made: conv.Tensor[] = [];
    const map = (channels: number, options: Partial<conv.TensorOptions>): conv.Tensor => {
      const tensor = conv.tensor(this.#lb, { height, width, channels, ...options });
      made.push(tensor);
      return tensor;
    };
    try {
      const input = map(COLOURS + 1, { type: "uint8", scale: 1 / 255 });
      input.writeBytes(this.#cut(picture, tile));
      let at = 0;
      // The output of a convolution as what the next one meets: codes, made from numbers when scales are measured.
      const step = (layer: conv.Conv2d, x: conv.Tensor, residual?: conv.Tensor): Activation => {
        if (!measured) {
          const out = map(layer.outChannels, { scale: scaleOf(this.#extents[at++] as number) });
          layer.run(x, out, residual && { residual });
          return { codes: out, values: out };
        }
        const values = map(layer.outChannels, { type: "float32" });
        layer.run(x, values, residual && { residual });
        const extent = values.absmax();
        this.#extents[at] = Math.max(this.#extents[at] ?? 0, extent);
        const codes = map(layer.outChannels, { scale: scaleOf(this.#extents[at++] as number) });
        codes.quantizeFrom(values);
        return { codes, values };
      };
      const fine = map(this.width, { type: "float32" });
      this.#head[1].run(input, fine);
      const head = step(this.#head[0], input, fine);
      let x = head;
      for (const [first, second] of this.#blocks) {
        const inner = step(first, x.codes);
        const next = step(second, inner.codes, x.values);
        release(made, inner, x === head ? undefined : x);
        x = next;
      }
      const fused = step(this.#fuse, x.codes, head.values);
      const out = map(this.#up[0].outChannels, { type: "float32" });
      this.#up[1].run(fused.codes, out);
      return this.#up[0].run(fused.codes, out, { residual: out }).read();
    } finally {
      for (const tensor of made) tensor.dispose();
    }
  }

  /**
   * The bilinear enlargement of a part with what the network adds: [rows][cols][colour] of the part's result, from 0 to 255 and
   * beyond.
   */
  #join(picture: Picture, part: Tile, added: Float32Array): Float32Array {
    const { width, height, data } = picture;
    const channels = this.#up[0].outChannels;
    const values = new Float32Array(part.rows * part.cols * FACTOR * FACTOR * COLOURS);
    let to = 0;
    for (let y = 0; y < part.rows * FACTOR; y++) {
      // Three of four parts of the nearest row, the rest of the next one on its side; at the edge it is the same.
      const row = part.top + part.skipY + (y >> 1);
      const other = Math.min(height - 1, Math.max(0, row - 1 + 2 * (y & 1)));
      const near = row * width;
      const far = other * width;
      for (let x = 0; x < part.cols * FACTOR; x++) {
        const col = part.left + part.skipX + (x >> 1);
        const beside = Math.min(width - 1, Math.max(0, col - 1 + 2 * (x & 1)));
        const from = ((part.skipY + (y >> 1)) * part.width + part.skipX + (x >> 1)) * channels + 2 * (y & 1) + (x & 1);
        for (let c = 0; c < COLOURS; c++) {
          const a = 3 * (data[4 * (near + col) + c] as number) + (data[4 * (near + beside) + c] as number);
          const b = 3 * (data[4 * (far + col) + c] as number) + (data[4 * (far + beside) + c] as number);
          values[to++] = (3 * a + b) / 16 + 255 * (added[from + 4 * c] as number);
        }
      }
    }
    return values;
  }
}

interface Activation {
  readonly codes: conv.Tensor;
  /** The same as numbers, where there are some: what skip connections add. */
  readonly values: conv.Tensor;
}

function release(made: conv.Tensor[], ...activations: (Activation | undefined)[]): void {
  for (const activation of activations) {
    if (!activation) continue;
    for (const tensor of [activation.codes, activation.values]) {
      tensor.dispose();
      const at = made.indexOf(tensor);
      if (at >= 0) made.splice(at, 1);
    }
  }
}

/** Codes of 8 bits up to the largest number. */
const scaleOf = (extent: number): number => Math.max(extent, 1e-30) / 127;

interface Span {
  readonly begin: number;
  readonly length: number;
  readonly skip: number;
  readonly size: number;
}

/** Parts of a side, about equally long, with a border where the side has one. */
function spans(side: number, size: number, border: number): Span[] {
  const count = Math.ceil(side / size);
  return Array.from({ length: count }, (_, i) => {
    const [from, to] = [Math.floor((i * side) / count), Math.floor(((i + 1) * side) / count)];
    const begin = Math.max(0, from - border);
    return { begin, length: Math.min(side, to + border) - begin, skip: from - begin, size: to - from };
  });
}

/** Of the weights of all convolutions but the first and the last. */
export const bodyBits = (bits: Bits): conv.Bits => (bits === "fp" ? 8 : bits === 2 ? "ternary" : bits);

export function pack(lb: Lowbit, filter: Filter, bits: conv.Bits, more: { relu?: boolean } = {}): conv.Conv2d {
  const { w, scales, bias, inChannels, outChannels } = filter;
  const options = { inChannels, outChannels, kernel: 3, padding: "same", bits, bias, ...more } as const;
  return w instanceof Int8Array
    ? conv.pack(lb, { ...options, codes: w, scales: scales as Float32Array })
    : conv.quantize(lb, w, options);
}

/**
 * A convolution whose weights were not trained to be quantised, as two of 8 bits: the second has what rounding took from the weights
 * of the first, and no bias.
 */
function packFine(lb: Lowbit, filter: FloatFilter): readonly [conv.Conv2d, conv.Conv2d] {
  const coarse = pack(lb, filter, 8);
  const rounded = coarse.dequantize();
  const rest = filter.w.map((value, i) => value - (rounded[i] as number));
  return [coarse, pack(lb, { ...filter, w: rest, bias: new Float32Array(filter.outChannels) }, 8)];
}

/**
 * The first convolution meets pixels less 0.5, and 0 around the picture. 0.5 is no whole number of bytes, so a fourth channel that
 * is 1 in the picture and 0 around it carries what its subtraction adds.
 */
function withCentre({ w, bias, inChannels, outChannels }: FloatFilter): FloatFilter {
  const all = new Float32Array(outChannels * (inChannels + 1) * 9);
  for (let k = 0; k < outChannels; k++) {
    const from = k * inChannels * 9;
    const to = k * (inChannels + 1) * 9;
    all.set(w.subarray(from, from + inChannels * 9), to);
    for (let tap = 0; tap < 9; tap++) {
      let sum = 0;
      for (let c = 0; c < inChannels; c++) sum += w[from + c * 9 + tap] as number;
      all[to + inChannels * 9 + tap] = -0.5 * sum;
    }
  }
  return { w: all, bias, inChannels: inChannels + 1, outChannels };
}

type FloatFilter = Filter & { readonly w: Float32Array };

function readFloats(file: Safetensors, name: string): FloatFilter {
  const { w, ...rest } = readFilter(file, name);
  if (w instanceof Int8Array) throw new Error(`${file.name}: ${name}.weight: expected float32, got whole numbers`);
  return { w, ...rest };
}

/** @param file as of `SuperResolution`, or with `.weight` packed by packCodes, `.scales` float32 [out] and the shape in its metadata */
export function readFilter(file: Safetensors, name: string): Filter {
  const weight = file.tensors.get(`${name}.weight`);
  const bias = file.tensors.get(`${name}.bias`);
  if (!weight || !bias) {
    throw new Error(`${file.name}: ${name}: expected .weight and .bias, got ${weight ? "no bias" : "none"}`);
  }
  const scales = file.tensors.get(`${name}.scales`);
  const shape = scales ? (file.metadata.get(`${name}.shape`) ?? "").split("x").map(Number) : weight.shape;
  const [outChannels = 0, inChannels = 0, height, width] = shape;
  if (weight.dtype !== (scales ? "U8" : "F32") || bias.dtype !== "F32" || height !== 3 || width !== 3) {
    throw new Error(`${file.name}: ${name}.weight: expected [out, in, 3, 3], got ${weight.dtype} [${shape}]`);
  }
  const common = { bias: floats(bias.data), inChannels, outChannels };
  if (!scales) return { ...common, w: floats(weight.data) };
  return { ...common, w: unpackCodes(weight.data, outChannels * inChannels * 9), scales: floats(scales.data) };
}

/** Codes of 2, 4 or 8 bits, each more than its value by half the range; the first in the lowest bits of a byte. */
export function packCodes(codes: Int8Array, bits: 2 | 4 | 8): Uint8Array {
  const perByte = 8 / bits;
  const bytes = new Uint8Array(Math.ceil(codes.length / perByte));
  for (const [i, code] of codes.entries()) {
    const at = Math.floor(i / perByte);
    bytes[at] = (bytes[at] as number) | ((code + 2 ** (bits - 1)) << ((i % perByte) * bits));
  }
  return bytes;
}

function unpackCodes(bytes: Uint8Array, length: number): Int8Array {
  const bits = (8 * bytes.length) / length;
  const perByte = 8 / bits;
  return Int8Array.from({ length }, (_, i) => {
    const byte = bytes[Math.floor(i / perByte)] as number;
    return ((byte >> ((i % perByte) * bits)) & (2 ** bits - 1)) - 2 ** (bits - 1);
  });
}

export function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(new Uint8Array(bytes).buffer);
}
