// Downloads against a server that does what servers of the world were seen to do.
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as assert from "uvu/assert";
import { type ByteCache, type ByteSource, FileError, folderCache, openWeights } from "../../src/files/index.ts";
import type { OpenFile, SourceOptions } from "../../src/files/open-file.ts";
import { openFile } from "../../src/files/source.ts";
import { suite } from "../lib/suite.ts";

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;
interface Seen {
  readonly url: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly authorization: string | undefined;
}

const t = suite("remote files");
const closing: (() => void)[] = [];
t.after(() => {
  for (const close of closing) close();
});

async function serve(handler: Handler): Promise<{ url: URL; seen: Seen[]; port: number }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const { range, "if-range": ifRange, authorization } = request.headers;
    seen.push({ url: request.url ?? "", range, ifRange: ifRange as string | undefined, authorization });
    handler(request, response, seen.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: new URL(`http://127.0.0.1:${port}/model.bin`), seen, port };
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const rangeFrom = (request: IncomingMessage): number | undefined => {
  const [, from] = /^bytes=(\d+)-/.exec(request.headers.range ?? "") ?? [];
  return from === undefined ? undefined : Number(from);
};

/** A server as it should be. */
function ranged(content: Uint8Array, etag = '"1"'): Handler {
  return (request, response) => {
    const from = rangeFrom(request);
    const headers = { etag, "accept-ranges": "bytes" };
    const condition = request.headers["if-range"];
    if (from === undefined || (condition !== undefined && condition !== etag)) {
      response.writeHead(200, { ...headers, "content-length": content.length }).end(content);
    } else if (from >= content.length) {
      response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
    } else {
      const part = content.subarray(from);
      const range = `bytes ${from}-${content.length - 1}/${content.length}`;
      response.writeHead(206, { ...headers, "content-length": part.length, "content-range": range }).end(part);
    }
  };
}

const NONE: SourceOptions = { cache: "none", retries: 2 };

