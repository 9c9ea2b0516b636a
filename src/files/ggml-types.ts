// Types of tensors in GGUF files: how many columns a block has and how many bytes, and which fields of it are numbers of
// several bytes. Source: ggml's ggml.h (enum ggml_type) and ggml-common.h (block_*).

export interface GgmlType {
  readonly name: string;
  /** Columns of a block: the length of a row is a multiple of it. */
  readonly columns: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** [offset, bytes of a number, how many]: what the other byte order has the other way round. */
  readonly fields: readonly (readonly [number, number, number])[];
  /** Bytes behind the blocks of a whole tensor: the scale of I2_S. */
  readonly tail: number;
}

type Row = readonly [
  id: number,
  name: string,
  columns: number,
  bytes: number,
  ...fields: (readonly [number, number, number])[],
];

/** Of microsoft/BitNet, with one scale behind the codes. Which of three layouts it has is not in the file. */
const I2_S = 36;

// 9 (Q8_1) and 15 (Q8_K) are for activations. 4, 5, 31 to 33 and 36 to 38 are gone from ggml.
const ROWS: readonly Row[] = [
  [0, "F32", 1, 4, [0, 4, 1]],
  [1, "F16", 1, 2, [0, 2, 1]],
  [2, "Q4_0", 32, 18, [0, 2, 1]],
  [3, "Q4_1", 32, 20, [0, 2, 2]],
  [6, "Q5_0", 32, 22, [0, 2, 1]],
  [7, "Q5_1", 32, 24, [0, 2, 2]],
  [8, "Q8_0", 32, 34, [0, 2, 1]],
  [10, "Q2_K", 256, 84, [80, 2, 2]],
  [11, "Q3_K", 256, 110, [108, 2, 1]],
  [12, "Q4_K", 256, 144, [0, 2, 2]],
  [13, "Q5_K", 256, 176, [0, 2, 2]],
  [14, "Q6_K", 256, 210, [208, 2, 1]],
  [16, "IQ2_XXS", 256, 66, [0, 2, 33]],
  [17, "IQ2_XS", 256, 74, [0, 2, 33]],
  [18, "IQ3_XXS", 256, 98, [0, 2, 1]],
  [19, "IQ1_S", 256, 50, [0, 2, 1], [34, 2, 8]],
  [20, "IQ4_NL", 32, 18, [0, 2, 1]],
  [21, "IQ3_S", 256, 110, [0, 2, 1]],
  [22, "IQ2_S", 256, 82, [0, 2, 1]],
  [23, "IQ4_XS", 256, 136, [0, 2, 2]],
  [24, "I8", 1, 1],
  [25, "I16", 1, 2, [0, 2, 1]],
  [26, "I32", 1, 4, [0, 4, 1]],
  [27, "I64", 1, 8, [0, 8, 1]],
  [28, "F64", 1, 8, [0, 8, 1]],
  [29, "IQ1_M", 256, 56],
  [30, "BF16", 1, 2, [0, 2, 1]],
  [34, "TQ1_0", 256, 54, [52, 2, 1]],
  [35, "TQ2_0", 256, 66, [64, 2, 1]],
  [36, "I2_S", 4, 1],
  [39, "MXFP4", 32, 17],
  [40, "NVFP4", 64, 36],
  [41, "Q1_0", 128, 18, [0, 2, 1]],
  [42, "Q2_0", 64, 18, [0, 2, 1]],
];

const byId: ReadonlyMap<number, GgmlType> = /* @__PURE__ */ new Map(
  /* @__PURE__ */ ROWS.map(([id, name, columns, bytes, ...fields]) => [
    id,
    { name, columns, bytes, fields, tail: id === I2_S ? 32 : 0 },
  ]),
);
const idByName: ReadonlyMap<string, number> = /* @__PURE__ */ new Map(
  /* @__PURE__ */ ROWS.map(([id, name]) => [name, id]),
);

export function ggmlType(id: number): GgmlType | undefined {
  return byId.get(id);
}

export function ggmlTypeNames(): readonly string[] {
  return [...idByName.keys()];
}

export function ggmlTypeId(name: string): number | undefined {
  return idByName.get(name);
}

/** What an id means that is no type of ggml, where that is known. */
export function foreignType(id: number): string {
  const names: Readonly<Record<number, string>> = {
    4: "Q4_2, which is gone",
    5: "Q4_3, which is gone",
    9: "Q8_1, which is for activations",
    15: "Q8_K, which is for activations",
    37: "I8_S of microsoft/BitNet",
    38: "TL1 of microsoft/BitNet, whose layout is not in the file: convert the model to I2_S or TQ2_0",
  };
  const name = names[id] ?? (id >= 97 && id < 400 ? "perhaps one of ik_llama.cpp" : undefined);
  return name === undefined ? `${id}` : `${id} (${name})`;
}

/** Turns the numbers of several bytes round, in place. `bytes` begin with a block; the last may be cut. */
export function swapBlocks(bytes: Uint8Array, type: GgmlType): void {
  for (let block = 0; block + type.bytes <= bytes.length; block += type.bytes) {
    for (const [offset, size, count] of type.fields) {
      for (let i = 0; i < count; i++) {
        const at = block + offset + i * size;
        bytes.subarray(at, at + size).reverse();
      }
    }
  }
}
