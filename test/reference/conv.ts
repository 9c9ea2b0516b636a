// Convolution from its definition: whole numbers as float64, which are exact below 2^53, and an epilogue whose float32 operations
// are written one by one.

export interface ConvShape {
  readonly height: number;
  readonly width: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly groups: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  /** top, left, bottom, right */
  readonly padding: readonly [number, number, number, number];
}

/** Pixels of the output on both axes. */
export function outputSize(s: ConvShape): [number, number] {
  const size = (of: number, before: number, after: number, axis: 0 | 1): number =>
    Math.floor((of + before + after - s.dilation[axis] * (s.kernel[axis] - 1) - 1) / s.stride[axis]) + 1;
  return [size(s.height, s.padding[0], s.padding[2], 0), size(s.width, s.padding[1], s.padding[3], 1)];
}

/** The padding of "same" (ONNX SAME_UPPER): output = ceil(input / stride), what is odd at the end. */
export function samePadding(s: Omit<ConvShape, "padding">): [number, number, number, number] {
  const axis = (of: number, a: 0 | 1): [number, number] => {
    const out = Math.ceil(of / s.stride[a]);
    const total = Math.max(0, (out - 1) * s.stride[a] + s.dilation[a] * (s.kernel[a] - 1) + 1 - of);
    return [Math.floor(total / 2), total - Math.floor(total / 2)];
  };
  const [top, bottom] = axis(s.height, 0);
  const [left, right] = axis(s.width, 1);
  return [top, left, bottom, right];
}

/** Σ (x - zero) · w [height, width, outChannels]; nothing is added for a tap outside of the map. */
export function convolve(s: ConvShape, x: ArrayLike<number>, zero: number, w: ArrayLike<number>): Float64Array {
  const [outHeight, outWidth] = outputSize(s);
  const groupIn = s.inChannels / s.groups;
  const groupOut = s.outChannels / s.groups;
  const y = new Float64Array(outHeight * outWidth * s.outChannels);
  for (let i = 0; i < outHeight; i++) {
    for (let j = 0; j < outWidth; j++) {
      for (let k = 0; k < s.outChannels; k++) {
        const first = Math.floor(k / groupOut) * groupIn;
        let sum = 0;
        for (let u = 0; u < s.kernel[0]; u++) {
          const row = i * s.stride[0] - s.padding[0] + u * s.dilation[0];
          if (row < 0 || row >= s.height) continue;
          for (let v = 0; v < s.kernel[1]; v++) {
            const col = j * s.stride[1] - s.padding[1] + v * s.dilation[1];
            if (col < 0 || col >= s.width) continue;
            for (let c = 0; c < groupIn; c++) {
              const code = x[(row * s.width + col) * s.inChannels + first + c] as number;
              const weight = w[((k * groupIn + c) * s.kernel[0] + u) * s.kernel[1] + v] as number;
              sum += (code - zero) * weight;
            }
          }
        }
        y[(i * outWidth + j) * s.outChannels + k] = sum;
      }
    }
  }
  return y;
}

/**
 * The transpose: every (x - zero) adds its kernel to outputs that begin at stride times its place, of which the border is cut off.
 * Weights [inChannels][outChannels / groups][kernel]; end: outputs more on each axis.
 */
export function convolveTransposed(
  s: ConvShape,
  x: ArrayLike<number>,
  zero: number,
  w: ArrayLike<number>,
  end: readonly [number, number],
): { height: number; width: number; sums: Float64Array } {
  const size = (of: number, before: number, after: number, axis: 0 | 1): number =>
    (of - 1) * s.stride[axis] + s.dilation[axis] * (s.kernel[axis] - 1) + 1 - before - after + end[axis];
  const height = size(s.height, s.padding[0], s.padding[2], 0);
  const width = size(s.width, s.padding[1], s.padding[3], 1);
  const groupIn = s.inChannels / s.groups;
  const groupOut = s.outChannels / s.groups;
  const sums = new Float64Array(height * width * s.outChannels);
  for (let i = 0; i < s.height; i++) {
    for (let j = 0; j < s.width; j++) {
      for (let c = 0; c < s.inChannels; c++) {
        const value = (x[(i * s.width + j) * s.inChannels + c] as number) - zero;
        for (let k = 0; k < groupOut; k++) {
          const output = Math.floor(c / groupIn) * groupOut + k;
          for (let u = 0; u < s.kernel[0]; u++) {
            const row = i * s.stride[0] + u * s.dilation[0] - s.padding[0];
            for (let v = 0; v < s.kernel[1]; v++) {
              const col = j * s.stride[1] + v * s.dilation[1] - s.padding[1];
              if (row < 0 || row >= height || col < 0 || col >= width) continue;
              const at = (row * width + col) * s.outChannels + output;
              const weight = w[((c * groupOut + k) * s.kernel[0] + u) * s.kernel[1] + v] as number;
              sums[at] = (sums[at] as number) + value * weight;
            }
          }
        }
      }
    }
  }
  return { height, width, sums };
}

