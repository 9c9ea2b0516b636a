import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "codes",
  summary: "tables of 2 to 4 bits: k-means a row, NF4, FP4, MXFP4, NVFP4",
  bits: "2, 3, 4",
  weight: "s · table[code]",
  scales: "matrix, row, group",
  kernels: ["codebook4"],
  cases: [
    { options: { bits: 2 } },
    { options: { bits: 3, table: "matrix" } },
    { options: { table: "nf4" } },
    { options: { table: "mxfp4" }, shape: [72, 288] },
  ],
  imports: {
    fromMxfp4: "OCP MXFP4 as in gpt-oss, or ggml's blocks",
    fromNvfp4: "NVFP4: E4M3 scales of 16 columns and a float32 one",
    fromBitsAndBytes: "NF4 and FP4 of bitsandbytes, scales quantised again or not",
  },
};
