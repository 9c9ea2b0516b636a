// The kernels of assembly/model against float64, the same bits in both binaries, and any ranges.
import { KvCache } from "../../src/llm/cache.ts";
import { readKv } from "../../src/llm/kv-layout.ts";
import { engineOf } from "../../src/runtime/engine.ts";
import { equal, equalBits, nmseBelow, ok } from "../lib/assert.ts";
import { availableVariants } from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import * as reference from "../reference/model.ts";

const t = suite("model kernels");
const { instances, missing } = await availableVariants();
for (const { variant, reason } of missing) t.skip(variant, reason);

type Engine = ReturnType<typeof engineOf>;

/** Runs `body` on each variant, with regions that are given back; what it returns must be the same bits everywhere. */
function everywhere(
  label: string,
  body: (engine: Engine, put: (values: ArrayLike<number>) => number) => Float32Array,
): Float32Array {
  let first: Float32Array | undefined;
  for (const { variant, lb } of instances) {
    const engine = engineOf("test", lb);
    const regions: number[] = [];
    const put = (values: ArrayLike<number>): number => {
      const address = engine.arena.allocate(values.length * 4);
      regions.push(address);
      engine.arena.floats.set(values, address / 4);
      return address;
    };
    const result = body(engine, put);
    for (const address of regions) engine.arena.release(address);
    first ??= result;
    equalBits(result, first, `${label}: ${variant}`);
  }
  return first as Float32Array;
}

const read = ({ arena }: Engine, address: number, length: number): Float32Array =>
  arena.floats.slice(address / 4, address / 4 + length);

/** The largest difference, relative to the larger of the reference and `floor`. */
function worst(actual: ArrayLike<number>, expected: ArrayLike<number>, floor = 0): number {
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i] as number;
    most = Math.max(most, Math.abs((actual[i] as number) - e) / Math.max(Math.abs(e), floor));
  }
  return most;
}

t("norms: sizes, strides, heads, one range or several", () => {
  const rng = random("norms");
  for (const [size, inner] of [
    [4, 1],
    [64, 1],
    [96, 3],
    [2048, 1],
    [16, 5],
  ] as const) {
    for (const layer of [false, true]) {
      const [tokens, stride] = [5, size * inner + 8];
      const x = rng.gaussians(tokens * stride).map((v) => 3 * v + 1);
      const weight = rng.gaussians(size * (layer ? inner : 1));
      const bias = rng.gaussians(size * inner);
      const out = everywhere(`${size} x ${inner}`, (engine, put) => {
        const [from, to, w, b] = [put(x), put(new Float32Array(tokens * stride)), put(weight), put(bias)];
        for (const [begin, end] of [
          [0, 3 * inner + 1],
          [3 * inner + 1, tokens * inner],
        ] as const) {
          if (layer)
            engine.exports.model_layer_norm(from, stride, to, stride, w, b, begin, end, inner, size, 1e-5, size);
          else engine.exports.model_rms_norm(from, stride, to, stride, w, begin, end, inner, size, 1e-6);
        }
        return read(engine, to, tokens * stride);
      });
      for (let token = 0; token < tokens; token++) {
        for (let i = 0; i < inner; i++) {
          const at = token * stride + i * size;
          const row = x.subarray(at, at + size);
          const expected = layer
            ? reference.layerNorm(row, weight.subarray(i * size), bias.subarray(i * size), 1e-5)
            : reference.rmsNorm(row, weight, 1e-6);
          ok(worst(out.subarray(at, at + size), expected, 1) < 3e-7, `${size} x ${inner}, layer ${layer}`);
        }
      }
    }
  }
});

t("norms of numbers whose squares leave float32", () => {
  const rng = random("norm sizes");
  for (const scale of [1e-30, 1e30]) {
    const x = rng.gaussians(64).map((v) => v * scale);
    const y = everywhere(`${scale}`, (engine, put) => {
      const at = put(x);
      engine.exports.model_rms_norm(at, 64, at, 64, 0, 0, 1, 1, 64, 1e-80);
      return read(engine, at, 64);
    });
    ok(worst(y, reference.rmsNorm(x, undefined, 1e-80), 1) < 3e-7, String(scale));
  }
});

t("rope: halves and pairs, all of a head or a part", () => {
  const rng = random("rope");
  for (const [size, turned] of [
    [64, 64],
    [16, 4],
    [20, 12],
    [8, 8],
    [128, 32],
  ] as const) {
    for (const pairs of [false, true]) {
      const [tokens, heads, position] = [3, 2, 5];
      const stride = heads * size + 4;
      const x = rng.gaussians(tokens * stride);
      const angles = Array.from({ length: position + tokens }, (_, p) =>
        Array.from({ length: turned / 2 }, (_, i) => p * 10000 ** ((-2 * i) / turned)),
      );
      const table = Float32Array.from(angles.flatMap((row) => [...row.map(Math.cos), ...row.map(Math.sin)]));
      const y = everywhere(`${size}/${turned}`, (engine, put) => {
        const [at, tableAt] = [put(x), put(table)];
        engine.exports.model_rope(at, stride, tableAt, 0, 2, heads, size, turned, position, pairs ? 1 : 0);
        engine.exports.model_rope(at, stride, tableAt, 2, 3, heads, size, turned, position, pairs ? 1 : 0);
        return read(engine, at, tokens * stride);
      });
      for (let token = 0; token < tokens; token++) {
        for (let h = 0; h < heads; h++) {
          const at = token * stride + h * size;
          const expected = reference.rotate(x.subarray(at, at + size), angles[position + token] as number[], pairs);
          ok(worst(y.subarray(at, at + size), expected, 1) < 5e-7, `${size}/${turned} ${pairs}`);
        }
      }
    }
  }
});

