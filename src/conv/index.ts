// lowbit/conv: convolution in few bits, from integers to integers, exact.
export type { Algorithm } from "./choose.ts";
export {
  type Conv2d,
  type LayerOptions,
  type PackOptions,
  pack,
  type QuantizeOptions,
  quantize,
  type RunOptions,
} from "./layer.ts";
export { type LoadOptions, load } from "./load.ts";
export type { Padding, Pair, ShapeOptions } from "./shape.ts";
export {
  type CodeOptions,
  type ImageOptions,
  type Range,
  type Tensor,
  type TensorOptions,
  type TensorType,
  tensor,
} from "./tensor.ts";
export type { Bits } from "./weights.ts";