async function using<T>(url: URL, options: SourceOptions, work: (file: OpenFile) => Promise<T>): Promise<T> {
  const file = await openFile("f", url, options);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

const whole = (url: URL, options = NONE): Promise<string> => {
  return using(url, options, async (file) => text(await file.read(0, file.size)));
};

t("ranges: in order over one connection, out of order by new ones, an empty file", async () => {
  const content = new Uint8Array(3 << 20).map((_, i) => (i * 7) ^ (i >> 9));
  const { url, seen } = await serve(ranged(content));
  await using(url, NONE, async (file) => {
    assert.is(file.size, content.length);
    for (const [begin, end] of [
      [0, 10],
      [10, 1000],
      [5000, 5001],
      [5001, 1 << 20],
    ] as const) {
      assert.equal(await file.read(begin, end), content.slice(begin, end));
    }
    assert.is(seen.length, 1);
    assert.equal(await file.read(2 << 20, (2 << 20) + 9), content.slice(2 << 20, (2 << 20) + 9));
    assert.equal(await file.read(3, 9), content.slice(3, 9));
    assert.is(seen.length, 3);
    assert.is(seen[2]?.ifRange, '"1"');
    const both = await Promise.all([file.read(100, 200), file.read(50, 120)]);
    assert.equal(both, [content.slice(100, 200), content.slice(50, 120)]);
  });
  const empty = await serve(ranged(new Uint8Array(0)));
  assert.is(await whole(empty.url), "");
});

// C1
for (const [name, answer] of [
  [
    "200 with all of it",
    (r: ServerResponse) => r.writeHead(200, { etag: '"1"', "content-length": 10 }).end("abcdefghij"),
  ],
  [
    "206 that begins earlier",
    (r: ServerResponse) => r.writeHead(206, { etag: '"1"', "content-range": "bytes 2-9/10" }).end("cdefghij"),
  ],
  [
    "206 that begins at 0",
    (r: ServerResponse) => r.writeHead(206, { etag: '"1"', "content-range": "bytes 0-9/10" }).end("abcdefghij"),
  ],
  [
    "206 that ends early, cleanly",
    (r: ServerResponse) => r.writeHead(206, { etag: '"1"', "content-range": "bytes 4-6/10" }).end("efg"),
  ],
] as const) {
  t(`a resumed request that is answered by ${name}`, async () => {
    const { url, seen } = await serve((request, response, count) => {
      const from = rangeFrom(request);
      if (count === 0) {
        response.writeHead(206, { etag: '"1"', "content-range": "bytes 0-9/10", "content-length": 10 });
        response.write("abcd", () => setTimeout(() => response.destroy(), 20));
      } else if (count === 1) answer(response);
      else
        response.writeHead(206, { etag: '"1"', "content-range": `bytes ${from}-9/10` }).end("abcdefghij".slice(from));
    });
    assert.is(await whole(url), "abcdefghij");
    assert.is(seen[1]?.range, "bytes=4-");
    assert.is(seen[1]?.ifRange, '"1"');
    if (name.includes("early,")) assert.is(seen[2]?.range, "bytes=7-");
  });
}

// C2
t("a file that changes between two halves is one or the other; once some was given away, an error", async () => {
  const handler: Handler = (request, response, count) => {
    if (count === 0) {
      response.writeHead(206, { etag: '"1"', "content-range": "bytes 0-7/8", "content-length": 8 });
      response.write("AAAA", () => setTimeout(() => response.destroy(), 20));
    } else ranged(new TextEncoder().encode("BBBBBBBB"), '"2"')(request, response, count);
  };
  const { url, seen } = await serve(handler);
  assert.is(await whole(url), "BBBBBBBB");
  assert.is(seen[1]?.ifRange, '"1"');
  const again = await serve(handler);
  await using(again.url, NONE, async (file) => {
    assert.is(text(await file.read(0, 4)), "AAAA");
    await rejects(file.read(4, 8), /the file changed on the server while it was read: etag was "1", is "2"/);
  });
  await withCache(async (cache) => {
    const kept = await serve(handler);
    assert.is(await whole(kept.url, { cache, retries: 2 }), "BBBBBBBB");
    assert.is(await whole(kept.url, { cache, retries: 2 }), "BBBBBBBB");
  });
});

// C3
t("compressed bodies: the length is that of what comes out, and a part of one is no part of the file", async () => {
  const content = "0123456789".repeat(20);
  const zipped = gzipSync(content);
  const plain = await serve((_, response) => {
    response.writeHead(200, { "content-encoding": "gzip", "content-length": zipped.length }).end(zipped);
  });
  assert.is(await whole(plain.url), content);
  const part = await serve((request, response) => {
    if (request.headers.range !== undefined) {
      const headers = {
        "content-encoding": "gzip",
        "content-range": `bytes 0-99/200`,
        "content-length": zipped.length,
      };
      response.writeHead(206, headers).end(zipped);
    } else response.writeHead(200, { "content-length": content.length }).end(content);
  });
  assert.is(await whole(part.url), content);
  assert.is(part.seen.at(-1)?.range, undefined);
});

// C4
t("a Content-Range that cannot be read: the whole is streamed", async () => {
  const content = "abcdefghij";
  const fetch = (async (_: unknown, { headers }: { headers: Headers }) => {
    if (!headers.has("range")) return new Response(content);
    return new Response(content, { status: 206 });
  }) as typeof globalThis.fetch;
  assert.is(await whole(new URL("http://example.invalid/x"), { ...NONE, fetch }), content);
});

t("without ranges: streamed in order, begun again where it must go back", async () => {
  const content = new Uint8Array(1 << 20).map((_, i) => i ^ (i >> 8));
  const { url, seen } = await serve((_, response) => {
    response.writeHead(200, { "content-length": content.length }).end(content);
  });
  await using(url, NONE, async (file) => {
    assert.equal(await file.read(0, 5), content.slice(0, 5));
    assert.equal(await file.read(900_000, 900_005), content.slice(900_000, 900_005));
    assert.equal(await file.read(7, 9), content.slice(7, 9));
    assert.equal(await file.read(900_000, 1 << 20), content.slice(900_000));
  });
  assert.ok(seen.length <= 3, `${seen.length} requests`);
});

// C5
t("the token stays with its host, and an insecure redirect is refused", async () => {
  const other = await serve(ranged(new TextEncoder().encode("other")));
  const headers = { authorization: "Bearer secret" };
  const { url, seen } = await serve((request, response) => {
    if (request.url === "/model.bin") response.writeHead(302, { location: "/moved" }).end();
    else if (request.url === "/away") response.writeHead(302, { location: other.url.href }).end();
    else if (request.url === "/loop") response.writeHead(302, { location: "/loop" }).end();
    else ranged(new TextEncoder().encode("same"))(request, response, 0);
  });
  assert.is(await whole(url, { ...NONE, headers }), "same");
  assert.equal(
    seen.map((one) => `${one.url} ${one.authorization}`),
    ["/model.bin Bearer secret", "/moved Bearer secret"],
  );
  assert.is(await whole(new URL("/away", url), { ...NONE, headers }), "other");
  assert.is(other.seen[0]?.authorization, undefined);
  await rejects(whole(new URL("/loop", url)), /redirects more than 10 times/);
  const fetch = (async () => {
    return new Response(null, { status: 302, headers: { location: "http://example.invalid/x" } });
  }) as typeof globalThis.fetch;
  await rejects(whole(new URL("https://example.invalid/x"), { ...NONE, fetch }), /an address that is not secure/);
});

t("an address that a redirect led to and that has expired is asked for anew", async () => {
  let stamp = 0;
  const content = new Uint8Array(2 << 20).map((_, i) => i >> 3);
  const { url } = await serve((request, response, count) => {
    if (request.url === "/model.bin") response.writeHead(302, { location: `/signed?${++stamp}` }).end();
    else if (request.url !== `/signed?${stamp}` || (stamp === 1 && count > 1)) response.writeHead(403).end();
    else ranged(content)(request, response, count);
  });
  await using(url, NONE, async (file) => {
    assert.equal(await file.read(0, 4), content.slice(0, 4));
    assert.equal(await file.read(1 << 20, (1 << 20) + 4), content.slice(1 << 20, (1 << 20) + 4));
  });
  assert.is(stamp, 2);
});

t("statuses: some are tried again, the others are errors that name them", async () => {
  const busy = await serve((request, response, count) => {
    if (count < 2) response.writeHead(count === 0 ? 503 : 429).end("busy");
    else ranged(new TextEncoder().encode("at last"))(request, response, count);
  });
  assert.is(await whole(busy.url), "at last");
  for (const [status, message] of [
    [404, /expected a file, got status 404$/],
    [401, /got status 401: it wants a token/],
    [500, /the download failed: status 500/],
  ] as const) {
    const { url, seen } = await serve((_, response) => response.writeHead(status).end());
    await rejects(whole(url, { ...NONE, retries: 1 }), message);
    assert.is(seen.length, status === 500 ? 2 : 1);
  }
  await rejects(whole(new URL("http://127.0.0.1:9/x"), { ...NONE, retries: 0 }), /the download failed/);
});

async function withCache(work: (cache: ByteCache, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "lowbit-cache-"));
  try {
    await work(folderCache(folder), folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The pieces; beside them is a file that says of which address they are. */
const filesOf = (folder: string): string[] => {
  const names = readdirSync(folder).flatMap((one) => readdirSync(join(folder, one)));
  assert.is(names.filter((name) => name === "address").length, names.length > 0 ? 1 : 0);
  return names.filter((name) => name !== "address");
};

// C6
t("cache: what was interrupted goes on, and a short file is no hit", async () => {
  const [size, part] = [1 << 20, 1 << 19];
  const content = new Uint8Array(size).map((_, i) => i * 3);
  for (const validated of [true, false]) {
    await withCache(async (cache, folder) => {
      let first = true;
      const { url, seen } = await serve((request, response, count) => {
        const from = rangeFrom(request) ?? 0;
        const etag: Record<string, string> = validated ? { etag: '"x"' } : {};
        if (!first) return void ranged(content, '"x"')(request, response, count);
        response.writeHead(206, { ...etag, "content-range": `bytes ${from}-${size - 1}/${size}` });
        response.write(content.subarray(from, part));
      });
      const stop = new AbortController();
      const file = await openFile("f", url, { cache, signal: stop.signal });
      setTimeout(() => stop.abort(new Error("enough")), 300);
      await rejects(file.read(0, size, stop.signal), /^enough$/, Error);
      await file.close();
      assert.is(filesOf(folder).length, validated ? 1 : 0);
      first = false;
      const count = seen.length;
      await using(url, { cache }, async (again) => assert.equal(await again.read(0, size), content));
      if (validated) assert.is(seen.at(-1)?.range, `bytes=${part}-`);
      const before = seen.length;
      assert.ok(before > count);
      await using(url, { cache }, async (again) => assert.equal(await again.read(0, size), content));
      if (validated) assert.is(seen.length, before + 1, "a hit asks for the validator alone");
      assert.not(filesOf(folder).some((name) => name.startsWith("writing")));
    });
  }
});

/** A cache in memory, whose writes do what a test wants. */
function memoryCache(onWrite: (at: number) => Promise<void>): ByteCache & { size(): number; removed: number } {
  let kept: { url: string; validator: string; bytes: Uint8Array } | undefined;
  return {
    removed: 0,
    size: () => kept?.bytes.length ?? 0,
    async open(url, validator): Promise<ByteSource | undefined> {
      if (kept?.url !== url || kept.validator !== validator) return undefined;
      const { bytes } = kept;
      return { size: bytes.length, read: async (begin, end) => bytes.slice(begin, end) };
    },
    async write(url, validator, at, bytes) {
      await onWrite(at);
      const before = kept?.bytes ?? new Uint8Array(0);
      const all = new Uint8Array(at + bytes.length);
      all.set(before.subarray(0, at));
      all.set(bytes, at);
      kept = { url, validator, bytes: all };
    },
    async remove() {
      this.removed++;
      kept = undefined;
    },
  };
}

// C7
t("cache: writing is waited for; a cache that is full does not fail the load and keeps nothing", async () => {
  const content = new Uint8Array(10 << 20).map((_, i) => i >> 10);
  const { url } = await serve(ranged(content));
  const slow = memoryCache(() => new Promise((resolve) => setTimeout(resolve, 50)));
  await using(url, { cache: slow }, async (file) => assert.equal(await file.read(0, content.length), content));
  assert.is(slow.size(), content.length);
  const full = memoryCache(async (at) => {
    if (at > 0) throw new DOMException("full", "QuotaExceededError");
  });
  await using(url, { cache: full }, async (file) => assert.equal(await file.read(0, content.length), content));
  assert.is(full.size(), 0);
  assert.ok(full.removed > 0);
});

// C9
t("cache: a slow one holds the network back", async () => {
  let sent = 0;
  let kept = 0;
  let most = 0;
  const chunk = new Uint8Array(1 << 18);
  const size = 32 << 20;
  const fetch = (async (_: unknown, { headers }: { headers: Headers }) => {
    const from = Number(/bytes=(\d+)/.exec(headers.get("range") ?? "")?.[1]);
    let left = size - from;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (left <= 0) return controller.close();
          left -= chunk.length;
          sent += chunk.length;
          most = Math.max(most, sent - kept);
          controller.enqueue(chunk);
        },
      },
      { highWaterMark: 0 },
    );
    const range = `bytes ${from}-${size - 1}/${size}`;
    return new Response(body, { status: 206, headers: { etag: '"1"', "content-range": range } });
  }) as typeof globalThis.fetch;
  const cache = memoryCache(async (at) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    kept = at + (4 << 20);
  });
  await using(new URL("http://example.invalid/x"), { cache, fetch }, (file) => file.read(0, size));
  assert.ok(most <= 6 << 20, `${most} bytes in flight`);
});

