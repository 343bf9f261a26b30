/**
 * The gate between what happened and what leaves the page: held in memory until there is a choice, sent with
 * an id and the choice after a grant, forgotten after a denial.
 */

import * as consent from "./consent.js";
import * as queue from "./queue.js";
import { createEvent } from "./track.js";

const HELD_EVENTS = 100;

/** @typedef {Record<string, any>} Event as made by `createEvent` */

/** The oldest give way. @type {Event[]} */
export let held = [];

/** @param {() => void} onNews told that another choice holds now, and that the queue has what it let through */
export function open(onNews) {
  consent.start(({ changed, withdrawn, id, source, scope }) => {
    // What was recorded under the wider choice must not arrive after the narrower one.
    if (withdrawn) queue.clear();
    if (withdrawn || consent.status() === "denied") held = [];
    // A choice made in another tab was told there; a choice of nobody in particular is nobody's business.
    if (id && changed.length && source !== "cookie") {
      const now = consent.get();
      const choices = Object.fromEntries(changed.map((purpose) => [purpose, now[purpose]]));
      send(createEvent("consent", { choices, scope, source }), id);
    }
    release();
    onNews();
  });
}

/** @param {Event} event */
export function record(event) {
  consent.sync();
  if (consent.status() === "denied") return;
  held.push(event);
  if (held.length > HELD_EVENTS) held.shift();
  release();
}

function release() {
  if (consent.id) for (const event of held.splice(0)) send(event, consent.id);
}

/**
 * @param {Event} event
 * @param {string} anonymousId
 */
function send(event, anonymousId) {
  const context = { ...event["context"], consent: { categoryPreferences: consent.allowed } };
  queue.push({ ...event, anonymousId, context });
}
