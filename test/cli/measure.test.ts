// lowbit eval, bench and cache.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseSafetensors, writeSafetensors } from "../../src/files/index.ts";
import { init } from "../../src/index.ts";
import { ContextError, load } from "../../src/llm/index.ts";
import { equal, equalBits, is, match, nmseBelow, ok, rejectsWith } from "../lib/assert.ts";
import { lowbit, MODEL, TINY } from "../lib/command-line.ts";
import { suite } from "../lib/suite.ts";

const t = suite("measure");
const folder = mkdtempSync(join(tmpdir(), "lowbit-measure-"));
t.after(() => rmSync(folder, { recursive: true }));
const REFERENCE = `${TINY}/reference.safetensors`;

function referenceOf(): { tokens: Int32Array; logits: Float32Array } {
  const { tensors } = parseSafetensors(readFileSync(REFERENCE), REFERENCE);
  const buffer = (name: string): ArrayBuffer => new Uint8Array(tensors.get(name)?.data ?? []).buffer;
  return { tokens: new Int32Array(buffer("tokens")), logits: new Float32Array(buffer("logits")) };
}

t("model.logits", async () => {
  const { tokens, logits } = referenceOf();
  const lb = await init();
  const model = await load(lb, TINY);
  await model.generate(tokens.slice(0, 5), { maxTokens: 2 });
  const before = model.tokens;
  // Scratch memory grows with the first long prompt.
  await model.logits(tokens);
  const used = lb.memory.used;
  const seen: number[] = [];
  const all = await model.logits(tokens, { onProgress: (done) => seen.push(done) });
  nmseBelow(all, logits, 1e-12, "logits");
  equal(seen, [0, 80]);
  equalBits(await model.logits(tokens, { from: 77 }), all.subarray(77 * 512), "from");
  equal([model.tokens, lb.memory.used], [before, used], "the conversation and memory are as they were");
  await rejectsWith(model.logits(tokens, { from: 80 }), RangeError, "logits: from: expected");
  await rejectsWith(model.logits([]), RangeError, "at least one token");
  await rejectsWith(model.logits([512]), RangeError, "expected tokens from 0 to 511");
  await rejectsWith(model.logits(new Uint16Array(257)), ContextError, "logits: prompt: expected at most 256 tokens");
  await rejectsWith(model.logits(tokens, { signal: AbortSignal.abort(new Error("no")) }), Error, "no");
  model.dispose();
  await rejectsWith(model.logits([1]), TypeError, "disposed");
});

t("eval --verify compares with a reference", async () => {
  const args = ["eval", TINY, "--verify", REFERENCE, "--activation", "f32"];
  const good = await lowbit([...args, "--json"]);
  equal([good.status, good.stderr], [0, ""]);
  const json = JSON.parse(good.stdout) as {
    nmse: number;
    limit: number;
    loss: number;
    referenceLoss: number;
    within: boolean;
  };
  ok(json.nmse < 1e-12 && json.nmse > 0 && json.limit === 1e-6 && json.within, good.stdout);
  ok(Math.abs(json.loss - json.referenceLoss) < 1e-5 && json.loss > 5 && json.loss < 20, good.stdout);
  const strict = await lowbit([...args, "--limit", "1e-20"]);
  is(strict.status, 1);
  match(
    strict.stdout,
    /^tokens +80\nnmse +\d\.\d\de-1\d \(limit 1e-20\)\nloss +\d+\.\d{5} nats a token\nreference +\d/,
  );
  match(strict.stderr, /^lowbit: eval: expected an NMSE of at most 1e-20, got \d\.\d\de-1\d\n$/);
  const { tokens, logits } = referenceOf();
  const wrong = join(folder, "wrong.safetensors");
  const bytes = (array: Int32Array | Float32Array): Uint8Array =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const nan = logits.slice();
  nan[3] = Number.NaN;
  await writeSafetensors(wrong, {
    tensors: [
      { name: "logits", dtype: "F32", shape: [1, 80, 512], data: bytes(nan) },
      { name: "tokens", dtype: "I32", shape: [1, 80], data: bytes(tokens) },
    ],
  });
  is((await lowbit(["eval", TINY, "--verify", wrong])).status, 1, "NaN is not within");
  const none = await lowbit(["eval", TINY, "--verify", `${TINY}/model.safetensors`]);
  is(none.status, 1);
  match(none.stderr, /^lowbit: eval: .*model\.safetensors: expected a tensor tokens, got /);
});

