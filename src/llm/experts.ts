// A feed-forward block of experts: each token goes to some of them, and each expert meets its tokens together.
import type { Engine } from "../runtime/engine.ts";
import { ACTS, type ExpertsConfig, type ModelConfig } from "./config.ts";
import { productOf } from "./product.ts";
import { BATCH, type Buffers, type Run, type Step } from "./step.ts";
import type { LayerWeights } from "./weights.ts";

/**
 * to = Σ weight · expert(from) over the experts of each token, added in ascending order of experts, so that a token's sum does
 * not depend on what is computed beside it.
 */
export function expertStep(
  engine: Engine,
  config: ModelConfig,
  { router, experts }: LayerWeights,
  { gateUp, act }: Buffers,
  from: number,
  to: number,
  { scores, ids, weights, gathered, results }: ExpertBuffers,
): Step {
  const { hidden } = config;
  const { count, used, routing, width } = config.experts as ExpertsConfig;
  const { exports } = engine;
  const kind = ACTS.indexOf(config.act);
  const route = productOf(engine, router as NonNullable<typeof router>);
  const parts = experts.map((expert) => ({
    gateUp: expert.gateUp.map((matrix) => productOf(engine, matrix)),
    down: productOf(engine, expert.down),
  }));
  return ({ n }: Run) => {
    route(from, n, scores);
    exports.model_route(scores, 0, n, count, used, routing, ids, weights);
    const { memory } = engine.arena;
    const chosen = new Int32Array(memory.buffer, ids, n * used).slice();
    const shares = engine.arena.floats.slice(weights / 4, weights / 4 + n * used);
    engine.arena.floats.fill(0, to / 4, to / 4 + n * hidden);
    for (let e = 0; e < count; e++) {
      const tokens: number[] = [];
      const share: number[] = [];
      for (let i = 0; i < chosen.length; i++) {
        if (chosen[i] !== e) continue;
        tokens.push(Math.floor(i / used));
        share.push(shares[i] as number);
      }
      const m = tokens.length;
      if (m === 0) continue;
      const { bytes } = engine.arena;
      for (const [i, token] of tokens.entries()) {
        const at = from + token * hidden * 4;
        bytes.copyWithin(gathered + i * hidden * 4, at, at + hidden * 4);
      }
      const expert = parts[e] as (typeof parts)[number];
      const fused = expert.gateUp.length === 1;
      const up = fused ? gateUp + width * 4 : gateUp + BATCH * width * 4;
      expert.gateUp[0]?.(gathered, m, gateUp);
      expert.gateUp[1]?.(gathered, m, up);
      exports.model_gate(gateUp, up, fused ? 2 * width : width, act, 0, m, width, kind);
      expert.down(act, m, results);
      for (const [i, token] of tokens.entries()) {
        exports.model_add(to + token * hidden * 4, results + i * hidden * 4, hidden, share[i] as number);
      }
    }
  };
}

/** Addresses that all layers of a model share. */
export interface ExpertBuffers {
  readonly scores: number;
  readonly ids: number;
  readonly weights: number;
  readonly gathered: number;
  readonly results: number;
}

export function expertBuffers({ hidden, experts }: ModelConfig, region: (floats: number) => number): ExpertBuffers {
  const { count, used } = experts as ExpertsConfig;
  return {
    scores: region(BATCH * count),
    ids: region(BATCH * used),
    weights: region(BATCH * used),
    gathered: region(BATCH * hidden),
    results: region(BATCH * hidden),
  };
}
