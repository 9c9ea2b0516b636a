// Options as callers give them become a record of ours: each is read once, before anything else happens, so that a getter,
// a proxy, or a caller who goes on with the object cannot pass one value to the check and another to the work.
import { copyView, isGone } from "./arrays.ts";
import { checkOptions, rangeError, typeError } from "./check.ts";

/** Every option of a function, each with the other names that it goes by: those of published checkpoints and settings. */
export type OptionNames<T> = { readonly [K in keyof T]-?: readonly string[] };

/**
 * Reads options, own and inherited, each once. Those that are undefined are left out; other names count as the option's.
 *
 * @param what what the object is called in messages
 * @throws TypeError for a value that is no object and for a name that is not known, with the nearest that is; RangeError
 * for an option given under two names
 */
export function readOptions<T extends object>(
  where: string,
  value: unknown,
  names: OptionNames<T>,
  what = "options",
): T {
  checkOptions(`${where}: ${what}`, value);
  const all = Object.entries<readonly string[]>(names);
  const known = all.flatMap(([name, others]) => [name, ...others]);
  for (const name of givenNames(where, what, value)) {
    if (!known.includes(name)) throw unknownOption(where, what, name, known);
  }
  // Without a prototype, so that what was not given is not found anywhere else either.
  const record: Record<string, unknown> = Object.create(null);
  for (const [name, others] of all) {
    let from: string | undefined;
    for (const spelling of [name, ...others]) {
      const got: unknown = Reflect.get(value, spelling);
      if (got === undefined) continue;
      if (from !== undefined) {
        throw rangeError(`${where}: ${from}`, "one name of an option", `${quote(spelling)}, which is the same`);
      }
      from = spelling;
      record[name] = got;
    }
  }
  return record as T;
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

function unknownOption(where: string, what: string, name: string, known: readonly string[]): TypeError {
  const near = nearest(name, known);
  const hint = near === undefined ? `one of ${known.join(", ")}` : `names it knows (did you mean ${quote(near)}?)`;
  return new TypeError(`${where}: ${what}: expected ${hint}, got unknown option ${quote(name)}`);
}

/** The name that `name` was most likely meant to be, or undefined where none is like it. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = plain(name);
  let found: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const one of known) {
    const other = plain(one);
    // A name that goes on where the other ends is near it, however long the rest: "scale" and "scales", "zero" and "zeros".
    const within = other.length > 2 && wanted.length > 2 && (other.includes(wanted) || wanted.includes(other));
    const apart = wanted === other ? 0 : within ? 1 : distance(wanted, other);
    if (apart < least && (within || apart <= Math.max(1, Math.floor(Math.max(wanted.length, other.length) / 3)))) {
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
 * The arrays of a value as they are now, for work during which the caller's code runs: copies of typed arrays, and of
 * lists and plain objects that contain some. Anything else is itself.
 *
 * @throws TypeError for an array whose memory is gone
 */
export function copyArrays<T>(where: string, value: T): T {
  return copied(where, value, 0) as T;
}

/** Arrays in options are at most in an object in a list of one of them; a circle must not be followed for ever. */
const DEEPEST = 4;

function copied(where: string, value: unknown, depth: number): unknown {
  if (ArrayBuffer.isView(value)) {
    if (isGone(value)) throw typeError(where, "an array", value);
    return copyView(value);
  }
  if (typeof value !== "object" || value === null || depth > DEEPEST) return value;
  if (Array.isArray(value)) return Array.from(value, (one, i) => copied(`${where}[${i}]`, one, depth + 1));
  const prototype = Reflect.getPrototypeOf(value);
  if (prototype !== null && !isRoot(prototype)) return value;
  const copy: Record<string, unknown> = Object.create(null);
  for (const name of Object.keys(value)) copy[name] = copied(`${where}: ${name}`, Reflect.get(value, name), depth + 1);
  return copy;
}
