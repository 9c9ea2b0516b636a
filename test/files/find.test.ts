// Which file of a folder, a repository of the hub or an address is taken for the model, and what is said where none is.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { FileError, writeGguf, writeSafetensors } from "../../src/files/index.ts";
import { type FileInfo, inspect } from "../../src/llm/index.ts";
import { equal, is, rejectsWith } from "../lib/assert.ts";
import { suite } from "../lib/suite.ts";

const t = suite("find");
const folder = mkdtempSync(join(tmpdir(), "lowbit-find-"));
t.after(() => rmSync(folder, { recursive: true }));

let files = 0;
/** A folder with files of these names: weights where a name says so, else text. */
async function folderOf(names: readonly string[]): Promise<string> {
  const path = join(folder, String(files++));
  mkdirSync(path);
  for (const name of names) await put(join(path, name));
  return path;
}

async function put(path: string): Promise<void> {
  const tensors = [{ name: "w", dtype: "F32", shape: [2], data: new Uint8Array(8) }];
  if (path.endsWith(".gguf")) await writeGguf(path, { metadata: new Map(), tensors });
  else if (path.endsWith(".safetensors")) await writeSafetensors(path, { tensors });
  else if (path.endsWith(".index.json")) writeFileSync(path, '{"weight_map":{"w":"part.safetensors"}}');
  else writeFileSync(path, "Some text.\n");
}

const kindOf = ({ container, byteLength }: FileInfo): string => `${container} ${byteLength}`;

t("the one model of a folder, whatever it is called", async () => {
  const found: readonly (readonly [names: readonly string[], taken: string])[] = [
    [["q4.gguf", "README.md"], "q4.gguf"],
    [["q4.gguf", "mmproj-f16.gguf"], "q4.gguf"],
    [["mmproj-f16.gguf"], "mmproj-f16.gguf"],
    [["weights.safetensors", "pytorch_model.bin"], "weights.safetensors"],
    [["q4.gguf", "model.safetensors"], "model.safetensors"],
    [["model.safetensors.index.json", "part.safetensors", "other.safetensors"], "part.safetensors"],
    [["x.safetensors.index.json", "part.safetensors", "other.safetensors"], "part.safetensors"],
  ];
  for (const [names, taken] of found) {
    const path = await folderOf(names);
    const expected = kindOf(await inspect(join(path, taken)));
    for (const source of [path, `${path}/`, pathToFileURL(path)]) is(kindOf(await inspect(source)), expected, taken);
  }
});

t("a file of any name is told by its contents", async () => {
  const path = await folderOf(["q4.gguf"]);
  const blob = join(path, "sha256-0123");
  writeFileSync(blob, readFileSync(join(path, "q4.gguf")));
  is(kindOf(await inspect(blob)), kindOf(await inspect(join(path, "q4.gguf"))));
});

t("what is no model is called what it is", async () => {
  const empty = join(folder, "empty");
  writeFileSync(empty, "");
  const text = join(folder, "text.txt");
  writeFileSync(text, "Häuser\n");
  const cases: readonly (readonly [source: string, message: string])[] = [
    [await folderOf([]), "expected a *.gguf or *.safetensors file, or a folder with one, got an empty folder"],
    [await folderOf(["a.txt", "b.txt"]), "or a folder with one, got a.txt, b.txt"],
    [await folderOf(["pytorch_model.bin"]), "got pytorch_model.bin; weights in pickles are not read"],
    [await folderOf(["a.gguf", "b.gguf"]), "expected one model, got a.gguf, b.gguf: name one of them"],
    [await folderOf(Array.from({ length: 10 }, (_, i) => `${i}.gguf`)), "6.gguf, 7.gguf and 2 more: name one of them"],
    [join(folder, "none"), "none: there is no such file or folder"],
    [join(folder, "none.gguf"), "none.gguf: there is no such file"],
    [join(text, "model"), "there is no such file"],
    ["owner/repo", "there is no such file or folder (a repository of the hub would be hf:owner/repo)"],
    [empty, "empty: not a GGUF or safetensors file: expected the beginning of one, got an empty file"],
    [text, 'got a text that begins by "Häuser'],
  ];
  for (const [source, message] of cases) await rejectsWith(inspect(source), FileError, message);
  await rejectsWith(inspect("hf:owner"), RangeError, "source: expected hf:owner/repo, hf:owner/repo/file or");
});

/** The hub, with these files in a repository. */
function hubOf(path: string, names: readonly string[] | undefined): { fetch: typeof fetch; asked: string[] } {
  const asked: string[] = [];
  const answer = async (input: string | URL | Request): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    asked.push(url.pathname);
    if (url.pathname.startsWith("/api/")) {
      if (names === undefined) return new Response("", { status: 404 });
      return Response.json({ siblings: names.map((rfilename) => ({ rfilename })) });
    }
    const name = url.pathname.replace(/^\/owner\/repo\/resolve\/[^/]+\//, "");
    if (!names?.includes(name)) return new Response("", { status: 404 });
    return new Response(new Uint8Array(readFileSync(join(path, name.replace(/.*\//, "")))));
  };
  return { fetch: answer as typeof fetch, asked };
}

t("a repository of the hub: its checkpoint, or the one file that it has", async () => {
  const path = await folderOf(["q4.gguf", "q8.gguf", "model.safetensors"]);
  const get = async (source: string, names?: readonly string[]): Promise<string> => {
    const { fetch } = hubOf(path, names);
    return kindOf(await inspect(source, { fetch, cache: "none" }));
  };
  const [gguf, safetensors] = [
    kindOf(await inspect(join(path, "q4.gguf"))),
    kindOf(await inspect(join(path, "model.safetensors"))),
  ];
  is(await get("hf:owner/repo", ["model.safetensors", "q4.gguf"]), safetensors);
  is(await get("hf:owner/repo", ["q4.gguf", "README.md", "deep/q8.gguf"]), gguf);
  is(await get("hf:owner/repo@v1/", ["q4.gguf"]), gguf);
  is(await get("hf:owner/repo/deep", ["deep/q8.gguf", "a.gguf", "b.gguf"]), gguf);
  const several = get("hf:owner/repo", ["q4.gguf", "q8.gguf"]);
  await rejectsWith(several, FileError, "hf:owner/repo: expected one model, got q4.gguf, q8.gguf: name one of them");
  await rejectsWith(
    get("hf:owner/repo", ["a.txt"]),
    FileError,
    "hf:owner/repo: expected a *.gguf or *.safetensors file",
  );
  await rejectsWith(get("hf:owner/repo"), FileError, "hf:owner/repo: expected a repository of the hub that is public");
});

t("an address without a name of weights may be a folder or a file", async () => {
  const path = await folderOf(["q4.gguf"]);
  const asked: string[] = [];
  const get = async (taken: string): Promise<FileInfo> => {
    const answer = async (input: string | URL | Request): Promise<Response> => {
      const { pathname } = new URL(input instanceof Request ? input.url : input);
      asked.push(pathname);
      const body = new Uint8Array(readFileSync(join(path, "q4.gguf")));
      return pathname === taken ? new Response(body) : new Response("", { status: 404 });
    };
    return inspect("https://files.example/models/tiny", { fetch: answer as typeof fetch, cache: "none" });
  };
  is((await get("/models/tiny")).container, "gguf");
  is((await get("/models/tiny/model.safetensors")).container, "gguf");
  asked.length = 0;
  await rejectsWith(get("/nowhere"), FileError, "tiny/model.safetensors: expected a file, got status 404");
  equal(asked.at(-1), "/models/tiny");
});
