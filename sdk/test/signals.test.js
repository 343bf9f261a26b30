import assert from "node:assert/strict";
import { test } from "node:test";
import { load, openWorld } from "./world.js";

/** A page with Google's tag: `gtag` pushes its `arguments`, as Google's snippet does. */
async function withGoogle(...before) {
  const world = openWorld();
  const layer = [];
  function gtag() {
    layer.push(arguments);
  }
  for (const call of before) gtag(...call);
  globalThis.dataLayer = layer;
  const { signals } = await load();
  const reports = [];
  signals.followGoogle((choices) => reports.push(choices));
  return { world, layer, gtag, reports, last: () => reports.at(-1) };
}

const ALL = (value) => ({
  personalization_storage: value,
  analytics_storage: value,
  ad_storage: value,
  ad_user_data: value,
  ad_personalization: value,
});

test("Consent Mode: a default of denied is nobody's choice yet, an update is one", async () => {
  const { gtag, last } = await withGoogle(["consent", "default", { ...ALL("denied"), wait_for_update: 500 }]);
  assert.deepEqual(last(), { analytics: undefined, personalization: undefined, advertising: undefined });
  gtag("consent", "update", { ...ALL("denied"), personalization_storage: "granted" });
  assert.deepEqual(last(), { analytics: false, personalization: true, advertising: false });
});

test("Consent Mode: a default of granted holds until an update", async () => {
  const { gtag, last } = await withGoogle(["consent", "default", ALL("granted")]);
  assert.deepEqual(last(), { analytics: true, personalization: true, advertising: true });
  gtag("consent", "update", { ad_user_data: "denied" });
  assert.deepEqual(last(), { analytics: true, personalization: true, advertising: false });
});

test("Consent Mode: what is in the layer already is one state, not a history", async () => {
  const { reports } = await withGoogle(
    ["consent", "default", ALL("granted")],
    ["js", new Date(0)],
    ["consent", "update", ALL("denied")],
  );
  assert.deepEqual(reports, [{ analytics: false, personalization: false, advertising: false }]);
});

test("Consent Mode: a signal nobody set is not a denied one", async () => {
  const { last } = await withGoogle(["consent", "update", { analytics_storage: "granted", ad_storage: "granted" }]);
  assert.deepEqual(last(), { analytics: true, personalization: undefined, advertising: undefined });
});

test("Consent Mode: a default for a region can only take away", async () => {
  const granted = await withGoogle(["consent", "default", { ...ALL("granted"), region: ["US-CA"] }]);
  assert.deepEqual(granted.last(), { analytics: undefined, personalization: undefined, advertising: undefined });
  const denied = await withGoogle(
    ["consent", "default", ALL("granted")],
    ["consent", "default", { ...ALL("denied"), region: ["DE"] }],
  );
  assert.deepEqual(denied.last(), { analytics: undefined, personalization: undefined, advertising: undefined });
});

test("Consent Mode: the layer is read and never written; other entries and nonsense pass", async () => {
  const { layer, gtag, reports } = await withGoogle(["event", "purchase", { value: 1 }]);
  const odd = [null, 7, "consent", { event: "gtm.js" }, ["consent"], ["consent", "update"], ["consent", "update", 3]];
  for (const entry of odd) assert.equal(layer.push(entry), layer.length);
  assert.deepEqual(layer.slice(1), odd);
  const count = reports.length;
  gtag("config", "G-1");
  assert.equal(reports.length, count);
});

test("Consent Mode: our failure is not the shop's", async () => {
  const world = openWorld();
  globalThis.dataLayer = [];
  const { signals } = await load();
  signals.followGoogle(() => {
    throw Error("ours");
  });
  assert.equal(globalThis.dataLayer.push(["consent", "update", ALL("granted")]), 1);
  assert.deepEqual(world.requests, []);
});

/** A page with a consent platform that speaks TCF. */
async function withTcf() {
  openWorld();
  const calls = [];
  globalThis.__tcfapi = (...call) => calls.push(call);
  const { signals } = await load();
  const reports = [];
  signals.followIab((choices) => reports.push(choices));
  const [[command, version, callback]] = calls;
  assert.deepEqual([calls.length, command, version], [1, "addEventListener", 2]);
  return { reports, tell: (data, ok = true) => callback(data, ok) };
}

const consents = (...ids) => Object.fromEntries(ids.map((id) => [id, true]));
const chosen = (...ids) => ({
  gdprApplies: true,
  eventStatus: "useractioncomplete",
  purpose: { consents: consents(...ids), legitimateInterests: consents(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) },
});

for (const [ids, choices] of [
  [[], { analytics: false, personalization: false, advertising: false }],
  [[1], { analytics: false, personalization: false, advertising: false }],
  [[1, 5, 6], { analytics: false, personalization: true, advertising: false }],
  [[5, 6], { analytics: false, personalization: false, advertising: false }],
  [[1, 7, 8, 9], { analytics: true, personalization: false, advertising: false }],
  [[1, 8, 9], { analytics: false, personalization: false, advertising: false }],
  [[1, 2, 3, 4], { analytics: false, personalization: false, advertising: true }],
  [[1, 2, 3, 4, 5, 6, 7, 8, 9], { analytics: true, personalization: true, advertising: true }],
]) {
  test(`TCF: consent to ${ids.join(" ") || "nothing"}; legitimate interest counts for nothing`, async () => {
    const { reports, tell } = await withTcf();
    tell(chosen(...ids));
    assert.deepEqual(reports, [choices]);
  });
}

test("TCF: an open dialogue, another law and nonsense are no choice", async () => {
  const { reports, tell } = await withTcf();
  tell({ ...chosen(), eventStatus: "cmpuishown" });
  tell({ ...chosen(), gdprApplies: false });
  tell(null, false);
  assert.deepEqual(reports, []);
  tell({ ...chosen(), eventStatus: "tcloaded", purpose: null });
  assert.deepEqual(reports, [{ analytics: false, personalization: false, advertising: false }]);
});

test("TCF: a page without a platform is left alone", async () => {
  openWorld();
  delete globalThis.__tcfapi;
  const { signals } = await load();
  signals.followIab(() => assert.fail());
});
