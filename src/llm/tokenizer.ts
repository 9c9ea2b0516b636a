// Text and tokens. The rules of a tokenizer.json are those of @huggingface/tokenizers; what is around them is here.
import { Tokenizer as Rules } from "@huggingface/tokenizers";
import { type Message, renderTemplate } from "./template.ts";

export interface Tokenizer {
  /**
   * @param options.special whether the text's control marks become control tokens, with those that the model begins by; default true
   */
  encode(text: string, options?: { readonly special?: boolean }): Uint32Array;
  /** @param options.special whether control tokens are written; default false */
  decode(tokens: ArrayLike<number>, options?: { readonly special?: boolean }): string;
}

type Json = Readonly<Record<string, unknown>>;

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** Stands in a text for nothing, and keeps a control mark of a message from being one. */
const BREAK = "\u{10fffe}";

/** A tokenizer of tokenizer.json and tokenizer_config.json, and the template of its chat. */
export class ModelTokenizer implements Tokenizer {
  readonly template: string | undefined;
  /** One more than the largest id: logits may have more rows, which are no tokens. */
  readonly size: number;
  readonly #rules: Rules;
  /** The same without control tokens, for the first part of a text and for later ones. */
  readonly #plain: readonly [Rules, Rules];
  readonly #special: ReadonlyMap<string, number>;
  readonly #ids: ReadonlySet<number>;
  readonly #marks: RegExp | undefined;
  readonly #variables: Json;

