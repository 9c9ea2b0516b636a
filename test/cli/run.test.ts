// lowbit run.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init } from "../../src/index.ts";
import { type LanguageModel, load, type Result } from "../../src/llm/index.ts";
import { equal, is, match, ok } from "../lib/assert.ts";
import { lowbit, MODEL, start } from "../lib/command-line.ts";
import { suite } from "../lib/suite.ts";

const t = suite("run");
const folder = mkdtempSync(join(tmpdir(), "lowbit-run-"));
const template = join(folder, "template.jinja");
let model: LanguageModel;
t.before(async () => {
  writeFileSync(template, "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:");
  model = await load(await init(), MODEL, {
    template: "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:",
  });
});
t.after(() => {
  model.dispose();
  rmSync(folder, { recursive: true });
});

const PROMPT = "To be, or not";

t("-p, -f and standard input give the text, and nothing else, to standard output", async () => {
  const { text } = await model.generate(PROMPT, { maxTokens: 12 });
  const file = join(folder, "prompt.txt");
  writeFileSync(file, PROMPT);
  const ways = [[["-p", PROMPT]], [["-f", file]], [[], PROMPT], [["-f", "-"], PROMPT]] as const;
  for (const [args, input = ""] of ways) {
    const { status, stdout, stderr } = await lowbit(["run", MODEL, "-n", "12", ...args], { input });
    equal([status, stdout], [0, `${text}\n`]);
    match(
      stderr,
      /^6 tokens read in \d+ ms, 12 written at [\d.]+ tokens\/s; [\d.]+ MB of weights, .*[\d.]+ MB resident\n$/,
    );
  }
});

t("sampling options, and --json", async () => {
  const options = { temperature: 0.8, topK: 50, topP: 0.9, minP: 0.01, repetitionPenalty: 1.1, seed: 7, maxTokens: 12 };
  const { text, usage, finish } = await model.generate(PROMPT, options);
  const given = ["--temperature", "0.8", "--top-k", "50", "--top-p", ".9", "--min-p", "1e-2"];
  given.push("--repetition-penalty", "1.1", "--seed", "7", "-n", "12", "--threads", "1", "--variant", "simd", "--json");
  const { status, stdout, stderr } = await lowbit(["run", MODEL, "-p", PROMPT, ...given]);
  equal([status, stderr], [0, ""]);
  const json = JSON.parse(stdout) as Result & { memory: { model: number }; tokensPerSecond: { generate: number } };
  equal([json.text, json.finish, json.usage.generated], [text, finish, usage.generated]);
  ok(json.memory.model > 5e6 && json.tokensPerSecond.generate > 0);
});

t("--stop, --context and --quiet", async () => {
  const { text } = await model.generate(PROMPT, { maxTokens: 40, stop: "LORD" });
  const stopped = await lowbit(["run", MODEL, "-p", PROMPT, "--stop", "LORD", "-n", "40", "-q", "--context", "64"]);
  equal(stopped, { status: 0, signal: undefined, stdout: `${text}\n`, stderr: "" });
  const long = await lowbit(["run", MODEL, "-p", PROMPT, "--context", "4"]);
  equal([long.status, long.stdout], [1, ""]);
  match(long.stderr, /^lowbit: generate: prompt: expected at most 4 tokens, the context of this model, got 6\n$/);
});

t("a conversation of lines, and one answer", async () => {
  const turns = ["Who art thou?", "And why?"];
  const messages: { role: "system" | "user" | "assistant"; content: string }[] = [
    { role: "system", content: "Be brief." },
  ];
  const answers: string[] = [];
  for (const content of turns) {
    messages.push({ role: "user", content });
    const { text } = await model.generate(messages, { maxTokens: 8 });
    answers.push(text);
    messages.push({ role: "assistant", content: text });
  }
  const args = ["run", MODEL, "--template", template, "--system", "Be brief.", "-n", "8"];
  const lines = await lowbit(args, { input: `${turns.join("\n")}\n` });
  equal([lines.status, lines.stdout, lines.stderr], [0, `${answers.join("\n")}\n`, ""]);
  const anew = await lowbit(args, { input: `${turns[0]}\n/reset\n\n${turns[0]}` });
  is(anew.stdout, `${answers[0]}\n${answers[0]}\n`);
  const one = await lowbit([...args, "-p", turns[0] as string, "-q"]);
  is(one.stdout, `${answers[0]}\n`);
});

t("Ctrl-C keeps what there is, and twice leaves", async () => {
  const { child, ended, until } = start(["run", MODEL, "-p", PROMPT, "-n", "500", "--temperature", "1"]);
  await until(/\S/);
  child.kill("SIGINT");
  const { status, stdout, stderr } = await ended;
  is(status, 130);
  ok(stdout.length > 0 && stdout.endsWith("\n"));
  match(stderr, /^6 tokens read in \d+ ms, \d+ written/);
  const early = start(["run", MODEL, "-p", PROMPT, "--chat", "--template", template], {});
  early.child.kill("SIGINT");
  const left = await early.ended;
  ok(left.status === 130 || left.signal === "SIGINT", JSON.stringify(left));
  const talk = start(["run", MODEL, "--chat", "--template", template], { input: "hello\n", open: true });
  await talk.until(/\S/);
  talk.child.kill("SIGINT");
  setTimeout(() => talk.child.kill("SIGINT"), 300);
  const { status: twice } = await talk.ended;
  ok(twice === 130 || twice === 0, String(twice));
});

t("a reader that leaves ends it without a word", async () => {
  const { child, ended, until } = start(["run", MODEL, "-p", PROMPT, "-n", "400"]);
  await until(/\S/);
  child.stdout.destroy();
  const { status, stderr } = await ended;
  equal([status, stderr], [0, ""]);
});

t("an option of load that it does not know is refused by its name", async () => {
  const { status, stdout, stderr } = await lowbit(["run", MODEL, "-p", "a", "--kv", "int3"]);
  equal([status, stdout], [1, ""]);
  match(stderr, /^lowbit: load: [^\n]*kv[^\n]*\n$/);
});
