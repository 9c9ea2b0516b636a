// GGUF files: the same models as checkpoints, and vocabularies.
import type { GgufValue } from "../../src/files/index.ts";
import { openWeights } from "../../src/files/index.ts";
import { configFromGguf } from "../../src/llm/gguf-config.ts";
import { tokenizerFromGguf } from "../../src/llm/gguf-tokenizer.ts";
import { load } from "../../src/llm/index.ts";
import type { ModelTokenizer } from "../../src/llm/tokenizer.ts";
import { equal, is, nmseBelow, ok, rejectsWith, throwsWith } from "../lib/assert.ts";
import { fixture, fixtureJson, needing, numbersOf, referenceOf } from "../lib/checkpoints.ts";
import { availableVariants } from "../lib/library.ts";
import { loadArchitecture } from "../lib/models.ts";
import { suite } from "../lib/suite.ts";

const t = suite("gguf");
const { instances } = await availableVariants();
const [{ lb }] = instances as unknown as [(typeof instances)[number]];

/** Logits after the first tokens up to each of these positions. */
async function logitsAt(source: Uint8Array, tokens: Int32Array, positions: Iterable<number>): Promise<number[]> {
  const model = await load(lb, source);
  const out: number[] = [];
  const logits = (values: Float32Array): void => {
    out.push(...values);
  };
  for (const position of positions) await model.generate(tokens.slice(0, position + 1), { maxTokens: 1, logits });
  model.dispose();
  return out;
}

const names = [
  ...["gemma2", "gemma3", "gpt-oss", "granite", "llama", "llama-linear-rope-bias", "llama-yarn", "llama3-rope"],
  ...["mistral-window", "phi3", "qwen2", "qwen3", "qwen3-moe", "smollm3"],
];
for (const name of names) {
  const gguf = `gguf/tiny-${name}-bf16.gguf`;
  const own = needing(t, gguf, `archs/${name}/reference.safetensors`);
  own(`${name} is the checkpoint that it was made of`, async () => {
    const { tokens, logits } = referenceOf(`archs/${name}`);
    const positions = [0, 31, 40, 79];
    const actual = await logitsAt(fixture(gguf), tokens, positions);
    const expected = positions.flatMap((at) => Array.from(logits.subarray(at * 512, (at + 1) * 512)));
    // llama.cpp takes the corners of yarn's ramp as whole numbers, which gpt-oss does not.
    nmseBelow(actual, expected, 1e-12, name);
  });
}

const logitsFile = "gguf/logits.safetensors";
const deep = ["gemma2", "gemma3", "smollm3"].map((name) => `gguf/deep-${name}-bf16.gguf`);
const tDeep = needing(t, logitsFile, ...deep);
tDeep("rules that the architecture implies, in files that are deep enough to show them", async () => {
  const positions = numbersOf(logitsFile, "positions", Int32Array);
  // llama.cpp has GELU as a table of halves.
  for (const [name, bound] of [
    ["gemma2", 1e-7],
    ["gemma3", 1e-7],
    ["smollm3", 1e-12],
  ] as const) {
    const tokens = numbersOf(logitsFile, `tokens.${name}`, Int32Array);
    const expected = numbersOf(logitsFile, `deep-${name}-bf16`, Float32Array);
    nmseBelow(await logitsAt(fixture(`gguf/deep-${name}-bf16.gguf`), tokens, positions), expected, bound, name);
  }
});

t("what a file lacks or has of a kind that is not known", async () => {
  const file = await openWeights(fixture("gguf/tiny-llama-bf16.gguf"));
  const change = (key: string, value: GgufValue | undefined): Map<string, GgufValue> => {
    const metadata = new Map(file.metadata);
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
    return metadata;
  };
  const config = (key: string, value?: GgufValue) => () => configFromGguf(change(key, value), file.tensors);
  throwsWith(config("general.architecture", { type: "string", value: "lama" }), RangeError, 'did you mean "llama"?');
  throwsWith(config("llama.block_count"), RangeError, "load: llama.block_count: expected a number, got none");
  throwsWith(config("llama.rope.scaling.type", { type: "string", value: "odd" }), RangeError, "rope.scaling.type");
  // Whole numbers of any width.
  const plain = configFromGguf(file.metadata, file.tensors);
  equal(configFromGguf(change("llama.context_length", { type: "u64", value: 256n }), file.tensors), plain);
  equal(
    configFromGguf(
      change("llama.attention.head_count_kv", { type: "array", of: "i32", value: Int32Array.of(2, 2, 2) }),
      file.tensors,
    ),
    plain,
  );
  await rejectsWith(load(lb, { "a.txt": new Uint8Array(1) }), RangeError, "a *.safetensors or *.gguf file, got a.txt");
});

