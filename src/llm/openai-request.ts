// What clients of the OpenAI protocol send, and errors as they expect them.
import type { GenerateOptions } from "./generate.ts";
import { ContextError } from "./session.ts";
import { type Message, TemplateError } from "./template.ts";

export type Body = Readonly<Record<string, unknown>>;

export class ApiError extends Error {
  override name = "ApiError";
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;

  constructor(status: number, message: string, param: string | null = null, code: string | null = null) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
  }

  get body(): object {
    const type = this.status >= 500 ? "server_error" : "invalid_request_error";
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }

  /** Any error as one: what a caller did wrong is a 400. */
  static from(error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof ContextError) return new ApiError(400, message, null, "context_length_exceeded");
    if (error instanceof TemplateError || error instanceof RangeError || error instanceof TypeError) {
      return new ApiError(400, message);
    }
    return new ApiError(500, message);
  }
}

/** The JSON object of a request. */
export async function bodyOf(request: Request): Promise<Body> {
  let value: unknown;
  try {
    value = await request.json();
  } catch {
    throw new ApiError(400, "the body: expected JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ApiError(400, "the body: expected an object");
  return value as Body;
}

/** The messages of a chat; parts of text are joined. */
export function chatOf({ messages, tools }: Body): readonly Message[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new ApiError(400, "messages: expected a list of messages", "messages");
  }
  if (Array.isArray(tools) && tools.length > 0) throw new ApiError(400, "tools: this server has none", "tools");
  return messages.map((message: unknown, i) => {
    const { role, content } = (message ?? {}) as { role?: unknown; content?: unknown };
    const at = `messages[${i}]`;
    const known = role === "developer" ? "system" : role;
    if (known !== "system" && known !== "user" && known !== "assistant" && known !== "tool") {
      throw new ApiError(400, `${at}.role: expected "system", "user", "assistant" or "tool"`, "messages");
    }
    return { role: known, content: textOf(content, at) };
  });
}

function textOf(content: unknown, at: string): string {
  if (content === null || content === undefined) return "";
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw new ApiError(400, `${at}.content: expected text`, "messages");
  return content
    .map((part: unknown) => {
      const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown };
      if (type !== "text" || typeof text !== "string")
        throw new ApiError(400, `${at}.content: expected parts of text`, "messages");
      return text;
    })
    .join("");
}

export function stopsOf({ stop }: Body): readonly string[] {
  if (stop === null || stop === undefined) return [];
  const stops: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  if (!stops.every((one) => typeof one === "string"))
    throw new ApiError(400, "stop: expected a string or strings", "stop");
  return stops as readonly string[];
}

export interface Choices {
  readonly stream: boolean;
  /** Whether a stream ends with usage. */
  readonly usage: boolean;
  /** Likeliest tokens to tell of beside each; undefined: no logprobs at all. */
  readonly top: number | undefined;
  readonly options: GenerateOptions;
}

/** How an answer is to be made. Null is as if the field were not there. */
export function choicesOf(body: Body, chat: boolean): Choices {
  const number = (name: string, low: number, high: number): number | undefined => {
    const value = body[name];
    if (value === null || value === undefined) return undefined;
    if (typeof value !== "number" || !(value >= low && value <= high)) {
      throw new ApiError(400, `${name}: expected a number from ${low} to ${high}`, name);
    }
    return value;
  };
  if ((number("n", 1, 128) ?? 1) !== 1) throw new ApiError(400, "n: expected 1", "n");
  const { response_format: format } = body;
  const kind = (format as { type?: unknown } | null | undefined)?.type;
  if (kind !== undefined && kind !== "text")
    throw new ApiError(400, 'response_format: expected type "text"', "response_format");
  const maxTokens =
    number("max_completion_tokens", 0, 2 ** 31) ?? number("max_tokens", 0, 2 ** 31) ?? (chat ? undefined : 16);
  const topP = number("top_p", 0, 1);
  const seed = number("seed", -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const logprobs = chat ? body.logprobs === true : typeof body.logprobs === "number";
  const top = chat ? number("top_logprobs", 0, 20) : number("logprobs", 0, 20);
  const change = penalties(
    number("frequency_penalty", -2, 2) ?? 0,
    number("presence_penalty", -2, 2) ?? 0,
    biases(body.logit_bias),
  );
  return {
    stream: body.stream === true,
    usage: (body.stream_options as { include_usage?: unknown } | null | undefined)?.include_usage === true,
    top: logprobs ? (top ?? 0) : undefined,
    options: {
      temperature: number("temperature", 0, 2) ?? 1,
      ...(maxTokens !== undefined && { maxTokens: Math.floor(maxTokens) }),
      ...(topP !== undefined && { topP }),
      ...optional("topK", number("top_k", 0, 2 ** 31)),
      ...optional("minP", number("min_p", 0, 1)),
      ...optional("repetitionPenalty", number("repetition_penalty", 1e-3, 1e3)),
      seed: seed === undefined ? randomSeed() : Math.abs(Math.floor(seed)),
      ...(change && { logits: change }),
    },
  };
}

function optional<K extends string>(name: K, value: number | undefined): { readonly [key in K]?: number } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [key in K]?: number };
}

function randomSeed(): number {
  const [seed] = crypto.getRandomValues(new Uint32Array(1));
  return seed as number;
}

function biases(value: unknown): ReadonlyMap<number, number> {
  if (value === null || value === undefined) return new Map();
  const entries = Object.entries(value as Record<string, unknown>).map(
    ([token, bias]) => [Number(token), bias] as const,
  );
  for (const [token, bias] of entries) {
    if (!Number.isInteger(token) || token < 0 || typeof bias !== "number" || !(bias >= -100 && bias <= 100)) {
      throw new ApiError(400, "logit_bias: expected numbers from -100 to 100 by token", "logit_bias");
    }
  }
  return new Map(entries as (readonly [number, number])[]);
}

// logit - frequency · count - presence, of tokens that were seen; and biases, of which -100 forbids.
function penalties(
  frequency: number,
  presence: number,
  bias: ReadonlyMap<number, number>,
): GenerateOptions["logits"] | undefined {
  if (frequency === 0 && presence === 0 && bias.size === 0) return undefined;
  return (logits, tokens) => {
    for (const [token, value] of bias) {
      if (token < logits.length)
        logits[token] = value === -100 ? Number.NEGATIVE_INFINITY : (logits[token] as number) + value;
    }
    if (frequency === 0 && presence === 0) return;
    const counts = new Map<number, number>();
    for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
    for (const [token, count] of counts) logits[token] = (logits[token] as number) - frequency * count - presence;
  };
}

/** Little-endian float32 as base64. */
export function floatsOf(vector: Float32Array): string {
  const bytes = new Uint8Array(4 * vector.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of vector.entries()) view.setFloat32(4 * i, value, true);
  let text = "";
  for (let at = 0; at < bytes.length; at += 3072) text += btoa(String.fromCharCode(...bytes.subarray(at, at + 3072)));
  return text;
}
