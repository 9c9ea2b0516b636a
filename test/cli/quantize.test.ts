// lowbit quantize and convert.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ggml, loadMatrices, openWeights, parseSafetensors } from "../../src/files/index.ts";
import { init } from "../../src/index.ts";
import { floatsToBfloat16 } from "../../src/lib/half.ts";
import { equal, equalBits, is, match, ok } from "../lib/assert.ts";
import { lowbit, MODEL, start, TINY } from "../lib/command-line.ts";
import { suite } from "../lib/suite.ts";

const t = suite("quantize and convert");
const folder = mkdtempSync(join(tmpdir(), "lowbit-quantize-"));
t.after(() => rmSync(folder, { recursive: true }));
const path = (name: string): string => join(folder, name);
const dataOf = (tensor: { data: Uint8Array } | undefined): Uint8Array => (tensor as { data: Uint8Array }).data.slice();
const lb = await init({ variant: "simd" });

t("a model that writes text goes on writing it", async () => {
  const out = path("model.safetensors");
  const quantised = await lowbit(["quantize", MODEL, "-o", out, "--format", "uniform8:32", "--verify"]);
  equal([quantised.status, quantised.stderr], [0, `${out}: every byte as it was written\n`]);
  match(quantised.stdout, /^format +tensors +bytes +bits +NMSE at most\n/);
  match(quantised.stdout, /^uniform8 +42 +[\d.]+ MB +9\.\d+ +\d\.\d\de[-+]\d+$/m);
  const text = ["-p", "The king", "-n", "12"];
  const [mine, original] = [await lowbit(["run", out, ...text]), await lowbit(["run", MODEL, ...text])];
  equal([mine.status, mine.stdout], [0, original.stdout]);
});

t("rules, and --json", async () => {
  const out = path("tiny.safetensors");
  const { status, stdout } = await lowbit([
    ...[
      "quantize",
      TINY,
      "-o",
      out,
      "--format",
      "uniform4",
      "--keep",
      "down_proj=nf4",
      "--keep",
      "o_proj=keep",
      "--json",
    ],
  ]);
  is(status, 0);
  const { tensors } = JSON.parse(stdout) as { tensors: { name: string; format: string; nmse?: number }[] };
  const formatOf = (part: string) => tensors.find(({ name }) => name.includes(part))?.format;
  equal(
    [formatOf("down_proj"), formatOf("q_proj"), formatOf("o_proj"), formatOf("embed_tokens")],
    ["nf4", "uniform4", "BF16", "BF16"],
  );
  const loaded = await loadMatrices(lb, out);
  ok(loaded.tensors.has("config.json"));
  loaded.dispose();
});

t("numbers of a GGUF file, of one of lowbit's own, and of a checkpoint", async () => {
  const file = await openWeights(MODEL);
  const name = "blk.0.attn_q.weight";
  const tensor = file.tensors.get(name);
  if (!tensor) throw new Error(`${MODEL} has no ${name}`);
  const [rows, cols] = tensor.shape as [number, number];
  const expected = ggml.decode({ type: tensor.dtype, rows, cols, data: await tensor.read() });
  await file.close();
  const numbers = path("numbers.safetensors");
  const own = path("blocks.safetensors");
  const again = path("again.safetensors");
  is((await lowbit(["convert", MODEL, "-o", numbers, "--dtype", "f32"])).status, 0);
  is((await lowbit(["convert", MODEL, "-o", own])).status, 0);
  is((await lowbit(["convert", own, "-o", again, "--dtype", "bf16"])).status, 0);
  const read = (one: string) => parseSafetensors(new Uint8Array(readFileSync(one))).tensors.get(name);
  const [f32, bf16] = [read(numbers), read(again)];
  equal([f32?.dtype, f32?.shape, bf16?.dtype], ["F32", [rows, cols], "BF16"]);
  equalBits(new Float32Array(dataOf(f32).buffer), expected, "f32");
  equalBits(new Uint16Array(dataOf(bf16).buffer), floatsToBfloat16(expected), "bf16");
  const loaded = await loadMatrices(lb, own, { names: [name] });
  is(loaded.matrices.get(name)?.format, tensor.dtype);
  loaded.dispose();
  const copy = path("copy.gguf");
  is((await lowbit(["convert", MODEL, "-o", copy])).status, 0);
  const [one, other] = [await openWeights(MODEL), await openWeights(copy)];
  equal([...other.metadata], [...one.metadata]);
  equal([...other.tensors.keys()], [...one.tensors.keys()]);
  await Promise.all([one.close(), other.close()]);
});

t("what cannot be done is one sentence, and leaves nothing", async () => {
  const out = path("none.safetensors");
  const cases: [args: string[], status: number, text: RegExp][] = [
    [["quantize", MODEL, "--format", "uniform4"], 2, /^lowbit: quantize: expected -o FILE\n$/],
    [["quantize", MODEL, "-o", out], 2, /^lowbit: quantize: expected --format NAME\n$/],
    [["quantize", MODEL, "-o", path("a.gguf"), "--format", "uniform4"], 2, /no types in GGUF\n$/],
    [
      ["quantize", MODEL, "-o", out, "--format", "uniform9"],
      1,
      /^lowbit: quantize: format: expected a format \(did you mean "uniform\d"\?\), got "uniform9"\n$/,
    ],
    [["quantize", MODEL, "-o", out, "--format", "uniform4", "--keep", "("], 2, /expected REGEX=NAME/],
    [
      ["quantize", MODEL, "-o", out, "--format", "uniform4", "--keep", "(=keep"],
      2,
      /--keep: Invalid regular expression/,
    ],
    [["quantize", TINY, "-o", out, "--format", "uniform4:7"], 1, /a rule may keep it or give it another format\n$/],
    [["convert", TINY, "-o", path("a.gguf")], 1, /GGUF files have other names/],
    [["convert", MODEL, "-o", path("a.bin")], 1, /a name that ends in \.gguf or \.safetensors/],
    [["convert", MODEL, "-o", path("a.gguf"), "--dtype", "f32"], 1, /a \.safetensors file for numbers/],
  ];
  const before = readdirSync(folder);
  for (const [args, status, text] of cases) {
    const ended = await lowbit(args);
    equal([ended.status, ended.stdout], [status, ""], ended.stderr);
    match(ended.stderr, text);
  }
  equal(readdirSync(folder), before);
});

t("Ctrl-C leaves nothing, and the file of before", async () => {
  const out = path("before.safetensors");
  writeFileSync(out, "before");
  const before = readdirSync(folder);
  const { child, ended } = start(["quantize", MODEL, "-o", out, "--format", "lift2.4"]);
  // Quantising takes minutes; what is put aside is there at once.
  for (let i = 0; i < 400 && readdirSync(folder).length === before.length; i++)
    await new Promise((r) => setTimeout(r, 50));
  ok(readdirSync(folder).length > before.length, "it has begun");
  child.kill("SIGINT");
  is((await ended).status, 130);
  equal(readdirSync(folder), before);
  is(readFileSync(out, "utf8"), "before");
});
