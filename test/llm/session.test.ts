// Answers, sessions, what is kept between them, what ends them.
import { init } from "../../src/index.ts";
import { ContextError, type LanguageModel, type Piece } from "../../src/llm/index.ts";
import { Random } from "../../src/llm/random.ts";
import { type Sampling, sample } from "../../src/llm/sampling.ts";
import { equal, equalBits, is, not, ok, rejectsWith, throwsWith } from "../lib/assert.ts";
import { fixtureJson, needing, TRAINED } from "../lib/checkpoints.ts";
import { availableVariants } from "../lib/library.ts";
import { loadArchitecture, loadLlama } from "../lib/models.ts";
import { suite } from "../lib/suite.ts";

const { instances } = await availableVariants();
const [first] = instances as [(typeof instances)[number]];
const { prompt, greedy } = fixtureJson<{ prompt: number[]; greedy: number[] }>("llama/greedy.json");
let model: LanguageModel;

/** Tokens of an answer. */
async function tokensOf(generation: AsyncIterable<Piece>): Promise<number[]> {
  const tokens: number[] = [];
  for await (const { token } of generation) tokens.push(token);
  return tokens;
}

const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 } as const;
const logitsOf = (probabilities: readonly number[]): Float32Array => Float32Array.from(probabilities, Math.log);

/** Which tokens are drawn at all, of many draws. */
function drawn(probabilities: readonly number[], options: Partial<Sampling>): number[] {
  const random = new Random(1);
  const seen = new Set<number>();
  for (let i = 0; i < 3000; i++) seen.add(sample(logitsOf(probabilities), [], { ...sampling, ...options }, random));
  return [...seen].sort();
}

const s = suite("sampling");

s("the generator is the one that is written down", () => {
  const random = new Random(0);
  const numbers = Array.from({ length: 3 }, () => random.next());
  ok(numbers.every((v) => v >= 0 && v < 1));
  equal(numbers, [0.8868538207812233, 0.012474857919937299, 0.032521969312629184]);
  not.equal(new Random(1).next(), numbers[0]);
  not.equal(new Random(2 ** 32).next(), numbers[0]);
});

s("the nucleus: the crossing token is in, an empty one is the best, sums are of what top-k left", () => {
  const p = [0.4, 0.3, 0.2, 0.1];
  equal(drawn(p, { topP: 0.8 }), [0, 1, 2]);
  equal(drawn(p, { topP: 0 }), [0]);
  equal(drawn([0.3, 0.25, 0.25, 0.2], { topK: 1, topP: 0.8 }), [0]);
  equal(drawn(p, { topP: 1 }), [0, 1, 2, 3]);
  equal(drawn(p, { topK: 2 }), [0, 1]);
  equal(drawn(p, { topK: 2, topP: 0.5 }), [0]);
  equal(drawn([0.1, 0.1, 0.1], { topK: 2 }), [0, 1]);
});

s("temperature comes before the filters", () => {
  equal(drawn([0.6, 0.3, 0.1], { minP: 0.4, temperature: 2 }), [0, 1, 2]);
  equal(drawn([0.6, 0.3, 0.1], { minP: 0.4 }), [0, 1]);
});

s("draws have the probabilities that they should", () => {
  const random = new Random(7);
  const counts = [0, 0, 0];
  for (let i = 0; i < 30000; i++) {
    const token = sample(logitsOf([0.5, 0.3, 0.2]), [], sampling, random);
    counts[token] = (counts[token] as number) + 1;
  }
  for (const [i, p] of [0.5, 0.3, 0.2].entries())
    ok(Math.abs((counts[i] as number) / 30000 - p) < 0.015, String(counts));
});

s("a penalty makes what was seen less likely, whatever its sign, once", () => {
  const logits = Float32Array.of(2, -2, 1);
  sample(logits, [0, 1, 0], { ...sampling, temperature: 0, repetitionPenalty: 2 }, new Random(0));
  equal(Array.from(logits), [1, -4, 1]);
});

