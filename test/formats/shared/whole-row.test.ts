// groupSize -1, as configurations of GPTQ and AWQ have it, is one group a row wherever a call takes groups.

import * as library from "../../../src/index.ts";
import { pvqQuantizer, tableQuantizer, uniformQuantizer } from "../../../src/lattice.ts";
import { equal, equalBits, ok } from "../../lib/assert.ts";
import { bitplane, codebook, init, type Lowbit, ternary, uniform } from "../../lib/library.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";

const lb: Lowbit = await init({ variant: "simd", threads: 1 });
const rng = random("whole-row");
const t = suite("groupSize: -1");
const [rows, cols] = [6, 96];

type Quantize = (lb: Lowbit, w: unknown, options: object) => { dequantize(): unknown; dispose(): void };

/** What formats want beside the shape. */
const OPTIONS: Readonly<Record<string, object>> = {
  bcq: { bits: 2 },
  bitplane: { bits: 2, activationBits: 4 },
  codebook: { table: "nf4" },
  complex: { scale: "row" },
  minifloat: { type: "e2m3" },
  uniform: { bits: 3 },
};

t("quantize of every format that has groups", () => {
  let seen = 0;
  for (const [name, format] of Object.entries(library)) {
    const quantize = (format as { quantize?: Quantize }).quantize;
    if (quantize === undefined) continue;
    const real = rng.gaussians(rows * cols);
    const w = name === "complex" ? { re: real, im: rng.gaussians(rows * cols) } : real;
    const shape = { rows, cols, ...OPTIONS[name] };
    const at = (groupSize: number): unknown => {
      const matrix = quantize(lb, w, { ...shape, groupSize });
      const values = matrix.dequantize();
      matrix.dispose();
      return values instanceof Float32Array ? [...values] : values;
    };
    let want: unknown;
    try {
      want = at(cols);
    } catch (error) {
      // A format without groups does not know the option.
      ok(/unknown option "groupSize"/.test(String(error)), `${name}: ${error}`);
      continue;
    }
    equal(JSON.stringify(at(-1)), JSON.stringify(want), name);
    seen++;
  }
  ok(seen >= 7, `${seen} formats have groups`);
});

t("pack, at every number of bits", () => {
  const scales = rng.uniforms(rows);
  const shape = { rows, cols, scales };
  const both = (make: (groupSize: number) => { dequantize(): Float32Array }, label: string): void =>
    equalBits(make(-1).dequantize(), make(cols).dequantize(), label);
  for (const bits of [2, 3, 4, 5, 6, 8] as const) {
    const codes = Uint8Array.from({ length: rows * cols }, () => rng.int(0, 2 ** bits - 1));
    both((groupSize) => uniform.pack(lb, { ...shape, bits, codes, groupSize }), `uniform ${bits}`);
    if (bits <= 4) {
      const tables = rng.uniforms(2 ** bits);
      const index = bits as 2 | 3 | 4;
      both((groupSize) => codebook.pack(lb, { ...shape, bits: index, codes, tables, groupSize }), `codebook ${bits}`);
      const each = rng.uniforms(rows * 2 ** bits);
      both((groupSize) => codebook.pack(lb, { ...shape, bits: index, codes, tables: each, groupSize }), `rows ${bits}`);
      both(
        (groupSize) => bitplane.pack(lb, { ...shape, bits: index, activationBits: 4, codes, groupSize }),
        `bitplane ${bits}`,
      );
    }
  }
  const codes = rng.trits(rows * cols);
  both((groupSize) => ternary.pack(lb, { ...shape, codes, groupSize }), "ternary");
});

t("lowbit/lattice", () => {
  const w = rng.gaussians(rows * cols);
  for (const make of [
    (groupSize: number) => uniformQuantizer(w, { rows, cols, bits: 3, groupSize }).scales,
    (groupSize: number) => pvqQuantizer(w, { rows, cols, groupSize }).scales,
  ]) {
    equalBits(make(-1), make(cols), String(make));
  }
  const table = { rows, cols, bits: 2, tables: rng.uniforms(4) } as const;
  equal(tableQuantizer({ ...table, groupSize: -1 }).blockSize, 1);
});
