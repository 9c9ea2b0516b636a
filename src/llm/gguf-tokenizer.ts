// The vocabulary of a GGUF file as a tokenizer.json.
import { rangeError } from "../lib/check.ts";
import { nearest } from "../lib/options.ts";
import type { Metadata } from "./gguf-config.ts";
import { ModelTokenizer } from "./tokenizer.ts";

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const words = (digits: string): string =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const LLAMA3 = words("\\p{N}{1,3}");
const QWEN2 = words("\\p{N}");

const QWEN35 = `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const BEFORE = "[^\\r\\n\\p{L}\\p{N}]?";
// Words end before a capital.
const cased = (suffix: string, digits: string): string =>
  `${BEFORE}${UPPER}*${LOWER}+${suffix}|${BEFORE}${UPPER}+${LOWER}*${suffix}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const GPT4O = cased(`${CONTRACTIONS}?`, "\\p{N}{1,3}");
const TEKKEN = cased("", "\\p{N}");
const DEEPSEEK3 = [
  "\\p{N}{1,3}",
  "[一-龥぀-ゟ゠-ヿ]+",
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
];
const OTHER = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";

/** Regular expressions, applied one after the other to the pieces of the one before, by `tokenizer.ggml.pre`. */
const PATTERNS: Readonly<Record<string, readonly string[]>> = {
  "gpt-2": [GPT2],
  mpt: [GPT2],
  olmo: [GPT2],
  jais: [GPT2],
  "phi-2": [GPT2],
  "roberta-bpe": [GPT2],
  trillion: [GPT2],
  "granite-docling": [GPT2],
  starcoder: ["\\p{N}", GPT2],
  refact: ["\\p{N}", GPT2],
  "command-r": ["\\p{N}", GPT2],
  smollm: ["\\p{N}", GPT2],
  codeshell: ["\\p{N}", GPT2],
  exaone: ["\\p{N}", GPT2],
  "minerva-7b": ["\\p{N}", GPT2],
  mellum2: ["\\p{N}", GPT2],
  "llama-bpe": [LLAMA3],
  llama3: [LLAMA3],
  "llama-v3": [LLAMA3],
  falcon3: [LLAMA3],
  pixtral: [LLAMA3],
  dbrx: [LLAMA3],
  "smaug-bpe": [LLAMA3],
  glm4: [LLAMA3],
  qwen2: [QWEN2],
  "deepseek-r1-qwen": [QWEN2],
  stablelm2: [QWEN2],
  hunyuan: [QWEN2],
  "grok-2": [QWEN2],
  laguna: [QWEN2],
  qwen35: [QWEN35],
  "gpt-4o": [GPT4O],
  llama4: [GPT4O],
  "minimax-m2": [GPT4O],
  tekken: [TEKKEN],
  "deepseek-v3": DEEPSEEK3,
  "hunyuan-dense": DEEPSEEK3,
  "joyai-llm": DEEPSEEK3,
  falcon: ["[\\p{P}\\$\\+<=>\\^~\\|`]+", OTHER, "[0-9][0-9][0-9]"],
  default: ["[\\p{P}\\$\\+<=>\\^~\\|]+", OTHER, "\\p{N}+", "[0-9][0-9][0-9]"],
};
/** Of these a piece that is a token is taken whole. */
const WHOLE: readonly string[] = [
  "llama-bpe",
  "llama3",
  "llama-v3",
  "falcon3",
  "pixtral",
  "gpt-4o",
  "llama4",
  "minimax-m2",
  "tekken",
];

const TYPE = { control: 3, user: 4, byte: 6 } as const;
const SPACE = "▁";

/**
 * @returns undefined for a file without a vocabulary
 * @throws RangeError for a kind or a rule of splitting that is not known
 */
