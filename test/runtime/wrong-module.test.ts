// init({ module }) with something else than the module: each error says what was expected and what came instead.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { VERSION, VERSION_SECTION } from "../../src/lib/version.ts";
import { acceptsRelaxed } from "../../src/runtime/features.ts";
import * as assert from "../lib/assert.ts";
import { init, initSync, UnsupportedRuntimeError } from "../lib/library.ts";
import { suite } from "../lib/suite.ts";

const t = suite("wrong module");
const fileOf = (variant: string): URL => new URL(`../../dist/wasm/${variant}.wasm`, import.meta.url);
const bytesOf = (variant: string): Uint8Array<ArrayBuffer> => Uint8Array.from(readFileSync(fileOf(variant)));
const simd = bytesOf("simd");
const expected = `expected lowbit/wasm/simd.wasm or lowbit/wasm/relaxed.wasm of version ${VERSION}`;
/** The whole message: it begins with what was expected and ends with what came. */
const message = (got: string): RegExp =>
  new RegExp(`^init(Sync)?: module: ${expected.replaceAll(".", "\\.")}, got ${got}$`);

/** (module (func (export "add"))) with a custom section of that version. */
function otherModule(version?: string): Uint8Array<ArrayBuffer> {
  const text = [...new TextEncoder().encode(`${VERSION_SECTION}${version}`)];
  const section = [0, text.length + 1, VERSION_SECTION.length, ...text];
  return Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[1, 4, 1, 0x60, 0, 0],
    ...[3, 2, 1, 0],
    ...[7, 7, 1, 3, 0x61, 0x64, 0x64, 0, 0],
    ...[10, 4, 1, 2, 0, 0x0b],
    ...(version === undefined ? [] : section),
  );
}

/** Both ways to load bytes refuse them in the same way. */
async function refuses(bytes: Uint8Array<ArrayBuffer>, kind: typeof RangeError, got: RegExp): Promise<void> {
  await assert.rejectsWith(init({ module: bytes }), kind, got);
  await assert.rejectsWith(init({ module: new Response(bytes) }), kind, got);
  assert.throwsWith(() => initSync(bytes), kind, got);
}

const page = "<!doctype html>\n<title>Not found</title>";
const server = createServer((request, response) => {
  const path = request.url ?? "/";
  if (path === "/page") response.writeHead(200, { "content-type": "text/html" }).end(page);
  else if (path === "/simd.wasm") response.writeHead(200, { "content-type": "application/wasm" }).end(simd);
  else if (path === "/untyped") response.writeHead(200).end(simd);
  else if (path === "/half") response.writeHead(200).end(simd.subarray(0, simd.length / 2));
  else response.writeHead(404, { "content-type": "text/html" }).end(page);
});
let address = "";

t.before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
t.after(() => {
  server.close();
  server.closeAllConnections();
});

t("the version in the sources is that of the package and of both binaries", async () => {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  assert.is(VERSION, manifest.version);
  for (const variant of ["simd", "relaxed"]) {
    const end = new TextDecoder().decode(bytesOf(variant).slice(-VERSION.length - VERSION_SECTION.length));
    assert.is(end, VERSION_SECTION + VERSION);
  }
  const [section] = WebAssembly.Module.customSections(await WebAssembly.compile(simd), VERSION_SECTION);
  assert.is(new TextDecoder().decode(section), VERSION);
});

t("another program's module", async () => {
  await refuses(otherModule(), RangeError, message("a module without gemv_\\w+"));
  const compiled = new WebAssembly.Module(otherModule());
  await assert.rejectsWith(init({ module: compiled }), RangeError, message("a module without gemv_\\w+"));
  await assert.rejectsWith(init({ module: { default: compiled } }), RangeError, message("a module without gemv_\\w+"));
});

t("a module of another version", async () => {
  await refuses(otherModule("0.0.9"), RangeError, message("that of version 0\\.0\\.9"));
  // The same kernels under another number.
  const changed = simd.slice();
  const digit = changed.length - 1;
  changed[digit] = (changed[digit] as number) + 1;
  await refuses(changed, RangeError, message("that of version \\S+"));
  // And without one, as tools that strip modules leave it.
  const section = VERSION.length + VERSION_SECTION.length + 3;
  assert.is(initSync(simd.slice(0, -section)).features.variant, "simd");
});

t("bytes that break off, or were changed", async () => {
  const invalid = "\\d+ bytes that are not a whole module \\(.*\\)";
  const kind = acceptsRelaxed() ? RangeError : (UnsupportedRuntimeError as unknown as typeof RangeError);
  const hint = "this runtime does not accept relaxed SIMD, so relaxed\\.wasm cannot be it";
  const got = acceptsRelaxed()
    ? message(invalid)
    : new RegExp(`^init(Sync)?: module: expected lowbit/wasm/simd\\.wasm, got ${invalid}; ${hint}$`, "s");
  await refuses(simd.slice(0, simd.length / 2), kind, got);
  await refuses(simd.slice(0, 6), kind, got);
  const changed = simd.slice();
  changed[8] = 0x55;
  await refuses(changed, kind, got);
  await assert.rejectsWith(init({ module: new URL("/half", address) }), kind, got);
  if (!acceptsRelaxed()) await refuses(bytesOf("relaxed"), kind, got);
});

t("a page with status 200 in its place, from a URL and as a Response", async () => {
  const url = new URL("/page", address);
  const got = message(`${page.length} bytes of text/html from ${url} that begin with "<!doctype html>"`);
  await assert.rejectsWith(init({ module: url }), RangeError, got);
  await assert.rejectsWith(init({ module: fetch(url) }), RangeError, got);
  const made = new Response(page, { headers: { "content-type": "text/html" } });
  const plain = message(`${page.length} bytes of text/html that begin with "<!doctype html>"`);
  await assert.rejectsWith(init({ module: made }), RangeError, plain);
  const nothing = message('0 bytes of text/plain;charset=UTF-8 that begin with ""');
  await assert.rejectsWith(init({ module: new Response("") }), RangeError, nothing);
});

t("a status that is an error", async () => {
  const url = new URL("/missing.wasm", address);
  await assert.rejectsWith(init({ module: url }), RangeError, message(`status 404 from ${url}`));
  await assert.rejectsWith(init({ module: fetch(url) }), RangeError, message(`status 404 from ${url}`));
});

t("a server that does not say application/wasm is no reason to refuse", async () => {
  for (const path of ["/simd.wasm", "/untyped"]) {
    assert.is((await init({ module: new URL(path, address) })).features.variant, "simd");
    assert.is((await init({ module: fetch(new URL(path, address)) })).features.variant, "simd");
  }
});

t("a binary that is not the variant asked for", async () => {
  await assert.rejectsWith(
    init({ module: simd, variant: "relaxed" }),
    RangeError,
    /^init: module: expected relaxed\.wasm, as variant says, got simd\.wasm$/,
  );
});
