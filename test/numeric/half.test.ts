// float32 to halves of both kinds: the nearest, ties to even.
import { bfloat16ToFloat, floatsToBfloat16, floatsToHalves, halfToFloat } from "../../src/lib/half.ts";
import { equalBits, is, ok } from "../lib/assert.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

const t = suite("half");
const rng = random("half");
const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

t("what a half holds comes back", () => {
  const halves = all.filter((bits) => (bits & 0x7c00) !== 0x7c00);
  equalBits(floatsToHalves(halfToFloat("half", halves)), halves, "float16");
  const bfloats = all.filter((bits) => (bits & 0x7f80) !== 0x7f80);
  equalBits(floatsToBfloat16(bfloat16ToFloat("half", bfloats)), bfloats, "bfloat16");
});

t("the nearest of two neighbours, ties to even", () => {
  for (const [name, from, to, most] of [
    ["float16", halfToFloat, floatsToHalves, 0x7bff],
    ["bfloat16", bfloat16ToFloat, floatsToBfloat16, 0x7f7f],
  ] as const) {
    for (let i = 0; i < 3000; i++) {
      const low = rng.int(0, most - 1);
      const sign = rng.int(0, 1) << 15;
      const [a = 0, b = 0] = from("half", Uint16Array.of(low | sign, (low + 1) | sign));
      const middle = Math.fround((a + b) / 2);
      const even = (low % 2 === 0 ? low : low + 1) | sign;
      is(to(Float32Array.of(middle))[0], even, `${name}: between ${a} and ${b}`);
      const near = Math.fround(a + (b - a) * 0.3);
      const bits = to(Float32Array.of(near))[0] as number;
      ok(Math.abs((from("half", Uint16Array.of(bits))[0] as number) - near) <= Math.abs(b - near), `${name}: ${near}`);
    }
  }
});

t("beyond them", () => {
  const given = Float32Array.of(
    65519.99,
    65520,
    -1e9,
    Number.POSITIVE_INFINITY,
    Number.NaN,
    2 ** -25,
    2 ** -25 * 1.01,
    -0,
  );
  equalBits(floatsToHalves(given), Uint16Array.of(0x7bff, 0x7c00, 0xfc00, 0x7c00, 0x7e00, 0, 1, 0x8000), "float16");
  const large = Float32Array.of(3.4028234663852886e38, Number.NEGATIVE_INFINITY, 1e-45);
  equalBits(floatsToBfloat16(large), Uint16Array.of(0x7f80, 0xff80, 0), "bfloat16");
  ok(Number.isNaN((floatsToBfloat16(Float32Array.of(Number.NaN))[0] as number) === 0x7fc0 ? Number.NaN : 0));
});
