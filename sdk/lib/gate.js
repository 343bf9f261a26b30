/**
 * The gate between what happened and what leaves the page: held in memory until there is a choice, sent with
 * an id and the choice after a grant, forgotten after a denial.
 */

import { createConsent } from "./consent.js";

const HELD_EVENTS = 100;

/** @typedef {Record<string, any>} Event as made by `createEvent` */

/**
 * @typedef {object} Outside
 * @property {import("./queue.js").Queue} queue
 * @property {import("./consent.js").Outside["cookies"]} cookies
 * @property {boolean} gpc
 * @property {() => string} randomId
 * @property {(type: "consent", fields: object) => Event} createEvent
 * @property {() => void} onPersonalization it came or went
 */

/** @param {Outside} outside */
export function createGate({ queue, createEvent, onPersonalization, ...outside }) {
  /** The oldest give way. @type {Event[]} */
  let held = [];
  const consent = createConsent({ ...outside, onChange });

  /**
   * @param {Event} event
   * @param {string} anonymousId
   */
  function send(event, anonymousId) {
    const context = { ...event["context"], consent: { categoryPreferences: consent.choices() } };
    queue.push({ ...event, anonymousId, context });
  }

  /** @param {import("./consent.js").Change} change */
  function onChange({ changed, before, withdrawn, id, source, scope }) {
    const now = consent.get();
    // What was recorded under the wider choice must not arrive after the narrower one.
    if (withdrawn) queue.clear();
    if (withdrawn || consent.status() === "denied") held = [];
    // A choice made in another tab was told there; a choice of nobody in particular is nobody's business.
    if (id && changed.length && source !== "cookie") {
      const choices = Object.fromEntries(changed.map((purpose) => [purpose, now[purpose]]));
      send(createEvent("consent", { choices, scope, source }), id);
    }
    release();
    queue.flush();
    if (!before["personalization"] !== !consent.choices()["personalization"]) onPersonalization();
  }

  function release() {
    if (consent.id()) for (const event of held.splice(0)) send(event, consent.id());
  }

  return {
    consent,
    held: () => held.length,

    /** @param {Event} event */
    record(event) {
      consent.sync();
      if (consent.status() === "denied") return;
      held.push(event);
      if (held.length > HELD_EVENTS) held.shift();
      release();
    },
  };
}

/** @typedef {ReturnType<typeof createGate>} Gate */
