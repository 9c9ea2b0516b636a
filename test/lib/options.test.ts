// Options: read once, unknown names refused with the nearest, other names of an option, copies of arrays.
import { nearest, type OptionNames, readOptions, settleCopies } from "../../src/lib/options.ts";
import { equal, is, ok, throwsWith } from "./assert.ts";
import { suite } from "./suite.ts";

interface Options {
  rows: number;
  groupSize?: number;
  symmetric?: boolean;
  scales?: Float32Array;
}
const NAMES: OptionNames<Options> = { rows: [], groupSize: ["group_size"], symmetric: ["sym"], scales: [] };
const read = (value: unknown) => ({ ...readOptions("f", value, NAMES) }) as Record<string, unknown>;
const names = Object.keys(NAMES);

const t = suite("options");

t("are what was given, under their own names", () => {
  equal(read({ rows: 3, groupSize: 8 }), { rows: 3, groupSize: 8 });
  equal(read({ rows: 3, group_size: 8, sym: false }), { rows: 3, groupSize: 8, symmetric: false });
  equal(read({ rows: undefined, group_size: undefined, groupSize: 8 }), { groupSize: 8 });
  equal(read(Object.freeze(Object.create(null))), {});
});

t("of prototypes count, too", () => {
  equal(read(Object.create({ rows: 3 })), { rows: 3 });
  class Settings {
    rows = 3;
    get groupSize() {
      return 8;
    }
    describe() {
      return "a method is no option";
    }
  }
  equal(read(new Settings()), { rows: 3, groupSize: 8 });
  class Wrong extends Settings {
    get groupsize() {
      return 8;
    }
  }
  throwsWith(() => read(new Wrong()), TypeError, 'did you mean "groupSize"?');
  throwsWith(() => read(Object.create({ row: 3 })), TypeError, 'did you mean "rows"?');
});

t("that are not known are refused with the nearest name, whatever their value", () => {
  const message = 'f: options: expected names it knows (did you mean "groupSize"?), got unknown option "groupsize"';
  throwsWith(() => read({ rows: 3, groupsize: 8 }), TypeError, message);
  throwsWith(() => read({ groupsize: undefined }), TypeError, message);
  throwsWith(() => read(Object.defineProperty({}, "groupsize", { value: 8 })), TypeError, message);
  throwsWith(
    () => read({ zebra: 1 }),
    TypeError,
    "f: options: expected one of rows, groupSize (group_size), symmetric (sym), scales, got",
  );
  throwsWith(() => read({ ["\u0007".repeat(100_000)]: 1 }), TypeError, "\\u0007…");
  for (const value of [undefined, null, 5, "rows", [], new Float32Array(2), () => 0]) {
    throwsWith(() => read(value), TypeError, "f: options: expected an object");
  }
});

t("of another object that is spread into them pass where all of them are there", () => {
  const both = { rows: 3, blockSize: 1, encode: () => undefined };
  equal({ ...readOptions("f", both, NAMES, "options", ["blockSize", "encode"]) }, { rows: 3 } as never);
  const one = { rows: 3, blockSize: 1 };
  throwsWith(() => readOptions("f", one, NAMES, "options", ["blockSize", "encode"]), TypeError, '"blockSize"');
});

t("under two names at once are refused", () => {
  throwsWith(
    () => read({ groupSize: 8, group_size: 8 }),
    RangeError,
    'f: groupSize: expected one name of an option, got "group_size"',
  );
});

t("are read once, after all names were looked at, and not again", () => {
  const reads: string[] = [];
  const target = { rows: 3, groupSize: 8 };
  const proxy = new Proxy(target, {
    get: (from, name) => {
      reads.push(String(name));
      return Reflect.get(from, name);
    },
  });
  const record = readOptions("f", proxy, NAMES);
  equal(
    names.map((name) => reads.filter((one) => one === name).length),
    [1, 1, 1, 1],
  );
  target.rows = 5;
  is(record.rows, 3);
  const unknown = {
    get rows() {
      throw new Error("read before the names were checked");
    },
    row: 1,
  };
  throwsWith(() => read(unknown), TypeError, 'unknown option "row"');
});

