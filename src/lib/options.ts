// Options as callers give them become a record of ours: each is read once, before anything else happens, so that a getter,
// a proxy, or a caller who goes on with the object cannot pass one value to the check and another to the work.
import { bytesOf, copyView, type Float16ArrayLike, isGone, isSharedView, kindOf, ownView } from "./arrays.ts";
import { checkOptions, rangeError, typeError } from "./check.ts";
import type { ComplexArray } from "./complex-array.ts";
import { type ComplexTensor, float16Floats, type NamedFloats, namedFloats } from "./floats.ts";

/** Every option of a function, each with the other names that it goes by: those of published checkpoints and settings. */
export type OptionNames<T> = { readonly [K in keyof T]-?: readonly string[] };

/** Options as the work has them: all tensors of floats are float32. */
export type Settled<T> = { readonly [K in keyof T]: SettledValue<T[K]> };
type SettledValue<V> = V extends Float16ArrayLike | NamedFloats
  ? Float32Array
  : V extends ComplexTensor
    ? ComplexArray
    : V extends ArrayBufferView
      ? V
      : V extends readonly unknown[]
        ? Settled<V>
        : V;

/**
 * Reads options, own and inherited, each once. Those that are undefined are left out; other names count as the option's.
 * Arrays, in lists and plain objects too, are as `settle` makes them.
 *
 * @param what what the object is called in messages
 * @param others names of another object that callers spread into their options: not read, and let pass where all are there
 * @param asGiven options whose arrays stay as they are given, which their type does not say
 * @throws TypeError for a value that is no object and for a name that is not known, with the nearest that is; RangeError
 * for an option given under two names
 */
export function readOptions<T extends object>(
  where: string,
  value: unknown,
  names: OptionNames<T>,
  what = "options",
  others: readonly string[] = [],
  asGiven: readonly string[] = [],
): Settled<T> {
  checkOptions(`${where}: ${what}`, value);
  const all = Object.entries<readonly string[]>(names);
  const known = all.flatMap(([name, aliases]) => [name, ...aliases]);
  const given = givenNames(where, what, value);
  const tolerated = others.every((name) => given.has(name)) ? others : [];
  for (const name of given) {
    if (!known.includes(name) && !tolerated.includes(name)) throw unknownOption(where, what, name, all);
  }
  // Without a prototype, so that what was not given is not found anywhere else either.
  const record: Record<string, unknown> = Object.create(null);
  for (const [name, aliases] of all) {
    let from: string | undefined;
    for (const spelling of [name, ...aliases]) {
      const got: unknown = Reflect.get(value, spelling);
      if (got === undefined) continue;
      if (from !== undefined) {
        throw rangeError(`${where}: ${from}`, "one name of an option", `${quote(spelling)}, which is the same`);
      }
      from = spelling;
      record[name] = got;
    }
  }
  // After the last of the caller's code has run.
  for (const name of Object.keys(record)) {
    if (!asGiven.includes(name)) record[name] = settle(`${where}: ${name}`, record[name]);
  }
  return record as Settled<T>;
}

/** More prototypes than any sensible object has, for proxies whose chain has no end. */
const MOST_PROTOTYPES = 64;

/** Names of an object and of its prototypes. Methods of a class are none: they are not enumerable. */
function givenNames(where: string, what: string, value: object): Set<string> {
  const names = new Set<string>();
  let at: object | null = value;
  for (let depth = 0; at !== null && !isRoot(at); depth++, at = Reflect.getPrototypeOf(at)) {
    if (depth > MOST_PROTOTYPES) throw typeError(`${where}: ${what}`, "an object whose prototypes have an end", value);
    for (const key of Reflect.ownKeys(at)) {
      if (typeof key !== "string") continue;
      const property = depth === 0 ? undefined : Reflect.getOwnPropertyDescriptor(at, key);
      if (depth === 0 || property?.enumerable || property?.get) names.add(key);
    }
  }
  return names;
}

