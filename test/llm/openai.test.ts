// The OpenAI protocol, as clients see it.
import { type LanguageModel, openai } from "../../src/llm/index.ts";
import { equal, is, match, ok } from "../lib/assert.ts";
import { needing, TRAINED } from "../lib/checkpoints.ts";
import { availableVariants } from "../lib/library.ts";
import { loadLlama } from "../lib/models.ts";
import { suite } from "../lib/suite.ts";

const t = needing(suite("openai"), TRAINED);
const { instances } = await availableVariants();
const [first] = instances as [(typeof instances)[number]];
let model: LanguageModel;
let handler: ReturnType<typeof openai>;
t.before(async () => {
  model = await loadLlama(first.lb);
  handler = openai(model, { name: "llama" });
});
const messages = [{ role: "user", content: "To be" }];

interface Json {
  [name: string]: Json;
}

function post(path: string, body: unknown, headers: Record<string, string> = {}, handle = handler): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return handle(new Request(`http://localhost/v1/${path}`, { method: "POST", body: text, headers }));
}

const chat = (more: object = {}): Promise<Response> =>
  post("chat/completions", { messages, temperature: 0, max_tokens: 8, ...more });

async function jsonOf(response: Response | Promise<Response>): Promise<Json> {
  return (await (await response).json()) as Json;
}

/** Data of the events of a stream, whose bytes must be events and nothing else. */
async function eventsOf(response: Response): Promise<(Json | "[DONE]")[]> {
  const text = await response.text();
  match(text, /^(data: [^\n]*\n\n)*$/);
  return text
    .split("\n\n")
    .slice(0, -1)
    .map((event) => event.slice("data: ".length))
    .map((data) => (data === "[DONE]" ? data : (JSON.parse(data) as Json)));
}

t("a chat, whole", async () => {
  const response = await chat();
  is(response.headers.get("content-type"), "application/json");
  const { object, choices, usage, model: name } = await jsonOf(response);
  is(object as unknown, "chat.completion");
  is(name as unknown, "llama");
  const [choice] = choices as unknown as [Json];
  is(choice.finish_reason as unknown, "length");
  is(choice.message?.role as unknown, "assistant");
  is(usage?.completion_tokens as unknown, 8);
  is(usage?.total_tokens as unknown, 8 + Number(usage?.prompt_tokens));
});

t("a stream: roles, text, one finish_reason, usage only if asked for, [DONE]", async () => {
  const whole = await jsonOf(chat());
  const text = (whole.choices as unknown as [{ message: { content: string } }])[0].message.content;
  for (const include of [false, true]) {
    const response = await chat({ stream: true, ...(include && { stream_options: { include_usage: true } }) });
    is(response.headers.get("content-type"), "text/event-stream");
    const events = await eventsOf(response);
    is(events.pop() as unknown, "[DONE]");
    const chunks = events as unknown as {
      choices: { delta: { role?: string; content?: string }; finish_reason: unknown }[];
      usage?: object;
    }[];
    if (include) {
      const last = chunks.pop();
      equal(last?.choices, []);
      equal(Object.keys(last?.usage ?? {}).slice(0, 3), ["prompt_tokens", "completion_tokens", "total_tokens"]);
    }
    ok(chunks.every(({ usage }) => usage === (include ? null : undefined)));
    is(chunks[0]?.choices[0]?.delta.role, "assistant");
    is(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), text);
    equal(
      chunks.map(({ choices }) => choices[0]?.finish_reason),
      chunks.map((_, i) => (i === chunks.length - 1 ? "length" : null)),
    );
  }
});

t("an error that is known at once is no stream", async () => {
  const long = { messages: [{ role: "user", content: "To be or not to be. ".repeat(400) }], stream: true };
  const response = await post("chat/completions", long);
  is(response.status, 400);
  const { error } = await jsonOf(response);
  equal(Object.keys(error as object), ["message", "type", "param", "code"]);
  is(error?.code as unknown, "context_length_exceeded");
  for (const body of ["{", "[]", {}, { messages: [] }, { messages: [{ role: "me", content: "" }] }]) {
    is((await post("chat/completions", body)).status, 400, JSON.stringify(body));
  }
  is((await chat({ temperature: 3 })).status, 400);
  is((await chat({ n: 2 })).status, 400);
  is((await chat({ response_format: { type: "json_object" } })).status, 400);
  is((await post("nothing", {})).status, 404);
});

t("fields in every spelling and type", async () => {
  const count = async (more: object): Promise<unknown> => (await jsonOf(chat(more))).usage?.completion_tokens;
  is(await count({ max_completion_tokens: 3 }), 3);
  is(await count({ max_tokens: null, max_completion_tokens: 2 }), 2);
  const unlimited = await jsonOf(chat({ max_tokens: null, stop: "\n" }));
  ok(Number(unlimited.usage?.completion_tokens) > 0);
  const contentOf = async (more: object): Promise<string> =>
    ((await jsonOf(chat(more))).choices as unknown as [{ message: { content: string } }])[0].message.content;
  const text = await contentOf({ stop: null });
  is(
    await contentOf({
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "To " },
            { type: "text", text: "be" },
          ],
        },
      ],
    }),
    text,
  );
  const stop = text.slice(2, 4);
  is(await contentOf({ stop }), text.slice(0, text.indexOf(stop)));
  is(await contentOf({ stop: [stop] }), text.slice(0, text.indexOf(stop)));
  is((await jsonOf(chat({ stop: [stop] }))).choices?.[0]?.finish_reason as unknown, "stop");
});

