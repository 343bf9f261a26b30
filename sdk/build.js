/**
 * Makes lib/cashwrap.min.js, the one file that shops load, and lib/integrity.json, the SRI values of it and of what it
 * loads on demand. Same input, same bytes.
 */

import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const { out } = parseArgs({ options: { out: { type: "string", default: "lib" } } }).values;
const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** Rarely needed, without imports of their own: loaded from beside the bundle, and not a part of it. */
const ON_DEMAND = ["offer.js", "preview.js", "products.js", "signals.js"];
const sri = (/** @type {Uint8Array} */ bytes) => `sha384-${createHash("sha384").update(bytes).digest("base64")}`;

const { outputFiles } = await build({
  absWorkingDir: here("."),
  entryPoints: ["lib/cashwrap.js"],
  bundle: true,
  external: ON_DEMAND.map((name) => `./${name}`),
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  write: false,
});
const [{ contents }] = outputFiles;
const integrity = { "cashwrap.min.js": sri(contents) };
for (const name of ON_DEMAND) integrity[name] = sri(await readFile(here(`lib/${name}`)));
await writeFile(`${out}/cashwrap.min.js`, contents);
await writeFile(`${out}/integrity.json`, `${JSON.stringify(integrity, null, 2)}\n`);
console.log(`${contents.length} bytes, ${gzipSync(contents, { level: 9 }).length} gzip, ${integrity["cashwrap.min.js"]}`);
