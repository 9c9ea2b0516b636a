import { trellis } from "../../../src/index.ts";
import { TRELLIS_BITS, type TrellisBits } from "../../../src/kernels/types.ts";
import { filled } from "../../lib/fill.ts";
import { type AnyWeights, inParts, type TestFormat } from "../../lib/test-format.ts";
import { type ReferenceCodebook, trellisMatrix, trellisWeight } from "../../reference/trellis.ts";
import { makeWeights } from "../../reference/weights.ts";

const tables = new Map<ReferenceCodebook, Int16Array>();
function integersOf(name: ReferenceCodebook): Int16Array {
  const table = tables.get(name) ?? Int16Array.from({ length: 65536 }, (_, s) => trellisWeight(name, s).integer);
  tables.set(name, table);
  return table;
}

/** Streams of tiles. `of` takes streams that the codes asked for say; weights are integers. */
function trellisFormat(bits: TrellisBits, kind: "" | "_i16"): TestFormat {
  const names = (kind === "" ? ["mul1", "1mad"] : ["3inst", "mcg"]) as ReferenceCodebook[];
  const size = (rows: number, cols: number): number => Math.ceil(rows / 16) * Math.ceil(cols / 16) * 16 * bits;
  const make = (rows: number, cols: number, words: Uint16Array, scales: ArrayLike<number>, name: ReferenceCodebook) => {
    const table = integersOf(name);
    const states = trellisMatrix(words, rows, cols);
    const codes = filled(new Int16Array(states.length), (i) => table[states[i] as number] as number);
    const [unit, offset] =
      name === "mul1"
        ? [1774 / 2 ** 18, 1534 * (1774 / 2 ** 18) - 10.3828125]
        : [name === "1mad" ? 1 / 147.800537109375 : 2 ** -13, 0];
    const given = Float32Array.from(scales);
    const parts = {
      scales: given.map((scale) => scale * unit),
      ...(offset !== 0 && { offsets: given.map((scale) => scale * offset) }),
    };
    const weights = makeWeights({ rows, cols, planes: 1, codes, ...parts });
    const most = kind === "" ? 32768 : 256;
    return Object.assign(inParts(weights, most, 16), { words, codebook: name, itsScales: given });
  };
  return {
    levels: kind === "" ? [-510, 510, 0, 3] : [-32752, 32752, 0, 5],
    grouped: false,
    of: (rows, cols, codes, scales) => {
      const words = filled(new Uint16Array(size(rows, cols)), (i) => {
        return ((codes[i % codes.length] as number) * 40503 + (codes[(i * 7) % codes.length] as number) * 9973) & 65535;
      });
      return make(rows, cols, words, scales, names[rows % 2] as ReferenceCodebook);
    },
    random: (rows, cols, rng) => {
      const words = filled(new Uint16Array(size(rows, cols)), () => rng.int(0, 65535));
      return make(rows, cols, words, rng.gaussians(rows), names[rng.int(0, 1)] as ReferenceCodebook);
    },
    pack: (lb, weights, { groupSize: _, ...common }) => {
      type Given = { words: Uint16Array; codebook: ReferenceCodebook; itsScales: Float32Array };
      const { words, codebook: name, itsScales: scales } = weights as AnyWeights & Given;
      return trellis.packCodes(lb, { ...common, codebook: name, trellis: words, scales });
    },
  };
}

export const cases = Object.fromEntries(
  TRELLIS_BITS.flatMap((bits) => [
    [`trellis${bits}`, trellisFormat(bits, "")],
    [`trellis${bits}_i16`, trellisFormat(bits, "_i16")],
  ]),
) as Readonly<Record<`trellis${TrellisBits}` | `trellis${TrellisBits}_i16`, TestFormat>>;
