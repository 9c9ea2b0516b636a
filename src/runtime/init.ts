import type { Variant } from "../kernels/types.ts";
import { bytesOf, kindOf } from "../lib/arrays.ts";
import { checkChoice, checkInteger, describe, rangeError, typeError } from "../lib/check.ts";
import { OutOfMemoryError, UnsupportedRuntimeError } from "../lib/errors.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";
import { setHelpers } from "../lib/progress.ts";
import { attachEngine, Engine } from "./engine.ts";
import { acceptsRelaxed, type Features, type Lowbit } from "./features.ts";
import { type MemoryUse, type Reserved, reserveMemory } from "./memory.ts";
import type { Pool } from "./pool.ts";
import { toShared } from "./shared-module.ts";
import { brokenModule, checkBody, checkModule, checkResponse } from "./wrong-module.ts";

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
  /**
   * Threads to compute on, the calling one included: a number from 1 (default) to 256, or "auto" for one a processor, at
   * most 8. `features.threads` says how many there are, and `features.threadsReason` why fewer.
   */
  readonly threads?: number | "auto";
  /** Address of `lowbit/worker.js`, where a bundler does not bring it along: docs/runtimes.md. */
  readonly worker?: URL | string;
  /** Address of `lowbit/quantize-worker.js` likewise: what `quantizeAsync` starts for long work. */
  readonly quantizeWorker?: URL | string;
  /** One of `lowbit/wasm/simd.wasm` and `lowbit/wasm/relaxed.wasm`, where the built-in copy cannot be used. */
  readonly module?: ModuleSource;
}

type SyncOptions = Omit<InitOptions, "module" | "worker" | "quantizeWorker">;

const VARIANTS = ["auto", "relaxed", "simd"] as const;
const NAMES: OptionNames<InitOptions> = { variant: [], threads: [], worker: [], quantizeWorker: [], module: [] };
const SYNC_NAMES: OptionNames<SyncOptions> = { variant: [], threads: [] };

/**
 * Loads the kernels. Nothing is compiled before this is called; each call makes an instance with a memory of its own.
 *
 * @throws TypeError, RangeError for bad options
 * @throws UnsupportedRuntimeError (as a rejection) when the runtime has no WebAssembly SIMD, may not compile, or lacks
 * the variant asked for
 * @throws OutOfMemoryError (as a rejection) when it refuses any memory
 */
export async function init(options: InitOptions = {}): Promise<Lowbit> {
  requireWebAssembly("init");
  const given = readOptions("init", options, NAMES);
  const { variant, threads } = checkInit("init", given);
  const workers = threads === 1 ? ALONE : await startWorkers(threads, given);
  try {
    return await load(given.module, variant, workers);
  } catch (error) {
    workers.pool?.dispose();
    throw error;
  }
}

async function load(source: ModuleSource | undefined, variant: "auto" | Variant, workers: Workers): Promise<Lowbit> {
  const shared = workers.pool !== undefined;
  if (source !== undefined) return open("init", await compileSource("init", source, shared), variant, workers);
  let relaxedReason = "variant simd was asked for";
  if (variant !== "simd") {
    if (!acceptsRelaxed()) {
      relaxedReason = "this runtime does not accept relaxed SIMD";
    } else {
      const module = await compileBuiltIn("relaxed", shared);
      const failure = probeFailure(module);
      if (!failure) return openWith(module, "relaxed", workers);
      relaxedReason = failure;
    }
    if (variant === "relaxed") {
      throw new UnsupportedRuntimeError(`init: variant "relaxed": ${relaxedReason}; use "auto" or "simd"`);
    }
  }
  return openWith(await compileBuiltIn("simd", shared), "simd", workers, relaxedReason);
}

/**
 * The same from a module or bytes that are already here, without a promise, and on one thread: workers need time to start.
 *
 * @throws as `init` rejects
 */
export function initSync(
  module: WebAssembly.Module | BufferSource,
  options: Omit<InitOptions, "module" | "worker" | "quantizeWorker"> = {},
): Lowbit {
  requireWebAssembly("initSync");
  const { variant: wanted, threads } = checkInit("initSync", readOptions("initSync", options, SYNC_NAMES));
  const compiled = compileNow("initSync", module);
  const { variant, relaxedReason } = inspect("initSync", compiled, wanted);
  const reason = threads === 1 ? undefined : "initSync computes on one thread; init() starts workers";
  const engine = new Engine(compiled, variant, reserveMemory(!isPlain(compiled)));
  return makeHandle(engine, relaxedReason, undefined, reason);
}

function requireWebAssembly(where: string): void {
  if (typeof WebAssembly === "object" && WebAssembly !== null) return;
  throw new UnsupportedRuntimeError(
    `${where}: this runtime has no WebAssembly: it was started without (node --jitless), or its settings turn it off ` +
      "(the lockdown mode of a browser)",
  );
}

/** Workers that load while the binary is compiled, and the memory that they will see; or why there are none. */
interface Workers {
  readonly pool?: Pool | undefined;
  readonly memory?: Reserved | undefined;
  readonly reason?: string | undefined;
}

const ALONE: Workers = {};

