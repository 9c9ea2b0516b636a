// lowbit inspect and info.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init } from "../../src/index.ts";
import { type FileInfo, inspect, load } from "../../src/llm/index.ts";
import { equal, is, match, ok } from "../lib/assert.ts";
import { lowbit, MODEL, TINY } from "../lib/command-line.ts";
import { suite } from "../lib/suite.ts";

const t = suite("inspect");
const folder = mkdtempSync(join(tmpdir(), "lowbit-inspect-"));
t.after(() => rmSync(folder, { recursive: true }));

t("a GGUF model", async () => {
  const { status, stdout, stderr } = await lowbit(["inspect", MODEL]);
  equal([status, stderr], [0, ""]);
  match(stdout, /^container +gguf\narchitecture +llama\ncontext +512 tokens\nparameters +5770496\n/);
  match(stdout, /^blk\.0\.attn_q\.weight +Q4_0 +256 x 256 +4\.500 +36\.9 KB$/m);
  match(stdout, /^llama\.block_count +6$/m);
  ok(!stdout.includes("tokenizer.ggml.tokens") && !stdout.includes("\x1b"), "short metadata alone, no colours");
  match((await lowbit(["inspect", MODEL, "--metadata"])).stdout, /^tokenizer\.ggml\.tokens +4096 values: /m);
});

t("--json is what inspect gives, and what a loaded model takes", async () => {
  const { status, stdout } = await lowbit(["inspect", MODEL, "--json"]);
  is(status, 0);
  const printed = JSON.parse(stdout) as FileInfo;
  const info = await inspect(MODEL);
  equal([printed.bytes, printed.parameters, printed.tensors.length], [info.bytes, 5770496, info.tensors.length]);
  const lb = await init();
  const model = await load(lb, MODEL);
  const off = info.bytes / lb.memory.used;
  ok(off > 0.95 && off < 1.05, `${info.bytes} bytes said, ${lb.memory.used} used`);
  equal(model.info.tensors.map(({ name }) => name).sort(), info.tensors.map(({ name }) => name).sort());
  equal([model.info.parameters, model.info.context, model.info.architecture], [5770496, 512, info.architecture]);
  model.dispose();
});

t("a checkpoint's folder, and what is no language model", async () => {
  const checkpoint = await lowbit(["inspect", TINY]);
  match(checkpoint.stdout, /^container +safetensors\narchitecture +llama\ncontext +256 tokens\n/);
  const plain = await lowbit(["inspect", "examples/shakespeare/models/binary.safetensors"]);
  is(plain.status, 0);
  match(plain.stdout, /^architecture +none\nno model +there is no config.json beside the weights$/m);
  const other = join(folder, "other");
  writeFileSync(`${other}.gguf`, readFileSync(MODEL).toString("latin1").replaceAll("llama", "lamas"), "latin1");
  const unknown = await lowbit(["inspect", `${other}.gguf`]);
  is(unknown.status, 0);
  match(unknown.stdout, /^architecture +lamas\nno model +load: architecture: /m);
});

t("damaged files are one sentence", async () => {
  const whole = readFileSync(MODEL);
  for (const [name, bytes] of Object.entries({ cut: whole.subarray(0, 5000), text: Buffer.from("<html>") })) {
    const path = join(folder, `${name}.gguf`);
    writeFileSync(path, bytes);
    for (const command of [["inspect"], ["run", "-p", "a"]]) {
      const { status, stdout, stderr } = await lowbit([...command, path]);
      equal([status, stdout], [1, ""], stderr);
      match(stderr, /^lowbit: [^\n]*(cut|text)\.gguf: [^\n]+\n$/);
    }
  }
});

t("info says which kernels this machine gets", async () => {
  const { status, stdout, stderr } = await lowbit(["info"]);
  equal([status, stderr], [0, ""]);
  match(stdout, /^versions +lowbit \d/);
  match(stdout, /^uniform4 +int8 +gemv +gemv_uniform4_int8_\S+ +\S/m);
  const json = JSON.parse((await lowbit(["info", "--json", "--variant", "simd", "--threads", "1"])).stdout) as {
    features: { variant: string; threads: number };
    kernels: { format: string; op: string; activation: string; kernel: string; why: string }[];
  };
  equal([json.features.variant, json.features.threads], ["simd", 1]);
  ok(json.kernels.length > 50 && json.kernels.every(({ why }) => why.length > 5));
  ok(json.kernels.every(({ kernel, format, op }) => kernel.startsWith(`${op}_${format}`)));
});
