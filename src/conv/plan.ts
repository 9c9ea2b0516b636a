// How the work of a call is divided, and the memory that a thread needs for it. Results depend on none of this.
import type { Algorithm } from "./choose.ts";
import type { UnitKernel } from "./engine.ts";
import type { Operand, Word } from "./record.ts";
import { SFC } from "./sfc.ts";
import type { Placed, Shape } from "./shape.ts";
import { panelPixel } from "./weights.ts";

/** Bytes of a panel of activations, and of the products of a block of tiles: second-level caches hold them. */
const PANEL = 131072;
const PRODUCTS = 600000;
/** Tiles of a block at least: transformed weights of many channels come from farther away, once a block. */
const LEAST_TILES = 16;
/** Units for each thread, where the map has so many rows or tiles. */
const UNITS = 4;
/** Of sums and what transforms need: 84 vectors, sums of 7 x 7 x 16. */
const WORK = 4096;

export interface Plan {
  readonly kernel: UnitKernel;
  readonly units: number;
  readonly scratchBytes: number;
  readonly words: Partial<Readonly<Record<Word, number>>>;
}

/** @param xPitch bytes of a pixel of the input */
export function planOf(
  algorithm: Algorithm,
  shape: Shape,
  operand: Operand,
  out: Placed,
  xPitch: number,
  threads: number,
): Plan {
  return algorithm === "direct" || algorithm === "depthwise"
    ? planRows(algorithm, shape, operand, out, threads)
    : planTiles(SFC[algorithm], shape, out, xPitch, threads);
}

function planRows(
  algorithm: "direct" | "depthwise",
  shape: Shape,
  operand: Operand,
  out: Placed,
  threads: number,
): Plan {
  const { kernelY, kernelX, strideY, strideX, dilationY, dilationX } = shape;
  // 16 channels of int16 at a time.
  const pixel = algorithm === "depthwise" ? 32 : panelPixel(shape, operand).bytes;
  const cols = (out.width - 1) * strideX + (kernelX - 1) * dilationX + 1;
  const reach = (kernelY - 1) * dilationY + 1;
  const rowsIn = (rows: number): number => (rows - 1) * strideY + reach;
  const most = Math.max(1, Math.floor((PANEL / (cols * pixel) - reach) / strideY) + 1);
  // Rows that two units share are copied twice.
  const least = Math.min(out.height, threads === 1 ? most : Math.ceil(out.height / (UNITS * threads)));
  const unit = Math.min(most, least);
  // A vector more than the panel, and one pixel more than an odd row.
  const sumsAt = align(rowsIn(unit) * cols * pixel + strideX * pixel + 16);
  const workAt = sumsAt + (out.width + 1) * 64;
  return {
    kernel: algorithm === "direct" ? "conv_direct" : "conv_depthwise",
    units: Math.ceil(out.height / unit),
    // Where the taps, or the rows of taps, of a window are.
    scratchBytes: align(workAt + (kernelY * kernelX + 1) * 4),
    words: { unit, pixel, sumsAt, workAt },
  };
}

function planTiles(
  { kernel, size, taps }: (typeof SFC)["sfc6"],
  { inChannels, outChannels }: Shape,
  out: Placed,
  xPitch: number,
  threads: number,
): Plan {
  const across = Math.ceil(out.width / size);
  const tiles = across * Math.ceil(out.height / size);
  const frequencies = taps.length * taps.length;
  const channels = Math.ceil(inChannels / 8) * 8;
  const outputs = Math.ceil(outChannels / 16) * 16;
  const cached = Math.max(LEAST_TILES, even(PRODUCTS / (frequencies * 4 * outputs)));
  const shared = threads === 1 ? tiles : Math.ceil(tiles / (UNITS * threads));
  const unit = Math.min(cached, Math.max(2, Math.ceil(Math.min(tiles, shared) / 2) * 2));
  const xPlane = apart(unit * channels * 2);
  const mPlane = apart(unit * outputs * 4);
  const mAt = align(frequencies * xPlane);
  const workAt = align(mAt + frequencies * mPlane);
  return {
    kernel,
    units: Math.ceil(tiles / unit),
    scratchBytes: align(workAt + 2 * WORK + (size + 2) * (size + 2) * xPitch),
    words: { unit, tilesAcross: across, tiles, xPlane, mPlane, mAt, workAt },
  };
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
const even = (x: number): number => Math.floor(x / 2) * 2;

// Lines of a cache an odd number apart: 100 planes fall on all of its sets.
function apart(bytes: number): number {
  const lines = Math.ceil(bytes / 64);
  return 64 * (lines % 2 === 0 ? lines + 1 : lines);
}
