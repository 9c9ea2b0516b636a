// Which binary and which kernel ran: what was asked for, and nothing else.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { kernels } from "../../src/kernels/registry.ts";
import type { FormatName } from "../../src/kernels/types.ts";
import * as assert from "../lib/assert.ts";
import {
  availableVariants,
  binary,
  formats,
  init,
  initSync,
  type Lowbit,
  type Matrix,
  ternary,
} from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

const t = suite("variants");
const root = fileURLToPath(new URL("../../", import.meta.url));
const { instances, missing } = await availableVariants();

for (const { variant, reason } of missing) t.skip(variant, reason);

function make(lb: Lowbit, format: FormatName, rows: number, cols: number, options: object): Matrix {
  const w = random(`variants ${format}`).gaussians(rows * cols);
  return (format === "binary" ? binary : ternary).quantize(lb, w, { rows, cols, ...options });
}

for (const { variant, lb } of instances) {
  t(`${variant}: features say so`, () => {
    assert.is(lb.features.variant, variant);
    assert.is(lb.features.relaxed, variant === "relaxed");
    assert.is(lb.features.threads, 1);
    const arm = process.arch === "arm64";
    const dots = variant === "simd" ? (arm ? ["mul"] : ["i16"]) : arm ? ["s8", "mul"] : ["i16", "u8", "s8"];
    assert.ok(dots.includes(lb.features.dot), lb.features.dot);
    const native = variant === "relaxed" && arm;
    assert.is(lb.features.popcnt, native ? "native" : "sliced");
  });

  t(`${variant}: every kernel of the registry runs when it is named, and gives the same bits as the others`, () => {
    const rows = 70;
    const cols = 300;
    const n = 5;
    for (const format of formats) {
      for (const activation of ["int8", "lut8", "f32"] as const) {
        const x = random("variants x").gaussians(n * cols);
        const chosen = make(lb, format, rows, cols, { activation });
        const expected = chosen.gemm(x, n);
        chosen.dispose();
        const rowsOf = kernels.filter((k) => k.format === format && k.activation === activation);
        for (const row of rowsOf) {
          if (row.needs === "relaxed" && variant === "simd") continue;
          const matrix = make(lb, format, rows, cols, { activation, kernel: row.name });
          assert.is(row.op === "gemv" ? matrix.kernel : matrix.gemmKernel, row.name);
          if (row.op === "gemv") assert.is(matrix.gemmKernel, row.name);
          assert.equalValues(matrix.gemm(x, n), expected, row.name);
          matrix.dispose();
        }
      }
    }
  });

  t(`${variant}: a kernel that does not exist for the job is refused`, () => {
    for (const kernel of ["gemv_ternary_lut8_64x8", "nothing", ""]) {
      assert.throwsWith(
        () => make(lb, "binary", 8, 8, { kernel }),
        RangeError,
        /^binary\.quantize: kernel: expected "gemv_binary_int8_32x8" \| .*, got "/,
      );
    }
  });

  t(`${variant}: the module file gives the same as the built-in copy`, async () => {
    const file = new URL(`../../dist/wasm/${variant}.wasm`, import.meta.url);
    const bytes = Uint8Array.from(readFileSync(file));
    const module = await WebAssembly.compile(bytes);
    const sources = [
      bytes,
      bytes.buffer,
      module,
      file,
      Promise.resolve(module),
      { default: module },
      new Response(bytes, { headers: { "content-type": "application/wasm" } }),
      new Response(bytes, { headers: { "content-type": "text/plain" } }),
    ];
    const x = random("variants module").gaussians(64);
    const expected = make(lb, "ternary", 32, 64, {}).gemv(x);
    for (const source of sources) {
      const other = await init({ module: source });
      assert.is(other.features.variant, variant);
      assert.equalBits(make(other, "ternary", 32, 64, {}).gemv(x), expected, "gemv");
    }
    assert.is(initSync(bytes).features.variant, variant);
    assert.is(initSync(module, { variant }).features.variant, variant);
  });
}

/** What `init` resolves to in a process of its own, with the flags that this one cannot take back. */
function featuresIn(flags: string[], options = "{}"): { variant: string; relaxedReason?: string } {
  const code = `import("lowbit").then(async (m) => {
    const lb = await m.init(${options}).catch((e) => ({ features: { variant: e.name, relaxedReason: e.message } }));
    console.log(JSON.stringify(lb.features));
  })`;
  return JSON.parse(execFileSync(process.execPath, [...flags, "-e", code], { cwd: root, encoding: "utf8" }));
}

const node20 = process.versions.node.startsWith("20.");
const only20 = "only Node 20 has relaxed SIMD behind a flag, compiled wrongly in its first tier";

if (node20) {
  t("auto: a runtime without relaxed SIMD gets simd128", () => {
    const features = featuresIn([]);
    assert.is(features.variant, "simd");
    assert.match(features.relaxedReason ?? "", /does not accept relaxed SIMD/);
  });

  t("auto: a runtime that computes relaxed SIMD wrongly gets simd128", () => {
    const features = featuresIn(["--experimental-wasm-relaxed-simd"]);
    assert.is(features.variant, "simd");
    assert.match(features.relaxedReason ?? "", /wrong results/);
  });

  t("relaxed: refused where it does not exist, with the way out", () => {
    const features = featuresIn([], '{ variant: "relaxed" }');
    assert.is(features.variant, "UnsupportedRuntimeError");
    assert.match(features.relaxedReason ?? "", /^init: variant "relaxed": .*; use "auto" or "simd"$/);
  });
} else {
  t.skip("fall back from relaxed SIMD", only20);
}

t("nothing is compiled on import", () => {
  const code = `
    const { Module, Instance, Memory } = WebAssembly;
    let calls = 0;
    for (const name of ["compile", "instantiate", "validate"]) WebAssembly[name] = () => { calls++; };
    for (const name of ["Module", "Instance", "Memory"]) WebAssembly[name] = class { constructor() { calls++; } };
    import("lowbit").then(() => console.log(calls));`;
  assert.is(execFileSync(process.execPath, ["-e", code], { cwd: root, encoding: "utf8" }).trim(), "0");
});
