// Frequencies of every scaling, and the tables made of them.
import type { RopeConfig } from "../../src/llm/config.ts";
import { configFromHf } from "../../src/llm/hf-config.ts";
import { frequencies, RopeTable } from "../../src/llm/rope.ts";
import { engineOf } from "../../src/runtime/engine.ts";
import { ok } from "../lib/assert.ts";
import { fixtureJson } from "../lib/checkpoints.ts";
import { availableVariants } from "../lib/library.ts";
import { suite } from "../lib/suite.ts";

const t = suite("rope");
const { instances } = await availableVariants();

function ropeOf(parameters: Record<string, unknown>, more: Record<string, unknown> = {}): RopeConfig {
  const base = fixtureJson<Record<string, unknown>>("archs/llama/config.json");
  return configFromHf({ ...base, ...more, rope_parameters: parameters }).ropes[0] as RopeConfig;
}

const near = (actual: number | undefined, expected: number, bound = 1e-6): void =>
  ok(Math.abs((actual as number) - expected) <= bound * Math.abs(expected), `${actual} for ${expected}`);

t("llama3: by either name of the key, factors 8 and 32", () => {
  const plain = (theta: number, size: number, i: number): number => theta ** ((-2 * i) / size);
  const cases = [
    {
      factor: 8,
      size: 128,
      known: [
        [0, 1],
        [28, 1],
        [29, 0.828168],
        [32, 0.371122],
        [34, 0.190211],
        [35, 0.125],
        [63, 0.125],
      ],
    },
    {
      factor: 32,
      size: 64,
      known: [
        [14, 1],
        [15, 0.605573],
        [16, 0.303743],
        [17, 0.103448],
        [18, 0.03125],
      ],
    },
  ] as const;
  for (const { factor, size, known } of cases) {
    for (const key of ["rope_type", "type"]) {
      const scaling = {
        [key]: "llama3",
        factor,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
        rope_theta: 500000,
      };
      const { turns, factor: magnitude } = frequencies(ropeOf(scaling, { head_dim: size }), 10);
      for (const [i, ratio] of known) near((turns[i] as number) / plain(500000, size, i), ratio, 5e-6);
      near(magnitude, 1);
    }
  }
});

t("yarn: the magnitude by default, the file's, and both of DeepSeek's; betas count", () => {
  const of = (more: Record<string, unknown>): RopeConfig =>
    ropeOf(
      { rope_type: "yarn", factor: 4, rope_theta: 10000, original_max_position_embeddings: 4096, ...more },
      { head_dim: 64 },
    );
  near(frequencies(of({}), 10).factor, 1.138629);
  near(frequencies(of({ attention_factor: 1 }), 10).factor, 1);
  near(frequencies(of({ mscale: 1, mscale_all_dim: 1 }), 10).factor, 1);
  const usual = frequencies(of({}), 10).turns;
  const other = frequencies(of({ beta_fast: 4 }), 10).turns;
  ok(usual.some((turn, i) => turn !== other[i]));
});

t("longrope: by the length of the sequence, not by room for it", () => {
  const short = Array.from({ length: 8 }, (_, i) => 1 + i / 10);
  const long = Array.from({ length: 8 }, (_, i) => 2 + i);
  for (const max of [4096, 8192]) {
    const rope = ropeOf(
      {
        rope_type: "longrope",
        short_factor: short,
        long_factor: long,
        rope_theta: 10000,
        original_max_position_embeddings: 4096,
      },
      { max_position_embeddings: max },
    );
    near(frequencies(rope, 10).turns[3], 10000 ** (-6 / 16) / 1.3);
    near(frequencies(rope, 4096).turns[3], 10000 ** (-6 / 16) / 1.3);
    near(frequencies(rope, 4097).turns[3], 10000 ** (-6 / 16) / 5);
    near(frequencies(rope, 10).factor, max === 4096 ? 1 : Math.sqrt(1 + Math.log(2) / Math.log(4096)));
  }
});

t("linear and dynamic", () => {
  near(frequencies(ropeOf({ rope_type: "linear", factor: 4, rope_theta: 10000 }), 10).turns[2], 10000 ** (-4 / 16) / 4);
  const dynamic = ropeOf({ rope_type: "dynamic", factor: 2, rope_theta: 10000 }, { max_position_embeddings: 256 });
  near(frequencies(dynamic, 256).turns[2], 10000 ** (-4 / 16));
  const base = 10000 * (2 * (512 / 256) - 1) ** (16 / 14);
  near(frequencies(dynamic, 512).turns[2], base ** (-4 / 16));
});

t("tables grow, and are those of the length that is asked for", () => {
  const rope = ropeOf({ rope_type: "dynamic", factor: 2, rope_theta: 10000 }, { max_position_embeddings: 64 });
  for (const { lb } of instances) {
    const engine = engineOf("test", lb);
    const table = new RopeTable(engine, rope);
    const check = (begin: number, end: number, length: number): void => {
      const at = table.rows(begin, end, length) / 4;
      const { turns } = frequencies(rope, length);
      for (let position = begin; position < end; position++) {
        for (const [i, turn] of turns.entries()) {
          const place = at + position * 16 + i;
          ok(Math.abs((engine.arena.floats[place] as number) - Math.cos(position * turn)) < 6e-8);
          ok(Math.abs((engine.arena.floats[place + 8] as number) - Math.sin(position * turn)) < 6e-8);
        }
      }
    };
    check(0, 10, 10);
    check(10, 64, 64);
    check(64, 70, 70);
    check(70, 700, 700);
    check(0, 10, 10);
    check(700, 701, 701);
    table.dispose();
  }
});

t("wrong factors are refused", () => {
  let message = "";
  try {
    ropeOf({ rope_type: "longrope", short_factor: [1], long_factor: [1] });
  } catch (error) {
    message = (error as Error).message;
  }
  ok(message.includes("8 positive numbers"), message);
  try {
    ropeOf({ rope_type: "ntk" });
  } catch (error) {
    message = (error as Error).message;
  }
  ok(message.includes("config: rope_type: expected default"), message);
});
