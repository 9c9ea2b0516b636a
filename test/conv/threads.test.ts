// Any number of threads gives the same bits as one, by every algorithm.
import * as conv from "../../src/conv/index.ts";
import { equalBits, is } from "../lib/assert.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { always, start } from "../lib/threads.ts";
import { inputOf, instances, makeLayer, packLayer, shapeOf, sumsOf } from "./layers.ts";

const t = suite("conv threads");
const worker = new URL("../../dist/runtime/worker.js", import.meta.url);
const one = (await instances())[0]?.lb;

t("two and three threads, every algorithm", async () => {
  if (!one) throw new Error("no instance");
  for (const threads of [2, 3]) {
    const several = await start(threads, { variant: one.features.variant });
    is(several.features.threads, threads);
    await conv.load(several, { worker });
    await always(() => {
      const rng = random(`conv threads ${threads}`);
      for (const [algorithm, groups, kernel] of [
        ["direct", 1, 3],
        ["direct", 2, 5],
        ["direct", 1, 1],
        ["depthwise", 20, 3],
        ["sfc4", 1, 3],
        ["sfc6", 1, 3],
        ["sfc7", 1, 3],
      ] as const) {
        const layer = makeLayer(shapeOf(45, 37, 20, 20, { groups, kernel: [kernel, kernel] }), rng);
        const codes = [one, several].map((lb) => {
          const made = packLayer(lb, layer, { algorithm });
          const x = inputOf(lb, layer);
          const out = made.output(45, 37, { type: "uint8", scale: 0.5, zeroPoint: 100 });
          made.run(x, out);
          const found = out.readCodes() as Uint8Array;
          for (const each of [made, x, out]) each.dispose();
          return found;
        }) as [Uint8Array, Uint8Array];
        equalBits(codes[1], codes[0], `${algorithm}, ${groups} groups, ${threads} threads`);
      }
    });
    several.dispose();
    // The workers of convolutions have ended, too: all goes on here.
    const layer = makeLayer(shapeOf(9, 8, 5, 6), random("conv after dispose"));
    equalBits(sumsOf(several, layer), sumsOf(one, layer), "after dispose");
  }
});