s("logits that are no numbers", () => {
  const pick = (values: number[], temperature = 0): number =>
    sample(Float32Array.from(values), [], { ...sampling, temperature }, new Random(0));
  is(pick([Number.NaN, 1, 2]), 2);
  is(pick([Number.NaN, 1, 200], 1), 2);
  is(pick([1, Number.POSITIVE_INFINITY, 2], 1), 1);
  for (const value of [Number.NEGATIVE_INFINITY, Number.NaN]) {
    throwsWith(() => pick([value, value]), RangeError, "generate: logits");
  }
});

const t = needing(suite("answers"), TRAINED);
t.before(async () => {
  model = await loadLlama(first.lb);
});

t("greedy tokens are those of transformers, awaited or in a loop", async () => {
  using session = model.session();
  const result = await session.generate(prompt, { maxTokens: greedy.length });
  is(result.finish, "length");
  equal(result.usage, { prompt: prompt.length, reused: 0, generated: greedy.length });
  using other = model.session();
  let text = "";
  const tokens: number[] = [];
  for await (const piece of other.generate(prompt, { maxTokens: greedy.length })) {
    text += piece.text;
    tokens.push(piece.token);
    ok(piece.logprob <= 1e-6 && piece.logprob > -20);
  }
  equal(tokens, greedy);
  is(text, result.text);
  is(text, model.tokenizer.decode(greedy));
});

t("one seed, one text: on both variants, on two threads, beside another session", async () => {
  const options = { maxTokens: 60, temperature: 0.8, topP: 0.95, seed: 5 } as const;
  const text = "To be, or not to be";
  const expected = await model.session().generate(text, options);
  not.equal(expected.text, (await model.session().generate(text, { ...options, seed: 6 })).text);
  for (const { lb } of instances) {
    const one = await loadLlama(lb);
    is((await one.generate(text, options)).text, expected.text);
    one.dispose();
  }
  const two = await init({ threads: 2 });
  const threaded = await loadLlama(two);
  is((await threaded.generate(text, options)).text, expected.text);
  threaded.dispose();
  two.dispose();
  const [a, b] = [model.session(), model.session()];
  const turns = [
    a.generate(text, options)[Symbol.asyncIterator](),
    b.generate("Now is", options)[Symbol.asyncIterator](),
  ];
  let joined = "";
  for (let i = 0; i < 60; i++) {
    const [one] = await Promise.all(turns.map((turn) => turn.next()));
    if (one && !one.done) joined += one.value.text;
  }
  is(joined, expected.text);
});

t("what a prompt has in common with the tokens before is not computed again, and changes nothing", async () => {
  using session = model.session();
  const options = { maxTokens: 12, temperature: 0.9, repetitionPenalty: 1.3, seed: 3 } as const;
  const fresh = async (tokens: readonly number[]): Promise<number[]> => {
    using other = model.session();
    return await tokensOf(other.generate(tokens, options));
  };
  const expected = await fresh(prompt);
  equal(await tokensOf(session.generate(prompt, options)), expected);
  // The same once more: one token is computed.
  const again = await session.generate(prompt, options);
  is(again.usage.reused, prompt.length - 1);
  is(again.text, model.tokenizer.decode(expected));
  // Another end.
  const other = [...prompt.slice(0, 20), 300, 301, 302];
  const result = session.generate(other, options);
  equal(await tokensOf(result), await fresh(other));
  is((await result).usage.reused, 20);
  // Going on from the answer.
  const longer = [...other, ...(await fresh(other)), 11, 12];
  const next = session.generate(longer, options);
  equal(await tokensOf(next), await fresh(longer));
  is((await next).usage.reused, other.length + 11);
});

