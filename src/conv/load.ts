// The binary of convolutions is one of its own: who only multiplies matrices does not load it.
import type { Variant } from "../kernels/types.ts";
import { typeError } from "../lib/check.ts";
import { UnsupportedRuntimeError } from "../lib/errors.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";
import { engineOf } from "../runtime/engine.ts";
import type { Lowbit } from "../runtime/features.ts";
import { compileModule, type ModuleSource } from "../runtime/init.ts";
import { Pool } from "../runtime/pool.ts";
import { attachConvEngine, ConvEngine, findConvEngine } from "./engine.ts";

export interface LoadOptions {
  /** Address of `lowbit/worker.js`, where a bundler does not bring it along: docs/runtimes.md. */
  readonly worker?: URL | string;
  /** `lowbit/wasm/conv-simd.wasm` or `lowbit/wasm/conv-relaxed.wasm`, where the built-in copy cannot be used. */
  readonly module?: ModuleSource;
}

const NAMES: OptionNames<LoadOptions> = { worker: [], module: [] };

/**
 * Loads the kernels of convolutions into an instance, on as many threads as it has. Once an instance: a second call changes
 * nothing.
 *
 * @throws TypeError, RangeError (as rejections, like the others) for wrong arguments
 * @throws UnsupportedRuntimeError where the runtime may not compile
 */
export async function load(lb: Lowbit, options: LoadOptions = {}): Promise<void> {
  const where = "conv.load";
  const { worker, module: source } = readOptions(where, options, NAMES);
  const engine = engineOf(where, lb);
  if (worker !== undefined && typeof worker !== "string" && Object.prototype.toString.call(worker) !== "[object URL]") {
    throw typeError(`${where}: worker`, "a URL or a string", worker);
  }
  if (findConvEngine(engine)) return;
  const shared = engine.arena.shared;
  const module = await compileModule(where, source ?? builtIn(engine.variant), shared);
  checkConvModule(where, module);
  const pool = shared && engine.threads > 1 ? new Pool(engine.threads, worker) : undefined;
  const made = await ConvEngine.open(engine, module, pool);
  // Another call may have been faster.
  if (findConvEngine(engine)) made.dispose();
  else attachConvEngine(made);
}

function builtIn(variant: Variant): ModuleSource {
  return variant === "relaxed" ? import("#binary/conv-relaxed") : import("#binary/conv-simd");
}

function checkConvModule(where: string, module: WebAssembly.Module): void {
  const names = WebAssembly.Module.exports(module).map(({ name }) => name);
  if (names.includes("conv_direct")) return;
  throw new UnsupportedRuntimeError(
    `${where}: module: expected lowbit/wasm/conv-simd.wasm or conv-relaxed.wasm, got a module without conv_direct`,
  );
}
