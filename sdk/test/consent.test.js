import assert from "node:assert/strict";
import { test } from "node:test";
import { load, openWorld, randomness } from "./world.js";

const PURPOSES = ["analytics", "personalization", "enrichment", "advertising", "credit"];
const BOTH = { analytics: true, personalization: true };

/** A page view with its own modules. */
async function visit(traits, bug) {
  const world = openWorld(traits);
  const { consent } = await load(bug);
  const changes = [];
  consent.start((change) => changes.push(change));
  return { world, consent, changes };
}

test("before a choice there is no cookie, no id and no change", async () => {
  const { world, consent, changes } = await visit();
  assert.deepEqual([world.written, consent.id, changes, consent.status()], [[], "", [], "unknown"]);
  assert.deepEqual(Object.values(consent.get()), ["granted", ...Array(5).fill("unknown")]);
});

test("a grant makes an id of 128 random bits and remembers the choice", async () => {
  const { world, consent, changes } = await visit();
  consent.set({ personalization: true, advertising: false }, "api", "person");
  assert.match(consent.id, /^[0-9a-f]{32}$/);
  assert.equal(world.jar.get("cw_id"), consent.id);
  assert.equal(world.jar.get("cw_consent"), "personalization.1-advertising.0");
  const [{ changed, withdrawn, id, source, scope }] = changes;
  assert.deepEqual([changed, withdrawn, id, source, scope], [
    ["personalization", "advertising"], false, consent.id, "api", "person",
  ]);
});

test("cookies are first-party, lax, for 13 months, and secure where the page is", async () => {
  for (const https of [true, false]) {
    const { world, consent } = await visit({ https });
    consent.set(BOTH, "api");
    for (const cookie of world.written) {
      assert.match(cookie, /; Path=\/; Max-Age=34128000; SameSite=Lax/);
      assert.equal(cookie.endsWith("; Secure"), https);
      assert.doesNotMatch(cookie, /Domain/i);
    }
  }
});

test("two browsers never get the same id", async () => {
  const ids = new Set();
  for (let browser = 0; browser < 50; browser += 1) {
    const { consent } = await visit();
    consent.set(BOTH, "api");
    ids.add(consent.id);
  }
  assert.equal(ids.size, 50);
});

test("a returning visitor keeps id and choice; a visit does not renew them", async () => {
  const jar = new Map();
  const first = await visit({ jar });
  first.consent.set(BOTH, "api");
  const second = await visit({ jar });
  assert.equal(second.consent.id, first.consent.id);
  assert.deepEqual([second.world.written, second.changes], [[], []]);
  assert.equal(second.consent.status(), "granted");
});

test("a choice without either of the two storing purposes stores nothing", async () => {
  const { world, consent } = await visit();
  consent.set({ credit: true, advertising: true, enrichment: true }, "api");
  assert.deepEqual([world.written, consent.id], [[], ""]);
});

test("a denial deletes both cookies and names the id it gives up", async () => {
  const { world, consent, changes } = await visit();
  consent.set(BOTH, "api");
  const id = consent.id;
  consent.set({ analytics: false, personalization: false }, "api");
  assert.deepEqual([world.jar.size, consent.id, consent.status()], [0, "", "denied"]);
  assert.deepEqual([changes[1].id, changes[1].withdrawn], [id, true]);
});

test("unknown never revokes", async () => {
  const { consent } = await visit();
  consent.set(BOTH, "api");
  consent.set({ analytics: undefined, personalization: "yes", credit: null }, "gcm");
  assert.equal(consent.get().personalization, "granted");
});

test("GPC denies advertising and personalization", async () => {
  const { consent } = await visit({ gpc: true });
  consent.set({ ...BOTH, advertising: true }, "gcm");
  assert.deepEqual([consent.get().advertising, consent.get().personalization, consent.get().analytics], [
    "denied", "denied", "granted",
  ]);
});

test("GPC that comes later withdraws what was granted without it", async () => {
  const jar = new Map();
  const { consent } = await visit({ jar });
  consent.set({ personalization: true }, "api");
  const later = await visit({ jar, gpc: true });
  const [{ changed, withdrawn, id, source }] = later.changes;
  assert.deepEqual([changed, withdrawn, id, source], [["personalization", "advertising"], true, consent.id, "gpc"]);
  assert.equal(jar.size, 0);
});

test("a grant by the shopper under GPC holds, for personalization only, on later pages too", async () => {
  const jar = new Map();
  const { consent } = await visit({ jar, gpc: true });
  consent.set({ personalization: true, advertising: true }, "api");
  const later = await visit({ jar, gpc: true });
  later.consent.set({ personalization: true }, "tcf");
  assert.deepEqual([later.consent.get().personalization, later.consent.get().advertising], ["granted", "denied"]);
});

