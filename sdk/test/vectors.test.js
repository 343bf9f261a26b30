import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { run } from "./vectors.js";

const FILES = ["conditions", "hashing", "assignment", "decisions"];
const vectors = Object.fromEntries(
  FILES.map((name) => {
    const path = new URL(`../../spec/vectors/${name}.json`, import.meta.url);
    return [name, JSON.parse(readFileSync(path, "utf8"))];
  }),
);
const [{ text: SOURCE }] = buildSync({
  stdin: {
    contents: `export * as conditions from "./lib/condition.js"; export * as assignment from "./lib/assign.js";
      export * as evaluator from "./lib/evaluate.js";`,
    resolveDir: fileURLToPath(new URL("..", import.meta.url)),
  },
  bundle: true,
  format: "esm",
  write: false,
}).outputFiles;

/** @param {[string, string]} [bug] a line of the source and what to put in its place */
async function load(bug) {
  const source = bug ? SOURCE.replace(...bug) : SOURCE;
  if (bug && source === SOURCE) throw Error(`the bug does not fit any more: ${bug[0]}`);
  return import(`data:text/javascript,${encodeURIComponent(source)}`);
}

test("every vector", async (context) => {
  const results = run(vectors, await load());
  assert.deepEqual(
    FILES.flatMap((name) => results[name].wrong),
    [],
  );
  const counts = FILES.map((name) => results[name].cases);
  context.diagnostic(`vectors in node: ${FILES.map((name, at) => `${name} ${counts[at]}`).join(", ")}`);
  assert.ok(counts.reduce((sum, each) => sum + each) >= 1000, `only ${counts}`);
});

/** What is planted, and the file that must notice it. @type {Record<string, [string, [string, string]]>} */
const BUGS = {
  "unknown is false under negation": ["conditions", ["return found === null ? null : !found", "return !found"]],
  "texts go by UTF-16": ["conditions", ["(one.codePointAt(at) ?? -1) < (other.codePointAt(at) ?? -1)", "one < other"]],
  "a decimal is a float": ["conditions", ["return typeof text === \"string\" ? decimal(text)", "return typeof text === \"string\" ? decimal(String(Number(text)))"]],
  "a size is in UTF-16": ["conditions", ["return [...value].length", "return value.length"]],
  "an average divides": ["conditions", ["digits: threshold.digits * BigInt(count)", "digits: threshold.digits"]],
  "the tail is dropped": ["hashing", ["if (filled) hashed ^= mix(block)", ""]],
  "the length is in characters": ["hashing", ["hashed ^= length + bytes.length", "hashed ^= length + text.length"]],
  "more traffic moves arms": ["assignment", ["const quotient = Math.floor(hashed / SHARES)", "const quotient = hashed % 429497"]],
  "seen arms are forgotten": ["assignment", ["if (stays >= 0) return pick(stays)", ""]],
  "layers overlap": ["assignment", ["hash(trial.slot[1], unit) - trial.slot[0] + SHARES", "hash(trial.slot[1], unit)"]],
  "weights do not matter": ["assignment", ["one.number ** BigInt(other.weight)", "one.number ** BigInt(one.weight)"]],
  "control sees the next": ["decisions", ['experience.trial && experience.trial.sees !== "next"', "false"]],
  "the holdout sees content": ["decisions", ["if (this.held) {", "if (false) {"]],
  "a cap is one too many": ["decisions", [">= session", "> session"]],
  "the saved method is hidden": ["decisions", [" && method !== setting.saved", ""]],
  "what only the server knows is left out": ["decisions", ["throw SERVER;\n}\nfunction say", "return NO_CONTENT;\n}\nfunction say"]],
  "a language has no regions": ["decisions", [".map((_, dropped) =>", ".slice(-1).map((_, dropped) =>"]],
};

for (const [name, [file, bug]] of Object.entries(BUGS)) {
  test(`the vectors notice that ${name}`, async () => {
    const results = run(vectors, await load(bug));
    assert.ok(results[file].wrong.length > 0);
  });
}