t("activations over the whole range of float32, with their bounds", () => {
  const rng = random("gates");
  const gate = Float32Array.from([
    ...[
      0, -0, 1e-38, -1e-38, 1e-7, 0.3, -0.3, 7, -7, 7.1, 20, -20, 87, -87, 88.4, -88.4, 1e4, -1e4, 1e15, -1e15, 1, -1,
    ],
    ...rng.gaussians(1002).map((v) => v * 4),
  ]);
  const up = rng.gaussians(gate.length).map((v) => v * 4);
  for (const [kind, name] of ["silu", "geluTanh", "gelu", "relu2", "relu", "clamped"].entries()) {
    const size = gate.length / 2;
    const y = everywhere(name, (engine, put) => {
      const [g, u, to] = [put(gate), put(up), put(new Float32Array(gate.length))];
      engine.exports.model_gate(g, u, size, to, 0, 1, size, kind);
      engine.exports.model_gate(g, u, size, to, 1, 2, size, kind);
      return read(engine, to, gate.length);
    });
    const f = reference.activationsOf[name] as (g: number, u: number) => number;
    // Where the result is small beside |gate · up| it is off by that much times 2^-23 at most, for gelu by three times.
    for (let i = 0; i < gate.length; i++) {
      const expected = f(gate[i] as number, up[i] as number);
      const size = Math.abs((gate[i] as number) * ((up[i] as number) + 1));
      const bound = 6e-7 * Math.abs(expected) + 1e-37 * Math.max(1, size);
      const wide =
        name.startsWith("gelu") || name === "clamped" ? 4e-6 * Math.abs(expected) + 2e-7 * Math.min(size, 60) : bound;
      ok(Math.abs((y[i] as number) - expected) <= wide, `${name} ${gate[i]} ${up[i]}: ${y[i]} for ${expected}`);
    }
    const alone = everywhere(name, (engine, put) => {
      const g = put(gate);
      if (name !== "clamped") engine.exports.model_gate(g, 0, size, g, 0, 2, size, kind);
      return read(engine, g, gate.length);
    });
    if (name === "silu") {
      for (const [i, v] of alone.entries()) ok(Math.abs(v - f(gate[i] as number, 1)) <= 6e-7 * Math.abs(v) + 1e-30);
    }
  }
});

t("residuals, factors, soft caps", () => {
  const rng = random("sums");
  const [x, y] = [rng.gaussians(40), rng.gaussians(40)];
  const sum = everywhere("add", (engine, put) => {
    const [a, b] = [put(y), put(x)];
    engine.exports.model_add(a, b, 36, 0.25);
    return read(engine, a, 40);
  });
  equalBits(
    sum,
    y.map((v, i) => (i < 36 ? Math.fround(v + Math.fround((x[i] as number) * 0.25)) : v)),
    "add",
  );
  const values = Float32Array.of(0, -0, 1e-20, 0.5, -0.5, 18, 19, -30, 400, -400, 1e30, 3);
  const capped = everywhere("cap", (engine, put) => {
    const a = put(values);
    engine.exports.model_soft_cap(a, 12, 30);
    return read(engine, a, 12);
  });
  ok(
    worst(
      capped,
      values.map((v) => 30 * Math.tanh(v / 30)),
      1e-30,
    ) < 4e-7,
  );
});

