// Text of files: into strings strictly, and into messages safely.
import { FileError } from "./errors.ts";

/** Characters of a quotation, before it is cut. */
const LONGEST = 60;

// Control characters would reach a terminal; marks of direction and the like turn a message round; halves of surrogate
// pairs cannot be encoded.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Text of a file as it may stand in a message: one line, cut short, without characters that are not seen. */
export function plain(text: string): string {
  const short = text.length > LONGEST ? `${text.slice(0, LONGEST - 3)}...` : text;
  return short.replace(HIDDEN, (c) => `\\u{${(c.codePointAt(0) as number).toString(16)}}`);
}

/** As `plain`, in quotation marks. */
export function quote(text: string): string {
  return `"${plain(text)}"`;
}

/** A short form of any value of a file. It does not go into what it is given deeper than a list of plain values. */
export function show(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) {
    const some = value.slice(0, 8).map((one) => (Array.isArray(one) || one instanceof Map ? kindOf(one) : show(one)));
    return plain(`[${some.join(",")}${value.length > 8 ? `,... ${value.length} in all` : ""}]`);
  }
  return typeof value === "object" && value !== null ? kindOf(value) : plain(String(value));
}

function kindOf(value: object): string {
  return Array.isArray(value) ? "[...]" : "{...}";
}

/**
 * UTF-8 to a string, U+FEFF at its start included. Bytes in shared or resizable memory are copied first: TextDecoder of
 * browsers refuses them.
 *
 * @returns undefined if the bytes are no UTF-8
 */
export function utf8(bytes: Uint8Array): string | undefined {
  const { buffer } = bytes;
  const fixed = buffer instanceof ArrayBuffer && !(buffer as { resizable?: boolean }).resizable;
  try {
    return decoder().decode(fixed ? bytes : Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

let kept: TextDecoder | undefined;
function decoder(): TextDecoder {
  kept ??= new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return kept;
}

/** What servers and disks have in place of a model, told by its first bytes; undefined for anything else. */
export function impostor(bytes: Uint8Array): string | undefined {
  let text = "";
  for (const byte of bytes.subarray(0, 128)) text += String.fromCharCode(byte);
  const start = text.replace(/^\u00ef\u00bb\u00bf/, "").trimStart();
  if (/^<(!doctype|html|head|\?xml|!--)/i.test(start)) return "a page of HTML or XML";
  if (start.startsWith("version https://git-lfs")) return "a pointer of Git LFS, in place of the file it points to";
  if (/^\{\s*"(error|message|detail)"/.test(start)) return `an error message of a server: ${plain(start)}`;
  return undefined;
}

/** Refuses what is of another kind, and says of which where that can be told from its first bytes. */
export function refuseKind(name: string, kind: string, expected: string, bytes: Uint8Array): never {
  const instead = impostor(bytes) ?? (bytes.length === 0 ? "an empty file" : (beginning(bytes) ?? firstBytes(bytes)));
  throw new FileError(`${plain(name)}: not a ${kind} file: expected ${expected}, got ${instead}`);
}

/** What the first bytes say: another kind of weights, or text, as far as it may be shown; undefined for anything else. */
function beginning(bytes: Uint8Array): string | undefined {
  const [a, b, c, d] = bytes;
  if (a === 0x47 && b === 0x47 && c === 0x55 && d === 0x46) return "a GGUF file";
  if (a === 0x50 && b === 0x4b && c === 3 && d === 4) return "a ZIP archive, as pickles of PyTorch are";
  // A character may be cut at the end.
  const text = [0, 1, 2, 3]
    .map((cut) => utf8(bytes.subarray(0, Math.max(0, Math.min(bytes.length, 40) - cut))))
    .find(Boolean);
  return text === undefined || /[^\P{Cc}\s]/u.test(text) ? undefined : `a text that begins by ${quote(text)}`;
}

function firstBytes(bytes: Uint8Array): string {
  const hex = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0"));
  return `bytes ${hex.join(" ")}${bytes.length > 8 ? " ..." : ""}`;
}
