// init() where the runtime lacks something, and for sources of a module that lead nowhere.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { Arena, reserveMemory } from "../../src/runtime/memory.ts";
import { equalBits, is, match, ok, rejectsWith, throwsWith } from "../lib/assert.ts";
import {
  type InitOptions,
  init,
  initSync,
  type Lowbit,
  type ModuleSource,
  OutOfMemoryError,
  ternary,
  UnsupportedRuntimeError,
} from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

const t = suite("init");
const rng = random("init");
const root = fileURLToPath(new URL("../../", import.meta.url));
const worker = new URL("../../dist/runtime/worker.js", import.meta.url);
const bytes = Uint8Array.from(readFileSync(new URL("../../dist/wasm/simd.wasm", import.meta.url)));

/** Runs `body` while a global is another value, or not there. */
async function withGlobal<T>(name: string, value: unknown, body: () => Promise<T>): Promise<T> {
  const descriptor = Object.getOwnPropertyDescriptor(globalThis, name) as PropertyDescriptor;
  if (value === undefined) Reflect.deleteProperty(globalThis, name);
  else Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  try {
    return await body();
  } finally {
    Object.defineProperty(globalThis, name, descriptor);
  }
}

/** Runs `body` while WebAssembly refuses some memories. */
function refusing<T>(refused: (d: WebAssembly.MemoryDescriptor) => boolean, body: () => Promise<T>): Promise<T> {
  const Memory = class extends WebAssembly.Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      if (refused(descriptor)) throw new RangeError("could not allocate memory");
      super(descriptor);
    }
  };
  const own = Object.getOwnPropertyDescriptors(WebAssembly);
  return withGlobal("WebAssembly", Object.create(null, { ...own, Memory: { value: Memory } }), body);
}

function works(lb: Lowbit): void {
  const [rows, cols] = [70, 100];
  const options = { rows, cols, codes: rng.trits(rows * cols), scales: rng.uniforms(rows) };
  const x = rng.gaussians(cols);
  equalBits(ternary.pack(lb, options).gemv(x), ternary.pack(plain, options).gemv(x), "gemv");
}
const plain = await init();

t("no WebAssembly: UnsupportedRuntimeError, whatever the options", () =>
  withGlobal("WebAssembly", undefined, async () => {
    const everything = [{}, { variant: "simd" }, { threads: 2 }, { module: bytes }, { variant: "none" }, undefined];
    for (const options of everything as InitOptions[]) {
      await rejectsWith(init(options), UnsupportedRuntimeError, /^init: this runtime has no WebAssembly/);
    }
    throwsWith(() => initSync(bytes), UnsupportedRuntimeError, /^initSync: this runtime has no WebAssembly/);
  }),
);

t("unknown options are refused, with the nearest name", async () => {
  await rejectsWith(init({ thread: 4 } as InitOptions), TypeError, /^init: options: .*"threads".*"thread"$/);
  throwsWith(() => initSync(bytes, { varient: "simd" } as object), TypeError, /^initSync: options: .*"variant"/);
});

t("options are read once", async () => {
  let reads = 0;
  const options = {
    get variant() {
      return reads++ === 0 ? "simd" : "relaxed";
    },
  };
  is((await init(options as InitOptions)).features.variant, "simd");
  is(reads, 1);
});

t("shared memory refused: one thread, and why", () =>
  refusing(
    ({ shared }) => shared === true,
    async () => {
      for (const threads of [2, "auto"] as const) {
        const lb = await init({ threads, worker });
        is(lb.features.threads, 1);
        match(lb.features.threadsReason ?? "", /refuses a shared memory .*could not allocate memory|one processor/);
        works(lb);
      }
    },
  ),
);

t("a large maximum refused: a smaller one, and a message that says how large", () =>
  refusing(
    ({ maximum = 0 }) => maximum > 16384,
    async () => {
      works(await init());
      const lb = await init({ threads: 2, worker });
      is(lb.features.threads, 2);
      works(lb);
      lb.dispose();
      const arena = new Arena(reserveMemory(false));
      const large = 2 ** 30 + 64;
      throwsWith(() => arena.allocate(large), OutOfMemoryError, /\(this runtime allows a memory of 1024 MiB at most\)/);
      const shared = new Arena(reserveMemory(true));
      throwsWith(() => shared.allocate(large), OutOfMemoryError, /\(this runtime allows a shared memory of 1024 MiB/);
    },
  ),
);

t("every memory refused: an error that gives no advice which does not help", () =>
  refusing(
    () => true,
    async () => {
      for (const threads of [1, 2] as const) {
        const error = await init({ threads, worker }).then(
          () => undefined,
          (error: Error) => error,
        );
        ok(error instanceof OutOfMemoryError, String(error));
        ok(!/shared|one thread|dispose/.test(error.message), error.message);
      }
    },
  ),
);

t("modules that lead nowhere are refused", async () => {
  const own: { default?: unknown } = {};
  own.default = own;
  const thenable = {
    // biome-ignore lint/suspicious/noThenProperty: that is what is tested
    then(resolve: (value: unknown) => void) {
      resolve(thenable);
    },
  };
  const endless = (): object => ({
    get default() {
      return endless();
    },
  });
  // biome-ignore lint/suspicious/noThenProperty: that is what is tested
  const both = { default: { then: thenable.then } };
  for (const module of [own, thenable, endless(), both, Promise.resolve(own)]) {
    const wrong = init({ module: module as unknown as ModuleSource });
    await rejectsWith(wrong, TypeError, /^init: module: expected .*, got an object that leads to others without end$/);
  }
  const failing = {
    // biome-ignore lint/suspicious/noThenProperty: that is what is tested
    then() {
      throw new RangeError("not today");
    },
  };
  await rejectsWith(init({ module: failing as unknown as ModuleSource }), RangeError, /^not today$/);
  for (const module of [5, null, {}, [], () => bytes, { default: 3 }, Promise.resolve("x")]) {
    await rejectsWith(init({ module: module as unknown as ModuleSource }), TypeError, /^init: module: expected a WebA/);
  }
});

t("modules behind promises, thenables and default", async () => {
  const module = await WebAssembly.compile(bytes);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  const other = vm.runInNewContext("new Uint8Array(length)", { length: bytes.length }) as Uint8Array<ArrayBuffer>;
  other.set(bytes);
  // biome-ignore lint/suspicious/noThenProperty: that is what is tested
  const thenable = { then: (resolve: (value: unknown) => void) => resolve(Promise.resolve({ default: module })) };
  const sources = [module, bytes, shared, other, Promise.resolve({ default: Promise.resolve(bytes) }), thenable];
  for (const source of sources) works(await init({ module: source as ModuleSource }));
  for (const source of [module, bytes, shared, other]) works(initSync(source as BufferSource));
});

t("a module that never comes keeps no process alive, workers or not", () => {
  for (const threads of [1, 2]) {
    const code = `const { init } = await import("lowbit");
      process.on("exit", () => { console.log("ends"); process.exitCode = 0; });
      void init({ threads: ${threads}, module: new Promise(() => {}) });`;
    const args = ["--input-type=module", "-e", code];
    is(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8", timeout: 20000 }).trim(), "ends");
  }
});
