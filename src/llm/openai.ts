// The OpenAI protocol as a function from Request to Response: chat completions, completions, embeddings, models.
import { typeError } from "../lib/check.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";
import { exp, log } from "../numeric/elementary.ts";
import type { GenerateOptions, Generation, Piece, Result } from "./generate.ts";
import type { LanguageModel } from "./model.ts";
import { ApiError, type Body, bodyOf, chatOf, choicesOf, floatsOf, stopsOf } from "./openai-request.ts";

export interface OpenAiOptions {
  /** What `Authorization: Bearer …` must be; none is asked for without it. */
  readonly key?: string;
  /** Origins of pages that may call; "*" for all. Default: none but the same. */
  readonly origins?: readonly string[];
  /** What the model is called. Default: its architecture. */
  readonly name?: string;
}

const NAMES: OptionNames<OpenAiOptions> = { key: [], origins: [], name: [] };

/** For Deno.serve, Bun.serve, a service worker, and what else answers requests. One answer is made at a time. */
export function openai(model: LanguageModel, options: OpenAiOptions = {}): (request: Request) => Promise<Response> {
  const given = readOptions<OpenAiOptions>("openai", options, NAMES);
  if (given.key !== undefined && typeof given.key !== "string") throw typeError("openai: key", "a string", given.key);
  const name = given.name ?? model.info.architecture;
  const server = new Server(model, name);
  return async (request) => {
    const headers = new Headers({ vary: "Origin" });
    const origin = request.headers.get("origin");
    const allowed = given.origins ?? [];
    if (origin !== null && (allowed.includes("*") || allowed.includes(origin))) {
      headers.set("access-control-allow-origin", origin);
    }
    if (request.method === "OPTIONS") {
      headers.set("access-control-allow-methods", "GET, POST, OPTIONS");
      headers.set("access-control-allow-headers", "authorization, content-type");
      headers.set("access-control-max-age", "600");
      return new Response(null, { status: 204, headers });
    }
    try {
      if (given.key !== undefined && request.headers.get("authorization") !== `Bearer ${given.key}`) {
        throw new ApiError(401, "a valid key is needed: Authorization: Bearer …", null, "invalid_api_key");
      }
      return await server.answer(request, headers);
    } catch (error) {
      const known = ApiError.from(error);
      headers.set("content-type", "application/json");
      return new Response(JSON.stringify(known.body), { status: known.status, headers });
    }
  };
}

class Server {
  readonly #model: LanguageModel;
  readonly #name: string;
  #answers = 0;

  constructor(model: LanguageModel, name: string) {
    this.#model = model;
    this.#name = name;
  }

