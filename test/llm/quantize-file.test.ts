// Checkpoints as files of lowbit's own: what they compute, what travels with them, and that nothing half-made is left.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadMatrices } from "../../src/files/index.ts";
import { load } from "../../src/llm/index.ts";
import { quantizeFile, type TensorReport } from "../../src/llm/quantize-file.ts";
import { equal, is, nmseBelow, ok, rejectsWith } from "../lib/assert.ts";
import { fixture, needing } from "../lib/checkpoints.ts";
import { init } from "../lib/library.ts";
import { suite } from "../lib/suite.ts";

const t = suite("quantize a file");
const lb = await init({ variant: "simd" });
const folder = mkdtempSync(join(tmpdir(), "lowbit-"));
t.after(() => rmSync(folder, { recursive: true }));
const out = join(folder, "out.safetensors");

async function logitsOf(source: string, files?: Record<string, Uint8Array>): Promise<number[]> {
  const model = await load(lb, files ?? source, { activation: "f32" });
  const all: number[] = [];
  const logits = (values: Float32Array): void => {
    all.push(...values);
  };
  for (const length of [1, 9, 30]) {
    await model.generate(
      Int32Array.from({ length }, (_, i) => 3 + ((i * 37) % 500)),
      { maxTokens: 1, logits },
    );
  }
  model.dispose();
  return all;
}

/** A folder as people have it. */
function checkpoint(name: string): string {
  const path = mkdtempSync(join(folder, "checkpoint-"));
  for (const file of ["config.json", "model.safetensors"])
    writeFileSync(join(path, file), fixture(`archs/${name}/${file}`));
  return path;
}

const formatsOf = (reports: readonly TensorReport[]): string[] =>
  [...new Set(reports.map(({ format }) => format))].sort();

for (const name of ["llama", "qwen3", "gpt-neox", "qwen3-moe", "phi3", "gemma3"]) {
  const own = needing(t, `archs/${name}/config.json`, `archs/${name}/model.safetensors`);
  own(`${name}: numbers as they are compute what the checkpoint does`, async () => {
    const source = checkpoint(name);
    await quantizeFile(lb, source, out, { format: "f32", verify: true });
    const expected = await logitsOf(source);
    const files = { "model.safetensors": new Uint8Array(readFileSync(out)) };
    nmseBelow(await logitsOf(out), expected, 1e-12, name);
    // The configuration is in the file.
    nmseBelow(await logitsOf("", files), expected, 1e-12, `${name}: as bytes`);
  });
}

const gguf = "gguf/tiny-llama-q4_k_m.gguf";
needing(t, gguf)("blocks of ggml travel as they are, with all that the file says", async () => {
  const source = join(folder, "in.gguf");
  writeFileSync(source, fixture(gguf));
  const reports = await quantizeFile(lb, source, out, {
    format: "uniform4",
    rules: [{ pattern: /./, format: "keep" }],
  });
  ok(reports.every(({ nmse }) => nmse === undefined));
  equal(await logitsOf(out), await logitsOf(source));
});

for (const name of ["gguf/tiny-qwen3-moe-bf16.gguf", "gguf/tiny-gpt-oss-bf16.gguf"]) {
  needing(t, name)(`${name}: stacked experts`, async () => {
    const source = join(folder, "experts.gguf");
    writeFileSync(source, fixture(name));
    const reports = await quantizeFile(lb, source, out, { format: "f32" });
    ok(reports.some((one) => one.name.endsWith("_exps.weight[1]") && one.format === "dense"));
    nmseBelow(await logitsOf(out), await logitsOf(source), 1e-12, "logits");
  });
}

t("formats by rules, noise, progress; what does not fit says which tensor", async () => {
  const source = checkpoint("llama");
  const seen: number[] = [];
  const rules = [
    { pattern: /embed_tokens|lm_head/, format: "uniform8" },
    { pattern: /o_proj/, format: "keep" },
    { pattern: /down_proj/, format: "nf4" },
  ];
  const reports = await quantizeFile(lb, source, out, {
    ...{ format: "uniform6:32", rules },
    onTensor: (done, total) => seen.push(done / total),
  });
  equal(
    formatsOf(reports).filter((format) => !/F32|F16/.test(format)),
    ["nf4", "uniform6", "uniform8"],
  );
  ok((seen.at(-1) as number) > 0.9 && (seen.at(-1) as number) <= 1);
  const find = (text: string) => reports.find(({ name }) => name.includes(text)) as TensorReport;
  ok((find("q_proj").nmse as number) < 1e-3 && (find("down_proj").nmse as number) < 0.02);
  is(find("o_proj").nmse, undefined);
  const loaded = await loadMatrices(lb, out);
  is(loaded.matrices.get(find("down_proj").name)?.format, "nf4");
  is(new TextDecoder().decode(loaded.tensors.get("config.json")?.data), fixture("archs/llama/config.json").toString());
  loaded.dispose();
  const before = readFileSync(out);
  await rejectsWith(quantizeFile(lb, source, out, { format: "uniform7" }), RangeError, /quantize: format: expected/);
  await rejectsWith(
    quantizeFile(lb, source, out, { format: "uniform4:7" }),
    RangeError,
    /quantize: model\.layers.*a rule may keep it/,
  );
  const abort = new AbortController();
  const aborted = quantizeFile(lb, source, out, {
    ...{ format: "uniform4", signal: abort.signal },
    onTensor: () => abort.abort(new Error("enough")),
  });
  await rejectsWith(aborted, Error, "enough");
  // The file of before, and nothing beside it.
  ok(before.equals(readFileSync(out)));
  equal(
    readdirSync(folder).filter((file) => file.endsWith(".part")),
    [],
  );
});
