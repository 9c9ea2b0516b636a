// The text form of a WebAssembly module as Binaryen writes it, an instruction a line, as far as tests ask what is in its loops.

/** A call names what it calls, a block or a loop has what is in it. */
interface Instruction {
  readonly op: string;
  readonly calls?: string | undefined;
  readonly body: Instruction[];
}

export interface Functions {
  /** Bodies, by the name that the text gives a function. */
  readonly byName: ReadonlyMap<string, readonly Instruction[]>;
  /** The names of exported functions. */
  readonly exported: ReadonlyMap<string, string>;
}

function parseBody(lines: readonly string[]): Instruction[] {
  const body: Instruction[] = [];
  const open = [body];
  for (const line of lines) {
    const [op = "", word] = line.trim().split(" ");
    if (op === "end") open.pop();
    // Locals and the last bracket are no instructions; "else" goes on with what "if" began.
    if (op === "" || op === "end" || op === "else" || /^[()]/.test(op)) continue;
    const instruction: Instruction = { op, calls: /call$/.test(op) ? word : undefined, body: [] };
    open.at(-1)?.push(instruction);
    if (op === "block" || op === "loop" || op === "if") open.push(instruction.body);
  }
  if (open.length !== 1) throw new Error("blocks that do not end");
  return body;
}

export function readFunctions(text: string): Functions {
  const byName = new Map<string, Instruction[]>();
  const exported = new Map<string, string>();
  // Every definition begins on a line of its own, one space in.
  for (const definition of text.split(/^ (?=\()/m)) {
    const [first = "", ...lines] = definition.split("\n");
    const name = /^\(func (\S+)/.exec(first)?.[1];
    if (name !== undefined) byName.set(name, parseBody(lines));
    const [, outside, inside] = /^\(export "([^"]+)" \(func ([^\s)]+)\)\)/.exec(first) ?? [];
    if (outside !== undefined && inside !== undefined) exported.set(outside, inside);
  }
  return { byName, exported };
}

function bodyOf(name: string, { byName }: Functions): readonly Instruction[] {
  const body = byName.get(name);
  if (body === undefined) throw new Error(`no function ${name}`);
  return body;
}

/** Every instruction of a body and of what it calls. */
function* walk(body: readonly Instruction[], functions: Functions): Generator<Instruction> {
  for (const instruction of body) {
    yield instruction;
    yield* walk(instruction.body, functions);
    if (instruction.calls !== undefined) yield* walk(bodyOf(instruction.calls, functions), functions);
  }
}

/** The operations of an exported function, and of what it calls. */
export function operationsOf(name: string, functions: Functions): string[] {
  return [...walk(bodyOf(functions.exported.get(name) ?? name, functions), functions)].map(({ op }) => op);
}

/** The operations of each of its loops that holds no other and in which `wanted` occurs. */
export function innermostLoops(name: string, wanted: RegExp, functions: Functions): string[][] {
  const all = [...walk(bodyOf(functions.exported.get(name) ?? name, functions), functions)];
  return all
    .filter(({ op }) => op === "loop")
    .map(({ body }) => [...walk(body, functions)].map(({ op }) => op))
    .filter((ops) => !ops.includes("loop") && ops.some((op) => wanted.test(op)));
}
