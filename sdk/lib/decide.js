/** Ask for decisions, show them, and let the shop's default stand wherever there is none in time. */

import * as consent from "./consent.js";
import { record } from "./gate.js";
import { post } from "./page.js";
import { render } from "./render.js";
import { createEvent, surroundings, timeZone, whenSeen } from "./track.js";

/**
 * @typedef {{experience: string | null, variation: string | null, content: Record<string, any> | null, reason: string}} Answer
 * @typedef {{decisionId: string, playbook: string, placements: Record<string, Answer>, token: string | null, level: string, degraded: boolean}} Decision
 */

/** What each placement shows now, and the way back. @type {WeakMap<Element, {json: string, back: (() => void) | null | undefined}>} */
const shown = new WeakMap();
/** The newest question for each placement: an answer to an older one comes too late. @type {Record<string, number>} */
const newest = {};
let questions = 0;
/** @type {Record<string, any>} */
let context = {};

/** @param {Record<string, any>} more facts about this page, such as `cart` and `checkout` */
export function setContext(more) {
  context = { ...context, ...more };
}

/**
 * @typedef {object} Question
 * @property {string} url
 * @property {string} writeKey
 * @property {number} deadlineMs
 * @property {object} person `userId` and `token`, told only where personalization is allowed
 * @property {string[] | undefined} placements those in the page, unless named
 * @property {Record<string, any> | undefined} more context for this question only
 */

/**
 * @param {Question} question
 * @returns {Promise<Decision | null>}
 */
export async function decide({ url, person, placements, more, ...rest }) {
  const names = placements ?? [...new Set(everyPlace().map(nameOf))];
  if (!names.length) return null;
  const number = (questions += 1);
  for (const name of names) newest[name] = number;
  consent.sync();
  const shopper = consent.allowed["personalization"] ? { anonymousId: consent.id, ...person } : {};
  const facts = { ...surroundings(), timeZone: timeZone(), ...context, ...more };
  const body = JSON.stringify({ ...rest, shopper, context: facts, placements: names });
  const { status, text } = await post(url, body, rest.deadlineMs);
  const decision = status === 200 ? parseDecision(text) : null;
  for (const name of names) if (newest[name] === number) answer(name, decision);
  return decision;
}

/**
 * @param {string} name of a placement
 * @param {Decision | null} decision
 */
function answer(name, decision) {
  const places = everyPlace().filter((place) => nameOf(place) === name);
  const { experience, variation, content } = decision?.placements[name] ?? {};
  for (const place of places) show(place, content);
  const [first] = places;
  const token = decision?.token;
  // An exposure is the moment a shopper could see the difference, whatever the content.
  if (first && experience && token) {
    const properties = { placement: name, experience, variation, token };
    whenSeen(first, () => consent.id && record(createEvent("track", { event: "Experience Viewed", properties })));
  }
}

/** @returns {HTMLElement[]} */
const everyPlace = () => [...document.querySelectorAll(/** @type {"div"} */ ("[data-cashwrap-placement]"))];
/** @param {HTMLElement} place */
const nameOf = (place) => /** @type {string} */ (place.dataset["cashwrapPlacement"]);

/**
 * @param {HTMLElement} place
 * @param {Answer["content"] | undefined} content
 */
function show(place, content) {
  const json = JSON.stringify(content ?? null);
  const current = shown.get(place);
  if (current?.json === json) return; // no flicker, and focus stays where it is
  current?.back?.();
  shown.set(place, { json, back: content && render(place, content) });
}

/**
 * @param {string} text
 * @returns {Decision | null} null for anything that is not an answer
 */
function parseDecision(text) {
  try {
    const decision = JSON.parse(text);
    return Object(decision.placements) === decision.placements ? decision : null;
  } catch {
    return null;
  }
}
