import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { load, openWorld, settle } from "./world.js";

const refuse = (status, headers = {}) => () => new Response("{}", { status, headers });
const unreachable = () => Promise.reject(new TypeError("failed to fetch"));

/** @type {ReturnType<typeof openWorld>} */
let world;
let queue;

async function open(bug) {
  world = openWorld();
  ({ queue } = await load(bug));
  queue.open("/cw/v1/batch", "cwp_test");
}

beforeEach(async () => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.parse("2026-01-02T03:04:05Z") });
  await open();
});

const event = (number, size = 0) => ({ messageId: `m${number}`, filler: "x".repeat(size) });
const fill = (count, size) => {
  for (let number = 0; number < count; number += 1) queue.push(event(number, size));
};
const ids = (request) => request.batch.map(({ messageId }) => messageId);
const tick = async (milliseconds) => {
  mock.timers.tick(milliseconds);
  await settle();
};

test("the tenth event sends a batch, with key and time", async () => {
  fill(9);
  await settle();
  assert.equal(world.requests.length, 0);
  queue.push(event(9));
  await settle();
  const [{ writeKey, sentAt, batch }] = world.requests;
  assert.deepEqual([writeKey, sentAt, batch.length], ["cwp_test", "2026-01-02T03:04:05.000Z", 10]);
});

test("a lone event waits five seconds", async () => {
  fill(1);
  await tick(4999);
  assert.equal(world.requests.length, 0);
  await tick(1);
  assert.deepEqual(world.requests.map(ids), [["m0"]]);
});

test("a flush sends everything in order, ten at a time", async () => {
  world.answers = [() => new Promise((resolve) => setImmediate(() => resolve(new Response("{}"))))];
  fill(25);
  await queue.flush();
  await queue.flush();
  assert.deepEqual(world.requests.map((request) => request.batch.length), [10, 10, 5]);
  assert.deepEqual(world.requests.flatMap(ids), Array.from({ length: 25 }, (_, number) => `m${number}`));
});

async function retriesTheSameBytes() {
  world.answers = [refuse(503), unreachable];
  fill(3);
  await queue.flush();
  for (let round = 0; round < 3; round += 1) await tick(60_000);
  const events = world.bodies.map((body) => body.slice(body.indexOf('"batch"')));
  assert.equal(events.length, 3);
  assert.deepEqual(new Set(events).size, 1);
}

test("a failed batch is sent again, byte for byte", retriesTheSameBytes);

test("the check of a retry notices a queue that drops", async () => {
  await open(["if (tries < MAX_TRIES) waiting.unshift(...batch);", "if (0) ;"]);
  await assert.rejects(retriesTheSameBytes);
});

test("retries back off, ever longer, and never in step", async () => {
  const waits = [];
  for (const random of [0, 0.999]) {
    await open();
    mock.method(Math, "random", () => random);
    world.answers = Array(4).fill(refuse(500));
    fill(1);
    await queue.flush();
    const times = [Date.now()];
    for (let second = 0; second < 400 && world.requests.length < 5; second += 1) {
      const before = world.requests.length;
      await tick(100);
      if (world.requests.length > before) times.push(Date.now());
    }
    mock.restoreAll();
    waits.push(times.slice(1).map((time, index) => time - times[index]));
  }
  // The first retry comes with the five-second beat that was on already.
  assert.deepEqual(waits[0], [5000, 2000, 4000, 8000]);
  assert.deepEqual(waits[1], [5000, 4000, 8000, 16000]);
});

async function honoursRetryAfter() {
  world.answers = [refuse(429, { "Retry-After": "30" })];
  fill(1);
  await queue.flush();
  await tick(29_999);
  await queue.flush();
  queue.drain();
  assert.deepEqual([world.requests.length, world.beacons.length], [1, 0]);
  await tick(1);
  assert.deepEqual(world.requests.map(ids), [["m0"], ["m0"]]);
}

test("Retry-After is honoured to the second, by a leaving page too", honoursRetryAfter);

test("the check of Retry-After notices a queue in a hurry", async () => {
  await open(["asked || ", ""]);
  await assert.rejects(honoursRetryAfter);
});

for (const status of [400, 401, 403, 404, 413]) {
  test(`a batch refused with ${status} is not sent again, and what follows is`, async () => {
    world.answers = [refuse(status)];
    fill(10);
    await settle();
    await tick(120_000);
    assert.equal(world.requests.length, 1);
    queue.push(event("next"));
    await queue.flush();
    assert.deepEqual(ids(world.requests[1]), ["mnext"]);
  });
}

test("a batch that never gets through makes room after eight tries", async () => {
  world.answers = Array(8).fill(refuse(500));
  fill(10);
  queue.push(event("next"));
  await settle();
  for (let minute = 0; minute < 12; minute += 1) await tick(60_000);
  assert.equal(world.requests.length, 9);
  assert.deepEqual(ids(world.requests[8]), ["mnext"]);
});

async function staysBounded() {
  world.answers = Array(8).fill(unreachable);
  fill(10);
  await settle();
  fill(700);
  queue.drain();
  assert.ok(world.beacons.flatMap(ids).length <= 500);
  assert.equal(world.beacons.flatMap(ids).at(-1), "m699");
}

test("at most 500 events wait, the newest", staysBounded);

test("the check of the bound notices a queue without one", async () => {
  await open(["waiting.length > MAX_EVENTS", "false"]);
  await assert.rejects(staysBounded);
});

test("at most 256 KB wait", async () => {
  world.answers = Array(8).fill(unreachable);
  fill(10, 30_000);
  await settle();
  fill(10, 30_000);
  queue.drain();
  const bytes = world.beacons.flatMap(({ batch }) => batch).reduce((sum, each) => sum + JSON.stringify(each).length, 0);
  assert.ok(bytes <= 256 * 1024 && bytes > 200_000, `${bytes}`);
});

test("an event above 32 KB is dropped alone", async () => {
  queue.push(event("big", 40_000));
  queue.push(event("small"));
  await queue.flush();
  assert.deepEqual(world.requests.map(ids), [["msmall"]]);
});

test("size counts bytes, not characters", async () => {
  queue.push({ messageId: "wide", filler: "€".repeat(12_000) });
  await queue.flush();
  assert.equal(world.requests.length, 0);
});

test("a leaving page hands everything over, in beacons below 60 KB", async () => {
  world.answers = Array(8).fill(unreachable);
  fill(9, 20_000);
  queue.drain();
  assert.equal(world.beacons.flatMap(ids).length, 9);
  for (const beacon of world.beacons) assert.ok(JSON.stringify(beacon).length < 60_000);
  await queue.flush();
  assert.equal(world.requests.length, 0);
});

test("what the browser does not take stays", async () => {
  world.takesBeacons = false;
  fill(3);
  queue.drain();
  await queue.flush();
  assert.deepEqual(world.requests.flatMap(ids), ["m0", "m1", "m2"]);
});

test("what was cleared is not retried, even if it was on its way", async () => {
  let fail;
  world.answers = [() => new Promise((_, reject) => (fail = reject))];
  fill(10);
  await settle();
  queue.clear();
  fail(new TypeError());
  queue.push(event("after"));
  for (let minute = 0; minute < 3; minute += 1) await tick(60_000);
  assert.deepEqual(world.requests.slice(1).flatMap(ids), ["mafter"]);
});

test("a page that became one for payment sends nothing", async () => {
  fill(9);
  globalThis.document.documentElement.dataset.cashwrapPage = "payment";
  await queue.flush();
  queue.drain();
  assert.deepEqual([world.requests.length, world.beacons.length], [0, 0]);
});
