// What a convolution is, apart from its weights: the geometry, checked.
import { checkInteger, describe, rangeError, typeError } from "../lib/check.ts";

/** One number for both axes, or [vertical, horizontal]. */
export type Pair = number | readonly [number, number];

/**
 * What stands around the map, always the zero point: "valid" nothing; "same" so much that the output has ceil(input / stride)
 * pixels, an odd one at the end (SAME_UPPER of ONNX); a number on every side; or [top, left, bottom, right].
 */
export type Padding = "valid" | "same" | number | readonly [number, number, number, number];

export interface ShapeOptions {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernel: Pair;
  /** Default 1. */
  readonly stride?: Pair;
  /** Distance of two taps. Default 1. */
  readonly dilation?: Pair;
  /** Default "valid". */
  readonly padding?: Padding;
  /** Channels fall into so many groups that do not see each other. Default 1; as many as channels: depthwise. */
  readonly groups?: number;
}

export interface Shape {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly groups: number;
  readonly groupIn: number;
  readonly groupOut: number;
  readonly kernelY: number;
  readonly kernelX: number;
  readonly strideY: number;
  readonly strideX: number;
  readonly dilationY: number;
  readonly dilationX: number;
  readonly padding: "valid" | "same" | readonly [number, number, number, number];
}

const MOST = 65536;
/** Taps, strides, distances and borders. */
const MOST_TAPS = 1024;

export function checkShape(where: string, given: Partial<ShapeOptions>): Shape {
  const inChannels = checkInteger(`${where}: inChannels`, given.inChannels, 1, MOST);
  const outChannels = checkInteger(`${where}: outChannels`, given.outChannels, 1, MOST);
  const groups = checkInteger(`${where}: groups`, given.groups ?? 1, 1, MOST);
  for (const [name, channels] of [
    ["inChannels", inChannels],
    ["outChannels", outChannels],
  ] as const) {
    if (channels % groups !== 0)
      throw rangeError(`${where}: ${name}`, `a multiple of groups ${groups}`, String(channels));
  }
  const [kernelY, kernelX] = pair(`${where}: kernel`, given.kernel);
  const [strideY, strideX] = pair(`${where}: stride`, given.stride ?? 1);
  const [dilationY, dilationX] = pair(`${where}: dilation`, given.dilation ?? 1);
  return {
    ...{ inChannels, outChannels, groups, groupIn: inChannels / groups, groupOut: outChannels / groups },
    ...{ kernelY, kernelX, strideY, strideX, dilationY, dilationX },
    padding: checkPadding(`${where}: padding`, given.padding ?? "valid"),
  };
}

function pair(where: string, value: unknown): readonly [number, number] {
  const [y, x, ...rest] = Array.isArray(value) ? (value as unknown[]) : [value, value];
  if (rest.length > 0) throw rangeError(where, "a number or two", `${rest.length + 2}`);
  return [checkInteger(where, y, 1, MOST_TAPS), checkInteger(where, x, 1, MOST_TAPS)];
}

function checkPadding(where: string, value: unknown): Shape["padding"] {
  const expected = '"valid" | "same" | an integer | [top, left, bottom, right]';
  if (value === "valid" || value === "same") return value;
  if (typeof value === "string") throw rangeError(where, expected, describe(value));
  if (typeof value === "number") {
    const all = checkInteger(where, value, 0, MOST_TAPS);
    return [all, all, all, all];
  }
  if (!Array.isArray(value)) throw typeError(where, expected, value);
  if (value.length !== 4) throw rangeError(where, expected, `${value.length} numbers`);
  const [top, left, bottom, right] = (value as unknown[]).map((one) => checkInteger(where, one, 0, MOST_TAPS));
  return [top as number, left as number, bottom as number, right as number];
}

/** How a shape lies on a map. */
export interface Placed {
  readonly height: number;
  readonly width: number;
  readonly top: number;
  readonly left: number;
}

/** The size of the output and the border before it. */
export function place(where: string, shape: Shape, height: number, width: number): Placed {
  const { padding } = shape;
  const axis = (size: number, taps: number, stride: number, dilation: number, before: number, after: number) => {
    const reach = (taps - 1) * dilation + 1;
    if (padding === "same") {
      const out = Math.ceil(size / stride);
      return { out, before: Math.floor(Math.max(0, (out - 1) * stride + reach - size) / 2) };
    }
    return { out: Math.floor((size + before + after - reach) / stride) + 1, before };
  };
  const [top, left, bottom, right] = typeof padding === "string" ? [0, 0, 0, 0] : padding;
  const y = axis(height, shape.kernelY, shape.strideY, shape.dilationY, top, bottom);
  const x = axis(width, shape.kernelX, shape.strideX, shape.dilationX, left, right);
  if (y.out < 1 || x.out < 1) {
    throw rangeError(where, "a map that the kernel fits on with its border", `${height} x ${width}`);
  }
  return { height: y.out, width: x.out, top: y.before, left: x.before };
}