t("a saved session goes on with the same bits, also on the other variant; others are refused", async () => {
  using session = model.session();
  const options = { maxTokens: 20, temperature: 0.7, seed: 1 } as const;
  await session.generate(prompt, options);
  const saved = session.save();
  const longer = [...session.tokens, 300];
  const expected = await session.generate(longer, options);
  for (const { lb } of instances) {
    const one = await loadLlama(lb);
    using restored = one.session(saved);
    const result = await restored.generate(longer, options);
    is(result.text, expected.text);
    is(result.usage.reused, longer.length - 1);
    one.dispose();
  }
  const { used } = first.lb.memory;
  throwsWith(() => model.session(saved.subarray(0, saved.length - 10)), RangeError, "session: saved: expected");
  const damaged = saved.slice();
  damaged[100] = (damaged[100] as number) ^ 1;
  throwsWith(() => model.session(damaged), RangeError, "session: saved");
  throwsWith(() => model.session(new Uint8Array(3)), RangeError, "what save() gave");
  const stranger = await loadArchitecture(first.lb, "qwen3");
  throwsWith(() => stranger.session(saved), RangeError, "a session of this model");
  stranger.dispose();
  is(first.lb.memory.used, used);
  is((await session.generate(longer, options)).text, expected.text);
});

t("stop strings, end tokens, the context, no tokens at all", async () => {
  const text = model.tokenizer.decode(greedy);
  const stop = text.slice(9, 14);
  for (const stops of [stop, ["never", stop]]) {
    using session = model.session();
    const generation = session.generate(prompt, { stop: stops });
    let joined = "";
    for await (const piece of generation) joined += piece.text;
    const result = await generation;
    is(joined, text.slice(0, text.indexOf(stop)));
    is(result.text, joined);
    is(result.finish, "stop");
  }
  using session = model.session();
  const none = await session.generate(prompt, { maxTokens: 0 });
  equal([none.text, none.finish, none.usage.generated], ["", "length", 0]);
  const ended = await session.generate(prompt, {
    logits: (logits, tokens) => {
      if (tokens.length >= prompt.length + 3) logits[4092] = 1000;
    },
  });
  equal([ended.finish, ended.usage.generated], ["stop", 3]);
  is(ended.text, model.tokenizer.decode(greedy.slice(0, 3)));
  const small = await loadLlama(first.lb, { context: 40 });
  const full = await small.generate(prompt);
  equal([full.finish, full.usage.prompt + full.usage.generated], ["context", 40]);
  await rejectsWith(
    Promise.resolve(small.generate([...prompt, ...greedy])),
    ContextError,
    "generate: prompt: expected at most 40 tokens",
  );
  is((await small.generate(prompt, { maxTokens: 3 })).text, model.tokenizer.decode(greedy.slice(0, 3)));
  small.dispose();
});

t("an abort ends at once, and the next answer is as a fresh one", async () => {
  using session = model.session();
  const controller = new AbortController();
  const generation = session.generate(prompt, { signal: controller.signal });
  let count = 0;
  for await (const _ of generation) if (++count === 3) controller.abort();
  const result = await generation;
  equal([result.finish, result.usage.generated], ["abort", 3]);
  is((await session.generate(prompt, { signal: AbortSignal.abort() })).finish, "abort");
  const left = session.generate(prompt);
  for await (const _ of left) break;
  equal([(await left).finish, (await left).usage.generated], ["abort", 1]);
  equal(await tokensOf(session.generate(prompt, { maxTokens: 10 })), greedy.slice(0, 10));
});

t("answers of one session take turns", async () => {
  using session = model.session();
  const [a, b] = await Promise.all([
    session.generate(prompt, { maxTokens: 10 }),
    session.generate(prompt.slice(0, 10), { maxTokens: 5 }),
  ]);
  is(a.text, model.tokenizer.decode(greedy.slice(0, 10)));
  is(b.usage.generated, 5);
});

