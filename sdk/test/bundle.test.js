import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const [{ text: SOURCE }] = buildSync({
  entryPoints: [fileURLToPath(new URL("../lib/evaluate.js", import.meta.url))],
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

const ES256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const BUNDLE = { format: 1, version: "v", made: 1000, expires: 2000, store: "default", environment: "live" };

async function key(kid) {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(ES256, true, ["sign", "verify"]);
  return { kid, privateKey, jwk: { ...(await crypto.subtle.exportKey("jwk", publicKey)), kid } };
}

async function sign({ privateKey, kid }, bundle, header = { alg: "ES256", typ: "cashwrap-bundle+jws", kid }) {
  const text = (plain) => Buffer.from(plain).toString("base64url");
  const said = `${text(JSON.stringify(header))}.${text(JSON.stringify(bundle))}`;
  return `${said}.${text(new Uint8Array(await crypto.subtle.sign(ES256, privateKey, Buffer.from(said))))}`;
}

const [mine, other] = [await key("mine"), await key("mine")];
const TRUST = { jwks: { keys: [mine.jwk] }, now: 1500 };

async function refusals(bug) {
  const { openBundle } = await load(bug);
  const refused = async (signed, more = {}) => {
    try {
      await openBundle(signed, { ...TRUST, ...more });
      return "opened";
    } catch ({ code }) {
      return code;
    }
  };
  const signed = await sign(mine, BUNDLE);
  const [head, payload, signature] = signed.split(".");
  const richer = Buffer.from(JSON.stringify({ ...BUNDLE, expires: 9e15 })).toString("base64url");
  assert.equal(await refused(signed), "opened");
  assert.equal(await refused(`${head}.${richer}.${signature}`), "bad_signature");
  assert.equal(await refused(await sign(other, BUNDLE)), "bad_signature");
  assert.equal(await refused(await sign({ ...mine, kid: "new" }, BUNDLE)), "unknown_key");
  const none = await sign(mine, BUNDLE, { alg: "none", typ: "cashwrap-bundle+jws", kid: "mine" });
  assert.equal(await refused(none), "not_a_bundle");
  const token = await sign(mine, BUNDLE, { alg: "ES256", typ: "JWT", kid: "mine" });
  assert.equal(await refused(token), "not_a_bundle");
  assert.equal(await refused(signed, { now: 2000 }), "expired");
  assert.equal(await refused(signed, { newest: { made: 1001, version: "w" } }), "older");
  assert.equal(await refused(signed, { newest: { made: 1001, version: "v" } }), "opened");
  assert.equal(await refused(signed, { store: "outlet" }), "of_another");
  assert.equal(await refused(signed, { environment: "test" }), "of_another");
  assert.equal(await refused(await sign(mine, { ...BUNDLE, format: 2 })), "unknown_format");
  for (const odd of ["", "a.b", `${head}.${payload}`, `${signed}.x`, `${head}.${payload}.%%%`, `.${payload}.`]) {
    assert.match(await refused(odd), /not_a_bundle|bad_signature/);
  }
  // The last character of a signature has bits to spare: another spelling of the same bytes is a change too.
  const last = signature.slice(-1);
  const next = { A: "B", Q: "R", g: "h", w: "x" }[last];
  assert.equal(await refused(`${head}.${payload}.${signature.slice(0, -1)}${next}`), "bad_signature");
}

test("a bundle is opened as it was signed, and in no other way", () => refusals());

/** @type {Record<string, [string, string]>} */
const BUGS = {
  "nothing is verified": ["!await crypto.subtle.verify(", "!true || false && await crypto.subtle.verify("],
  "any algorithm will do": ['header?.alg !== "ES256"', "!header"],
  "any type will do": ["header.typ !== TYPE", "false"],
  "nothing expires": ["now >= bundle.expires", "false"],
  "an older one is as good": ["bundle.made < newest.made", "false"],
  "the same is taken for older": ["bundle.version !== newest.version", "true"],
  "live is test": ["(environment ?? bundle.environment) !== bundle.environment", "false"],
  "one signature has many spellings": ["again === text", "true"],
};

for (const [name, bug] of Object.entries(BUGS)) {
  test(`the check of bundles notices that ${name}`, () => assert.rejects(() => refusals(bug)));
}

test("what a page never says is never thrown about", async () => {
  const { decide, inputsOf } = await load();
  const shop = { ...BUNDLE, level: "request", locale: "en", currency: "EUR", digits: 2, timeZone: "UTC", off: {} };
  const bundle = { ...shop, playbook: "p", placements: [{ name: "top", number: 0, experiences: [] }] };
  const half = "\ud800";
  for (const inputs of [
    { now: NaN },
    { now: 0, placements: [half, "", "__proto__"] },
    { now: 0, locale: half, units: { anonymous: half }, values: { x: half }, forced: { 9: 9 } },
    inputsOf(bundle, {}),
    inputsOf(bundle, { context: { cart: { total: Infinity, items: [{ id: "a", price: NaN }] }, timeZone: "x/y" } }),
  ]) {
    const { placements } = decide(bundle, inputs);
    assert.equal(JSON.stringify(Object.values(placements)).includes('"error"'), false);
  }
  const held = { ...bundle, holdout: [5000, ["anonymous"], [0, 0, 0]] };
  assert.equal(decide(held, { now: 0, units: { anonymous: half } }).placements.top.reason, "error");
});
