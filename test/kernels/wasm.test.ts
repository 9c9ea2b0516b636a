// What the binaries are: nothing but kernels over a memory that somebody else owns.

import { readFileSync } from "node:fs";
import * as loader from "@assemblyscript/loader";
import { exportOf, kernels } from "../../src/kernels/registry.ts";
import type { Variant } from "../../src/kernels/types.ts";
import { acceptsRelaxed } from "../../src/runtime/features.ts";
import * as assert from "../lib/assert.ts";
import { suite } from "../lib/suite.ts";
import { innermostLoops, operationsOf, readFunctions } from "../lib/wat.ts";

const t = suite("wasm");
const root = new URL("../../", import.meta.url);
const bytesOf = (variant: Variant): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(readFileSync(new URL(`dist/wasm/${variant}.wasm`, root)));
const textOf = (variant: Variant): string => readFileSync(new URL(`build/${variant}.wat`, root), "utf8");

/** Ids of the sections of a module, in order (WebAssembly core specification, 5.5.2). */
function sections(bytes: Uint8Array): number[] {
  const ids: number[] = [];
  let at = 8;
  while (at < bytes.length) {
    ids.push(bytes[at++] as number);
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] as number;
      size |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    at += size;
  }
  return ids;
}

for (const variant of ["simd", "relaxed"] as const) {
  t(`${variant}: no start function, global, table or data segment`, () => {
    // 1 type, 2 import, 3 function, 7 export, 10 code; 0 custom
    const ids = sections(bytesOf(variant)).filter((id) => id !== 0);
    assert.equal(ids, [1, 2, 3, 7, 10]);
  });

  t(`${variant}: no memory.grow, memory imported and not exported`, () => {
    const text = textOf(variant);
    assert.not.match(text, /memory\.grow/);
    assert.is([...text.matchAll(/^ \(import /gm)].length, 1);
    assert.match(text, /^ \(import "env" "memory" \(memory /m);
    assert.not.match(text, /\(export "memory"/);
  });

  t(`${variant}: exports the kernels of the registry and what prepares for them`, () => {
    const names = [...textOf(variant).matchAll(/^ \(export "([^"]+)"/gm)].map((m) => m[1] as string);
    const expected = kernels.filter((k) => k.needs === "simd128" || variant === "relaxed").map(exportOf);
    assert.equal(names.filter((name) => /^(gemv|gemm)_/.test(name)).sort(), [...new Set(expected)].sort());
    const others =
      /^(prepare_\w+|transform_\w+|model_\w+|branch_add|combine_digits|finish_complex|expand_scales|pack_words|unpack_fields|gather_\w+|absmax|abs_sum|least|file_checksum|probe|dot_bits|dot_sign|popcnt_native|nan_negative|spin)$/;
    for (const name of names) if (!/^(gemv|gemm)_/.test(name)) assert.match(name, others);
  });
}

const swizzle = /swizzle$/;
// Any product, of integers too, and any arithmetic of floats.
const multiplication = /mul|dot|madd|^f(32|64)|^f(32x4|64x2)/;

for (const variant of ["simd", "relaxed"] as const) {
  t(`${variant}: no multiplication in the inner loops of complex weights`, () => {
    const functions = readFunctions(textOf(variant));
    for (const kernel of ["gemv_complex_lut8_32x8", "gemv_complex_int8_32x8", "gemv_complex_f32_16x8"]) {
      const loops = innermostLoops(kernel, swizzle, functions);
      assert.ok(loops.length > 0, `${kernel} has loops of lookups`);
      for (const ops of loops) assert.equal(ops.filter((op) => multiplication.test(op)).join(), "", kernel);
      // All lookups are in these loops.
      const inLoops = loops.flat().filter((op) => swizzle.test(op)).length;
      assert.is(inLoops, operationsOf(kernel, functions).filter((op) => swizzle.test(op)).length, `${kernel}: lookups`);
    }
  });

  t(`${variant}: that scan finds products and float arithmetic where there are some`, () => {
    const functions = readFunctions(textOf(variant));
    for (const kernel of ["gemv_codebook4_int8_16x8", "gemv_binary_f32_16x8"]) {
      const loops = innermostLoops(kernel, swizzle, functions);
      assert.ok(
        loops.some((ops) => ops.some((op) => multiplication.test(op))),
        kernel,
      );
    }
    // Outside of the loops of lookups: scales.
    assert.ok(operationsOf("gemv_complex_lut8_32x8", functions).includes("f32x4.mul"));
  });
}

t("the simd128 binary uses no relaxed operation, the relaxed one uses the swizzle and both dot products", () => {
  assert.not.match(textOf("simd"), /relaxed/);
  const relaxed = textOf("relaxed");
  for (const op of [
    "i8x16.relaxed_swizzle",
    "i16x8.relaxed_dot_i8x16_i7x16_s",
    "i32x4.relaxed_dot_i8x16_i7x16_add_s",
  ]) {
    assert.match(relaxed, new RegExp(op.replace(".", "\\.")));
  }
});

// A page fetches one of them before its first product: half of this, 0.1 s at 5 Mbit/s, which the format of a file or a kernel twice as fast
// is worth, and a generic loop that is inlined into every export is not: the limit is there so that one does not pass unseen.
// Keys and values of 2 to 16 bits take 20 KB of it.
t("both binaries together stay under 125 KB gzipped", async () => {
  const { gzipSync } = await import("node:zlib");
  const size = (["simd", "relaxed"] as const).reduce((sum, v) => sum + gzipSync(bytesOf(v), { level: 9 }).length, 0);
  assert.ok(size < 125_000, `expected less than 125000 bytes, got ${size}`);
});

t("the probe passes where relaxed SIMD is on, in the tier that runs first", () => {
  if (!acceptsRelaxed()) return;
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytesOf("relaxed")), { env: { memory } });
  assert.is((exports.probe as (zero: number) => number)(0), 1);
});

t("the debug build gives the same bits as the release build", async () => {
  const debug = Uint8Array.from(readFileSync(new URL("build/debug.wasm", root)));
  const rows = 64;
  const byteCols = 3;
  const run = async (bytes: Uint8Array<ArrayBuffer>): Promise<Float32Array> => {
    const memory = new WebAssembly.Memory({ initial: 4 });
    const { exports } = await loader.instantiate(bytes, { env: { memory } });
    const call = exports as unknown as Record<string, (...args: number[]) => number>;
    const floats = new Float32Array(memory.buffer);
    const [w, scales, x, tables, steps, y] = [1024, 8192, 16384, 32768, 65536, 98304];
    new Uint8Array(memory.buffer, w, rows * byteCols).forEach((_, i, plane) => {
      plane[i] = (i * 151) & 255;
    });
    floats.fill(0.5, (scales as number) / 4, (scales as number) / 4 + rows);
    for (let i = 0; i < byteCols * 8; i++) floats[(x as number) / 4 + i] = Math.sin(i);
    call.prepare_binary_lut8?.(x as number, tables as number, steps as number, byteCols, byteCols, 1);
    const at = [w, scales, tables, steps, y] as number[];
    call.gemv_binary_lut8_64x8?.(...at, 0, rows, rows, byteCols, byteCols, 1, 0, 0, 1);
    return floats.slice((y as number) / 4, (y as number) / 4 + rows);
  };
  const [expected, actual] = [await run(bytesOf("simd")), await run(debug)];
  assert.ok(expected.some((v) => v !== 0));
  assert.equalBits(actual, expected, "y");
});
