// What processors make of operand 2 of the relaxed dot product with 32-bit sums beyond 0..127, put into a relaxed binary in place of
// its instruction, as a function of plain SIMD, so that all three kinds of machine run anywhere.
import { readFileSync } from "node:fs";
import binaryen from "assemblyscript/binaryen";
import { VERSION, VERSION_SECTION } from "../../src/lib/version.ts";
import { ok } from "./assert.ts";

const OPERATION = "i32x4.relaxed_dot_i8x16_i7x16_add_s";

/** A sum of four products, from pairs of products of bytes in 16-bit lanes: |127·255| <= 32767. */
const products = (half: "low" | "high", sign: "u" | "s"): string =>
  `(i16x8.mul (i16x8.extend_${half}_i8x16_s (local.get 0)) (i16x8.extend_${half}_i8x16_${sign} (local.get 1)))`;
const pairs = (half: "low" | "high", sign: "u" | "s"): string =>
  `(i32x4.extadd_pairwise_i16x8_s ${products(half, sign)})`;
const evens = "0 1 2 3 8 9 10 11 16 17 18 19 24 25 26 27";
const odds = "4 5 6 7 12 13 14 15 20 21 22 23 28 29 30 31";
const whole = (sign: "u" | "s"): string =>
  `(local.set 3 ${pairs("low", sign)}) (local.set 4 ${pairs("high", sign)})
   (i32x4.add (local.get 2) (i32x4.add
     (i8x16.shuffle ${evens} (local.get 3) (local.get 4)) (i8x16.shuffle ${odds} (local.get 3) (local.get 4))))`;

/** x86 with AVX-VNNI (vpdpbusd); ARM (sdot); x86 without, through pairs that saturate (pmaddubsw, pmaddwd). */
export const MACHINES = {
  u8: whole("u"),
  s8: whole("s"),
  i16: `(i32x4.add (local.get 2)
    (i32x4.extadd_pairwise_i16x8_s (i16x8.narrow_i32x4_s ${pairs("low", "u")} ${pairs("high", "u")})))`,
} as const;
export type Dot = keyof typeof MACHINES;

/**
 * A relaxed binary with `body` in place of the dot product with 32-bit sums. Operands: x, codes, sums.
 *
 * @param name of the file in build/
 */
export function binaryOf(body: string, name = "relaxed"): Uint8Array<ArrayBuffer> {
  const text = readFileSync(new URL(`../../build/${name}.wat`, import.meta.url), "utf8");
  ok(text.includes(OPERATION), "the binary has the operation");
  const end = text.lastIndexOf(")");
  const replaced = `${text.slice(0, end).replaceAll(OPERATION, "call $dot_of_machine")}
  (func $dot_of_machine (param v128 v128 v128) (result v128) (local v128 v128) ${body}))`;
  const module = binaryen.parseText(replaced);
  module.setFeatures(binaryen.Features.All);
  const bytes = module.emitBinary();
  module.dispose();
  const version = new TextEncoder().encode(VERSION_SECTION + VERSION);
  return Uint8Array.from(
    [bytes, [0, version.length + 1, VERSION_SECTION.length], version].flatMap((part) => [...part]),
  );
}