t("attention: groups, sizes, windows, caps, sinks, strips that are not full; any range; token by token", () => {
  const rng = random("attention");
  const shapes = [
    [1, 1, 16, 0, 0, false, 1],
    [2, 2, 64, 0, 0, false, 15],
    [2, 3, 48, 4, 0, false, 17],
    [1, 4, 20, 0, 50, false, 33],
    [3, 1, 128, 32, 0, true, 70],
    [2, 5, 80, 16, 20, true, 40],
  ] as const;
  for (const [heads, group, size, window, cap, sunk, tokens] of shapes) {
    const label = `${heads} x ${group} x ${size}, window ${window}, cap ${cap}, ${tokens} tokens`;
    const start = 3;
    const positions = start + tokens;
    const [queries, kv] = [heads * group * size, heads * size];
    const stride = queries + 2 * kv;
    const rows = rng.gaussians(positions * stride);
    const sinks = sunk ? rng.gaussians(heads * group) : undefined;
    const shape = { heads, group, size, window, cap, sinks, scale: 1 / Math.sqrt(size) };
    const y = everywhere(label, (engine, put) => {
      const { exports } = engine;
      const at = put(rows);
      const to = put(new Float32Array(tokens * queries));
      const scratch = put(new Float32Array(exports.model_attend_scratch(group, size, positions) / 4));
      const sinksAt = sinks ? put(sinks) : 0;
      const cache = new KvCache(engine, { layers: 1, kvHeads: heads, headSize: size }, readKv("test", "f32"));
      cache.reserve(positions);
      const record = cache.record(0);
      for (const offset of [16, 48]) {
        const floats = engine.arena.floats;
        const from = new Int32Array(engine.arena.memory.buffer)[(record + offset + 16) / 4] as number;
        floats.fill(Number.NaN, from / 4, from / 4 + cache.bytes(positions) / 8);
      }
      const [k, v] = [at + 4 * queries, at + 4 * (queries + kv)];
      exports.model_append(k, v, stride, record, 0, start, 0);
      const next = start * stride * 4;
      exports.model_append(k + next, v + next, stride, record, 0, tokens, start);
      const half = Math.ceil((tokens * heads) / 2) * 64;
      const rest = [window, shape.scale, cap, sinksAt] as const;
      for (const [begin, end] of [
        [half, tokens * heads * 64],
        [0, half],
      ] as const) {
        exports.model_attend(at + next, stride, record, to, scratch, begin, end, group, start, ...rest);
      }
      const together = read(engine, to, tokens * queries);
      // Strips hold what later tokens wrote, which must not matter.
      for (const token of [0, tokens - 1]) {
        const q = at + (start + token) * stride * 4;
        exports.model_attend(q, stride, record, to, scratch, 0, heads * 64, group, start + token, ...rest);
        equalBits(
          read(engine, to, queries),
          together.subarray(token * queries, (token + 1) * queries),
          `${label} alone`,
        );
      }
      cache.dispose();
      return together;
    });
    const part = (offset: number, length: number): Float32Array =>
      Float32Array.from(
        { length: positions * length },
        (_, i) => rows[Math.floor(i / length) * stride + offset + (i % length)] as number,
      );
    const [k, v] = [part(queries, kv), part(queries + kv, kv)];
    for (let token = 0; token < tokens; token++) {
      const q = rows.subarray((start + token) * stride, (start + token) * stride + queries);
      const expected = reference.attend(q, k, v, start + token + 1, shape);
      nmseBelow(y.subarray(token * queries, (token + 1) * queries), expected, 1e-12, label);
    }
  }
});

t("scores that are far apart, all the same, or huge", () => {
  for (const values of [
    [1e4, -1e4, 0],
    [5, 5, 5],
    [1e30, -1e30, 1e30],
  ]) {
    const y = everywhere(values.join(), (engine, put) => {
      const k = put(values.flatMap((v) => [v, 0, 0, 0]));
      const v = put([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]);
      const cache = new KvCache(engine, { layers: 1, kvHeads: 1, headSize: 4 }, readKv("test", "f32"));
      cache.reserve(3);
      const scratch = put(new Float32Array(engine.exports.model_attend_scratch(1, 4, 3) / 4));
      const q = put([1, 0, 0, 0]);
      engine.exports.model_append(k, v, 4, cache.record(0), 0, 3, 0);
      engine.exports.model_attend(q, 4, cache.record(0), q, scratch, 0, 64, 1, 2, 0, 1, 0, 0);
      cache.dispose();
      return read(engine, q, 4);
    });
    const most = Math.max(...values);
    const weights = values.map((v) => Math.exp(v - most));
    const total = weights.reduce((sum, w) => sum + w, 0);
    ok(worst(y, [...weights.map((w) => w / total), 0], 1) < 2e-7, values.join());
  }
});

t("routing: ties go to the lower number", () => {
  const rng = random("routing");
  for (const [mode, name] of (["all", "normalised", "chosen"] as const).entries()) {
    const [tokens, experts, used] = [7, 9, 3];
    const scores = rng.gaussians(tokens * experts).map((v, i) => (i < experts ? 1 : v * 3));
    let ids: number[] = [];
    const weights = everywhere(name, (engine, put) => {
      const [s, i, w] = [put(scores), put(new Float32Array(tokens * used)), put(new Float32Array(tokens * used))];
      engine.exports.model_route(s, 0, 4, experts, used, mode, i, w);
      engine.exports.model_route(s, 4, tokens, experts, used, mode, i, w);
      ids = Array.from(new Int32Array(engine.arena.memory.buffer, i, tokens * used));
      return read(engine, w, tokens * used);
    });
    for (let token = 0; token < tokens; token++) {
      const expected = reference.route(Array.from(scores.subarray(token * experts, (token + 1) * experts)), used, name);
      equal(
        ids.slice(token * used, (token + 1) * used),
        expected.map(({ expert }) => expert),
      );
      ok(
        worst(
          weights.subarray(token * used),
          expected.map(({ weight }) => weight),
          1e-3,
        ) < 4e-7,
        name,
      );
    }
  }
});
