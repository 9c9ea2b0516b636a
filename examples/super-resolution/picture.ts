/** Pictures of files: PNG and JPEG in, PNG and JPEG out, RGBA bytes between. */
import { readFile, writeFile } from "node:fs/promises";
import type { Picture } from "./network.ts";

interface Decoded {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray | Uint16Array;
  readonly channels: number;
  readonly depth: number;
  readonly palette?: readonly (readonly number[])[];
}

/** What is used of fast-png and jpeg-js, which are loaded when a file of their kind is met. */
interface PngLibrary {
  decode(bytes: Uint8Array): Decoded;
  convertIndexedToRgb(png: Decoded): Uint8Array;
  encode(picture: { width: number; height: number; data: Uint8Array; channels: number; depth: 8 }): Uint8Array;
}
interface JpegLibrary {
  decode(bytes: Uint8Array, options: object): Picture;
  encode(picture: { width: number; height: number; data: Uint8Array }, quality: number): { data: Uint8Array };
}

const PNG = "fast-png";
const JPEG = "jpeg-js";
const JPEG_QUALITY = 95;

/** A file cannot be read as a picture, or not be written: what the message says. */
export class PictureError extends Error {}

export async function readPicture(path: string): Promise<Picture> {
  const bytes = new Uint8Array(await readFile(path));
  try {
    if (bytes[0] === 0x89 && bytes[1] === 0x50) return fromPng(bytes, (await import(PNG)) as PngLibrary);
    if (bytes[0] === 0xff && bytes[1] === 0xd8) {
      // As a module of CommonJS it is the default export.
      const { default: library } = (await import(JPEG)) as { default: JpegLibrary };
      return library.decode(bytes, {
        useTArray: true,
        formatAsRGBA: true,
        maxMemoryUsageInMB: 4096,
        maxResolutionInMP: 400,
      });
    }
  } catch (error) {
    throw new PictureError(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  throw new PictureError(`${path}: expected a PNG or JPEG file, got ${bytes.length} bytes of something else`);
}

function fromPng(bytes: Uint8Array, library: PngLibrary): Picture {
  let png = library.decode(bytes);
  if (png.palette) {
    const channels = (png.palette[0]?.length ?? 3) as number;
    png = { ...png, data: library.convertIndexedToRgb(png), channels, depth: 8 };
  }
  const { width, height, data, channels, depth } = png;
  const colours = channels < 3 ? 1 : 3;
  const out = new Uint8Array(width * height * 4).fill(255);
  // Fewer bits than 8 are spread over the range, more are rounded.
  const most = 2 ** depth - 1;
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) {
      const value = data[pixel * channels + Math.min(c, colours - 1)] as number;
      out[pixel * 4 + c] = Math.round((value * 255) / most);
    }
  }
  return { width, height, data: out };
}

/** @param path .png, .jpg or .jpeg */
export async function writePicture(path: string, { width, height, data }: Picture): Promise<void> {
  const kind = /\.(png|jpe?g)$/i.exec(path)?.[1]?.toLowerCase();
  if (kind === undefined) throw new PictureError(`${path}: expected a name that ends with .png, .jpg or .jpeg`);
  if (kind === "png") {
    const library = (await import(PNG)) as PngLibrary;
    const rgb = new Uint8Array(width * height * 3);
    for (let i = 0; i < width * height; i++) rgb.set(data.subarray(i * 4, i * 4 + 3), i * 3);
    await writeFile(path, library.encode({ width, height, data: rgb, channels: 3, depth: 8 }));
    return;
  }
  const { default: library } = (await import(JPEG)) as { default: JpegLibrary };
  await writeFile(path, library.encode({ width, height, data: new Uint8Array(data) }, JPEG_QUALITY).data);
}
