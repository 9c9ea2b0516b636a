// Rotary position embedding (Su et al., arXiv:2104.09864), in place, from a table of cosines and sines that is computed once
// (src/llm/rope.ts).

/**
 * Rotates the first `turned` of each head's `size` numbers, for tokens begin to before end, of which token 0 is at `position`.
 *
 * @param x float32 [tokens][stride], heads one after the other from x on
 * @param table float32 [positions][cos: turned / 2, sin: turned / 2]
 * @param pairs 0: number i is rotated with i + turned / 2, else 2i with 2i + 1
 */
export function model_rope(
  x: usize, stride: i32, table: usize, begin: i32, end: i32, heads: i32, size: i32, turned: i32, position: i32, pairs: i32,
): void {
  const half = turned >> 1, bytes = <usize>half << 2;
  for (let token = begin; token < end; token++) {
    const cos = table + (<usize>(position + token) * <usize>turned << 2), sin = cos + bytes;
    let head = x + (<usize>token * <usize>stride << 2);
    for (let h = 0; h < heads; h++, head += <usize>size << 2) {
      let i: usize = 0;
      if (pairs) {
        for (; i < bytes; i += 4) {
          const at = head + (i << 1), a = load<f32>(at), b = load<f32>(at, 4), c = load<f32>(cos + i), s = load<f32>(sin + i);
          store<f32>(at, a * c - b * s);
          store<f32>(at, b * c + a * s, 4);
        }
        continue;
      }
      const other = head + bytes;
      for (; i + 16 <= bytes; i += 16) {
        const a = v128.load(head + i), b = v128.load(other + i), c = v128.load(cos + i), s = v128.load(sin + i);
        v128.store(head + i, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
        v128.store(other + i, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
      }
      for (; i < bytes; i += 4) {
        const a = load<f32>(head + i), b = load<f32>(other + i), c = load<f32>(cos + i), s = load<f32>(sin + i);
        store<f32>(head + i, a * c - b * s);
        store<f32>(other + i, b * c + a * s);
      }
    }
  }
}
