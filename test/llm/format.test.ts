// Matrices that become few bits while a checkpoint is read.

import { init } from "../../src/index.ts";
import { type LanguageModel, type LoadOptions, load } from "../../src/llm/index.ts";
import { equal, is, not, ok, rejectsWith } from "../lib/assert.ts";
import { fixtureJson, needing, TRAINED } from "../lib/checkpoints.ts";
import { loadLlama } from "../lib/models.ts";
import { suite } from "../lib/suite.ts";

const t = needing(suite("format"), TRAINED);
const lb = await init({ threads: 1 });
const { prompt, greedy } = fixtureJson<{ prompt: number[]; greedy: number[] }>("llama/greedy.json");

/** Mean of -log p of what the trained model says after the prompt: its own greedy tokens. */
async function lossOf(model: LanguageModel): Promise<number> {
  using session = model.session();
  let sum = 0;
  const force = (logits: Float32Array, tokens: readonly number[]): void => {
    const next = greedy[tokens.length - prompt.length] as number;
    const most = logits.reduce((a, b) => Math.max(a, b));
    const total = logits.reduce((all, v) => all + Math.exp(v - most), 0);
    sum -= (logits[next] as number) - most - Math.log(total);
    logits.fill(-100).fill(100, next, next + 1);
  };
  await session.generate(prompt, { maxTokens: greedy.length, logits: force });
  return sum / greedy.length;
}

async function measured(options: LoadOptions): Promise<{ loss: number; bytes: number }> {
  const before = lb.memory.used;
  const model = await loadLlama(lb, options);
  const bytes = lb.memory.used - before;
  const loss = await lossOf(model);
  model.dispose();
  return { loss, bytes };
}

t("the loss rises by little with 8, 6 and 4 bits, and by more with fewer; memory shrinks", async () => {
  const plain = await measured({});
  const of = async (format: LoadOptions["format"]): Promise<{ loss: number; bytes: number }> =>
    measured({ ...(format !== undefined && { format }) });
  const [eight, six, four, nf4, three] = [
    await of("uniform8"),
    await of("uniform6"),
    await of("uniform4"),
    await of("nf4"),
    await of("uniform3"),
  ] as const;
  ok(Math.abs(eight.loss - plain.loss) < 0.02, `8 bits: ${eight.loss} for ${plain.loss}`);
  ok(Math.abs(six.loss - plain.loss) < 0.05, `6 bits: ${six.loss} for ${plain.loss}`);
  ok(four.loss - plain.loss < 0.25, `4 bits: ${four.loss} for ${plain.loss}`);
  ok(nf4.loss - plain.loss < 0.3, `nf4: ${nf4.loss} for ${plain.loss}`);
  ok(three.loss > four.loss, `3 bits: ${three.loss}`);
  ok(four.bytes < plain.bytes, `${four.bytes} of ${plain.bytes}`);
});

t("a function says what becomes of each matrix; embeddings and norms are not asked for; a tied head is", async () => {
  const names: string[] = [];
  const model = await loadLlama(lb, {
    format: (name, [rows, cols]) => {
      ok(rows > 0 && cols > 0);
      names.push(name);
      return name.includes(".down_proj.") ? { name: "uniform8", groupSize: 64 } : undefined;
    },
  });
  ok(names.includes("model.layers.0.self_attn.q_proj.weight"), names.join());
  ok(!names.some((name) => /norm/.test(name)), names.join());
  is(new Set(names).size, names.length);
  ok(names.includes("lm_head.weight") || names.includes("model.embed_tokens.weight"), names.join());
  const saved = model.session().save();
  model.dispose();
  // Another state by its fingerprint.
  const other = await loadLlama(lb);
  let refused = false;
  try {
    other.session(saved);
  } catch (error) {
    refused = error instanceof RangeError;
  }
  is(refused, true);
  other.dispose();
});

t("q, k and v of different formats; the same tokens twice; memory is given back", async () => {
  const before = lb.memory.used;
  const format = (name: string): string | undefined =>
    name.includes("q_proj")
      ? "uniform5"
      : name.includes("v_proj")
        ? "ternary"
        : name.includes("up_proj")
          ? "e3m2"
          : undefined;
  const texts: string[] = [];
  for (let i = 0; i < 2; i++) {
    const model = await loadLlama(lb, { format });
    texts.push((await model.generate(prompt, { maxTokens: 10 })).text);
    model.dispose();
  }
  equal(texts[0], texts[1]);
  not.equal(texts[0], "");
  is(lb.memory.used, before);
});

t("wrong formats", async () => {
  const { used } = lb.memory;
  const loading = (format: unknown): Promise<unknown> => loadLlama(lb, { format } as LoadOptions);
  await rejectsWith(loading("unifrom4"), RangeError, 'load: format: expected a format (did you mean "uniform4"?)');
  await rejectsWith(loading("uniform7"), RangeError, "did you mean");
  await rejectsWith(loading(4), TypeError, "load: format");
  await rejectsWith(loading({ name: "uniform4", group: 32 }), TypeError, "groupSize");
  await rejectsWith(loading({ name: "uniform4", groupSize: 1.5 }), RangeError, "load: format: groupSize");
  await rejectsWith(loading({ name: "uniform4", groupSize: 12 }), RangeError, "groupSize");
  await rejectsWith(
    loading(() => "q4"),
    RangeError,
    "load: format: model.embed_tokens.weight: expected one of uniform2",
  );
  await rejectsWith(load(lb, {}, { formats: "uniform4" } as LoadOptions), TypeError, 'did you mean "format"?');
  is(lb.memory.used, used);
});
