/**
 * Makes a file of few bits from one of float weights: tsx examples/super-resolution/shrink.ts FROM TO BITS. The convolutions of the
 * body are stored as codes with a scale a filter, the first and the last as they are.
 */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { init } from "lowbit";
import { load } from "lowbit/conv";
import { parseSafetensors, type TensorContent, writeSafetensors } from "lowbit/files";
import { bodyBits, pack, packCodes, readFilter } from "./network.ts";

const [from, to, given] = process.argv.slice(2);
const bits = ([8, 4, 2] as const).find((one) => String(one) === given);
if (from === undefined || to === undefined || bits === undefined) throw new Error("expected FROM, TO and 8, 4 or 2");

const lb = await init();
await load(lb);
const file = parseSafetensors(await readFile(from), basename(from));
const metadata: Record<string, string> = {};
const tensors: TensorContent[] = [];
for (const { name, dtype, shape, data } of file.tensors.values()) {
  const layer = /^((?:body|fuse).*)\.weight$/.exec(name)?.[1];
  if (layer === undefined) {
    tensors.push({ name, dtype, shape, data });
    continue;
  }
  const made = pack(lb, readFilter(file, layer), bodyBits(bits));
  const codes = packCodes(made.codes(), bits);
  const scales = made.scales();
  metadata[`${layer}.shape`] = shape.join("x");
  tensors.push({ name, dtype: "U8", shape: [codes.length], data: codes });
  tensors.push({ name: `${layer}.scales`, dtype: "F32", shape: [scales.length], data: new Uint8Array(scales.buffer) });
}
await writeSafetensors(to, { tensors, metadata });
