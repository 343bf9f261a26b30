/**
 * cashwrap in the browser. START HERE: `start` wires the parts, `cashwrap` is all that a shop calls.
 *
 * Three promises hold for every line: the shop's page works as if we were not there (nothing throws, nothing
 * blocks, the default stands until an answer comes); before consent nothing is stored and nothing identifies;
 * on a payment page nothing runs.
 */

import { createDecider, parseDecision } from "./decide.js";
import { createGate } from "./gate.js";
import { cookies, isPayment, post, randomId } from "./page.js";
import { createQueue } from "./queue.js";
import { followGoogle, followIab } from "./signals.js";
import { createEvent, VERSION, watch } from "./track.js";

const DECIDE_TIMEOUT = 200;
const SEND_TIMEOUT = 10_000;
/** How long a decision waits for the news it depends on, such as a grant, to reach the server. */
const NEWS_TIMEOUT = 1000;
/** A batch of up to this many characters may outlive the page: three bytes each at worst. */
const KEEPALIVE_LENGTH = 20_000;
const DECISION_EVENT = "cashwrap:decision";

/**
 * @typedef {object} Options
 * @property {string} key publishable key, `cwp_...`
 * @property {string} [host] where the API is: an origin, or a path on the shop's own; default the page's origin
 * @property {string} [consent] who manages consent: `manual`, `gcm` or `tcf`; your own calls count always
 * @property {number} [timeout] milliseconds to wait for a decision; default 200
 * @property {Record<string, any>} [context] as for `setContext`
 * @property {string | undefined} [userId] who is logged in, as for `identify`
 * @property {string | undefined} [token] signed identity token for that user
 */

/**
 * @typedef {import("./decide.js").Decision} Decision
 * @typedef {{userId?: string | undefined, token?: string | undefined}} Person
 */

let started = false;
/** @type {import("./queue.js").Queue} */
let queue;
/** @type {import("./gate.js").Gate} */
let gate;
/** @type {import("./decide.js").Decider} */
let decider;
/** @type {() => void} */
let scan;
/** @type {Person} */
let person = {};
let gpc = false;

/** @param {Options} options */
function begin({ key, host = "", consent, timeout = DECIDE_TIMEOUT, context, ...user }) {
  const api = host.replace(/\/+$/, "") + "/v1/";
  gpc = /** @type {{globalPrivacyControl?: unknown}} */ (navigator).globalPrivacyControl === true;
  queue = createQueue({
    key,
    send: (body) => post(api + "batch", body, SEND_TIMEOUT, body.length < KEEPALIVE_LENGTH),
    beacon: (body) => navigator.sendBeacon(api + "batch", body),
    paused() {
      gate.consent.sync();
      return isPayment();
    },
  });
  gate = createGate({ queue, cookies, gpc, randomId, createEvent, onPersonalization: decideAfterNews });
  decider = createDecider({
    async ask(question) {
      const body = JSON.stringify({ writeKey: key, deadlineMs: timeout, ...question });
      const { status, text } = await post(api + "decide", body, timeout, false);
      return status === 200 ? parseDecision(text) : null;
    },
    subject() {
      gate.consent.sync();
      return gate.consent.choices()["personalization"] ? { anonymousId: gate.consent.id(), ...person } : {};
    },
    exposed(properties) {
      if (gate.consent.id()) cashwrap.track("Experience Viewed", properties);
    },
  });
  scan = watch((event, properties) => cashwrap.track(event, properties));
  decider.setContext({ ...embeddedContext(), ...context });
  gate.consent.start();
  if (consent === "gcm") followGoogle((choices) => gate.consent.set(choices, consent, "device"));
  if (consent === "tcf") followIab((choices) => gate.consent.set(choices, consent, "device"));
  const drain = guard(() => queue.drain(), undefined);
  addEventListener("pagehide", drain);
  document.addEventListener("visibilitychange", () => document.hidden && drain());
  started = true; // from here on calls act, and changes of consent ask for new decisions
  cashwrap.page();
  if (user.userId) cashwrap.identify(user.userId, user);
  else decideAfterNews();
}

/** Ask, once what changed has reached the server, or is late. */
function decideAfterNews() {
  if (!started) return;
  const late = new Promise((resolve) => setTimeout(resolve, NEWS_TIMEOUT));
  Promise.race([queue.flush(), late]).then(() => cashwrap.decide());
}

/** @returns {Record<string, any>} what the shop's server wrote into `<script type="application/json" data-cashwrap-context>` */
function embeddedContext() {
  try {
    return JSON.parse(document.querySelector("script[data-cashwrap-context]")?.textContent ?? "");
  } catch {
    return {};
  }
}

/**
 * Every call goes through here: before `start`, on a payment page and where we fail it does nothing, silently.
 * @template {any[]} A
 * @template R
 * @param {(...args: A) => R} act
 * @param {R} otherwise
 * @returns {(...args: A) => R}
 */
