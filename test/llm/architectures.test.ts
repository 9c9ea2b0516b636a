// Every decoder against the logits of transformers: in one prompt, in parts, token by token, on both variants and two threads.
import { init, type Lowbit } from "../../src/index.ts";
import { KvCache } from "../../src/llm/cache.ts";
import { kvShape } from "../../src/llm/config.ts";
import { Decoder } from "../../src/llm/decoder.ts";
import { configFromHf } from "../../src/llm/hf-config.ts";
import { readKv } from "../../src/llm/kv-layout.ts";
import type { Checkpoint } from "../../src/llm/tensors.ts";
import { loadWeights } from "../../src/llm/weights.ts";
import { engineOf } from "../../src/runtime/engine.ts";
import { equal, equalBits, is, nmseBelow, ok, rejectsWith, throwsWith } from "../lib/assert.ts";
import {
  architectureNames,
  checkpointOf,
  filesOf,
  fixtureJson,
  needing,
  referenceOf,
  TRAINED,
} from "../lib/checkpoints.ts";
import { availableVariants } from "../lib/library.ts";
import { suite } from "../lib/suite.ts";

const t = suite("architectures");
const { instances, missing } = await availableVariants();
for (const { variant, reason } of missing) t.skip(variant, reason);
const { lb } = instances[0] as { lb: Lowbit };

/** Logits of all tokens, `step` tokens at a time. */
async function logitsOf(
  lb: Lowbit,
  checkpoint: Checkpoint,
  tokens: Int32Array,
  steps: readonly number[],
): Promise<Float32Array[]> {
  const engine = engineOf("test", lb);
  const { config } = checkpoint;
  const weights = await loadWeights(lb, checkpoint, "int8");
  const decoder = new Decoder(engine, config, weights);
  try {
    return steps.map((step) => {
      const cache = new KvCache(engine, kvShape(config), readKv("test", "f32"));
      const out = new Float32Array(tokens.length * config.vocabulary);
      for (let at = 0; at < tokens.length; at += step) {
        const part = tokens.subarray(at, at + step);
        decoder.forward(cache, part, at, tokens.length);
        for (let i = 0; i < part.length; i++) out.set(decoder.logits(i), (at + i) * config.vocabulary);
      }
      cache.dispose();
      return out;
    });
  } finally {
    decoder.dispose();
    weights.dispose();
  }
}

for (const name of architectureNames) {
  needing(t, ...filesOf(`archs/${name}`))(name, async () => {
    const checkpoint = checkpointOf(`archs/${name}`);
    const { tokens, logits } = referenceOf(`archs/${name}`);
    const used = instances.map((one) => one.lb.memory.used - engineOf("test", one.lb).scratchBytes);
    const results: Float32Array[] = [];
    for (const one of instances) results.push(...(await logitsOf(one.lb, checkpoint, tokens, [80, 1, 17])));
    for (const result of results) equalBits(result, results[0] as Float32Array, `${name}: steps and variants`);
    nmseBelow(results[0] as Float32Array, logits, 1e-12, name);
    for (const [i, one] of instances.entries()) {
      is(one.lb.memory.used - engineOf("test", one.lb).scratchBytes, used[i], "memory is given back");
    }
  });
}

needing(t, ...filesOf("archs/qwen3-moe"))("two threads give the same bits", async () => {
  const { tokens } = referenceOf("archs/qwen3-moe");
  const checkpoint = checkpointOf("archs/qwen3-moe");
  const two = await init({ threads: 2 });
  const [expected] = await logitsOf(lb, checkpoint, tokens, [80]);
  const [actual] = await logitsOf(two, checkpoint, tokens, [80]);
  two.dispose();
  equalBits(actual as Float32Array, expected as Float32Array, "threads");
});

// What transformers 4 wrote: rope_theta and rope_scaling beside each other.
function asVersion4(config: Record<string, unknown>): Record<string, unknown> {
  const { rope_parameters, model_type, ...more } = config;
  const ropes = rope_parameters as Record<string, unknown>;
  const rest = { model_type, ...more };
  const full = ropes.full_attention as Record<string, unknown> | undefined;
  if (full) {
    const { sliding_attention: local } = ropes as { sliding_attention: Record<string, unknown> };
    return { ...rest, rope_theta: full.rope_theta, rope_local_base_freq: local.rope_theta };
  }
  const { rope_theta, rope_type, partial_rotary_factor, ...scaling } = ropes;
  const old = {
    ...rest,
    ...(partial_rotary_factor !== undefined && { partial_rotary_factor }),
    ...(rope_type !== "default" && { rope_scaling: { type: rope_type, ...scaling } }),
  };
  return rest.model_type === "gpt_neox"
    ? { ...old, rotary_pct: partial_rotary_factor, partial_rotary_factor: undefined, rotary_emb_base: rope_theta }
    : { ...old, rope_theta };
}

