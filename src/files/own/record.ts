// Records of matrices in the metadata of a file: JSON, of which every member is known and of its type. What they mean is checked
// where matrices are made of them (src/matrix/restore.ts).
import type { Activation } from "../../kernels/types.ts";
import type { BranchesRecord, MatrixRecord, PackedRecord, RotatedRecord } from "../../matrix/record.ts";
import type { ScaleRecords } from "../../matrix/scale-records.ts";
import type { HadamardChoice } from "../../numeric/hadamard.ts";
import type { StepRecord } from "../../transforms/step-record.ts";
import { FileError } from "../errors.ts";
import type { Json, JsonObject } from "../json.ts";
import { plain, quote, show } from "../text.ts";

/** @throws FileError */
export function readRecord(where: string, json: Json): MatrixRecord {
  const members = new Members(where, json);
  return members.has("format") ? readPacked(members) : readRotated(members);
}

function readPacked(members: Members): PackedRecord {
  const { records, complex } = { records: members.object("records"), complex: members.object("complex") };
  return members.done({
    ...common(members),
    format: members.text("format"),
    activation: members.text("activation") as Activation,
    group: members.whole("group"),
    planes: members.whole("planes"),
    ...members.optional({
      offsets: members.flag("offsets"),
      sharedScales: members.flag("sharedScales"),
      records:
        records &&
        (records.done({
          kind: records.text("kind"),
          groups: records.whole("groups"),
          factor: records.number("factor"),
          offsets: records.flag("offsets", false),
        }) as ScaleRecords),
      tables: members.maybe("tables", "whole"),
      types: members.maybe("types", "whole"),
      pulses: members.maybe("pulses", "whole"),
      complex: complex?.done({ kinds: complex.whole("kinds"), oneScale: complex.flag("oneScale", false) as boolean }),
      order: members.flag("order"),
      halves: members.flag("halves"),
    }),
  });
}

function readRotated(members: Members): RotatedRecord {
  const inners = members.list("inners").map((json, i) => {
    const inner = new Members(`${members.where}: inners[${i}]`, json);
    const matrix = readRecord(`${inner.where}: matrix`, inner.json("matrix"));
    return inner.done({ matrix, ...inner.optional({ factor: inner.maybe("factor", "number") }) });
  });
  const steps = (name: string): StepRecord[] =>
    members.list(name).map((json, i) => readStep(new Members(`${members.where}: ${name}[${i}]`, json)));
  return members.done({ ...common(members), pre: steps("pre"), post: steps("post"), inners });
}

function common(members: Members): Pick<RotatedRecord, "label" | "rows" | "cols" | "branches"> {
  const branches = members.object("branches");
  const label = members.text("label");
  if (label.length > LONGEST_LABEL || label !== plain(label)) members.refuse("label", "a short text", label);
  return {
    label,
    rows: members.whole("rows"),
    cols: members.whole("cols"),
    ...(branches && { branches: readBranches(branches) }),
  };
}

/** Characters of `matrix.format`. */
const LONGEST_LABEL = 60;

function readBranches(members: Members): BranchesRecord {
  return members.done({
    ...members.optional({
      bias: members.flag("bias"),
      colScale: members.flag("colScale"),
      rank: members.maybe("rank", "whole"),
      sparse: members.flag("sparse"),
    }),
    bytes: members.whole("bytes"),
  });
}

function readStep(members: Members): StepRecord {
  const kind = members.text("kind");
  const size = (name: string): number => {
    const value = members.whole(name);
    if (value === 0) members.refuse(name, "1 or more", 0);
    return value;
  };
  switch (kind) {
    case "scale":
      return members.done({ kind });
    case "resize":
      return members.done({ kind, length: size("length") });
    case "hadamard": {
      const choice = members.has("choice") ? members.text("choice") : undefined;
      if (choice !== undefined && choice !== "quip" && choice !== "quarot")
        members.refuse("choice", "an order", choice);
      return members.done({
        kind,
        block: size("block"),
        ...members.optional({ choice: choice as HadamardChoice | undefined, inverse: members.flag("inverse") }),
      });
    }
    case "left":
      return members.done({ kind, out: size("out"), inner: size("inner") });
    case "right": {
      const step = {
        kind,
        out: size("out"),
        inner: size("inner"),
        groups: size("groups"),
        runs: size("runs"),
      } as const;
      return members.done(step);
    }
    default:
      return members.refuse("kind", "a step that this version of lowbit knows", kind);
  }
}

/** Members of an object, each asked for once: what is left over in the end is of another version. */
class Members {
  readonly where: string;
  readonly #members: JsonObject;
  readonly #left: Set<string>;

  constructor(where: string, json: Json) {
    if (!(json instanceof Map)) throw new FileError(`${where}: expected an object, got ${show(json)}`);
    this.where = where;
    this.#members = json;
    this.#left = new Set(json.keys());
  }

  has(name: string): boolean {
    return this.#members.has(name);
  }

  json(name: string): Json {
    this.#left.delete(name);
    const value = this.#members.get(name);
    return value === undefined ? this.refuse(name, "a value", "none") : value;
  }

  text(name: string): string {
    const value = this.json(name);
    return typeof value === "string" ? value : this.refuse(name, "a text", value);
  }

  number(name: string): number {
    const value = this.json(name);
    return typeof value === "number" && Number.isFinite(value) ? value : this.refuse(name, "a finite number", value);
  }

  whole(name: string): number {
    const value = this.number(name);
    return Number.isSafeInteger(value) && value >= 0 ? value : this.refuse(name, "a whole number", value);
  }

  /** True, or what stands for a member that is not there. */
  flag(name: string, missing?: boolean): boolean | undefined {
    if (!this.has(name)) return missing;
    const value = this.json(name);
    return typeof value === "boolean" ? value : this.refuse(name, "true or false", value);
  }

  maybe(name: string, kind: "whole" | "number"): number | undefined {
    return this.has(name) ? this[kind](name) : undefined;
  }

  object(name: string): Members | undefined {
    return this.has(name) ? new Members(`${this.where}: ${name}`, this.json(name)) : undefined;
  }

  list(name: string): readonly Json[] {
    const value = this.json(name);
    return Array.isArray(value) ? (value as readonly Json[]) : this.refuse(name, "a list", value);
  }

  /** Without members that are not there. */
  optional<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
    const there = Object.entries(values).filter(([, value]) => value !== undefined);
    return Object.fromEntries(there) as { [K in keyof T]?: Exclude<T[K], undefined> };
  }

  done<T>(value: T): T {
    const [other] = this.#left;
    if (other === undefined) return value;
    throw new FileError(`${this.where}: expected members that this version of lowbit knows, got ${quote(other)}`);
  }

  refuse(name: string, expected: string, got: unknown): never {
    throw new FileError(`${this.where}: ${name}: expected ${expected}, got ${show(got)}`);
  }
}