/** To the nearest integer, halves to even. */
export function nearestEven(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

export interface Codes {
  readonly scale: number;
  readonly zeroPoint: number;
  readonly least: number;
  readonly most: number;
}

export interface Epilogue {
  readonly xScale: number;
  /** [outChannels] or [1] */
  readonly scales: ArrayLike<number>;
  readonly bias?: ArrayLike<number> | undefined;
  readonly clip: readonly [number, number];
  /** Numbers in place of codes, or codes with what they stand for. */
  readonly residual?: { readonly values: ArrayLike<number>; readonly codes?: Codes } | undefined;
}

const f32 = Math.fround;

/** clip(acc · (xScale · s / unit) + b / unit [+ residual]) in float32; unit is 1, or the scale of the output. */
function scaled(
  sums: Float64Array,
  outputs: number,
  e: Epilogue,
  unit: number,
  clip: readonly [number, number],
): Float32Array {
  return Float32Array.from(sums, (sum, i) => {
    const k = i % outputs;
    const scale = e.scales[e.scales.length === 1 ? 0 : k] as number;
    let f = f32(f32(sum) * f32((e.xScale * scale) / unit));
    f = f32(f + f32(((e.bias?.[k] as number | undefined) ?? 0) / unit));
    if (e.residual) {
      const { values, codes } = e.residual;
      const r = codes ? (values[i] as number) - codes.zeroPoint : (values[i] as number);
      f = f32(f + f32(r * f32((codes ? codes.scale : 1) / unit)));
    }
    return Math.min(clip[1], Math.max(clip[0], f));
  });
}

export function toFloats(sums: Float64Array, outputs: number, e: Epilogue): Float32Array {
  return scaled(sums, outputs, e, 1, [f32(e.clip[0]), f32(e.clip[1])]);
}

export function toCodes(sums: Float64Array, outputs: number, e: Epilogue, out: Codes): Float64Array {
  const least = Math.max(out.least - out.zeroPoint, f32(e.clip[0] / out.scale));
  const most = Math.min(out.most - out.zeroPoint, f32(e.clip[1] / out.scale));
  const floats = scaled(sums, outputs, e, out.scale, [least, most]);
  return Float64Array.from(floats, (f) => nearestEven(f) + out.zeroPoint);
}

/** The dyadic form in integers of any size: see `Conv2d.run`. */
export function toCodesDyadic(sums: Float64Array, outputs: number, e: Epilogue, out: Codes): Float64Array {
  const ratios = Array.from({ length: outputs }, (_, k) => {
    return (e.xScale * (e.scales[e.scales.length === 1 ? 0 : k] as number)) / out.scale;
  });
  const ofResidual = e.residual?.codes ? e.residual.codes.scale / out.scale : 0;
  const largest = Math.max(ofResidual, ...ratios.map(Math.abs));
  let shift = 62;
  while (shift > 0 && nearestEven(largest * 2 ** shift) >= 2 ** 31) shift--;
  const whole = (x: number): bigint => BigInt(nearestEven(x));
  const clip = (bound: number): number => nearestEven(Math.max(-512, Math.min(512, bound / out.scale)));
  const least = Math.max(out.least, clip(e.clip[0]) + out.zeroPoint);
  const most = Math.min(out.most, clip(e.clip[1]) + out.zeroPoint);
  return Float64Array.from(sums, (sum, i) => {
    const k = i % outputs;
    const ratio = ratios[k] as number;
    const scale = e.xScale * (e.scales[e.scales.length === 1 ? 0 : k] as number);
    const term = e.bias && scale !== 0 ? nearestEven((e.bias[k] as number) / scale) : 0;
    let total = (BigInt(sum) + BigInt(term)) * whole(ratio * 2 ** shift);
    if (e.residual?.codes) {
      total += BigInt((e.residual.values[i] as number) - e.residual.codes.zeroPoint) * whole(ofResidual * 2 ** shift);
    }
    const code = Number((total + (1n << BigInt(shift - 1))) >> BigInt(shift)) + out.zeroPoint;
    return Math.min(most, Math.max(least, code));
  });
}