// C10
t("a page, a message or a pointer in place of a model is said to be one, and not kept", async () => {
  for (const [body, message] of [
    ["<!DOCTYPE html><html><body>Sign in</body></html>", /a page of HTML/],
    ['{"error":"Entry not found"}', /an error message of a server/],
    ["version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", /a pointer of Git LFS/],
  ] as const) {
    for (const name of ["model.gguf", "model.safetensors"]) {
      await withCache(async (cache, folder) => {
        const { url } = await serve(ranged(new TextEncoder().encode(body)));
        await rejects(openWeights(new URL(`/${name}`, url), { cache }), message);
        assert.equal(
          readdirSync(folder).flatMap((one) => readdirSync(join(folder, one))),
          [],
        );
        await rejects(openWeights(new URL(`/${name}`, url), { cache: "none" }), message);
      });
    }
  }
});

// C11
t("two loads of one address at once share a cache", async () => {
  const content = new Uint8Array(6 << 20).map((_, i) => i >> 7);
  await withCache(async (cache, folder) => {
    const { url } = await serve(ranged(content));
    const load = () => using(url, { cache }, (file) => file.read(0, content.length));
    for (const bytes of await Promise.all([load(), load(), load()])) assert.equal(bytes, content);
    const hash = createHash("sha256");
    for (const name of filesOf(folder).sort()) {
      const file = await openFile("f", join(folder, readdirSync(folder)[0] as string, name));
      hash.update(await file.read(0, file.size));
      await file.close();
    }
    assert.is(hash.digest("hex"), createHash("sha256").update(content).digest("hex"));
  });
});

