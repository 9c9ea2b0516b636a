import { checkChoice, checkInteger, checkOptions, describe, rangeError, typeError } from "./check.ts";
import { attachEngine, Engine } from "./engine.ts";
import { UnsupportedRuntimeError } from "./errors.ts";
import { acceptsRelaxed, type Features } from "./features.ts";
import type { MemoryUse } from "./memory.ts";
import { exportOf, kernels, type Variant } from "./registry.ts";

/** A compiled module, its bytes, where they come from, or a promise of any of these. */
export type ModuleSource = LoadedSource | Promise<LoadedSource>;

type LoadedSource =
  | WebAssembly.Module
  | BufferSource
  | Response
  | URL
  | { readonly default: WebAssembly.Module | BufferSource };

export interface InitOptions {
  /** "auto" (default): relaxed SIMD where the runtime has it and passes a known-answer probe, else plain SIMD. */
  readonly variant?: "auto" | Variant;
  /** Threads to compute on: a number from 1 to 256, or "auto". `features.threads` says how many there are. */
  readonly threads?: number | "auto";
  /** One of `lowbit/wasm/simd.wasm` and `lowbit/wasm/relaxed.wasm`, where the built-in copy cannot be used. */
  readonly module?: ModuleSource;
}

/** What `init` resolves to: a loaded binary and its memory. Pass it to the functions of a format. */
export interface Lowbit {
  readonly features: Features;
  readonly memory: MemoryUse;
}

const VARIANTS = ["auto", "relaxed", "simd"] as const;

/**
 * Loads the kernels. Nothing is compiled before this is called; each call makes an instance with a memory of its own.
 *
 * @throws TypeError, RangeError for bad options
 * @throws UnsupportedRuntimeError (as a rejection) when the runtime has no WebAssembly SIMD, may not compile, or lacks
 * the variant asked for
 */
export async function init(options: InitOptions = {}): Promise<Lowbit> {
  const { variant, threads } = checkInit("init", options);
  if (options.module !== undefined) {
    return open("init", await compileSource("init", options.module), variant, threads);
  }
  let relaxedReason = "variant simd was asked for";
  if (variant !== "simd") {
    if (!acceptsRelaxed()) {
      relaxedReason = "this runtime does not accept relaxed SIMD";
    } else {
      const module = await compileBuiltIn("relaxed");
      const failure = probeFailure(module);
      if (!failure) return makeHandle(module, "relaxed", threads);
      relaxedReason = failure;
    }
    if (variant === "relaxed") {
      throw new UnsupportedRuntimeError(`init: variant "relaxed": ${relaxedReason}; use "auto" or "simd"`);
    }
  }
  return makeHandle(await compileBuiltIn("simd"), "simd", threads, relaxedReason);
}

/**
 * The same from a module or bytes that are already here, without a promise.
 *
 * @throws as `init` rejects
 */
export function initSync(module: WebAssembly.Module | BufferSource, options: Omit<InitOptions, "module"> = {}): Lowbit {
  const { variant, threads } = checkInit("initSync", options);
  return open("initSync", compileNow("initSync", module), variant, threads);
}

function checkInit(where: string, options: InitOptions): { variant: "auto" | Variant; threads: number | "auto" } {
  checkOptions(`${where}: options`, options);
  const { variant = "auto", threads = 1 } = options;
  checkChoice(`${where}: variant`, variant, VARIANTS);
  if (typeof threads === "string") {
    if (threads !== "auto")
      throw rangeError(`${where}: threads`, 'an integer from 1 to 256 or "auto"', describe(threads));
  } else {
    checkInteger(`${where}: threads`, threads, 1, 256);
  }
  return { variant, threads };
}

// A module that the caller gave: which of the two it is shows in its exports.
function open(where: string, module: WebAssembly.Module, wanted: "auto" | Variant, threads: number | "auto"): Lowbit {
  const names = WebAssembly.Module.exports(module).map((e) => e.name);
  const missing = kernels.find((kernel) => kernel.needs === "simd128" && !names.includes(exportOf(kernel)));
  if (missing) {
    throw rangeError(
      `${where}: module`,
      "lowbit/wasm/simd.wasm or lowbit/wasm/relaxed.wasm of this version",
      `a module without ${exportOf(missing)}`,
    );
  }
  const variant: Variant = names.includes("probe") ? "relaxed" : "simd";
  if (wanted !== "auto" && wanted !== variant) {
    throw rangeError(`${where}: module`, `${wanted}.wasm, as variant says`, `${variant}.wasm`);
  }
  const failure = variant === "relaxed" ? probeFailure(module) : undefined;
  if (failure) throw new UnsupportedRuntimeError(`${where}: module: ${failure}; use lowbit/wasm/simd.wasm`);
  return makeHandle(module, variant, threads, variant === "simd" ? "the module given is simd.wasm" : undefined);
}

