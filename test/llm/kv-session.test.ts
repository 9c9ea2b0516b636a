// Sessions whose keys and values are few bits: the same answers whatever was there before, saved and restored, and their errors.
import { init } from "../../src/index.ts";
import type { KvKind, KvOptions, LanguageModel, Session } from "../../src/llm/index.ts";
import { equal, equalBits, is, not, ok, throwsWith } from "../lib/assert.ts";
import { fixtureJson, needing, TRAINED } from "../lib/checkpoints.ts";
import { availableVariants } from "../lib/library.ts";
import { loadLlama } from "../lib/models.ts";
import { suite } from "../lib/suite.ts";

const { instances } = await availableVariants();
const [first] = instances as [(typeof instances)[number]];
const { prompt, greedy } = fixtureJson<{ prompt: number[]; greedy: number[] }>("llama/greedy.json");
const KINDS: readonly (KvKind | KvOptions)[] = [
  "f16",
  "int8",
  "int4",
  "int2",
  { keys: "int4", values: "int2", sink: 0 },
  { keys: "int8", values: "f16", window: 64 },
  { keys: "f32", values: "int8" },
];
const label = (kv: KvKind | KvOptions): string => JSON.stringify(kv);

const t = needing(suite("sessions of few bits"), TRAINED);
let model: LanguageModel;
t.before(async () => {
  model = await loadLlama(first.lb);
});
t.after(() => model.dispose());

/** A prompt of `n` tokens. */
const tokensOf = (n: number): number[] =>
  Array.from({ length: n }, (_, i) => (prompt[i % prompt.length] as number) + (i >> 6));
const sampled = { maxTokens: 12, temperature: 0.9, seed: 3 } as const;

async function answer(session: Session, tokens: readonly number[]): Promise<number[]> {
  const out: number[] = [];
  for await (const { token } of session.generate(tokens, sampled)) out.push(token);
  return out;
}

t("one prompt, parts of it, another end, going on: as a fresh session", async () => {
  for (const kv of KINDS) {
    const fresh = async (tokens: readonly number[]): Promise<number[]> => {
      using session = model.session(undefined, { kv });
      return await answer(session, tokens);
    };
    using session = model.session(undefined, { kv });
    const long = tokensOf(150);
    const window = typeof kv === "object" ? (kv.window ?? 32) : 32;
    for (const tokens of [
      long.slice(0, 20),
      long,
      long,
      [...long.slice(0, 77), 5, 6],
      long.slice(0, 149),
      long.slice(0, 65),
    ]) {
      const before = [...session.tokens];
      const expected = await fresh(tokens);
      const generation = session.generate(tokens, sampled);
      const got: number[] = [];
      for await (const { token } of generation) got.push(token);
      equal(got, expected, label(kv));
      let same = 0;
      while (same < Math.min(tokens.length - 1, before.length) && before[same] === tokens[same]) same++;
      const { reused } = (await generation).usage;
      ok(reused <= same && reused > same - window, `${label(kv)}: ${reused} of ${same}`);
    }
    // Nothing but a few tokens is taken back: nothing is computed twice.
    await session.generate(long, { maxTokens: 3 });
    is(
      (await session.generate([...long, greedy[0] as number, 9], { maxTokens: 1 })).usage.reused >= 149,
      true,
      label(kv),
    );
  }
});

t("on both variants, on two threads", async () => {
  const two = await init({ threads: 2 });
  for (const kv of KINDS) {
    using session = model.session(undefined, { kv });
    const expected = await answer(session, tokensOf(200));
    for (const lb of [...instances.map((one) => one.lb), two]) {
      const one = await loadLlama(lb, { kv });
      equal(await answer(one, tokensOf(200)), expected, label(kv));
      one.dispose();
    }
  }
  two.dispose();
});

t("saved in the middle of a strip and restored, on the other variant too; another kind is refused", async () => {
  for (const kv of KINDS) {
    using session = model.session(undefined, { kv });
    await answer(session, tokensOf(75));
    const saved = session.save();
    equalBits(saved, session.save(), label(kv));
    const longer = [...session.tokens, 300, 301];
    const shorter = [...session.tokens.slice(0, 71), 9];
    const [expected, other] = [await answer(session, longer), await answer(session, shorter)];
    for (const { lb } of instances) {
      const one = await loadLlama(lb, { kv });
      using restored = one.session(saved);
      equal(await answer(restored, longer), expected, label(kv));
      using again = one.session(saved);
      equal(await answer(again, shorter), other, label(kv));
      one.dispose();
    }
    const { used } = first.lb.memory;
    const wrong = kv === "int8" ? "int4" : "int8";
    throwsWith(
      () => model.session(saved, { kv: wrong }),
      RangeError,
      `keys and values of this kind (${wrong}, window 32`,
    );
    throwsWith(() => model.session(saved), RangeError, "keys and values of this kind (f32)");
    is(first.lb.memory.used, used, label(kv));
    equal(await answer(session, longer), expected, label(kv));
  }
});

t("int8 and f16 continue as float32 does; few bits are smaller", async () => {
  const long = tokensOf(130);
  const logprobs = async (kv: KvKind): Promise<{ text: number[]; sum: number; bytes: number }> => {
    using session = model.session(undefined, { kv });
    const { used } = first.lb.memory;
    const text: number[] = [];
    let sum = 0;
    for await (const { token, logprob } of session.generate(long, { maxTokens: 20 })) {
      text.push(token);
      sum += logprob;
    }
    return { text, sum, bytes: first.lb.memory.used - used };
  };
  const exact = await logprobs("f32");
  for (const kv of ["f16", "int8"] as const) {
    const { text, sum } = await logprobs(kv);
    equal(text, exact.text, kv);
    ok(Math.abs(sum - exact.sum) < 0.05 * Math.abs(exact.sum) + 0.05, `${kv}: ${sum} for ${exact.sum}`);
  }
  not.equal((await logprobs("int2")).sum, exact.sum);
});

t("a full context ends an answer, a longer prompt is refused, memory is given back", async () => {
  const before = first.lb.memory.used;
  for (const kv of KINDS) {
    const small = await loadLlama(first.lb, { context: 100, kv });
    const full = await small.generate(tokensOf(70));
    equal([full.finish, full.usage.prompt + full.usage.generated], ["context", 100], label(kv));
    is(full.usage.generated, 30);
    const text = (await small.generate(tokensOf(40), { maxTokens: 5 })).text;
    using other = small.session();
    is((await other.generate(tokensOf(40), { maxTokens: 5 })).text, text, label(kv));
    other.dispose();
    small.dispose();
    is(first.lb.memory.used, before, label(kv));
  }
});

t("wrong kinds", async () => {
  throwsWith(() => model.session(undefined, { kv: "int3" as KvKind }), RangeError, "session: kv");
  throwsWith(() => model.session(undefined, { kv: { key: "int8" } as KvOptions }), TypeError, 'did you mean "keys"?');
  throwsWith(() => model.session(undefined, { kv: { window: 40 } }), RangeError, "session: kv: window");
  throwsWith(() => model.session(undefined, { kw: "int8" } as object), TypeError, 'did you mean "kv"?');
  throwsWith(() => model.session(undefined, 1 as unknown as object), TypeError, "session: options");
});
