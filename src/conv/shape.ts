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
  /**
   * The transpose of a convolution: every pixel of the input adds a kernel of outputs, `stride` apart, of which `padding` are cut off;
   * "same" leaves stride times the input. Weights are [inChannels, outChannels / groups, kernelY, kernelX]. Default false.
   */
  readonly transposed?: boolean;
  /** Outputs more at the end of a transposed convolution, less than its stride. Default 0. */
  readonly outputPadding?: number | readonly [number, number];
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
  readonly transposed: boolean;
  /** Distance of pixels of the input, zero points between: the stride of a transposed convolution, whose own is 1 then. */
  readonly spreadY: number;
  readonly spreadX: number;
  readonly endY: number;
  readonly endX: number;
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
  const transposed = given.transposed ?? false;
  if (typeof transposed !== "boolean") throw typeError(`${where}: transposed`, "a boolean", transposed);
  const [endY, endX] = pair(`${where}: outputPadding`, given.outputPadding ?? 0, 0);
  if (transposed ? endY >= strideY || endX >= strideX : endY + endX > 0) {
    const expected = transposed ? "less than the stride" : "0, since transposed is not set";
    throw rangeError(`${where}: outputPadding`, expected, `${endY} and ${endX}`);
  }
  if (given.padding === "same" && endY + endX > 0) {
    throw rangeError(
      `${where}: outputPadding`,
      '0 with padding "same", which has a size already',
      `${endY} and ${endX}`,
    );
  }
  return {
    ...{ inChannels, outChannels, groups, groupIn: inChannels / groups, groupOut: outChannels / groups },
    ...{ kernelY, kernelX, dilationY, dilationX, transposed, endY, endX },
    ...{ strideY: transposed ? 1 : strideY, strideX: transposed ? 1 : strideX },
    ...{ spreadY: transposed ? strideY : 1, spreadX: transposed ? strideX : 1 },
    padding: checkPadding(`${where}: padding`, given.padding ?? "valid"),
  };
}

function pair(where: string, value: unknown, least = 1): readonly [number, number] {
  const [y, x, ...rest] = Array.isArray(value) ? (value as unknown[]) : [value, value];
  if (rest.length > 0) throw rangeError(where, "a number or two", `${rest.length + 2}`);
  return [checkInteger(where, y, least, MOST_TAPS), checkInteger(where, x, least, MOST_TAPS)];
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

/** The size of the output and the border before the input, whose pixels are spread where the convolution is transposed. */
export function place(where: string, shape: Shape, height: number, width: number): Placed {
  return shape.transposed ? placeTransposed(where, shape, height, width) : placeForward(where, shape, height, width);
}

function placeTransposed(where: string, shape: Shape, height: number, width: number): Placed {
  const { padding } = shape;
  const axis = (
    size: number,
    taps: number,
    stride: number,
    dilation: number,
    cuts: readonly [number, number],
    end: number,
  ) => {
    const reach = (taps - 1) * dilation;
    const whole = (size - 1) * stride + reach + 1;
    if (padding === "same")
      return { out: size * stride, before: reach - Math.floor(Math.max(0, reach + 1 - stride) / 2) };
    if (cuts[0] > reach) throw rangeError(`${where}: padding`, `at most ${reach} before the output`, String(cuts[0]));
    return { out: whole - cuts[0] - cuts[1] + end, before: reach - cuts[0] };
  };
  const [top, left, bottom, right] = typeof padding === "string" ? [0, 0, 0, 0] : padding;
  const y = axis(height, shape.kernelY, shape.spreadY, shape.dilationY, [top, bottom], shape.endY);
  const x = axis(width, shape.kernelX, shape.spreadX, shape.dilationX, [left, right], shape.endX);
  return checkPlaced(where, { height: y.out, width: x.out, top: y.before, left: x.before }, height, width);
}

function checkPlaced(where: string, placed: Placed, height: number, width: number): Placed {
  if (placed.height >= 1 && placed.width >= 1) return placed;
  throw rangeError(where, "a map that the kernel fits on with its border", `${height} x ${width}`);
}

function placeForward(where: string, shape: Shape, height: number, width: number): Placed {
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
  return checkPlaced(where, { height: y.out, width: x.out, top: y.before, left: x.before }, height, width);
}
