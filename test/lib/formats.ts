// Each format of the registry as the tests need it.
import { formatOf } from "../../src/kernels/formats.ts";
import { testFormats as found } from "../formats/index.ts";
import type { Activation, TestFormat } from "./test-format.ts";

export type { Activation, AnyWeights, TestFormat } from "./test-format.ts";

/** Those with a case.ts in a folder of test/formats; kernels.test.ts says which have none. */
export type FormatName = keyof typeof found;

export const testFormats: Readonly<Record<FormatName, TestFormat>> = found;

/** Group sizes that a format takes, near the wanted ones. */
export function groupSizeNear(format: FormatName, activation: Activation, wanted: number): number {
  const { chunk } = formatOf(format, activation);
  return Math.max(chunk, Math.round(wanted / chunk) * chunk);
}