async function startWorkers(threads: number | "auto", { worker, quantizeWorker }: InitOptions): Promise<Workers> {
  const { Pool, automaticThreads, threadsMissing } = await import("./pool.ts");
  const reason = threadsMissing();
  if (reason !== undefined) return { reason };
  const count = threads === "auto" ? automaticThreads() : threads;
  if (count === 1) return { reason: "this machine has one processor" };
  let memory: Reserved;
  try {
    memory = reserveMemory(true);
  } catch (error) {
    if (error instanceof OutOfMemoryError) return { reason: error.message.replace("lowbit: out of memory: ", "") };
    throw error;
  }
  const pool = new Pool(count, worker, quantizeWorker);
  return pool.ended === undefined ? { pool, memory } : { reason: pool.ended };
}

function checkInit(where: string, options: InitOptions): { variant: "auto" | Variant; threads: number | "auto" } {
  const { variant = "auto", threads = 1, worker, quantizeWorker } = options;
  for (const [name, address] of Object.entries({ worker, quantizeWorker })) {
    if (address === undefined || typeof address === "string" || isUrl(address)) continue;
    throw typeError(`${where}: ${name}`, "a URL or a string", address);
  }
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
function inspect(
  where: string,
  module: WebAssembly.Module,
  wanted: "auto" | Variant,
): { variant: Variant; relaxedReason: string | undefined } {
  const names = WebAssembly.Module.exports(module).map((e) => e.name);
  checkModule(where, module);
  const variant: Variant = names.includes("probe") ? "relaxed" : "simd";
  if (wanted !== "auto" && wanted !== variant) {
    throw rangeError(`${where}: module`, `${wanted}.wasm, as variant says`, `${variant}.wasm`);
  }
  const failure = variant === "relaxed" ? probeFailure(module) : undefined;
  if (failure) throw new UnsupportedRuntimeError(`${where}: module: ${failure}; use lowbit/wasm/simd.wasm`);
  return { variant, relaxedReason: variant === "simd" ? "the module given is simd.wasm" : undefined };
}

function open(where: string, module: WebAssembly.Module, wanted: "auto" | Variant, workers: Workers): Promise<Lowbit> {
  const { variant, relaxedReason } = inspect(where, module, wanted);
  return openWith(module, variant, workers, relaxedReason);
}

async function openWith(
  module: WebAssembly.Module,
  variant: Variant,
  { pool, memory, reason }: Workers,
  relaxedReason?: string,
): Promise<Lowbit> {
  const shared = !isPlain(module);
  const engine = new Engine(module, variant, shared && memory ? memory : reserveMemory(shared));
  if (!pool) return makeHandle(engine, relaxedReason, undefined, reason);
  if (shared) {
    await engine.attach(pool, module);
    return makeHandle(engine, relaxedReason, pool);
  }
  pool.dispose();
  const plain = "the module given is compiled for a memory of its own: give its bytes or its URL, or no module";
  return makeHandle(engine, relaxedReason, undefined, plain);
}

function makeHandle(engine: Engine, relaxedReason: string | undefined, pool?: Pool, reason?: string): Lowbit {
  const { variant } = engine;
  const featuresNow = (): Features => {
    const threadsReason = pool ? pool.ended : reason;
    return Object.freeze({
      variant,
      relaxed: variant === "relaxed",
      ...(relaxedReason !== undefined && { relaxedReason }),
      threads: pool && threadsReason === undefined ? pool.threads : 1,
      ...(threadsReason !== undefined && { threadsReason }),
      get dot() {
        return engine.dot;
      },
      popcnt: engine.popcnt,
    });
  };
  let features = featuresNow();
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
  const dispose = (): void => {
    pool?.dispose();
    for (const end of engine.ends) end();
  };
  const handle: Lowbit = Object.freeze({
    get features() {
      if (features.threads > 1 && pool?.ended !== undefined) features = featuresNow();
      return features;
    },
    memory: Object.freeze(memory),
    dispose,
    [Symbol.dispose]: dispose,
  });
  attachEngine(handle, engine);
  if (pool) setHelpers(handle, pool.help);
  return handle;
}

function probeFailure(module: WebAssembly.Module): string | undefined {
  const memory = smallMemory(!isPlain(module));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const probe = exports.probe as (zero: number) => number;
  return probe(0) === 1 ? undefined : "relaxed SIMD gives wrong results in this runtime";
}

// Whether the memory that a module imports is not shared: its imports do not say so, but it does not link to the other.
function isPlain(module: WebAssembly.Module): boolean {
  const memory = smallMemory(false);
  try {
    new WebAssembly.Instance(module, { env: { memory } });
    return true;
  } catch {
    return false;
  }
}

function smallMemory(shared: boolean): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: 1, ...(shared && { shared }) });
  } catch (error) {
    throw new OutOfMemoryError(`lowbit: out of memory: this runtime refuses a memory of 64 KiB (${messageOf(error)})`, {
      cause: error,
    });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function compileBuiltIn(variant: Variant, shared: boolean): Promise<WebAssembly.Module> {
  const binary = variant === "relaxed" ? await import("#binary/relaxed") : await import("#binary/simd");
  return compile("init", binary.default, shared);
}

async function compile(
  where: string,
  source: WebAssembly.Module | BufferSource,
  shared: boolean,
): Promise<WebAssembly.Module> {
  if (isModule(source)) return source;
  const given = bytesOf(source as ArrayBufferView);
  const bytes = shared && isBinary(given) ? toShared(where, ownBytes(given)) : ownBytes(given);
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    throw compileError(where, bytes, error);
  }
}

