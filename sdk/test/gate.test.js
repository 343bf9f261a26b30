import assert from "node:assert/strict";
import { test } from "node:test";
import { load, openWorld, settle } from "./world.js";

const GRANT = { analytics: true, personalization: true };
const DENY = { analytics: false, personalization: false };

async function visit({ bug, ...traits } = {}) {
  const world = openWorld(traits);
  const { gate, consent, queue, track } = await load(bug);
  let news = 0;
  queue.open("/v1/batch", "cwp_test");
  gate.open(() => (news += 1));
  const record = (event) => gate.record(track.createEvent("track", { event }));
  const sent = async () => {
    await queue.flush();
    return world.requests.flatMap(({ batch }) => batch);
  };
  return { world, gate, consent, queue, record, sent, news: () => news };
}

const names = (events) => events.map(({ type, event }) => event ?? type);

async function holdsUntilAChoice(bug) {
  const { gate, consent, record, sent } = await visit({ bug });
  record("Product Viewed");
  record("Product Added");
  assert.deepEqual([await sent(), gate.held.length], [[], 2]);
  consent.set(GRANT, "api");
  const events = await sent();
  assert.deepEqual(names(events), ["consent", "Product Viewed", "Product Added"]);
  for (const { anonymousId, context } of events) {
    assert.equal(anonymousId, consent.id);
    assert.deepEqual(context.consent.categoryPreferences, GRANT);
  }
  assert.deepEqual(events[0].choices, { analytics: "granted", personalization: "granted" });
  assert.deepEqual([events[0].scope, events[0].source], ["device", "api"]);
}

test("events wait for a choice, and follow it after a grant", () => holdsUntilAChoice());

test("the check of the hold notices a gate that is open", () =>
  assert.rejects(holdsUntilAChoice(["if (id) for (const event", "for (const event"])));

test("a denial forgets what was held and keeps nothing after it", async () => {
  const { gate, consent, record, sent } = await visit();
  record("Product Viewed");
  consent.set(DENY, "api");
  record("Product Added");
  assert.deepEqual([await sent(), gate.held.length], [[], 0]);
});

test("half a denial is no choice yet", async () => {
  const { gate, consent, record } = await visit();
  record("Product Viewed");
  consent.set({ personalization: false }, "api");
  assert.equal(gate.held.length, 1);
});

test("the hold is bounded; the oldest give way", async () => {
  const { gate, record } = await visit();
  for (let number = 0; number < 150; number += 1) record(`e${number}`);
  assert.equal(gate.held.length, 100);
  assert.equal(gate.held.at(-1).event, "e149");
});

async function withdrawalForgets(bug) {
  const { consent, record, sent } = await visit({ bug });
  consent.set(GRANT, "api");
  await sent();
  const id = consent.id;
  record("Product Viewed");
  consent.set(DENY, "api");
  record("Product Added");
  const [, ...events] = await sent();
  assert.deepEqual(names(events), ["consent"]);
  assert.deepEqual([events[0].anonymousId, events[0].choices], [id, { analytics: "denied", personalization: "denied" }]);
}

test("a withdrawal drops what waits, is told with the id it ends, and nothing follows", () => withdrawalForgets());

test("the check of a withdrawal notices a queue that was kept", () =>
  assert.rejects(withdrawalForgets(["if (withdrawn) clear()", "if (0) clear()"])));

test("a withdrawal in another tab acts before the next request of this one", async () => {
  const jar = new Map();
  const here = await visit({ jar });
  here.consent.set(GRANT, "api");
  await here.sent();
  const there = await visit({ jar });
  there.consent.set(DENY, "api");
  const { length } = await here.sent();
  here.record("Product Viewed");
  await settle();
  assert.equal((await here.sent()).length, length);
  assert.equal(here.consent.id, "");
});

test("a grant in another tab releases what is held here, without telling it twice", async () => {
  const jar = new Map();
  const here = await visit({ jar });
  here.record("Product Viewed");
  const there = await visit({ jar });
  there.consent.set(GRANT, "api");
  here.record("Product Added");
  await Promise.all([here.queue.flush(), there.queue.flush()]);
  const events = there.world.requests.flatMap(({ batch }) => batch);
  assert.deepEqual(names(events).sort(), ["Product Added", "Product Viewed", "consent"]);
});

test("events carry no query, no fragment, no id before consent", async () => {
  const { gate, record } = await visit();
  record("Product Viewed");
  const [event] = gate.held;
  assert.deepEqual(event.context.page, { path: "/cart", type: undefined, referrer: "https://shop.example/search" });
  assert.equal("anonymousId" in event, false);
  assert.match(event.messageId, /^[0-9a-f]{32}$/);
});

test("every change is news, once", async () => {
  const { consent, news } = await visit();
  consent.set(GRANT, "api");
  consent.set(GRANT, "gcm");
  consent.set({ analytics: false }, "api");
  assert.equal(news(), 2);
});