function makeHandle(
  module: WebAssembly.Module,
  variant: Variant,
  threads: number | "auto",
  relaxedReason?: string,
): Lowbit {
  const engine = new Engine(module, variant);
  const features: Features = {
    variant,
    relaxed: variant === "relaxed",
    ...(relaxedReason !== undefined && { relaxedReason }),
    threads: 1,
    ...(threads !== 1 && { threadsReason: "this version computes on one thread" }),
    get dot() {
      return engine.dot;
    },
    popcnt: engine.popcnt,
  };
  const { arena } = engine;
  const memory: MemoryUse = {
    get used() {
      return arena.used;
    },
    get peak() {
      return arena.peak;
    },
    get capacity() {
      return arena.capacity;
    },
  };
  const handle: Lowbit = Object.freeze({ features: Object.freeze(features), memory: Object.freeze(memory) });
  attachEngine(handle, engine);
  return handle;
}

function probeFailure(module: WebAssembly.Module): string | undefined {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const probe = exports.probe as (zero: number) => number;
  return probe(0) === 1 ? undefined : "relaxed SIMD gives wrong results in this runtime";
}

async function compileBuiltIn(variant: Variant): Promise<WebAssembly.Module> {
  const binary = variant === "relaxed" ? await import("#binary/relaxed") : await import("#binary/simd");
  return compile("init", binary.default);
}

async function compile(where: string, source: WebAssembly.Module | BufferSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  try {
    return await WebAssembly.compile(source);
  } catch (error) {
    throw compileError(where, source, error);
  }
}

function compileNow(where: string, source: unknown): WebAssembly.Module {
  if (source instanceof WebAssembly.Module) return source;
  if (!isBytes(source)) throw typeError(`${where}: module`, "a WebAssembly.Module or its bytes", source);
  try {
    return new WebAssembly.Module(source);
  } catch (error) {
    throw compileError(where, source, error);
  }
}

// Bytes that do not begin like a module are the caller's mistake; anything else is something the runtime will not do.
function compileError(where: string, source: BufferSource, error: unknown): Error {
  const bytes = ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source);
  const reason = error instanceof Error ? error.message : String(error);
  if (!(bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d)) {
    const start = String.fromCharCode(...bytes.subarray(0, 16)).replace(/[^\x20-\x7e]/g, ".");
    return rangeError(`${where}: module`, "WebAssembly bytes", `${bytes.length} bytes that begin with "${start}"`);
  }
  return new UnsupportedRuntimeError(
    `${where}: the kernels cannot be compiled here (${reason}). They need WebAssembly SIMD; a page with a content ` +
      "security policy must allow 'wasm-unsafe-eval'; a worker that may not compile bytes must pass a compiled module " +
      "as init({ module })",
    { cause: error },
  );
}

function isBytes(value: unknown): value is BufferSource {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

async function compileSource(where: string, source: ModuleSource): Promise<WebAssembly.Module> {
  const value = await source;
  if (value instanceof WebAssembly.Module || isBytes(value)) return compile(where, value);
  if (value instanceof URL) return compile(where, await readUrl(where, value));
  if (typeof Response === "function" && value instanceof Response)
    return compile(where, await readResponse(where, value));
  if (typeof value === "object" && value !== null && "default" in value) return compileSource(where, value.default);
  throw typeError(`${where}: module`, "a WebAssembly.Module, bytes, Response, URL, or a promise of one", value);
}

async function readResponse(where: string, response: Response): Promise<ArrayBuffer> {
  if (!response.ok) {
    throw rangeError(`${where}: module`, "a response with the module", `${response.status} from ${response.url}`);
  }
  return response.arrayBuffer();
}

// fetch() does not read files in Node; getBuiltinModule keeps node:fs out of what bundlers see.
async function readUrl(where: string, url: URL): Promise<ArrayBuffer | Uint8Array<ArrayBuffer>> {
  if (url.protocol !== "file:") return readResponse(where, await fetch(url));
  const runtime = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } };
  const fs = runtime.process?.getBuiltinModule?.("node:fs/promises") as
    | { readFile(url: URL): Promise<Uint8Array<ArrayBuffer>> }
    | undefined;
  return fs ? fs.readFile(url) : readResponse(where, await fetch(url));
}
