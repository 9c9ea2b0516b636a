// Which experts a token goes to.
import { exp4 } from "../lib/elementary";

/**
 * The `used` largest of each token's scores, ties to the lower number, in descending order, for tokens begin to before end; and
 * their weights. mode 0: softmax over all experts; 1: that, divided by the sum of the chosen ones; 2: softmax over the
 * chosen ones.
 *
 * @param scores float32 [tokens][experts]; the chosen ones become -Infinity
 * @param ids int32 [tokens][used]
 * @param weights float32 [tokens][used]
 */
export function model_route(
  scores: usize, begin: i32, end: i32, experts: i32, used: i32, mode: i32, ids: usize, weights: usize,
): void {
  for (let token = <usize>begin; token < <usize>end; token++) {
    const row = scores + (token * <usize>experts << 2), id = ids + (token * <usize>used << 2);
    const weight = weights + (token * <usize>used << 2);
    let most: f32 = -Infinity, total: f64 = 0;
    for (let e = 0; e < experts; e++) most = max(most, load<f32>(row + (<usize>e << 2)));
    for (let e = 0; e < experts; e++) total += <f64>part(load<f32>(row + (<usize>e << 2)), most);
    let chosen: f64 = 0;
    for (let i = 0; i < used; i++) {
      let best = 0;
      for (let e = 1; e < experts; e++) {
        if (load<f32>(row + (<usize>e << 2)) > load<f32>(row + (<usize>best << 2))) best = e;
      }
      const w = part(load<f32>(row + (<usize>best << 2)), most);
      store<f32>(row + (<usize>best << 2), -Infinity);
      store<i32>(id + (<usize>i << 2), best);
      store<f32>(weight + (<usize>i << 2), w);
      chosen += <f64>w;
    }
    const sum = mode == 0 ? total : chosen;
    for (let i: usize = 0; i < <usize>used << 2; i += 4) store<f32>(weight + i, <f32>(<f64>load<f32>(weight + i) / sum));
  }
}

// @ts-ignore: decorator
@inline
function part(score: f32, most: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(score - most)), 0);
}