function guard(act, otherwise) {
  return (...args) => {
    try {
      return started && !isPayment() ? act(...args) : otherwise;
    } catch {
      return otherwise;
    }
  };
}

/** @type {{active: boolean, gpc: boolean, choices: Record<string, string>, stored: string[], held: number}} */
const INACTIVE = { active: false, gpc: false, choices: {}, stored: [], held: 0 };

export const cashwrap = {
  version: VERSION,

  /**
   * Begin, once: take up an earlier choice, follow the consent platform, ask for the placements in the page.
   * @param {Options} options
   */
  start(options) {
    try {
      if (started || isPayment()) return;
      if (/** @type {{prerendering?: boolean}} */ (document).prerendering) {
        // A page rendered ahead may never be seen.
        document.addEventListener("prerenderingchange", () => cashwrap.start(options), { once: true });
      } else begin(options);
    } catch {
      // The page goes on without us.
    }
  },

  consent: {
    /** Record the shopper's choice: true grants, false denies, a purpose left out stays as it is. */
    set: guard(
      (
        /** @type {import("./consent.js").Choices} */ choices,
        /** @type {{scope?: import("./consent.js").Scope}} */ { scope = "device" } = {},
      ) => gate.consent.set(choices, "api", scope),
      undefined,
    ),
    /** Every purpose: `granted`, `denied` or `unknown`. */
    get: guard(() => gate.consent.get(), INACTIVE.choices),
  },

  /** What a page can show about privacy: the choices in force, whether GPC was heard, what is stored. */
  privacyStatus: guard(
    () => ({ active: true, gpc, choices: gate.consent.get(), stored: gate.consent.stored(), held: gate.held() }),
    INACTIVE,
  ),

  /** Record an event of the e-commerce vocabulary, or one the playbook declares. */
  track: guard(
    (/** @type {string} */ event, /** @type {object} */ properties = {}) =>
      gate.record(createEvent("track", { event, properties })),
    undefined,
  ),

  /** Record a page view; `start` records the first. */
  page: guard((/** @type {object} */ properties = {}) => {
    gate.record(createEvent("page", { properties }));
    scan();
  }, undefined),

  /** Say who this is. Without the token your backend signed it is a claim, and opens nobody's profile. */
  identify: guard((/** @type {string} */ userId, /** @type {{token?: string | undefined, traits?: object}} */ { token, traits = {} } = {}) => {
    person = { userId, token };
    gate.record(createEvent("identify", { ...person, traits }));
    decideAfterNews();
  }, undefined),

  /** Somebody logged out: a new anonymous id, the same choices. */
  reset: guard(() => {
    person = {};
    gate.consent.rotate();
  }, undefined),

  /** Ask and render; resolves to null where there is no answer in time. Never rejects. */
  decide: guard(async (/** @type {[placements?: string[], context?: Record<string, any>]} */ ...[placements, context]) => {
    const decision = await decider.decide(placements, context).catch(() => null);
    if (decision) document.dispatchEvent(new CustomEvent(DECISION_EVENT, { detail: decision }));
    scan();
    return decision;
  }, Promise.resolve(null)),

  /**
   * Be told of every decision, as by the event `cashwrap:decision` on the document.
   * @param {(decision: Decision) => void} listener
   * @returns {() => void} stops it
   */
  onDecision(listener) {
    const told = (/** @type {Event} */ event) => listener(/** @type {CustomEvent} */ (event).detail);
    document.addEventListener(DECISION_EVENT, told);
    return () => document.removeEventListener(DECISION_EVENT, told);
  },

  /** Facts the next decisions may use: `cart`, `checkout`, `currency`, `location`. */
  setContext: guard((/** @type {Record<string, any>} */ context) => decider.setContext(context), undefined),

  /** Send what waits, now. */
  flush: guard(() => queue.flush(), Promise.resolve()),
};

// Start from `<script type="module" data-cashwrap-key=...>`, where there is one.
const tag = document.querySelector("script[data-cashwrap-key]");
if (tag instanceof HTMLScriptElement && !isPayment()) {
  const { cashwrapKey: key = "", cashwrapHost, cashwrapConsent, cashwrapTimeout, cashwrapUserId, cashwrapToken } = tag.dataset;
  /** @type {{cashwrap?: typeof cashwrap}} */ (window).cashwrap = cashwrap;
  cashwrap.start({
    key,
    host: cashwrapHost ?? tag.src.replace(/\/sdk\/.*/, ""),
    consent: cashwrapConsent ?? "manual",
    timeout: Number(cashwrapTimeout) || DECIDE_TIMEOUT,
    userId: cashwrapUserId,
    token: cashwrapToken,
  });
}
