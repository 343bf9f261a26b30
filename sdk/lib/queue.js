/** Events on their way to the server: in batches, bounded, retried with the same bytes, never in the way. */

import { sync } from "./consent.js";
import { isPayment, post } from "./page.js";

const MAX_EVENTS = 500;
const MAX_BYTES = 256 * 1024;
const MAX_EVENT_BYTES = 32 * 1024;
const BATCH_EVENTS = 10;
/** Browsers refuse beacons above 64 KB. */
const BEACON_BYTES = 59_000;
const DELAY = 5000;
const MAX_WAIT = 60_000;
const MAX_TRIES = 8;
const SEND_TIMEOUT = 10_000;

/**
 * A serialised event and its size. The text is made once, so that a retry is the same event byte for byte.
 * @typedef {{json: string, bytes: number}} Entry
 */

/** Another array after `clear`: what came from the old one is not put back. @type {Entry[]} */
let waiting = [];
/** @type {Promise<void> | undefined} */
let sending;
let scheduled = false;
let tries = 0;
let closedUntil = 0; // after a failure, by our own back-off or by the server's word
let quietUntil = 0; // by the server's word only: even a leaving page keeps to it

let url = "";
let key = "";

/**
 * @param {string} to where batches go
 * @param {string} as publishable key
 */
export function open(to, as) {
  url = to;
  key = as;
}

/** Another tab may have withdrawn what waits here, and the page may have become one for payment. */
function mayRun() {
  sync();
  return !isPayment();
}

/** @param {Entry[]} batch */
const bodyOf = (batch) =>
  `{"writeKey":${JSON.stringify(key)},"sentAt":"${new Date().toISOString()}","batch":[${batch.map((entry) => entry.json)}]}`;

/**
 * @param {number} events
 * @param {number} bytes
 */
function take(events, bytes) {
  let count = 0;
  for (const entry of waiting) {
    bytes -= entry.bytes + 1;
    if (count && (bytes < 0 || count >= events)) break;
    count += 1;
  }
  return waiting.splice(0, count);
}

function trim() {
  let bytes = waiting.reduce((sum, entry) => sum + entry.bytes, 0);
  while (waiting.length > MAX_EVENTS || bytes > MAX_BYTES) bytes -= waiting.shift()?.bytes ?? 0;
}

/** @param {number} wait */
function schedule(wait) {
  if (scheduled) return;
  scheduled = true;
  setTimeout(() => {
    scheduled = false;
    flush();
  }, wait);
}

/**
 * @param {Entry[]} batch
 * @param {number} asked milliseconds the server wants us to wait, or 0
 */
function retry(batch, asked) {
  tries += 1;
  if (tries < MAX_TRIES) waiting.unshift(...batch);
  else tries = 0; // these never get through; the ones behind them might
  trim();
  closedUntil = Date.now() + (asked || Math.min(MAX_WAIT, 1000 * 2 ** tries) * (0.5 + Math.random() / 2));
  quietUntil = asked && closedUntil;
}

async function work() {
  await undefined; // so that `sending` is set before anything here asks for another flush
  while (mayRun() && waiting.length) {
    if (Date.now() < closedUntil) return schedule(closedUntil - Date.now());
    const origin = waiting;
    const batch = take(BATCH_EVENTS, MAX_BYTES);
    const { status, retryAfter } = await post(url, bodyOf(batch), SEND_TIMEOUT);
    // Taken, or refused for good: sending the same bytes again would not change that.
    if (status && status < 500 && status !== 429 && status !== 408) tries = 0;
    else if (origin === waiting) retry(batch, retryAfter);
  }
}

/** Send what waits, now. @returns {Promise<void>} when it was sent, or had to be left for later */
export function flush() {
  return (sending ??= work().finally(() => {
    sending = undefined;
  }));
}

/** @param {object} event one that is too large is dropped */
export function push(event) {
  const json = JSON.stringify(event);
  const bytes = new Blob([json]).size;
  if (bytes > MAX_EVENT_BYTES) return;
  waiting.push({ json, bytes });
  trim();
  if (waiting.length < BATCH_EVENTS) schedule(DELAY);
  else flush();
}

/** The page is going away, or may be: hand everything to the browser. */
export function drain() {
  while (mayRun() && waiting.length && Date.now() >= quietUntil) {
    const batch = take(MAX_EVENTS, BEACON_BYTES);
    if (!navigator.sendBeacon(url, bodyOf(batch))) {
      waiting.unshift(...batch);
      return;
    }
  }
}

/** Forget what was not sent yet, and what is on its way should it fail. */
export function clear() {
  waiting = [];
}