t("an error of a caller's function leaves the session usable", async () => {
  using session = model.session();
  const boom = (): never => {
    throw new Error("boom");
  };
  await rejectsWith(Promise.resolve(session.generate(prompt, { logits: boom })), Error, "boom");
  await rejectsWith(Promise.resolve(session.generate(prompt, { onProgress: boom })), Error, "boom");
  await rejectsWith(
    Promise.resolve(session.generate(prompt, { logits: (logits) => logits.fill(Number.NEGATIVE_INFINITY) })),
    RangeError,
    "generate: logits",
  );
  is((await session.generate(prompt, { maxTokens: 4 })).text, model.tokenizer.decode(greedy.slice(0, 4)));
});

t("progress of a long prompt; chat", async () => {
  using session = model.session();
  const long = Array.from({ length: 300 }, (_, i) => (i * 7) % 4000);
  const told: number[] = [];
  await session.generate(long, { maxTokens: 1, onProgress: (done) => told.push(done) });
  equal(told, [0, 128, 256, 300]);
  const answer = await session.generate([{ role: "user", content: "Hi" }], { maxTokens: 5 });
  is(answer.usage.generated, 5);
});

t("wrong options and prompts", () => {
  const generate =
    (prompt: unknown, options: unknown = {}) =>
    () =>
      model.generate(prompt as string, options as object);
  throwsWith(generate("a", { temprature: 1 }), TypeError, 'did you mean "temperature"?');
  throwsWith(generate("a", { temperature: -1 }), RangeError, "generate: temperature: expected a number from 0");
  throwsWith(generate("a", { topP: "1" }), TypeError, "generate: topP");
  throwsWith(generate("a", { maxTokens: 1.5 }), RangeError, "generate: maxTokens");
  throwsWith(generate("a", { stop: 1 }), TypeError, "generate: stop");
  throwsWith(generate("a", { seed: -1 }), RangeError, "generate: seed");
  throwsWith(generate([4096]), RangeError, "expected tokens from 0 to 4095, got 4096 at index 0");
  throwsWith(generate([]), RangeError, "at least one token");
  throwsWith(generate([{ role: "user", content: 1 }]), TypeError, "chat: messages[0]: content");
  throwsWith(generate([{ role: "me", content: "" }]), RangeError, "chat: messages[0]: role");
});

t("embeddings: each as alone, of length 1, by three poolings", async () => {
  const texts = ["To be", "or not to be, that is the question"];
  const both = await model.embed(texts);
  for (const [i, text] of texts.entries()) {
    const [alone] = await model.embed([text]);
    equalBits(alone as Float32Array, both[i] as Float32Array, text);
    is(alone?.length, 256);
    ok(Math.abs((alone as Float32Array).reduce((sum, v) => sum + v * v, 0) - 1) < 1e-5);
  }
  const [mean] = await model.embed(["To be"], { normalize: false });
  const [last] = await model.embed(["To be"], { pooling: "last", normalize: false });
  const [cls] = await model.embed(["To be"], { pooling: "cls", normalize: false });
  const { length } = model.tokenizer.encode("To be");
  ok(length >= 3);
  not.equal(String(mean), String(last));
  not.equal(String(cls), String(last));
  await rejectsWith(model.embed("a" as unknown as string[]), TypeError, "embed: texts");
});

suite("bare models")("models without a tokenizer take tokens", async () => {
  const bare = await loadArchitecture(first.lb, "llama");
  const result = await bare.generate([5, 6, 7], { maxTokens: 4 });
  is(result.usage.generated, 4);
  is(result.text, "");
  throwsWith(() => bare.generate("a"), TypeError, "this model came without a tokenizer");
  bare.dispose();
  throwsWith(() => bare.session(), TypeError, "this model was disposed");
  await rejectsWith(Promise.resolve(bare.generate([1])), TypeError, "disposed");
});

t("memory is given back", async () => {
  const before = first.lb.memory.used;
  const one: LanguageModel = await loadLlama(first.lb);
  using session = one.session();
  await session.generate(prompt, { maxTokens: 40 });
  session.dispose();
  one.dispose();
  one.dispose();
  is(first.lb.memory.used, before);
});

t.after(() => model.dispose());