test("a cookie that somebody wrote into is read as far as it makes sense", async () => {
  const jar = new Map([["cw_id", "<script>"], ["cw_consent", "personalization.1-x.9-__proto__.1-analytics.7"]]);
  const { consent } = await visit({ jar });
  assert.match(consent.id, /^[0-9a-f]{32}$/);
  assert.deepEqual([consent.get().personalization, consent.get().analytics], ["granted", "unknown"]);
});

test("a page that may not have cookies keeps the id for its own life", async () => {
  const { world, consent } = await visit();
  Object.defineProperty(globalThis.document, "cookie", { get: () => "", set: () => {} });
  consent.set(BOTH, "api");
  consent.sync();
  assert.match(consent.id, /^[0-9a-f]{32}$/);
  assert.equal(world.jar.size, 0);
});

test("another tab's choice holds here", async () => {
  const jar = new Map();
  const here = await visit({ jar });
  const there = await visit({ jar });
  there.consent.set(BOTH, "api");
  here.consent.sync();
  assert.equal(here.consent.id, there.consent.id);
  there.consent.set({ analytics: false, personalization: false }, "api");
  here.consent.sync();
  assert.deepEqual([here.consent.id, here.consent.status()], ["", "unknown"]);
  assert.deepEqual(here.changes.map(({ source }) => source), ["cookie", "cookie"]);
});

test("a rotated id is new, with the same choices told anew", async () => {
  const { world, consent, changes } = await visit();
  consent.set({ ...BOTH, credit: false }, "api");
  const old = consent.id;
  consent.rotate();
  assert.notEqual(consent.id, old);
  assert.equal(world.jar.get("cw_id"), consent.id);
  assert.deepEqual([changes[1].changed, changes[1].id, changes[1].withdrawn], [
    ["analytics", "personalization", "credit"], consent.id, false,
  ]);
});

test("without an id there is nothing to rotate", async () => {
  const { world, consent, changes } = await visit();
  consent.rotate();
  assert.deepEqual([world.written, changes], [[], []]);
});

/**
 * The rules as one would tell them to a privacy officer: the last choice for a purpose holds, GPC aside.
 * @param {{choices: object, source: string}[]} history
 */
function expected(history, gpc, purpose) {
  if (gpc && purpose === "advertising") return "denied";
  let last;
  let own = false;
  for (const { choices, source } of history) {
    if (choices[purpose] === undefined) continue;
    last = choices[purpose];
    own = last && (own || source === "api");
  }
  if (gpc && purpose === "personalization" && !own) return "denied";
  return last === undefined ? "unknown" : last ? "granted" : "denied";
}

/** Random histories over several page views, against the rules above. */
async function agreesWithTheRules(bug) {
  const random = randomness(7);
  const pick = (list) => list[Math.floor(random() * list.length)];
  for (let round = 0; round < 40; round += 1) {
    const gpc = random() < 0.5;
    const jar = new Map();
    let history = [];
    for (let view = 0; view < 3; view += 1) {
      const { consent } = await visit({ gpc, jar }, bug);
      if (!jar.size) history = []; // nothing was kept, so nothing is known
      for (let step = 0; step < 3; step += 1) {
        const choices = Object.fromEntries(PURPOSES.map((purpose) => [purpose, pick([true, false, undefined])]));
        const source = pick(["api", "gcm", "tcf"]);
        consent.set(choices, source);
        history.push({ choices, source });
        const all = Object.fromEntries(PURPOSES.map((purpose) => [purpose, expected(history, gpc, purpose)]));
        assert.deepEqual(consent.get(), { necessary: "granted", ...all });
        const kept = all.analytics === "granted" || all.personalization === "granted";
        assert.deepEqual([jar.has("cw_id"), jar.has("cw_consent"), consent.id !== ""], [kept, kept, kept]);
      }
    }
  }
}

test("any history of choices agrees with the rules", () => agreesWithTheRules());

for (const bug of [
  ['choice !== 2', "false"],
  ['purpose === "advertising" ||', ""],
  ['if (status() === "granted")', "if (true)"],
  ['if (status() === "granted")', 'if (status() !== "denied")'],
  ["chosen[purpose] = 0", "chosen[purpose] = 1"],
]) {
  test(`the rules notice a consent without ${bug[0]}`, () => assert.rejects(agreesWithTheRules(bug)));
}