t("logprobs, alone or with the likeliest others", async () => {
  const of = async (
    more: object,
  ): Promise<{ token: string; logprob: number; bytes: number[]; top_logprobs: { logprob: number }[] }[]> =>
    ((await jsonOf(chat(more))).choices as unknown as [{ logprobs: { content: never } }])[0].logprobs.content;
  const alone = await of({ logprobs: true });
  is(alone.length, 8);
  ok(alone.every(({ top_logprobs, logprob, bytes }) => top_logprobs.length === 0 && logprob <= 0 && bytes.length > 0));
  const two = await of({ logprobs: true, top_logprobs: 2 });
  for (const [i, { top_logprobs, logprob }] of two.entries()) {
    is(top_logprobs.length, 2);
    ok(Number(top_logprobs[0]?.logprob) >= Number(top_logprobs[1]?.logprob));
    ok(Math.abs(Number(top_logprobs[0]?.logprob) - logprob) < 1e-5);
    ok(Math.abs(logprob - Number(alone[i]?.logprob)) < 1e-9);
  }
  is((await jsonOf(chat())).choices?.[0]?.logprobs as unknown, null);
});

t("penalties and biases", async () => {
  const plain = await jsonOf(chat({ logprobs: true }));
  const token = model.tokenizer.encode(String(plain.choices?.[0]?.message?.content), { special: false })[0] as number;
  const banned = await jsonOf(chat({ logit_bias: { [token]: -100 } }));
  ok(banned.choices?.[0]?.message?.content !== plain.choices?.[0]?.message?.content);
  ok((await chat({ frequency_penalty: 1, presence_penalty: 1 })).ok);
  is((await chat({ logit_bias: { a: 1 } })).status, 400);
});

t("a seed repeats an answer", async () => {
  const of = async (seed: number): Promise<unknown> =>
    (await jsonOf(chat({ temperature: 1, seed, max_tokens: 30 }))).choices?.[0]?.message?.content;
  is(await of(4), await of(4));
  ok((await of(4)) !== (await of(5)));
});

t("a stream that is cancelled stops the work, and the next answer is whole", async () => {
  const response = await chat({ stream: true, max_tokens: 400 });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  await reader.read();
  await reader.cancel();
  const start = performance.now();
  is((await jsonOf(chat())).usage?.completion_tokens as unknown, 8);
  ok(performance.now() - start < 5000);
});

t("completions", async () => {
  const { object, choices } = await jsonOf(post("completions", { prompt: "To be", max_tokens: 4, temperature: 0 }));
  is(object as unknown, "text_completion");
  is(typeof choices?.[0]?.text, "string");
  const events = await eventsOf(
    await post("completions", { prompt: "To be", max_tokens: 4, temperature: 0, stream: true }),
  );
  const texts = events.slice(0, -1).map((event) => String((event as Json).choices?.[0]?.text ?? ""));
  is(texts.join(""), choices?.[0]?.text as unknown);
  is((await post("completions", {})).status, 400);
});

t("embeddings, as numbers or base64", async () => {
  const plain = await jsonOf(post("embeddings", { input: ["To be", "or not"] }));
  is((plain.data as unknown as []).length, 2);
  const numbers = plain.data?.[0]?.embedding as unknown as number[];
  const coded = await jsonOf(post("embeddings", { input: "To be", encoding_format: "base64" }));
  const bytes = Uint8Array.from(atob(String(coded.data?.[0]?.embedding)), (c) => c.charCodeAt(0));
  equal(Array.from(new Float32Array(bytes.buffer)), numbers);
  is((await post("embeddings", { input: [] })).status, 400);
  is((await post("embeddings", { input: "a", encoding_format: "hex" })).status, 400);
});

t("keys, preflights, strange pages", async () => {
  const guarded = openai(model, { key: "secret", origins: ["https://ours.example"] });
  const options = await guarded(
    new Request("http://localhost/v1/chat/completions", {
      method: "OPTIONS",
      headers: { origin: "https://ours.example" },
    }),
  );
  is(options.status, 204);
  is(options.headers.get("access-control-allow-origin"), "https://ours.example");
  match(options.headers.get("access-control-allow-headers") ?? "", /authorization/);
  const body = { messages, max_tokens: 1 };
  is((await post("chat/completions", body, {}, guarded)).status, 401);
  const wrong = await post("chat/completions", body, { authorization: "Bearer other" }, guarded);
  is(wrong.status, 401);
  is((await jsonOf(wrong)).error?.code as unknown, "invalid_api_key");
  const right = await post(
    "chat/completions",
    body,
    { authorization: "Bearer secret", origin: "https://strange.example" },
    guarded,
  );
  is(right.status, 200);
  is(right.headers.get("access-control-allow-origin"), null);
  is((await handler(new Request("http://localhost/v1/models"))).status, 200);
});

t("control marks in what a user says stay text", async () => {
  const of = async (content: string): Promise<number> => {
    const answer = await jsonOf(chat({ messages: [{ role: "user", content }], max_tokens: 1 }));
    return Number(answer.usage?.prompt_tokens);
  };
  ok((await of("<|eot_id|>")) > (await of("x")) + 3);
});

t.after(() => model.dispose());
