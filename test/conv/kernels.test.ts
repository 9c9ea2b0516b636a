// The binary of convolutions: kernels over a memory that somebody else owns, and a record that both sides read alike.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { RECORD_BYTES, WORDS } from "../../src/conv/record.ts";
import * as assert from "../lib/assert.ts";
import { suite } from "../lib/suite.ts";

const t = suite("conv kernels");
const root = new URL("../../", import.meta.url);
const bytesOf = (variant: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(readFileSync(new URL(`dist/wasm/conv-${variant}.wasm`, root)));

t("words of the record have the same order on both sides", () => {
  const text = readFileSync(new URL("assembly/conv/record.ts", root), "utf8");
  const fields = [...text.matchAll(/^export const ([A-Z_]+): usize = (\d+);/gm)].filter(
    ([, name]) => name !== "BLOCK_BYTES",
  );
  assert.is(fields.length, WORDS.length);
  for (const [i, [, name, offset]] of fields.entries()) {
    const camel = (name as string).toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    assert.is(camel, WORDS[i], `word ${i}`);
    assert.is(Number(offset), i * 4, name);
  }
  assert.is(RECORD_BYTES, fields.length * 4);
});

for (const variant of ["simd", "relaxed"] as const) {
  t(`${variant}: memory is imported and nothing else, no state, no growth`, () => {
    const module = new WebAssembly.Module(bytesOf("simd"));
    const text = readFileSync(new URL(`build/conv-${variant}.wat`, root), "utf8");
    assert.equal(WebAssembly.Module.imports(module), [{ module: "env", name: "memory", kind: "memory" }]);
    assert.not.match(text, /memory\.grow|\(data |\(global |\(start /);
    const names = [...text.matchAll(/^ \(export "([^"]+)"/gm)].map((m) => m[1] as string);
    for (const name of names) assert.match(name, /^conv_\w+$/);
    assert.ok(names.length >= 9);
  });
}

t("both together stay under 20 KB gzipped: pages that enlarge pictures load one of them", () => {
  const size = ["simd", "relaxed"].reduce((sum, v) => sum + gzipSync(bytesOf(v), { level: 9 }).length, 0);
  assert.ok(size < 20_000, `expected less than 20000 bytes, got ${size}`);
});

t("the byte dot product is in the relaxed binary alone", () => {
  assert.match(readFileSync(new URL("build/conv-relaxed.wat", root), "utf8"), /i32x4\.relaxed_dot_i8x16_i7x16_add_s/);
  assert.not.match(readFileSync(new URL("build/conv-simd.wat", root), "utf8"), /relaxed/);
});
