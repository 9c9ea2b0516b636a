// What the formats of several sign planes share: bcq and ptqtp.
import { checkScales, type Shape } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { makePlanes } from "./plane-matrix.ts";

/** w = Σ_b alpha_b · (±1) + offset. @param planes [bits][rows][ceil(cols / 8)] */
export function makeBcq(
  where: string,
  lb: Lowbit,
  label: string,
  shape: Shape,
  bits: number,
  planes: Uint8Array,
  alphas: Float32Array,
  offsets: Float32Array | undefined,
): Matrix {
  const { rows, cols } = shape;
  const rowBytes = Math.ceil(cols / 8);
  const count = alphas.length / bits;
  const scales = Array.from({ length: bits }, (_, plane) =>
    checkScales(`${where}: alphas`, alphas.subarray(plane * count, (plane + 1) * count), shape),
  );
  return makePlanes(where, lb, {
    label,
    format: "bcq",
    shape,
    scales,
    ...(offsets !== undefined && { offsets: checkScales(`${where}: offsets`, offsets, shape) }),
    writeRow: (row, out) => {
      for (let plane = 0; plane < bits; plane++) {
        const start = (plane * rows + row) * rowBytes;
        out.set(planes.subarray(start, start + rowBytes), plane * rowBytes);
        const last = (plane + 1) * rowBytes - 1;
        out[last] = (out[last] as number) & (0xff >> (rowBytes * 8 - cols));
      }
    },
  });
}
