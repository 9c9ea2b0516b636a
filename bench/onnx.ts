// A model of one quantised convolution in the format of ONNX (onnx/onnx.proto): only what the bench needs of protocol buffers.

/** Fields of a message: number and content. */
type Field = readonly [number, number | string | Uint8Array | readonly Field[]];

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}

function message(fields: readonly Field[]): Uint8Array {
  const parts = fields.flatMap(([number, content]) => {
    if (typeof content === "number") return [Uint8Array.from([...varint(number * 8), ...varint(content)])];
    const bytes =
      typeof content === "string"
        ? new TextEncoder().encode(content)
        : content instanceof Uint8Array
          ? content
          : message(content as readonly Field[]);
    return [Uint8Array.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes];
  });
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const FLOAT = 1;
const UINT8 = 2;
const INT8 = 3;

function tensor(name: string, type: number, dims: readonly number[], data: Uint8Array): Field[] {
  return [...dims.map((dim): Field => [1, dim]), [2, type], [8, name], [9, data]];
}

const float = (name: string, value: number): Field[] =>
  tensor(name, FLOAT, [], new Uint8Array(Float32Array.of(value).buffer));

function value(name: string, dims: readonly number[]): Field[] {
  const shape: Field[] = dims.map((dim): Field => [1, [[1, dim]]]);
  return [
    [1, name],
    [
      2,
      [
        [
          1,
          [
            [1, UINT8],
            [2, shape],
          ],
        ],
      ],
    ],
  ];
}

const ints = (name: string, values: readonly number[]): Field[] => [
  [1, name],
  ...values.map((one): Field => [8, one]),
  [20, 7],
];

export interface QLinearConv {
  readonly channels: number;
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly groups: number;
  /** [channels][channels / groups][kernel][kernel] */
  readonly weights: Int8Array;
  readonly scales: { readonly x: number; readonly w: number; readonly y: number };
  readonly zeroPoints: { readonly x: number; readonly y: number };
}

/** QLinearConv from `x` to `y`, uint8 [1, channels, size, size], with weights of int8 and one scale. */
export function qLinearConv(conv: QLinearConv): Uint8Array {
  const { channels, size, kernel, stride, groups, weights, scales, zeroPoints } = conv;
  const pad = (kernel - 1) / 2;
  const out = Math.ceil(size / stride);
  const names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"];
  const node: Field[] = [
    ...names.map((name): Field => [1, name]),
    [2, "y"],
    [4, "QLinearConv"],
    [5, ints("kernel_shape", [kernel, kernel])],
    [5, ints("pads", [pad, pad, pad, pad])],
    [5, ints("strides", [stride, stride])],
    [
      5,
      [
        [1, "group"],
        [3, groups],
        [20, 2],
      ],
    ],
  ];
  const initializers = [
    float("xs", scales.x),
    tensor("xz", UINT8, [], Uint8Array.of(zeroPoints.x)),
    tensor("w", INT8, [channels, channels / groups, kernel, kernel], new Uint8Array(weights.buffer)),
    float("ws", scales.w),
    tensor("wz", INT8, [], Uint8Array.of(0)),
    float("ys", scales.y),
    tensor("yz", UINT8, [], Uint8Array.of(zeroPoints.y)),
  ];
  const graph: Field[] = [
    [1, node],
    [2, "conv"],
    ...initializers.map((one): Field => [5, one]),
    [11, value("x", [1, channels, size, size])],
    [12, value("y", [1, channels, out, out])],
  ];
  return message([
    [1, 8],
    [7, graph],
    [
      8,
      [
        [1, ""],
        [2, 13],
      ],
    ],
  ]);
}
