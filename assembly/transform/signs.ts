// Products with a matrix of signs, by tables: the 16 signed sums of four rows are computed once, and each output row adds
// one of them for every four input rows (Arlazarov, Dinic, Kronrod and Faradzev 1970). README.md in this folder.

/** Bytes of the table of four rows: 16 entries of 16 floats. */
const TABLE: usize = 1024;

// The entries of one vector of columns: bit j of the index set for -row j. An entry is 64 bytes.
// @ts-ignore: decorator
@inline
function writeTable(t: usize, v0: v128, v1: v128, v2: v128, v3: v128): void {
  const s = f32x4.add(v0, v1), d = f32x4.sub(v0, v1), s2 = f32x4.add(v2, v3), d2 = f32x4.sub(v2, v3);
  const a = f32x4.add(s2, s), b = f32x4.sub(s2, d), c = f32x4.add(s2, d), e = f32x4.sub(s2, s);
  const f = f32x4.add(d2, s), g = f32x4.sub(d2, d), h = f32x4.add(d2, d), i = f32x4.sub(d2, s);
  v128.store(t, a);
  v128.store(t, b, 64);
  v128.store(t, c, 128);
  v128.store(t, e, 192);
  v128.store(t, f32x4.neg(i), 256);
  v128.store(t, f32x4.neg(h), 320);
  v128.store(t, f32x4.neg(g), 384);
  v128.store(t, f32x4.neg(f), 448);
  v128.store(t, f, 512);
  v128.store(t, g, 576);
  v128.store(t, h, 640);
  v128.store(t, i, 704);
  v128.store(t, f32x4.neg(e), 768);
  v128.store(t, f32x4.neg(c), 832);
  v128.store(t, f32x4.neg(b), 896);
  v128.store(t, f32x4.neg(a), 960);
}

// @ts-ignore: decorator
@inline
function writeTables(t: usize, x: usize, end: usize, stride: usize): void {
  for (; x < end; x += stride << 2, t += TABLE) {
    writeTable(
      t, v128.load(x), v128.load(x + stride), v128.load(x + (stride << 1)), v128.load(x + stride * 3),
    );
  }
}

/**
 * y = S x for S [k, k] of signs and x [k, cols] row-major. k: a multiple of 4, at most 256. cols: 4, 8 or a multiple of 16.
 * offsets: uint16 [k][k / 4]: 64 · index + 1024 · i for columns 4i .. 4i + 3 of a row of S, bit j of the index set where
 * column 4i + j is -1. tables: working space of 256 k bytes. x, y, tables: 16-byte aligned, apart.
 */
export function transform_signs(x: usize, y: usize, offsets: usize, tables: usize, k: i32, cols: i32): void {
  const stride = <usize>cols << 2, rowsEnd = offsets + ((<usize>k * <usize>k) >> 1);
  const rowBytes = <usize>k >> 1, xEnd = x + <usize>k * stride;
  if (cols < 16) {
    for (let c: usize = 0; c < stride; c += 16) {
      writeTables(tables, x + c, xEnd + c, stride);
      let out = y + c;
      for (let o = offsets; o < rowsEnd; out += stride) {
        const stop = o + rowBytes;
        let sum = f32x4.splat(0);
        for (; o < stop; o += 2) sum = f32x4.add(sum, v128.load(tables + <usize>load<u16>(o)));
        v128.store(out, sum);
      }
    }
    return;
  }
  for (let c: usize = 0; c < stride; c += 64) {
    writeTables(tables, x + c, xEnd + c, stride);
    writeTables(tables + 16, x + c + 16, xEnd + c + 16, stride);
    writeTables(tables + 32, x + c + 32, xEnd + c + 32, stride);
    writeTables(tables + 48, x + c + 48, xEnd + c + 48, stride);
    let out = y + c;
    for (let o = offsets; o < rowsEnd; out += stride) {
      const stop = o + rowBytes;
      let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
      do {
        const t = tables + <usize>load<u16>(o);
        s0 = f32x4.add(s0, v128.load(t));
        s1 = f32x4.add(s1, v128.load(t, 16));
        s2 = f32x4.add(s2, v128.load(t, 32));
        s3 = f32x4.add(s3, v128.load(t, 48));
        o += 2;
      } while (o < stop);
      v128.store(out, s0);
      v128.store(out, s1, 16);
      v128.store(out, s2, 32);
      v128.store(out, s3, 48);
    }
  }
}
