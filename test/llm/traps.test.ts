// Mistakes that other runtimes were reported for.

import { init } from "../../src/index.ts";
import { type Files, load } from "../../src/llm/index.ts";
import { equalBits, is, not, ok, rejectsWith } from "../lib/assert.ts";
import { fixture, fixtureJson, needing, TRAINED } from "../lib/checkpoints.ts";
import { suite } from "../lib/suite.ts";

const t = needing(suite("traps"), TRAINED);
const lb = await init({ threads: 1 });
const { prompt } = fixtureJson<{ prompt: number[] }>("llama/greedy.json");
const files = (others: Readonly<Record<string, Uint8Array>> = {}): Files => ({
  ...Object.fromEntries(
    ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"].map((name) => [
      name,
      fixture(`llama/${name}`),
    ]),
  ),
  ...others,
});
const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

t("more rows of logits than tokens: never sampled, not in the probabilities, no text", async () => {
  const rules = fixtureJson<{
    model: { vocab: Record<string, number>; merges: unknown[] };
    added_tokens: { id: number }[];
  }>("llama/tokenizer.json");
  const most = 4000;
  const kept = Object.entries(rules.model.vocab).filter(([, id]) => id < most);
  const names = new Set(kept.map(([name]) => name));
  const parts = (merge: unknown): string[] => (Array.isArray(merge) ? merge : String(merge).split(" "));
  const merges = rules.model.merges.filter((merge) => names.has(parts(merge).join("")));
  const fewer = {
    ...rules,
    model: { ...rules.model, vocab: Object.fromEntries(kept), merges },
    added_tokens: rules.added_tokens.filter(({ id }) => id < most),
    post_processor: null,
  };
  const model = await load(lb, files({ "tokenizer.json": json(fewer) }));
  let length = 0;
  const options = { maxTokens: 30, temperature: 5, seed: 2 } as const;
  let sum = 0;
  for await (const { token, logprob } of model.generate(prompt, {
    ...options,
    logits: (logits) => {
      length = logits.length;
      sum = logits.reduce((total, v) => total + Math.exp(v), 0);
    },
  })) {
    ok(token < most, String(token));
    ok(logprob <= 0);
  }
  is(length, most);
  ok(sum > 0);
  is(model.tokenizer.decode([4095]), "");
  model.dispose();
});

t("pooling is the model's own; a call may ask for another", async () => {
  const pooled = async (modes: object | undefined): Promise<Float32Array[]> => {
    const model = await load(lb, files(modes === undefined ? {} : { "1_Pooling/config.json": json(modes) }));
    const vectors = await model.embed(["To be", "or not to be, that is the question"]);
    const asked = await model.embed(["To be"], { pooling: "last" });
    await rejectsWith(model.embed(["a"], { pooling: "max" as "mean" }), RangeError, "embed: pooling");
    model.dispose();
    return [...vectors, ...asked];
  };
  const mean = await pooled(undefined);
  const cls = await pooled({ pooling_mode_cls_token: true, pooling_mode_mean_tokens: false });
  const last = await pooled({ pooling_mode_cls_token: false, pooling_mode_lasttoken: true });
  equalBits((await pooled({ pooling_mode_mean_tokens: true }))[1] as Float32Array, mean[1] as Float32Array, "mean");
  not.equal(String(cls[0]), String(mean[0]));
  not.equal(String(cls[0]), String(last[0]));
  equalBits(last[0] as Float32Array, last[2] as Float32Array, "last, alone or asked for");
  equalBits(mean[2] as Float32Array, last[0] as Float32Array, "asked for");
});