/** Object.prototype, of any realm. */
function isRoot(object: object): boolean {
  return Object.hasOwn(object, "hasOwnProperty") && Reflect.getPrototypeOf(object) === null;
}

function unknownOption(
  where: string,
  what: string,
  name: string,
  all: readonly (readonly [string, readonly string[]])[],
): TypeError {
  const near = nearest(
    name,
    all.flatMap(([one, others]) => [one, ...others]),
  );
  const list = all.map(([one, others]) => (others.length > 0 ? `${one} (${others.join(", ")})` : one)).join(", ");
  const hint = near === undefined ? `one of ${list}` : `names it knows (did you mean ${quote(near)}?)`;
  return new TypeError(`${where}: ${what}: expected ${hint}, got unknown option ${quote(name)}`);
}

/** The name that `name` was most likely meant to be, or undefined where none is like it. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = plain(name);
  let found: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const one of known) {
    const other = plain(one);
    // A name that goes on where the other ends is near it, however long the rest: "scale" and "scaleOfRows".
    const within = other.length > 2 && wanted.length > 2 && (other.includes(wanted) || wanted.includes(other));
    const apart = distance(wanted, other);
    const near = Math.max(1, Math.floor(Math.max(wanted.length, other.length) / 3));
    if ((within || apart <= near) && apart < least) {
      least = apart;
      found = one;
    }
  }
  return found;
}

// Only as much of a name as can be like one of ours.
const plain = (name: string): string =>
  name
    .slice(0, 64)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, "");

const quote = (name: string): string => JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);

/** Letters to insert, delete, replace, or exchange with their neighbour (Damerau 1964, optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const line = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(at(last, j) + 1, at(line, j - 1) + 1, at(last, j - 1) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, at(before, j - 2) + 1);
      line.push(least);
    }
    before = last;
    last = line;
  }
  return at(last, b.length);
}

const at = (line: readonly number[], i: number): number => line[i] as number;

/**
 * A value whose typed arrays are views of this realm on the same memory, of the length that it has now (of shared memory:
 * copies, which nobody changes between a check and its use). Float16Array and { dtype, data } become Float32Array, a
 * DataView its bytes. Lists and plain objects are read once and made anew; anything else is itself.
 *
 * @throws TypeError for an array whose memory is gone; what `namedFloats` throws
 */
export function settle(where: string, value: unknown): unknown {
  return settled(where, value, keepView, 0);
}

/** As `settle`, with copies of all arrays: for work during which the caller's code runs. */
export function settleCopies<T>(where: string, value: T): T {
  return settled(where, value, copyView, 0) as T;
}

const keepView = (view: ArrayBufferView): ArrayBufferView => (isSharedView(view) ? copyView(view) : ownView(view));

/** Arrays in options are at most in an object in a list in an object; a circle must not be followed for ever. */
const DEEPEST = 4;

function settled(where: string, value: unknown, keep: typeof keepView, depth: number): unknown {
  if (ArrayBuffer.isView(value)) {
    if (isGone(value)) throw typeError(where, "an array", value);
    const kind = kindOf(value);
    return kind === "Float16Array" ? float16Floats(where, value) : keep(kind === "DataView" ? bytesOf(value) : value);
  }
  if (typeof value !== "object" || value === null || depth > DEEPEST) return value;
  if (Array.isArray(value)) return Array.from(value, (one, i) => settled(`${where}[${i}]`, one, keep, depth + 1));
  const prototype = Reflect.getPrototypeOf(value);
  if (prototype !== null && !isRoot(prototype)) return value;
  const record: Record<string, unknown> = Object.create(null);
  for (const name of Object.keys(value)) record[name] = Reflect.get(value, name);
  if ("dtype" in record) return namedFloats(where, { dtype: record.dtype, data: record.data });
  for (const name of Object.keys(record)) record[name] = settled(`${where}: ${name}`, record[name], keep, depth + 1);
  return record;
}