  async answer(request: Request, headers: Headers): Promise<Response> {
    const { pathname } = new URL(request.url);
    const route = `${request.method} ${pathname.replace(/\/+$/, "").replace(/^\/v1/, "")}`;
    if (route === "GET /models") {
      const { architecture } = this.#model.info;
      return json(
        { object: "list", data: [{ id: this.#name, object: "model", created: 0, owned_by: architecture }] },
        headers,
      );
    }
    if (route === "POST /chat/completions") return this.#complete(await bodyOf(request), request, headers, true);
    if (route === "POST /completions") return this.#complete(await bodyOf(request), request, headers, false);
    if (route === "POST /embeddings")
      return json(await this.#embeddings(await bodyOf(request), request.signal), headers);
    throw new ApiError(404, `${request.method} ${pathname}: there is no such endpoint`);
  }

  async #complete(body: Body, request: Request, headers: Headers, chat: boolean): Promise<Response> {
    const model = this.#model;
    const prompt = chat ? chatOf(body) : body.prompt;
    if (!chat && typeof prompt !== "string" && !Array.isArray(prompt)) {
      throw new ApiError(400, "prompt: expected a string or tokens", "prompt");
    }
    const tokens = model.tokenize(prompt as string);
    if (tokens.length > model.info.context) {
      const message = `this model's context is ${model.info.context} tokens, but the prompt has ${tokens.length}`;
      throw new ApiError(400, message, chat ? "messages" : "prompt", "context_length_exceeded");
    }
    const { stream, usage, top, options } = choicesOf(body, chat);
    const tops: Top[][] = [];
    const abort = new AbortController();
    request.signal.addEventListener("abort", () => abort.abort(), { once: true });
    if (request.signal.aborted) abort.abort();
    const { logits: change } = options;
    const asked: GenerateOptions = {
      ...options,
      signal: abort.signal,
      ...((top !== undefined || change !== undefined) && {
        logits: (logits, seen) => {
          if (top !== undefined) tops.push(likeliest(logits, top));
          change?.(logits, seen);
        },
      }),
    };
    const generation = model.generate(tokens, { ...asked, stop: stopsOf(body) });
    const id = `${chat ? "chatcmpl" : "cmpl"}-${++this.#answers}-${checkTime().toString(36)}`;
    const kind = chat ? "chat.completion" : "text_completion";
    const common = { id, created: checkTime(), model: this.#name };
    const part = (piece: Piece, index: number): unknown =>
      top === undefined ? null : this.#logprobs(piece, tops[index] ?? []);
    if (!stream) {
      const pieces: Piece[] = [];
      for await (const piece of generation) pieces.push(piece);
      const result = await generation;
      const content = top === undefined ? null : { content: pieces.map((piece, i) => part(piece, i)) };
      const choice = chat
        ? {
            index: 0,
            message: { role: "assistant", content: result.text },
            logprobs: content,
            finish_reason: finish(result),
          }
        : { index: 0, text: result.text, logprobs: content, finish_reason: finish(result) };
      return json({ ...common, object: kind, choices: [choice], usage: usageOf(result) }, headers);
    }
    headers.set("content-type", "text/event-stream");
    headers.set("cache-control", "no-cache");
    const chunk = (choice: object | undefined, total: unknown): object => ({
      ...common,
      object: chat ? "chat.completion.chunk" : kind,
      choices: choice ? [{ index: 0, ...choice }] : [],
      ...(usage && { usage: total }),
    });
    const events = this.#events(generation, chat, chunk, part, top !== undefined);
    return new Response(
      eventStream(events, () => abort.abort()),
      { headers },
    );
  }

  // What a stream says, one event after the other.
  async *#events(
    generation: Generation,
    chat: boolean,
    chunk: (choice: object | undefined, total: unknown) => object & { usage?: unknown },
    part: (piece: Piece, index: number) => unknown,
    logprobs: boolean,
  ): AsyncGenerator<object> {
    if (chat) yield chunk({ delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }, null);
    let index = 0;
    for await (const piece of generation) {
      const content = logprobs ? { content: [part(piece, index)] } : null;
      index++;
      if (piece.text === "" && !logprobs) continue;
      const said = chat ? { delta: { content: piece.text } } : { text: piece.text };
      yield chunk({ ...said, logprobs: content, finish_reason: null }, null);
    }
    const result = await generation;
    yield chunk({ ...(chat ? { delta: {} } : { text: "" }), logprobs: null, finish_reason: finish(result) }, null);
    const last = chunk(undefined, usageOf(result));
    if ("usage" in last) yield last;
  }

  #logprobs({ token, logprob }: Piece, top: readonly Top[]): object {
    const entry = (id: number, value: number): object => {
      const text = this.#model.tokenizer.decode([id], { special: true });
      return { token: text, logprob: value, bytes: Array.from(new TextEncoder().encode(text)) };
    };
    return { ...entry(token, logprob), top_logprobs: top.map((one) => entry(one.token, one.logprob)) };
  }

  async #embeddings(body: Body, signal: AbortSignal): Promise<object> {
    const { input, encoding_format: format = "float" } = body;
    const texts: readonly unknown[] = Array.isArray(input) ? input : [input];
    if (texts.length === 0 || !texts.every((text) => typeof text === "string" && text !== "")) {
      throw new ApiError(400, "input: expected a string or strings that are not empty", "input");
    }
    if (format !== "float" && format !== "base64") {
      throw new ApiError(400, 'encoding_format: expected "float" or "base64"', "encoding_format");
    }
    const vectors = await this.#model.embed(texts as string[], { signal });
    const count = texts.reduce((sum: number, text) => sum + this.#model.tokenizer.encode(text as string).length, 0);
    return {
      object: "list",
      model: this.#name,
      data: vectors.map((vector, index) => ({
        object: "embedding",
        index,
        embedding: format === "base64" ? floatsOf(vector) : Array.from(vector),
      })),
      usage: { prompt_tokens: count, total_tokens: count },
    };
  }
}

interface Top {
  readonly token: number;
  readonly logprob: number;
}

/** The likeliest tokens of all logits, sorted. */
function likeliest(logits: Float32Array, count: number): Top[] {
  let most = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > most) most = logit;
  let sum = 0;
  for (const logit of logits) if (logit - most > -60) sum += exp(logit - most);
  const total = most + log(sum);
  const best: Top[] = [];
  for (let token = 0; token < logits.length && count > 0; token++) {
    const logprob = (logits[token] as number) - total;
    if (best.length === count && !(logprob > (best.at(-1) as Top).logprob)) continue;
    const at = best.findIndex((one) => logprob > one.logprob);
    best.splice(at < 0 ? best.length : at, 0, { token, logprob });
    if (best.length > count) best.pop();
  }
  return best;
}

function finish({ finish: how }: Result): "stop" | "length" {
  return how === "stop" ? "stop" : "length";
}

function usageOf({ usage }: Result): object {
  const { prompt, reused, generated } = usage;
  return {
    prompt_tokens: prompt,
    completion_tokens: generated,
    total_tokens: prompt + generated,
    prompt_tokens_details: { cached_tokens: reused },
  };
}

/** Seconds since 1970. */
function checkTime(): number {
  return Math.floor(Date.now() / 1000);
}

function json(value: object, headers: Headers): Response {
  headers.set("content-type", "application/json");
  return new Response(JSON.stringify(value), { headers });
}

/** Server-sent events, each ended by a blank line, the last "[DONE]". Work goes on only as they are read. */
function eventStream(events: AsyncGenerator<object>, cancel: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const event = (data: string): Uint8Array => encoder.encode(`data: ${data}\n\n`);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await events.next();
          if (!done) {
            controller.enqueue(event(JSON.stringify(value)));
            return;
          }
        } catch (error) {
          controller.enqueue(event(JSON.stringify(ApiError.from(error).body)));
        }
        controller.enqueue(event("[DONE]"));
        controller.close();
      },
      async cancel() {
        cancel();
        await events.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
