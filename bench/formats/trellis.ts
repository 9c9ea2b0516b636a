import { trellis } from "lowbit";
import { TRELLIS_BITS, type TrellisBits } from "../../src/kernels/types.ts";
import { trellisPlace, trellisStates, trellisWeight } from "../../test/reference/trellis.ts";
import { type BenchFormat, common, labelOf, randomBytes, randomScales } from "./format.ts";

/** Tiles of 16 x 16 without the transforms of a layer. */
function trellisFormat(bits: TrellisBits, codebook: "mul1" | "mcg"): BenchFormat {
  const format = codebook === "mul1" ? (`trellis${bits}` as const) : (`trellis${bits}_i16` as const);
  return {
    label: labelOf(`trellis${bits}`, codebook),
    format,
    make(rows, cols) {
      const rowTiles = Math.ceil(rows / 16);
      const colTiles = Math.ceil(cols / 16);
      const size = 16 * bits;
      const words = new Uint16Array(
        randomBytes(2 * size * rowTiles * colTiles, 1).buffer,
        0,
        size * rowTiles * colTiles,
      );
      const scales = randomScales(rows, 3);
      return {
        decodeRow(row) {
          const w = new Float64Array(cols);
          for (let tile = 0; tile < colTiles; tile++) {
            const at = (tile * rowTiles + (row >> 4)) * size;
            for (const [t, state] of trellisStates(words.subarray(at, at + size)).entries()) {
              const place = trellisPlace(t);
              const col = 16 * tile + place.in;
              if (place.out !== row % 16 || col >= cols) continue;
              w[col] = (scales[row] as number) * trellisWeight(codebook, state).weight;
            }
          }
          return w;
        },
        pack: (lb, options) =>
          trellis.packCodes(lb, { ...common(rows, cols, undefined, options), codebook, trellis: words, scales }),
      };
    },
  };
}

/** What is measured: the first of a kernel format is the one that is counted. */
export const benches: readonly BenchFormat[] = TRELLIS_BITS.flatMap((bits) => [
  trellisFormat(bits, "mul1"),
  trellisFormat(bits, "mcg"),
]);