t("eval: perplexity in windows, by the definition", async () => {
  const text = readFileSync(new URL("../../LICENSE", import.meta.url), "utf8");
  const path = join(folder, "text.txt");
  writeFileSync(path, text);
  const { status, stdout, stderr } = await lowbit([
    "eval",
    MODEL,
    path,
    "--context",
    "64",
    "--against",
    MODEL,
    "--json",
  ]);
  equal([status, stderr], [0, ""]);
  const json = JSON.parse(stdout) as Record<
    "window" | "windows" | "tokens" | "loss" | "perplexity" | "kl" | "sameTop" | "bitsPerByte",
    number
  >;
  const model = await load(await init(), MODEL);
  const tokens = model.tokenizer.encode(text);
  let sum = 0;
  let count = 0;
  let bytes = 0;
  for (let at = 0; at + 64 <= tokens.length; at += 64) {
    const window = tokens.slice(at, at + 64);
    window[0] = tokens[0] as number;
    const logits = await model.logits(window);
    for (let i = 32; i < 63; i++, count++) {
      const row = Array.from(logits.subarray(i * 4096, (i + 1) * 4096));
      const most = Math.max(...row);
      sum +=
        Math.log(row.reduce((total, v) => total + Math.exp(v - most), 0)) +
        most -
        (row[window[i + 1] as number] as number);
    }
    bytes += Buffer.byteLength(model.tokenizer.decode(window.slice(33)));
  }
  model.dispose();
  equal([json.window, json.windows, json.tokens], [64, Math.floor(tokens.length / 64), count]);
  ok(count >= 100, "several windows");
  const near = (a: number, b: number): boolean => Math.abs(a - b) < 1e-6 * b;
  ok(near(json.loss, sum / count) && near(json.perplexity, Math.exp(sum / count)), `${stdout} ${sum / count}`);
  ok(near(json.bitsPerByte, sum / Math.log(2) / bytes), `${stdout} ${bytes}`);
  equal([json.kl, json.sameTop], [0, 1]);
  const short = await lowbit(["eval", MODEL, "-"], { input: "To be, or not to be: that is the question." });
  is(short.status, 0);
  match(
    short.stdout,
    /^perplexity +[\d.]+\nloss +[\d.]+ nats a token\nbits a byte +[\d.]+\ncounted +\d+ tokens of 1 windows of 512\n$/,
  );
  const empty = await lowbit(["eval", MODEL, "-"]);
  equal([empty.status, empty.stdout], [1, ""]);
  match(empty.stderr, /^lowbit: eval: -: expected a text of at least 4 tokens\n$/);
});

t("bench", async () => {
  const { status, stdout, stderr } = await lowbit(["bench", TINY, "-p", "20", "-n", "4", "-r", "3", "--json"]);
  equal([status, stderr], [0, ""]);
  const json = JSON.parse(stdout) as {
    prompt: { perSecond: number; all: number[] };
    decode: { perSecond: number; all: number[] };
  };
  for (const { perSecond, all } of [json.prompt, json.decode]) {
    is(all.length, 3);
    is(perSecond, [...all].sort((a, b) => a - b)[1]);
    ok(perSecond > 0);
  }
  match(
    (await lowbit(["bench", TINY, "-r", "1", "-n", "3"])).stdout,
    /^prompt of 128 +[\d.]+ tokens\/s .*\ndecode after 16 /,
  );
  equal(await lowbit(["bench", TINY, "-p", "400"]), {
    status: 2,
    signal: undefined,
    stdout: "",
    stderr: "lowbit: bench: expected at most 256 tokens, the context, got 401\n",
  });
});

t("cache ls and rm, after a download", async () => {
  const model = readFileSync(`${TINY}/model.safetensors`);
  const server = createServer((request, response) => {
    if (!request.url?.startsWith("/model.safetensors?")) {
      response.writeHead(404).end();
      return;
    }
    const [, begin, end] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const part = begin === undefined ? model : model.subarray(Number(begin), end ? Number(end) + 1 : undefined);
    const range = `bytes ${begin}-${Number(begin) + part.length - 1}/${model.length}`;
    response.writeHead(begin === undefined ? 200 : 206, {
      etag: '"a"',
      "accept-ranges": "bytes",
      "content-length": part.length,
      ...(begin !== undefined && { "content-range": range }),
    });
    response.end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const env = { LOWBIT_CACHE: join(folder, "cache") };
  const address = `http://127.0.0.1:${(server.address() as { port: number }).port}/model.safetensors`;
  try {
    const read = await lowbit(["inspect", `${address}?token=secret`, "--json"], { env });
    is(read.status, 0, read.stderr);
    const listed = await lowbit(["cache", "ls"], { env });
    match(listed.stdout, new RegExp(`^[\\d.]+ K?B  \\d{4}-\\d\\d-\\d\\d  ${address}\\n$`));
    match(listed.stderr, /^1 in .*cache, [\d.]+ K?B\n$/);
    const json = JSON.parse((await lowbit(["cache", "ls", "--json"], { env })).stdout) as {
      files: { address: string }[];
    };
    equal(
      json.files.map((file) => file.address),
      [address],
    );
    const wrong = await lowbit(["cache", "rm", "hf:a/b/c"], { env });
    equal([wrong.status, wrong.stderr], [1, "lowbit: cache: hf:a/b/c: there is no such download (lowbit cache ls)\n"]);
    const removed = await lowbit(["cache", "rm", address], { env });
    equal([removed.status, removed.stdout], [0, ""]);
    match(removed.stderr, /^removed 1, [\d.]+ K?B\n$/);
    equal((await lowbit(["cache", "ls"], { env })).stdout, "");
    equal((await lowbit(["cache", "rm"], { env })).status, 2);
    equal((await lowbit(["cache", "rm", "--all"], { env })).status, 0);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