export function tokenizerFromGguf(metadata: Metadata, template?: string): ModelTokenizer | undefined {
  const of = (key: string): unknown => metadata.get(`tokenizer.ggml.${key}`)?.value;
  const model = of("model");
  const tokens = of("tokens") as readonly unknown[] | undefined;
  if (model === undefined || model === "no_vocab" || model === "none" || tokens === undefined) return undefined;
  if (model !== "gpt2" && model !== "llama")
    throw rangeError("load: tokenizer.ggml.model", "gpt2 | llama", String(model));
  const texts = Array.from(tokens, textOf);
  const types = of("token_type") as ArrayLike<number> | undefined;
  const added = texts.flatMap((content, id) => {
    const type = types?.[id];
    if (type !== TYPE.control && type !== TYPE.user) return [];
    const special = type === TYPE.control;
    return [{ id, content, special, lstrip: false, rstrip: false, single_word: false, normalized: false }];
  });
  const vocab = Object.create(null) as Record<string, number>;
  for (const [id, text] of texts.entries()) vocab[text] ??= id;
  const begin = numberOf(of("bos_token_id"));
  const addsBegin = of("add_bos_token") ?? model === "llama";
  const parts = model === "gpt2" ? byteLevel(of, vocab) : sentencePiece(of, texts, types, vocab);
  const json = {
    ...parts,
    added_tokens: added,
    post_processor:
      addsBegin === true && begin !== undefined ? beginning(texts[begin] as string, begin) : parts.post_processor,
  };
  const name = (key: string): string => texts[numberOf(of(key)) ?? -1] ?? "";
  const config = { bos_token: name("bos_token_id"), eos_token: name("eos_token_id") };
  const chat = metadata.get("tokenizer.chat_template")?.value;
  return new ModelTokenizer(json, config, template ?? (typeof chat === "string" ? chat : undefined));
}

function textOf(value: unknown): string {
  // A string of a GGUF file may be no UTF-8: then it comes as bytes.
  return typeof value === "string" ? value : new TextDecoder().decode(value as Uint8Array);
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === "bigint") return Number(value);
  return typeof value === "number" ? value : undefined;
}

function beginning(content: string, id: number): object {
  return {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: content, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens: { [content]: { id: content, ids: [id], tokens: [content] } },
  };
}

interface Parts {
  readonly model: object;
  readonly normalizer: object | null;
  readonly pre_tokenizer: object | null;
  readonly decoder: object;
  readonly post_processor: object | null;
}

function byteLevel(of: (key: string) => unknown, vocab: object): Parts {
  const pre = String(of("pre") ?? "default");
  const patterns = Object.hasOwn(PATTERNS, pre) ? PATTERNS[pre] : undefined;
  if (patterns === undefined) {
    const near = nearest(pre, Object.keys(PATTERNS));
    const hint = near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`;
    throw rangeError("load: tokenizer.ggml.pre", `${Object.keys(PATTERNS).join(" | ")}${hint}`, JSON.stringify(pre));
  }
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  return {
    model: {
      type: "BPE",
      vocab,
      merges: Array.from(of("merges") as readonly unknown[], textOf),
      ignore_merges: WHOLE.includes(pre),
      byte_fallback: false,
      fuse_unk: false,
    },
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        ...patterns.map((Regex) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false })),
        bytes,
      ],
    },
    decoder: bytes,
    post_processor: null,
  };
}

// Merges by scores: every way of cutting a token in two that are tokens is a merge, those of the best score first.
function sentencePiece(
  of: (key: string) => unknown,
  texts: readonly string[],
  types: ArrayLike<number> | undefined,
  vocab: Readonly<Record<string, number>>,
): Parts {
  const scores = of("scores") as ArrayLike<number>;
  const usable = (id: number): boolean => types === undefined || types[id] === 1 || types[id] === TYPE.user;
  const merges: { pair: [string, string]; score: number }[] = [];
  for (const [id, text] of texts.entries()) {
    if (!usable(id)) continue;
    const letters = Array.from(text);
    for (let cut = 1; cut < letters.length; cut++) {
      const pair: [string, string] = [letters.slice(0, cut).join(""), letters.slice(cut).join("")];
      if (pair.every((part) => vocab[part] !== undefined && usable(vocab[part])))
        merges.push({ pair, score: scores[id] as number });
    }
  }
  // Sorting is stable: of one score in the order of the vocabulary.
  merges.sort((a, b) => b.score - a.score);
  const prefix = of("add_space_prefix") ?? true;
  const replace = { type: "Replace", pattern: { String: " " }, content: SPACE };
  return {
    model: {
      type: "BPE",
      vocab,
      merges: merges.map(({ pair }) => pair),
      unk_token: texts[numberOf(of("unknown_token_id")) ?? 0],
      byte_fallback: true,
      fuse_unk: true,
    },
    normalizer: {
      type: "Sequence",
      normalizers: prefix === true ? [{ type: "Prepend", prepend: SPACE }, replace] : [replace],
    },
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: SPACE }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix === true ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    post_processor: null,
  };
}
