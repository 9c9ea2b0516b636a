// From numbers to codes and back. Pixels `begin` to before `end`; floats of a caller are [pixel][channels] without gaps, codes
// have `pitch` bytes a pixel. src/conv/tensor.ts owns the bytes.

// @ts-ignore: decorator
@inline
function code(x: f32, scale: f32, least: f32, most: f32): i32 {
  return <i32>nearest<f32>(max<f32>(least, min<f32>(most, x / scale)));
}

/**
 * y = clip(rne(x / scale)) + zero: the quotient is clipped to least … most, which are those of the code less `zero`, and rounded to
 * the nearest integer, halves to even. flip: 128 for unsigned codes, whose zero is given less 128, else 0. The floats of a
 * pixel are `step` bytes from those of the next.
 */
export function conv_quantize(
  x: usize, step: usize, y: usize, pitch: usize, begin: i32, end: i32, channels: i32, scale: f32, zero: i32, least: f32,
  most: f32, flip: i32,
): void {
  const scales = f32x4.splat(scale), low = f32x4.splat(least), high = f32x4.splat(most), zeros = i32x4.splat(zero);
  const flips = i8x16.splat(<i8>flip), whole = channels & ~15;
  for (let pixel = begin; pixel < end; pixel++) {
    const from = x + step * <usize>pixel, to = y + pitch * <usize>pixel;
    for (let c = 0; c < whole; c += 16) {
      const p = from + (<usize>c << 2);
      const a = quad(v128.load(p), scales, low, high, zeros), b = quad(v128.load(p, 16), scales, low, high, zeros);
      const d = quad(v128.load(p, 32), scales, low, high, zeros), e = quad(v128.load(p, 48), scales, low, high, zeros);
      const v = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(d, e));
      v128.store(to + c, v128.xor(v, flips));
    }
    for (let c = whole; c < channels; c++) {
      store<i8>(to + c, <i8>((code(load<f32>(from + (<usize>c << 2)), scale, least, most) + zero) ^ flip));
    }
  }
}

// @ts-ignore: decorator
@inline
function quad(x: v128, scale: v128, least: v128, most: v128, zero: v128): v128 {
  const f = f32x4.nearest(f32x4.pmax(least, f32x4.pmin(most, f32x4.div(x, scale))));
  return i32x4.add(i32x4.trunc_sat_f32x4_s(f), zero);
}

/** y = (x - zero) · scale. */
export function conv_dequantize(
  x: usize, pitch: usize, y: usize, step: usize, begin: i32, end: i32, channels: i32, scale: f32, zero: i32, flip: i32,
): void {
  for (let pixel = begin; pixel < end; pixel++) {
    const from = x + pitch * <usize>pixel, to = y + step * <usize>pixel;
    for (let c = 0; c < channels; c++) {
      const q = <i32><i8>(load<u8>(from + c) ^ <u8>flip);
      store<f32>(to + (<usize>c << 2), <f32>(q - zero) * scale);
    }
  }
}

/** The largest |x| of float32 pixels `step` bytes apart, NaN if one is NaN. */
export function conv_absmax(x: usize, step: usize, begin: i32, end: i32, channels: i32): f32 {
  let most = f32x4.splat(0), rest: f32 = 0;
  const whole = channels & ~3;
  for (let pixel = begin; pixel < end; pixel++) {
    const from = x + step * <usize>pixel;
    for (let c = 0; c < whole; c += 4) most = f32x4.max(most, f32x4.abs(v128.load(from + (<usize>c << 2))));
    for (let c = whole; c < channels; c++) rest = max<f32>(rest, abs<f32>(load<f32>(from + (<usize>c << 2))));
  }
  const a = max<f32>(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1));
  const b = max<f32>(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3));
  return max<f32>(max<f32>(a, b), rest);
}

/**
 * Bytes to bytes by a table a channel, uint8 [channels][256]: pixels of `xPitch` bytes to pixels of `yPitch`. From the bytes of an
 * image to codes and back.
 */
export function conv_map_bytes(
  x: usize, xPitch: usize, y: usize, yPitch: usize, begin: i32, end: i32, channels: i32, tables: usize,
): void {
  for (let pixel = begin; pixel < end; pixel++) {
    const from = x + xPitch * <usize>pixel, to = y + yPitch * <usize>pixel;
    for (let c = 0; c < channels; c++) {
      store<u8>(to + c, load<u8>(tables + (<usize>c << 8) + <usize>load<u8>(from + c)));
    }
  }
}
