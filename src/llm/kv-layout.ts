// What keys and values of a cache are: options as callers give them, and how many bytes follow from them.
import { checkChoice, checkInteger, rangeError } from "../lib/check.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";

/** Numbers of keys or values: float32, float16, or codes of so many bits with scales of their own. */
export type KvKind = "f32" | "f16" | "int8" | "int4" | "int2";

export interface KvOptions {
  /** Default "f32". Keys of few bits cost more than values (More for Keys, Less for Values, arXiv:2502.15075). */
  readonly keys?: KvKind;
  /** Default: what keys are. */
  readonly values?: KvKind;
  /**
   * Newest tokens that stay float32, a multiple of 32: so many become codes together, so that from 1 to `window` of them are
   * numbers at a time (KIVI, arXiv:2402.02750). Default 32.
   */
  readonly window?: number;
  /** First tokens that stay float32 (IntactKV, arXiv:2403.01241), up to a whole strip of 32. Default 32. */
  readonly sink?: number;
}

const NAMES: OptionNames<KvOptions> = { keys: ["k"], values: ["v"], window: ["residual"], sink: [] };
const KINDS: readonly KvKind[] = ["f32", "f16", "int8", "int4", "int2"];

/** Tokens that a strip of codes holds. */
export const STRIP = 32;

/** Bits of a number. */
export const BITS: Readonly<Record<KvKind, number>> = { f32: 32, f16: 16, int8: 8, int4: 4, int2: 2 };

export interface KvLayout {
  readonly keys: KvKind;
  readonly values: KvKind;
  readonly window: number;
  readonly sink: number;
}

/** @throws TypeError, RangeError */
export function readKv(where: string, given: unknown): KvLayout {
  if (typeof given !== "object" || given === null) {
    const kind = checkChoice(where, given ?? "f32", KINDS);
    return { keys: kind, values: kind, window: STRIP, sink: STRIP };
  }
  const { keys: k, values: v, window: w, sink: s } = readOptions<KvOptions>(where, given, NAMES);
  const keys = checkChoice(`${where}: keys`, k ?? "f32", KINDS);
  const values = checkChoice(`${where}: values`, v ?? keys, KINDS);
  const window = checkInteger(`${where}: window`, w ?? STRIP, STRIP, 2 ** 20);
  if (window % STRIP !== 0) throw rangeError(`${where}: window`, `a multiple of ${STRIP}`, String(window));
  const sink = checkInteger(`${where}: sink`, s ?? STRIP, 0, 2 ** 20);
  return { keys, values, window, sink: Math.ceil(sink / STRIP) * STRIP };
}

export const isCoded = (kind: KvKind): boolean => BITS[kind] <= 8;

/** What tells a layout from another: sessions of one do not go on in the other. */
export function kvLabel({ keys, values, window, sink }: KvLayout): string {
  const both = keys === values ? keys : `keys ${keys}, values ${values}`;
  return isCoded(keys) || isCoded(values) ? `${both}, window ${window}, sink ${sink}` : both;
}