  /** @throws TypeError, RangeError for a file that is none */
  constructor(json: Json, config: Json = {}, template?: string) {
    this.#rules = new Rules(json, config);
    keepMarks(this.#rules.decoder);
    const added = (Array.isArray(json.added_tokens) ? json.added_tokens : []) as readonly AddedToken[];
    this.size = sizeOf(json, added);
    const special = added.filter((token) => token.special);
    this.#special = new Map(special.map(({ content, id }) => [content, id]));
    this.#ids = new Set(special.map(({ id }) => id));
    const others = { ...json, added_tokens: added.filter((token) => !token.special) };
    this.#plain = [new Rules(others, config), new Rules(withoutPrefix(others), config)];
    const marks = [...this.#special.keys()].filter((mark) => mark !== "").sort((a, b) => b.length - a.length);
    this.#marks = marks.length > 0 ? new RegExp(marks.map(literally).join("|"), "u") : undefined;
    const text = (value: unknown): string | undefined =>
      typeof value === "string" ? value : ((value as { content?: string } | null | undefined)?.content ?? undefined);
    this.#variables = Object.fromEntries(
      Object.entries(config)
        .filter(([name]) => name.endsWith("_token"))
        .map(([name, value]) => [name, text(value) ?? ""]),
    );
    this.template = template ?? templateOf(config.chat_template);
  }

  encode(text: string, { special = true }: { readonly special?: boolean } = {}): Uint32Array {
    const given = wellFormed(text);
    if (special) return Uint32Array.from(this.#rules.encode(given).ids);
    return Uint32Array.from(this.#plain[0].encode(given, { add_special_tokens: false }).ids);
  }

  decode(tokens: ArrayLike<number>, { special = false }: { readonly special?: boolean } = {}): string {
    // A row of logits that is no token has no text.
    const ids = Array.from(tokens).filter(
      (id) => this.#rules.id_to_token(id) !== undefined && (special || !this.#ids.has(id)),
    );
    if (ids.length === 0) return "";
    return this.#rules.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  }

  /** Whether a token is a control token. */
  isSpecial(token: number): boolean {
    return this.#ids.has(token);
  }

  /** The id of a token by its text. */
  idOf(token: string): number | undefined {
    return this.#rules.token_to_id(token);
  }

  /**
   * Messages by the template, as tokens of which the next is the assistant's first. Control marks in what messages say stay text.
   *
   * @throws TemplateError; RangeError for a model without a template
   */
  chat(messages: readonly Message[]): Uint32Array {
    if (this.template === undefined) {
      throw new RangeError(
        "chat: template: expected a model with a chat template, got one without; options.template sets one",
      );
    }
    let marked = false;
    const shielded = messages.map((message) => {
      const content = this.#shield(wellFormed(message.content));
      marked ||= content !== message.content;
      return { ...message, content };
    });
    const text = renderTemplate(this.template, {
      ...this.#variables,
      messages: shielded,
      add_generation_prompt: true,
      tools: null,
      documents: null,
    });
    if (!marked) return Uint32Array.from(this.#rules.encode(text, { add_special_tokens: false }).ids);
    return this.#parts(text);
  }

  // A break after the first character of each control mark.
  #shield(text: string): string {
    const clean = text.replaceAll(BREAK, "");
    if (!this.#marks) return clean;
    return clean.replaceAll(new RegExp(this.#marks.source, "gu"), (mark) => {
      const [first] = mark;
      return `${first}${BREAK}${mark.slice(first?.length)}`;
    });
  }

  // The template's own marks are control tokens; what is between them is text.
  #parts(text: string): Uint32Array {
    const ids: number[] = [];
    let rest = text;
    for (let part = 0; rest !== ""; part++) {
      const found = this.#marks?.exec(rest);
      const end = found?.index ?? rest.length;
      const plain = rest.slice(0, end).replaceAll(BREAK, "");
      if (plain !== "") {
        const rules = this.#plain[part === 0 ? 0 : 1] as Rules;
        ids.push(...rules.encode(plain, { add_special_tokens: false }).ids);
      }
      if (!found) break;
      ids.push(this.#special.get(found[0]) as number);
      rest = rest.slice(end + found[0].length);
    }
    return Uint32Array.from(ids);
  }
}

/** One template, or that of a list which is called "default". */
function templateOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const list = value as readonly { name?: unknown; template?: unknown }[];
  const found = list.find(({ name }) => name === "default") ?? list[0];
  return typeof found?.template === "string" ? found.template : undefined;
}

// Where only the first part of a text gets a space in front, later ones get none.
function withoutPrefix(json: Json): Json {
  const change = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(change);
    if (typeof value !== "object" || value === null) return value;
    const { prepend_scheme: scheme, ...others } = value as Record<string, unknown>;
    const inner = "pretokenizers" in others ? { ...others, pretokenizers: change(others.pretokenizers) } : others;
    return scheme === undefined ? inner : { ...inner, prepend_scheme: scheme === "first" ? "never" : scheme };
  };
  return { ...json, pre_tokenizer: change(json.pre_tokenizer) };
}

/** Halves of surrogate pairs become U+FFFD, as in UTF-8. */
function wellFormed(text: string): string {
  return text.replaceAll(/\p{Surrogate}/gu, "\ufffd");
}

function literally(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, (character) => `\\${character}`);
}

// Decoders of the package drop a byte order mark at the beginning of bytes, which is a character like others.
function keepMarks(decoder: unknown): void {
  // They are functions with members.
  if ((typeof decoder !== "object" && typeof decoder !== "function") || decoder === null) return;
  const parts = decoder as { text_decoder?: unknown; decoders?: unknown };
  if (parts.text_decoder instanceof TextDecoder) parts.text_decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  if (Array.isArray(parts.decoders)) for (const part of parts.decoders) keepMarks(part);
}

function sizeOf({ model }: Json, added: readonly AddedToken[]): number {
  const { vocab } = (model ?? {}) as { vocab?: unknown };
  let size = Array.isArray(vocab) ? vocab.length : 0;
  const ids = vocab && !Array.isArray(vocab) ? Object.values(vocab as Record<string, number>) : [];
  for (const id of ids) size = Math.max(size, id + 1);
  for (const { id } of added) size = Math.max(size, id + 1);
  return size;
}
