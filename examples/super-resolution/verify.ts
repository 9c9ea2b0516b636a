/** A network against the picture that its training left: the numbers that the reference computed, and the picture that was enlarged. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseSafetensors } from "lowbit/files";
import { type Bits, floats, type Picture, type SuperResolution } from "./network.ts";

const MAX_NMSE = 1e-4;
/** dB */
const MAX_LOSS = 0.02;

export interface Verdict {
  readonly passed: boolean;
  readonly nmse: number;
  readonly psnr: number;
  readonly reference: number;
}

/** The name of the tensor and the file of each network. */
export const suffixOf = (bits: Bits): string => (bits === "fp" ? "fp" : `w${bits}`);

/** @param folder with sr-reference.safetensors: input [3, h, w] of whole bytes / 255, target and out_… [3, 2h, 2w] */
export async function verify(folder: string, network: SuperResolution, tile: number | undefined): Promise<Verdict> {
  const name = "sr-reference.safetensors";
  const file = parseSafetensors(await readFile(join(folder, name)), name);
  const tensor = (name: string) => {
    const found = file.tensors.get(name);
    if (!found) throw new Error(`${file.name}: there is no ${name}`);
    return { shape: found.shape, values: floats(found.data) };
  };
  const input = tensor("input");
  const [, height, width] = input.shape as [number, number, number];
  const picture: Picture = { width, height, data: new Uint8Array(width * height * 4).fill(255) };
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < width * height; i++) {
      picture.data[i * 4 + c] = Math.round(255 * (input.values[c * width * height + i] as number));
    }
  }
  const got = network.enlargeToFloats(picture, tile);
  const expected = tensor(`out_${suffixOf(network.bits)}`).values;
  const target = tensor("target").values;
  let error = 0;
  let power = 0;
  for (let i = 0; i < expected.length; i++) {
    error += ((got[i] as number) - (expected[i] as number)) ** 2;
    power += (expected[i] as number) ** 2;
  }
  const nmse = error / power;
  const psnr = psnrOf(got, target);
  const reference = psnrOf(expected, target);
  return { nmse, psnr, reference, passed: nmse <= MAX_NMSE && Math.abs(psnr - reference) <= MAX_LOSS };
}

/** Of pictures whose values are from 0 to 1; what is beyond is cut off, as in a file. */
function psnrOf(values: Float32Array, target: Float32Array): number {
  let error = 0;
  for (let i = 0; i < target.length; i++) {
    error += (Math.min(1, Math.max(0, values[i] as number)) - (target[i] as number)) ** 2;
  }
  return -10 * Math.log10(error / target.length);
}
