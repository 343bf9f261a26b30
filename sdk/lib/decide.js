/** Ask for decisions, show them, and let the shop's default stand wherever there is none in time. */

import { render } from "./render.js";
import { locale, timeZone, where, whenSeen } from "./track.js";

const PLACEMENT = "data-cashwrap-placement";

/**
 * @typedef {{experience: string | null, variation: string | null, content: Record<string, any> | null, reason: string}} Answer
 * @typedef {{decisionId: string, playbook: string, placements: Record<string, Answer>, token: string | null, level: string, degraded: boolean}} Decision
 */

/**
 * @typedef {object} Outside
 * @property {(question: object) => Promise<Decision | null>} ask null where there is no answer in time
 * @property {() => object} subject who asks, as far as consent allows saying so
 * @property {(properties: object) => void} exposed
 */

/** @param {Outside} outside */
export function createDecider({ ask, subject, exposed }) {
  /** What each placement shows now, and the way back. @type {WeakMap<Element, {json: string, back: () => void}>} */
  const shown = new WeakMap();
  /** The newest question for each placement: an answer to an older one comes too late. @type {Record<string, number>} */
  const newest = {};
  let questions = 0;
  /** @type {Record<string, any>} */
  let context = {};

  /**
   * @param {Element} place
   * @param {Answer["content"] | undefined} content
   */
  function show(place, content) {
    const json = JSON.stringify(content ?? null);
    const current = shown.get(place);
    if (current?.json === json) return; // no flicker, and focus stays where it is
    current?.back();
    shown.set(place, { json, back: content ? render(/** @type {HTMLElement} */ (place), content) : () => {} });
  }

  return {
    /** @param {Record<string, any>} more facts about this page, such as `cart` and `checkout` */
    setContext(more) {
      context = { ...context, ...more };
    },

    /**
     * @param {string[]} [placements] those in the page, unless named
     * @param {Record<string, any>} [more] context for this question only
     * @returns {Promise<Decision | null>}
     */
    async decide(placements, more) {
      const names = placements ?? [...new Set(everyPlace().map(nameOf))];
      if (!names.length) return null;
      const question = (questions += 1);
      for (const name of names) newest[name] = question;
      const base = { page: where(), device: { type: device() }, locale: locale(), timeZone: timeZone() };
      const decision = await ask({ shopper: subject(), context: { ...base, ...context, ...more }, placements: names });
      for (const name of names) {
        if (newest[name] !== question) continue;
        const places = everyPlace().filter((place) => nameOf(place) === name);
        const { experience, variation, content } = decision?.placements[name] ?? {};
        for (const place of places) show(place, content);
        const [first] = places;
        // An exposure is the moment a shopper could see the difference, whatever the content.
        if (first && experience && decision?.token) {
          const { token, decisionId: decision_id } = decision;
          whenSeen(first, () => exposed({ placement: name, experience, variation, token, decision_id }));
        }
      }
      return decision;
    },
  };
}

/** @typedef {ReturnType<typeof createDecider>} Decider */

const everyPlace = () => [...document.querySelectorAll(`[${PLACEMENT}]`)];
/** @param {Element} place */
const nameOf = (place) => /** @type {string} */ (place.getAttribute(PLACEMENT));

function device() {
  const agent = navigator.userAgent;
  // An iPad calls itself a Mac, and an Android tablet an Android that is not mobile.
  if (/iPad|Tablet|Android(?!.*Mobi)/.test(agent) || (/Macintosh/.test(agent) && navigator.maxTouchPoints > 1)) return "tablet";
  return /Mobi/.test(agent) ? "mobile" : "desktop";
}

/**
 * @param {string} text
 * @returns {Decision | null} null for anything that is not an answer
 */
export function parseDecision(text) {
  try {
    const decision = JSON.parse(text);
    return Object(decision.placements) === decision.placements ? decision : null;
  } catch {
    return null;
  }
}
