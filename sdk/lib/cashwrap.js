/**
 * cashwrap in the browser. START HERE: `start` wires the parts, `cashwrap` is all that a shop calls.
 *
 * Three promises hold for every line: the shop's page works as if we were not there (nothing throws, nothing
 * blocks, the default stands until an answer comes); before consent nothing is stored and nothing identifies;
 * on a payment page nothing runs.
 *
 * A page has one SDK, so each module keeps its own state.
 */

import * as consent from "./consent.js";
import { decide, dismiss, setContext } from "./decide.js";
import * as gate from "./gate.js";
import { isPayment } from "./page.js";
import * as queue from "./queue.js";
import { createEvent, VERSION, watch } from "./track.js";

const DECIDE_TIMEOUT = 200;
/** How long a decision waits for the news it depends on, such as a grant, to reach the server. */
const NEWS_TIMEOUT = 1000;
const DECISION_EVENT = "cashwrap:decision";
const NOTHING = Promise.resolve(null);

/**
 * @typedef {object} Options
 * @property {string} key publishable key, `cwp_...`
 * @property {string} [host] where the API is: an origin, or a path on the shop's own; default the page's origin
 * @property {string | undefined} [consent] who manages consent: `manual`, `gcm` or `tcf`; your own calls count always
 * @property {number} [timeout] milliseconds to wait for a decision; default 200
 * @property {Record<string, any>} [context] as for `setContext`
 * @property {string | undefined} [userId] who is logged in, as for `identify`
 * @property {string | undefined} [token] signed identity token for that user
 */

/**
 * @typedef {import("./decide.js").Decision} Decision
 * @typedef {import("./consent.js").Choices} Choices
 */

let started = false;
/** What every question for a decision says: where to, by which key, how long to wait. */
let asking = { url: "", writeKey: "", deadlineMs: DECIDE_TIMEOUT };
/** @type {{userId?: string, token?: string | undefined}} */
let person = {};
/** @type {() => void} */
let scan;
/** A decision that waits for news already. @type {Promise<void> | undefined} */
let soon;

/** @param {Options} options */
function begin({ key, host = "", consent: source, timeout, context, userId, token }) {
  const api = host.replace(/\/+$/, "") + "/v1/";
  started = true;
  asking = { url: api + "decide", writeKey: key, deadlineMs: timeout || DECIDE_TIMEOUT };
  queue.open(api + "batch", key);
  scan = watch(cashwrap.track, cashwrap.dismiss);
  setContext({ ...context });
  gate.open(decideAfterNews);
  const heard = guard((/** @type {Choices} */ choices) => consent.set(choices, `${source}`));
  // Rare parts are files of their own; where they do not load, nobody has consented to anything.
  if (source && source !== "manual") import("./signals.js").then(({ follow }) => follow(source, heard), () => {});
  for (const moment of ["pagehide", "visibilitychange"]) addEventListener(moment, guard(queue.drain));
  cashwrap.page();
  if (userId) cashwrap.identify(userId, { token });
  else decideAfterNews();
}

/** Ask, once what changed has reached the server, or is late. */
function decideAfterNews() {
  const late = new Promise((resolve) => setTimeout(resolve, NEWS_TIMEOUT));
  soon ??= Promise.race([queue.flush(), late]).then(() => {
    soon = undefined;
    cashwrap.decide();
  });
}

/**
 * Every call goes through here: before `start`, on a payment page and where we fail it does nothing, silently.
 * @template {any[]} A
 * @template R
 * @param {(...args: A) => R} act
 * @param {any} [otherwise] what to answer then
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
      /**
       * @param {Choices} choices
       * @param {{scope?: import("./consent.js").Scope}} [options] `person`, where the shopper is logged in and means it everywhere
       */
      (choices, options) => consent.set(choices, "api", options?.scope),
    ),
    /** Every purpose: `granted`, `denied` or `unknown`. */
    get: guard(consent.get, {}),
  },

  /** What a page can show about privacy: the choices in force, whether GPC was heard, what is stored. */
  privacyStatus: guard(
    () => ({
      active: true,
      gpc: consent.gpc(),
      choices: consent.get(),
      stored: consent.stored(),
      held: gate.held.length,
    }),
    { active: false },
  ),

  /** Record an event of the e-commerce vocabulary, or one the playbook declares. */
  track: guard(
    /**
     * @param {string} event
     * @param {object} [properties]
     */
    (event, properties) => gate.record(createEvent("track", { event, properties })),
  ),

  /** Record a page view; `start` records the first. */
  page: guard(/** @param {object} [properties] */ (properties) => {
    gate.record(createEvent("page", { properties }));
    scan();
  }),

  /** Say who this is. Without the token your backend signed it is a claim, and opens nobody's profile. */
  identify: guard(
    /**
     * @param {string} userId
     * @param {{token?: string | undefined, traits?: object}} [proof]
     */
    (userId, { token, traits } = {}) => {
      person = { userId, token };
      gate.record(createEvent("identify", { ...person, traits }));
      decideAfterNews();
    },
  ),

  /** Somebody logged out: a new anonymous id, the same choices. */
  reset: guard(() => {
    person = {};
    consent.rotate();
  }),

  /** Ask and render; resolves to null where there is no answer in time. Never rejects. */
  decide: guard(
    /**
     * @param {string[]} [placements] those in the page, unless named
     * @param {Record<string, any>} [more] context for this question only
     */
    async (placements, more) => {
      const decision = await decide({ ...asking, person, placements, more }).catch(() => null);
      if (decision) document.dispatchEvent(new CustomEvent(DECISION_EVENT, { detail: decision }));
      scan();
      return decision;
    },
    NOTHING,
  ),

  /** Send away what a placement shows, as an element with `data-cashwrap-dismiss` in it does. */
  dismiss: guard(dismiss),

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
  setContext: guard(setContext),

  /** Send what waits, now. */
  flush: guard(queue.flush, NOTHING),
};

// Start from `<script type="module" data-cashwrap-key=...>`, where there is one.
try {
  const tag = document.querySelector(/** @type {"script"} */ ("script[data-cashwrap-key]"));
  if (tag) {
    const { cashwrapKey: key = "", cashwrapHost, cashwrapConsent: consent, cashwrapContext = "{}" } = tag.dataset;
    const { cashwrapTimeout, cashwrapUserId: userId, cashwrapToken: token } = tag.dataset;
    const host = cashwrapHost ?? tag.src.replace(/\/sdk\/.*/, "");
    /** @type {{cashwrap?: typeof cashwrap}} */ (window).cashwrap = cashwrap;
    cashwrap.start({ key, host, consent, timeout: Number(cashwrapTimeout), userId, token, context: JSON.parse(cashwrapContext) });
  }
} catch {
  // The page goes on without us.
}