t("an aborted read ends at once with its reason, and the file can be read again", async () => {
  let hang = true;
  const content = new Uint8Array(1000).fill(7);
  const { url } = await serve((request, response, count) => {
    if (!hang) return void ranged(content)(request, response, count);
    response.writeHead(206, { etag: '"1"', "content-range": "bytes 0-999/1000" });
    response.write(content.subarray(0, 10));
  });
  await using(url, NONE, async (file) => {
    const reason = new Error("no longer wanted");
    const stop = new AbortController();
    setTimeout(() => stop.abort(reason), 30);
    await rejects(file.read(0, 1000, stop.signal), /^no longer wanted$/, Error);
    hang = false;
    assert.equal(await file.read(0, 1000), content);
  });
  await rejects(openFile("f", url, { signal: AbortSignal.abort(new Error("before")) }), /^before$/, Error);
});

t("the hub's addresses", async () => {
  const asked: string[] = [];
  const fetch = (async (url: URL) => {
    asked.push(url.href);
    return new Response("x", { headers: { "content-length": "1" } });
  }) as unknown as typeof globalThis.fetch;
  for (const name of ["hf:o/r/a b.gguf", "hf:o/r@v1.0/sub/x.gguf", "hf:o/r@refs%2Fpr%2F1/x"]) {
    await (await openFile("f", name, { ...NONE, fetch })).close();
  }
  assert.equal(asked, [
    "https://huggingface.co/o/r/resolve/main/a%20b.gguf",
    "https://huggingface.co/o/r/resolve/v1.0/sub/x.gguf",
    "https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/x",
  ]);
  for (const bad of ["hf:o/r", "hf:o", "hf:o/r/../x", "hf:o/r/a/../../x"]) {
    await rejects(openFile("f", bad, { ...NONE, fetch }), /^f: expected hf:owner/, RangeError);
  }
});

async function rejects(
  promise: Promise<unknown>,
  message: RegExp,
  kind: new (message: string) => Error = FileError,
): Promise<void> {
  let error: unknown;
  try {
    await promise;
  } catch (caught) {
    error = caught;
  }
  assert.ok(error instanceof kind, `expected a ${kind.name}, got ${error}`);
  assert.match((error as Error).message, message);
}