for (const name of architectureNames) {
  const path = `archs/${name}/config.json`;
  needing(t, path)(`config.json of transformers 4 and 5 say the same: ${name}`, () => {
    const config = fixtureJson<Record<string, unknown>>(path);
    equal(configFromHf(asVersion4(config)), configFromHf(config), name);
  });
}

const layered = ["gemma2", "gemma3", "smollm3"].map((name) => `archs/${name}/config.json`);
needing(t, ...layered)("layers of a kind are implied where the file does not list them", () => {
  const of = (name: string, more: Record<string, unknown>) =>
    configFromHf({ ...fixtureJson<Record<string, unknown>>(`archs/${name}/config.json`), layer_types: null, ...more })
      .layers;
  equal(
    of("gemma2", { num_hidden_layers: 4 }).map(({ window }) => window),
    [32, 0, 32, 0],
  );
  equal(
    of("gemma3", { num_hidden_layers: 7 }).map(({ window, rope }) => [window, rope]),
    [1, 1, 1, 1, 1, 0, 1].map((local) => [32 * local, local]),
  );
  equal(
    of("smollm3", { num_hidden_layers: 5, no_rope_layers: null }).map(({ rope }) => rope),
    [0, 0, 0, -1, 0],
  );
});

t("unknown architectures are refused by name, with the nearest", () => {
  throwsWith(() => configFromHf({ model_type: "quen3" }), RangeError, 'did you mean "qwen3"?), got "quen3"');
  throwsWith(() => configFromHf({ model_type: "mamba" }), RangeError, "config: architecture: expected one of llama");
  throwsWith(() => configFromHf({}), RangeError, "config: architecture");
  throwsWith(() => configFromHf({ model_type: "llama" }), TypeError, "config: hidden_size: expected a finite number");
});

t("a checkpoint that does not fit is refused, and leaves nothing behind", async () => {
  const whole = checkpointOf("archs/llama");
  const without = (name: string): Checkpoint => ({
    ...whole,
    tensors: new Map([...whole.tensors].filter(([key]) => key !== name)),
  });
  const { used } = lb.memory;
  const load = (checkpoint: Checkpoint) => loadWeights(lb, checkpoint, "int8");
  await rejectsWith(
    load(without("model.layers.2.mlp.down_proj.weight")),
    RangeError,
    "model.layers.2.mlp.down_proj.weight",
  );
  await rejectsWith(load(without("model.norm.weight")), RangeError, "load: expected a tensor model.norm.weight");
  await rejectsWith(
    load(checkpointOf("archs/llama", (c) => ({ ...c, intermediate_size: 164 }))),
    RangeError,
    "mlp.down_proj.weight: expected shape [64, 164], got [64, 160]",
  );
  const strange = new Map(whole.tensors);
  strange.set("model.layers.1.mlp.up_proj.weight", {
    dtype: "Q9_Z",
    shape: [160, 64],
    read: async () => new Uint8Array(1),
  });
  await rejectsWith(load({ ...whole, tensors: strange }), RangeError, "got Q9_Z");
  is(lb.memory.used, used);
});

needing(t, TRAINED)("a trained model continues as transformers does", async () => {
  const { prompt, greedy } = fixtureJson<{ prompt: number[]; greedy: number[] }>("llama/greedy.json");
  const checkpoint = checkpointOf("llama");
  const engine = engineOf("test", lb);
  const weights = await loadWeights(lb, checkpoint, "int8");
  const decoder = new Decoder(engine, checkpoint.config, weights);
  const cache = new KvCache(engine, kvShape(checkpoint.config), readKv("test", "f32"));
  decoder.forward(cache, prompt, 0, prompt.length);
  let logits = decoder.logits(prompt.length - 1);
  const tokens: number[] = [];
  for (const _ of greedy) {
    const position = prompt.length + tokens.length;
    tokens.push(logits.indexOf(logits.reduce((a, b) => Math.max(a, b))));
    decoder.forward(cache, tokens.slice(-1), position, position + 1);
    logits = decoder.logits(0);
  }
  cache.dispose();
  decoder.dispose();
  weights.dispose();
  equal(tokens, greedy);
  ok(tokens.length === 48);
});
