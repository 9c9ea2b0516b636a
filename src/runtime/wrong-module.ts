// What can be wrong with a module that a caller gives, told apart so that the message says what to do.
import { exportOf, kernels } from "../kernels/registry.ts";
import { rangeError } from "../lib/check.ts";
import { UnsupportedRuntimeError } from "../lib/errors.ts";
import { VERSION, VERSION_SECTION } from "../lib/version.ts";
import { acceptsRelaxed } from "./features.ts";

const EXPECTED = `lowbit/wasm/simd.wasm or lowbit/wasm/relaxed.wasm of version ${VERSION}`;

/** Refuses another program's module, and that of another version. */
export function checkModule(where: string, module: WebAssembly.Module): void {
  const [section] = WebAssembly.Module.customSections(module, VERSION_SECTION);
  const version = section && new TextDecoder().decode(section);
  if (version !== undefined && version !== VERSION) {
    throw rangeError(`${where}: module`, EXPECTED, `that of version ${version}`);
  }
  // Tools that strip modules take the section away.
  const names = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
  const missing = kernels.find((kernel) => kernel.needs === "simd128" && !names.has(exportOf(kernel)));
  if (missing) throw rangeError(`${where}: module`, EXPECTED, `a module without ${exportOf(missing)}`);
}

/** A response that is not the module: an error's, or a page in its place, as servers of single-page applications send. */
export function checkResponse(where: string, { ok, status, url }: Response): void {
  if (!ok) throw rangeError(`${where}: module`, EXPECTED, `status ${status}${from(url)}`);
}

/** Likewise what is in it. */
export function checkBody(where: string, bytes: Uint8Array, { url, headers }: Response): void {
  if (isWasm(bytes)) return;
  const type = headers.get("content-type");
  const what = `${bytes.length} bytes${type === null ? "" : ` of ${type}`}${from(url)}`;
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 16)).trim();
  throw rangeError(`${where}: module`, EXPECTED, `${what} that begin with ${JSON.stringify(start)}`);
}

/**
 * Why bytes that begin as a module do were not compiled, where that is their own fault: broken off, changed, or relaxed SIMD
 * in a runtime without it. Undefined where the runtime compiles nothing.
 */
export function brokenModule(where: string, bytes: Uint8Array<ArrayBuffer>, reason: string): Error | undefined {
  // Validating works everywhere, also where compiling is forbidden.
  if (!WebAssembly.validate(simdModule) || WebAssembly.validate(bytes)) return undefined;
  const got = `${bytes.length} bytes that are not a whole module (${reason})`;
  if (acceptsRelaxed()) return rangeError(`${where}: module`, EXPECTED, got);
  const rest = "this runtime does not accept relaxed SIMD, so relaxed.wasm cannot be it";
  return new UnsupportedRuntimeError(`${where}: module: expected lowbit/wasm/simd.wasm, got ${got}; ${rest}`);
}

// (module (func (result v128) (v128.const 0)))
const simdModule = /* @__PURE__ */ new Uint8Array([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x0a, 0x16, 0x01, 0x14, 0x00, 0xfd, 0x0c, ...new Array<number>(16).fill(0), 0x0b],
]);

function isWasm(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d;
}

function from(url: string): string {
  return url === "" ? "" : ` from ${url}`;
}