function compileNow(where: string, source: unknown): WebAssembly.Module {
  if (isModule(source)) return source;
  if (!isBytes(source)) throw typeError(`${where}: module`, "a WebAssembly.Module or its bytes", source);
  const bytes = ownBytes(bytesOf(source as ArrayBufferView));
  try {
    return new WebAssembly.Module(bytes);
  } catch (error) {
    throw compileError(where, bytes, error);
  }
}

// Bytes that do not begin like a module are the caller's mistake; anything else is something the runtime will not do.
function compileError(where: string, bytes: Uint8Array<ArrayBuffer>, error: unknown): Error {
  const reason = messageOf(error);
  if (!isBinary(bytes)) {
    const start = String.fromCharCode(...bytes.subarray(0, 16)).replace(/[^\x20-\x7e]/g, ".");
    return rangeError(`${where}: module`, "WebAssembly bytes", `${bytes.length} bytes that begin with "${start}"`);
  }
  const broken = brokenModule(where, bytes, reason);
  if (broken) return broken;
  return new UnsupportedRuntimeError(
    `${where}: the kernels cannot be compiled here (${reason}). They need WebAssembly SIMD; a page with a content ` +
      "security policy must allow 'wasm-unsafe-eval'; a worker that may not compile bytes must pass a compiled module " +
      "as init({ module })",
    { cause: error },
  );
}

// Compilers of some engines refuse shared or resizable memory, and all may read it later: such bytes are copied.
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes as { buffer: { readonly resizable?: boolean } };
  return kindOf(buffer) === "ArrayBuffer" && buffer.resizable !== true
    ? (bytes as Uint8Array<ArrayBuffer>)
    : new Uint8Array(bytes);
}

function isBinary(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d;
}

// A compiled module, of whatever realm.
function isModule(value: unknown): value is WebAssembly.Module {
  if (typeof value !== "object" || value === null || isBytes(value)) return false;
  try {
    WebAssembly.Module.exports(value as WebAssembly.Module);
    return true;
  } catch {
    return false;
  }
}

function isBytes(value: unknown): value is BufferSource {
  return kindOf(value) !== undefined;
}

// Worklets have no URL. Of whatever realm; its address is what String() says.
function isUrl(value: unknown): value is URL {
  return Object.prototype.toString.call(value) === "[object URL]";
}

/** Promises, and objects with a `default`, that are followed before a module is there: `import()` of one takes two. */
const MOST_STEPS = 16;

/**
 * What a source leads to. It is followed step by step and not by `await`, which would follow a thenable that resolves to
 * itself, or an object that is its own `default`, for ever.
 */
async function followSource(where: string, source: unknown): Promise<unknown> {
  let at = source;
  for (let step = 0; step < MOST_STEPS; step++) {
    if (typeof at !== "object" || at === null || isBytes(at) || isModule(at) || isUrl(at) || isResponse(at)) return at;
    const { then } = at as { then?: unknown };
    if (typeof then === "function") {
      const thenable = at;
      // In an object, so that nothing looks for a `then` of what it resolves to.
      const { value } = await new Promise<{ value: unknown }>((resolve, reject) => {
        Reflect.apply(then, thenable, [(value: unknown) => resolve({ value }), reject]);
      });
      at = value;
    } else if ("default" in at) {
      at = (at as { default: unknown }).default;
    } else {
      return at;
    }
  }
  throw new TypeError(`${where}: module: expected ${EXPECTED_SOURCE}, got an object that leads to others without end`);
}

const EXPECTED_SOURCE = "a WebAssembly.Module, bytes, Response, URL, or a promise of one";

function isResponse(value: unknown): value is Response {
  return typeof Response === "function" && value instanceof Response;
}

/** A module from whatever leads to one, for a memory of this kind: for binaries beside those of `init`. */
export function compileModule(where: string, source: ModuleSource, shared: boolean): Promise<WebAssembly.Module> {
  return compileSource(where, source, shared);
}

async function compileSource(where: string, source: ModuleSource, shared: boolean): Promise<WebAssembly.Module> {
  const value = await followSource(where, source);
  if (isModule(value) || isBytes(value)) return compile(where, value, shared);
  if (isUrl(value)) return compile(where, await readUrl(where, value), shared);
  if (isResponse(value)) return compile(where, await readResponse(where, value), shared);
  throw typeError(`${where}: module`, EXPECTED_SOURCE, value);
}

async function readResponse(where: string, response: Response): Promise<ArrayBuffer> {
  checkResponse(where, response);
  const bytes = await response.arrayBuffer();
  checkBody(where, new Uint8Array(bytes), response);
  return bytes;
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
