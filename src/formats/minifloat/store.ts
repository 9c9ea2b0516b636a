// Codes as kernels read them, and the tables of magnitudes (assembly/minifloat/README.md).
import type { Activation, FormatName } from "../../kernels/types.ts";
import { byteTable, int16Table } from "../codebook/stored.ts";
import { MINIFLOATS, type Minifloat, type MinifloatType, typeOf, wholeMagnitude, wholeValue } from "./types.ts";

/** The format of the registry that stores a type for a contract. */
export function formatFor({ name }: MinifloatType, activation: Activation): FormatName {
  switch (name) {
    case "e2m1":
    case "e1m2":
      return "codebook4";
    case "e3m0":
      return "codebook4_i16";
    case "e2m2":
      return "minifloat5";
    case "e3m1":
      return "minifloat5_i16";
    case "e2m3":
      return "minifloat6";
    case "e3m2":
      return "minifloat6_i16";
    case "e4m3":
      return activation === "f32" ? "minifloat_e4m3" : "minifloat_e4m3i";
    case "e5m2":
      return "minifloat_e5m2";
  }
}

/** The type of more than 4 bits that a format of the registry stores. */
export function typeStored(format: FormatName): MinifloatType {
  const name = MINIFLOATS.find((one) => {
    const type = typeOf(one);
    return type.bits > 4 && (formatFor(type, "int8") === format || formatFor(type, "f32") === format);
  });
  return typeOf(name as Minifloat);
}

/** What scales are multiplied by: kernels of 4 to 6 bits, and of exact E4M3, see whole numbers. */
export function unitFor(type: MinifloatType, format: FormatName): number {
  return format === "minifloat_e4m3" || format === "minifloat_e5m2" ? 1 : type.unit;
}

/** The table that kernels look magnitudes up in, if they do. */
export function tableFor(type: MinifloatType, format: FormatName): Uint8Array | undefined {
  const { bits } = type;
  if (bits === 8) return undefined;
  if (bits === 4) {
    const entries = Array.from({ length: 16 }, (_, code) => wholeValue(type, code));
    return format === "codebook4" ? byteTable(entries) : int16Table(entries);
  }
  const table = new Uint8Array(32);
  const two = format.endsWith("_i16");
  for (let i = 0; i < 16; i++) {
    const lower = wholeMagnitude(type, i);
    if (bits === 6) {
      // e2m3: what the upper half adds to the nibble. e3m2: the lower half, and an eighth of the upper one.
      const upper = wholeMagnitude(type, i + 16);
      table[i] = lower;
      table[16 + i] = two ? upper / 8 : upper - i;
    } else {
      table[i] = lower < 64 ? lower : 0;
      table[16 + i] = lower < 64 ? 0 : lower / 8;
    }
  }
  return table;
}
