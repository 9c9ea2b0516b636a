// A convolution as kernels see it: a record of 32-bit words in memory, written by src/conv/record.ts, whose list has the same
// order (test/conv/kernels.test.ts compares them). Addresses and steps are bytes. A pixel is a run of codes, one a byte, that
// begins at a multiple of 16 and may be read up to 16 bytes beyond its last channel.
//
// Codes of unsigned tensors become signed by an xor with 128 (`flip`); zero points are those of the signed codes.

export const X: usize = 0; // the first pixel of the input
export const X_HEIGHT: usize = 4;
export const X_WIDTH: usize = 8;
export const X_PITCH: usize = 12; // from pixel to pixel
export const X_FLIP: usize = 16; // 0, or 128 in every byte
export const X_ZERO: usize = 20; // what stands outside of the map
export const Y: usize = 24;
export const Y_HEIGHT: usize = 28;
export const Y_WIDTH: usize = 32;
export const Y_PITCH: usize = 36;
export const Y_KIND: usize = 40; // BYTES, INT32 or FLOAT32
export const Y_FLIP: usize = 44;
export const Y_ZERO: usize = 48;
export const LEAST: usize = 52; // bounds of what is stored: float form float32 less the zero point, dyadic form int32
export const MOST: usize = 56;
export const WEIGHTS: usize = 60;
export const CONSTANTS: usize = 64; // a record of 192 bytes for 16 outputs
export const GROUPS: usize = 68;
export const GROUP_IN: usize = 72;
export const GROUP_OUT: usize = 76;
export const STRIDE_Y: usize = 80;
export const STRIDE_X: usize = 84;
export const DILATION_Y: usize = 88;
export const DILATION_X: usize = 92;
export const KERNEL_Y: usize = 96;
export const KERNEL_X: usize = 100;
export const PAD_TOP: usize = 104;
export const PAD_LEFT: usize = 108;
export const SPREAD_Y: usize = 112; // rows of the input lie so far apart, zero points between (transposed convolution)
export const SPREAD_X: usize = 116;
export const UNIT: usize = 120; // rows of the output, or tiles, of a unit
export const FORM: usize = 124; // FLOAT or DYADIC
export const SHIFT: usize = 128; // dyadic form
export const RESIDUAL: usize = 132; // the first pixel, or 0
export const RESIDUAL_PITCH: usize = 136;
export const RESIDUAL_KIND: usize = 140; // BYTES or FLOAT32
export const RESIDUAL_FLIP: usize = 144;
export const RESIDUAL_ZERO: usize = 148;
export const RESIDUAL_SCALE: usize = 152; // float32, or the multiplier of the dyadic form
export const OPERAND: usize = 156; // WIDE, SIGNED or UNSIGNED: how activations meet weights
export const PIXEL: usize = 160; // bytes of a pixel of the panel
export const SUMS_AT: usize = 164; // scratch: sums behind the panel
export const TILES_ACROSS: usize = 168;
export const TILES: usize = 172;
export const X_PLANE: usize = 176; // from frequency to frequency of the transformed input
export const M_PLANE: usize = 180; // and of the products
export const M_AT: usize = 184; // scratch: products, and what the transforms need
export const WORK_AT: usize = 188;

export const BYTES = 0;
export const INT32 = 1;
export const FLOAT32 = 2;
export const FLOAT = 0;
export const DYADIC = 1;
export const WIDE = 0;
export const SIGNED = 1;
export const UNSIGNED = 2;

/** Bytes of the constants of 16 outputs: int32 [16] added to the sums, then multipliers, then float32 [16] added after them. */
export const BLOCK_BYTES: usize = 192;

/** Rows of a job for a unit: ranges of jobs are whole tiles of 64 (src/runtime/job.ts). */
export const UNIT_ROWS = 64;

// @ts-ignore: decorator
@inline
export function word(record: usize, field: usize): i32 {
  return load<i32>(record + field);
}
// @ts-ignore: decorator
@inline
export function address(record: usize, field: usize): usize {
  return <usize>load<u32>(record + field);
}
// @ts-ignore: decorator
@inline
export function bytes(record: usize, field: usize): v128 {
  return i8x16.splat(<i8>load<i32>(record + field));
}
