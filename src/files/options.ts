// Names of options, refused where they are not known. Values stay the objects that the caller gave: caches and signals are
// what they are by identity, which a record of copies (lib/options.ts) would not keep.
import { checkOptions } from "../lib/check.ts";
import { nearest } from "../lib/options.ts";
import { quote } from "./text.ts";

/**
 * @throws TypeError for what is no object, and for a name that is not known, with the nearest that is
 */
export function checkNames(where: string, options: object, known: readonly string[]): void {
  checkOptions(`${where}: options`, options);
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const hint = near === undefined ? `one of ${known.join(", ")}` : `names it knows (did you mean ${quote(near)}?)`;
    throw new TypeError(`${where}: options: expected ${hint}, got unknown option ${quote(name)}`);
  }
}