t("a checkpoint and its GGUF file go on alike", async () => {
  const one = await loadArchitecture(lb, "qwen3");
  const two = await load(lb, fixture("gguf/tiny-qwen3-bf16.gguf"));
  const tokens = (await referenceOf("archs/qwen3")).tokens.slice(0, 20);
  const answers = [];
  for (const model of [one, two]) {
    const list: number[] = [];
    for await (const { token } of model.generate(tokens, { maxTokens: 20 })) list.push(token);
    answers.push(list);
    is(model.info.architecture, "qwen3");
    model.dispose();
  }
  equal(answers[0], answers[1]);
});

interface Case {
  readonly text: string;
  readonly ids: number[];
  readonly ids_plain: number[];
}

/** What differs: one line for each. */
function differences(tokenizer: ModelTokenizer, cases: readonly Case[]): string[] {
  return cases.flatMap(({ text, ids, ids_plain: plain }) => {
    const marks = /<\||<\/?s>|<unk>/.test(text);
    const got = [Array.from(tokenizer.encode(text)), Array.from(tokenizer.encode(text, { special: false }))];
    const wrong: string[] = [];
    if (String(got[0]) !== String(ids)) wrong.push(`${JSON.stringify(text)}: ${got[0]} for ${ids}`);
    if (!marks && String(got[1]) !== String(plain)) wrong.push(`${JSON.stringify(text)} plain: ${got[1]} for ${plain}`);
    if (!marks && tokenizer.decode(plain, { special: true }) !== text) wrong.push(`${JSON.stringify(text)}: text`);
    return wrong;
  });
}

t("byte-level vocabularies under each rule of splitting", () => {
  const { by_pre: byPre } = fixtureJson<{ by_pre: Record<string, (Case | number[])[]> }>("gguf/tokens-bpe.json");
  const whole = byPre["llama-bpe"] as Case[];
  const json = fixtureJson<{
    model: { vocab: Record<string, number>; merges: (string | [string, string])[] };
    added_tokens: { id: number; content: string }[];
  }>("llama/tokenizer.json");
  const tokens: string[] = [];
  for (const [text, id] of Object.entries(json.model.vocab)) tokens[id] = text;
  for (const { id, content } of json.added_tokens) tokens[id] = content;
  const types = Int32Array.from(tokens, (_, id) => (json.added_tokens.some((token) => token.id === id) ? 3 : 1));
  const merges = json.model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")));
  let known = 0;
  for (const [pre, cases] of Object.entries(byPre)) {
    const metadata = new Map<string, GgufValue>([
      ["tokenizer.ggml.model", { type: "string", value: "gpt2" }],
      ...(pre === "(no key)" ? [] : [["tokenizer.ggml.pre", { type: "string", value: pre }] as const]),
      ["tokenizer.ggml.tokens", { type: "array", of: "string", value: tokens }],
      ["tokenizer.ggml.token_type", { type: "array", of: "i32", value: types }],
      ["tokenizer.ggml.merges", { type: "array", of: "string", value: merges }],
      ["tokenizer.ggml.bos_token_id", { type: "u32", value: 4091 }],
      ["tokenizer.ggml.add_bos_token", { type: "bool", value: true }],
    ]);
    let tokenizer: ModelTokenizer | undefined;
    try {
      tokenizer = tokenizerFromGguf(metadata);
    } catch (error) {
      ok(String(error).includes("load: tokenizer.ggml.pre: expected gpt-2"), String(error));
      continue;
    }
    known++;
    if (pre === "llama-bpe") equal(differences(tokenizer as ModelTokenizer, whole), [], pre);
    // Of the others the ids of the same texts, without control tokens.
    for (const [i, { text }] of whole.entries()) {
      if (pre === "llama-bpe" || /<\||<\/?s>/.test(text)) continue;
      equal(Array.from((tokenizer as ModelTokenizer).encode(text, { special: false })), cases[i], `${pre}: ${text}`);
    }
  }
  ok(known >= 5, String(known));
});

t("SentencePiece vocabularies", async () => {
  const { metadata } = await openWeights(fixture("gguf/vocab-spm.gguf"));
  const all = fixtureJson<Record<string, Case[]>>("gguf/tokens-spm.json");
  for (const prefix of [true, false]) {
    const own = new Map(metadata).set("tokenizer.ggml.add_space_prefix", { type: "bool", value: prefix });
    const cases = all[`add_space_prefix=${prefix ? "True" : "False"}`] as Case[];
    equal(differences(tokenizerFromGguf(own) as ModelTokenizer, cases), [], String(prefix));
  }
});