t("of a proxy whose prototypes have no end are refused", () => {
  const endless: object = new Proxy({}, { getPrototypeOf: () => endless });
  throwsWith(() => read(endless), TypeError, "f: options: expected an object whose prototypes have an end");
});

t("do not come from Object.prototype unless they are there", () => {
  const record = readOptions("f", {}, NAMES);
  ok(!("toString" in record));
});

t("nearest: a slip of the fingers, another case, a plural, or nothing like it", () => {
  const known = ["rows", "cols", "groupSize", "search", "scales", "zeros", "weight_scale_2"];
  equal(
    ["row", "clos", "groupsize", "group_size", "serach", "zero", "weight_scale2", "weightScale2", "bias", ""].map(
      (name) => nearest(name, known) ?? null,
    ),
    ["rows", "cols", "groupSize", "groupSize", "search", "zeros", "weight_scale_2", "weight_scale_2", null, null],
  );
});

t("of 16 bits, DataViews, and arrays of other realms become what the work reads", () => {
  const bits = Uint16Array.of(0x3c00, 0xc000); // 1 and -2 in float16, 0.0078125 and -2 in bfloat16
  const read = (value: unknown) => (readOptions("f", { rows: 1, scales: value }, NAMES) as { scales?: unknown }).scales;
  equal([...(read({ dtype: "float16", data: bits }) as Float32Array)], [1, -2]);
  equal([...(read({ dtype: "bfloat16", data: bits }) as Float32Array)], [0.0078125, -2]);
  const odd = new Uint8Array(5);
  odd.set(new Uint8Array(bits.buffer), 1);
  equal([...(read({ dtype: "float16", data: odd.subarray(1) }) as Float32Array)], [1, -2]);
  equal([...(read({ dtype: "float16", data: new DataView(odd.buffer, 1) }) as Float32Array)], [1, -2]);
  equal([...(read({ dtype: "float32", data: Float32Array.of(3) }) as Float32Array)], [3]);
  throwsWith(() => read({ dtype: "half", data: bits }), RangeError, 'f: scales: dtype: expected "float32" | "float16"');
  throwsWith(() => read({ dtype: 16, data: bits }), TypeError, "f: scales: dtype: expected");
  throwsWith(() => read({ dtype: "float16", data: odd }), RangeError, "whole numbers of 2 bytes, got 5 bytes");
  throwsWith(
    () => read({ dtype: "bfloat16", data: [1] }),
    TypeError,
    "f: scales: data: expected bfloat16 as a Uint16Array",
  );
  const Float16Array = Reflect.get(globalThis, "Float16Array") as { of(...v: number[]): unknown } | undefined;
  if (Float16Array) equal([...(read(Float16Array.of(1, -2)) as Float32Array)], [1, -2]);
  const shared = new Float32Array(new SharedArrayBuffer(8));
  const taken = read(shared) as Float32Array;
  shared.fill(1);
  equal([...taken], [0, 0]);
  const bytes = read(new DataView(Uint8Array.of(1, 2, 3).buffer, 1));
  ok(bytes instanceof Uint8Array && bytes.join() === "2,3");
});

t("settleCopies: arrays wherever options have them, everything else as it is", () => {
  const scales = Float32Array.of(1, 2);
  const signal = new AbortController().signal;
  const value = { scales, list: [scales, { re: scales }], signal, bits: 4 };
  const copy = settleCopies("f", value) as typeof value;
  scales.fill(0);
  equal([...copy.scales], [1, 2]);
  equal([...(copy.list[0] as Float32Array)], [1, 2]);
  equal([...(copy.list[1] as { re: Float32Array }).re], [1, 2]);
  is(copy.signal, signal);
  is(copy.bits, 4);
  structuredClone(scales, { transfer: [scales.buffer] });
  throwsWith(() => settleCopies("f", value), TypeError, "f: scales: expected an array, got a detached Float32Array");
  const circle: Record<string, unknown> = { scales: Float32Array.of(1) };
  circle.self = circle;
  ok(settleCopies("f", circle) !== circle);
});
