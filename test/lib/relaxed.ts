// Node 20 has relaxed SIMD behind a flag, and compiles it rightly only in its optimising tier. With both settings the
// relaxed kernels are tested there too; without relaxed SIMD the tests that need it are skipped with the reason.
import { acceptsRelaxed } from "../../src/runtime/features.ts";

if (!acceptsRelaxed() && globalThis.process?.versions.node?.startsWith("20.") && !process.versions.bun) {
  const { setFlagsFromString } = await import("node:v8");
  setFlagsFromString("--experimental-wasm-relaxed-simd");
  setFlagsFromString("--no-liftoff");
}
