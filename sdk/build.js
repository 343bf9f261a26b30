/** Makes lib/cashwrap.min.js, the one file that shops load, and lib/integrity.json, its SRI value. Same input, same bytes. */

import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const { out } = parseArgs({ options: { out: { type: "string", default: "lib" } } }).values;
const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

const { outputFiles } = await build({
  absWorkingDir: here("."),
  entryPoints: ["lib/cashwrap.js"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  write: false,
});
const [{ contents }] = outputFiles;
const integrity = `sha384-${createHash("sha384").update(contents).digest("base64")}`;
await writeFile(`${out}/cashwrap.min.js`, contents);
await writeFile(`${out}/integrity.json`, `${JSON.stringify({ "cashwrap.min.js": integrity }, null, 2)}\n`);
console.log(`${contents.length} bytes, ${gzipSync(contents, { level: 9 }).length} gzip, ${integrity}`);
