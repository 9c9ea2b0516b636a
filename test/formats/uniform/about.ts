import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "codes",
  summary: "2 to 8 bits: GPTQ, AWQ, round-to-nearest, MatQuant",
  bits: "2, 3, 4, 5, 6, 8",
  weight: "s · (code - zero)",
  scales: "matrix, row, group",
  kernels: ["uniform4"],
  cases: [
    { options: { bits: 2, groupSize: 64, search: "minmax" } },
    { options: { bits: 3, groupSize: 64, symmetric: false, search: "minmax" } },
    { options: { bits: 4, groupSize: 32, symmetric: false } },
    { options: { bits: 5 } },
    { options: { bits: 6, search: "mse" } },
    { options: { bits: 8 } },
  ],
  imports: {
    fromGptq:
      "AutoGPTQ, GPTQModel: `qweight`, `qzeros`, `scales`, `g_idx`; 2, 3, 4, 8 bits; both zero-point conventions",
    fromAwq: 'AutoAWQ "gemm"',
    fromCompressed: 'compressed-tensors "pack-quantized": 2 to 8 bits, both packings, `weight_g_idx`',
    fromHqq: "HQQ: 2, 4, 8 bits; axis 0, where each column has its scales, becomes `dense` float32",
    fromMatMulNBits: "ONNX Runtime: 2, 4, 8 bits, zero points packed, broken or none",
    fromMlx: 'MLX "affine": 2, 3, 4, 5, 6, 8 bits, scales and biases',
    slice: "the high bits of 8-bit codes: MatQuant, clipped or with extra precision",
  },
};
