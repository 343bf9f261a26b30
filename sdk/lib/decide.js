/** Ask for decisions, show them, and let the shop's default stand wherever there is none in time. */

import * as consent from "./consent.js";
import { record } from "./gate.js";
import { calm, post } from "./page.js";
import { render } from "./render.js";
import { createEvent, surroundings, timeZone, whenSeen } from "./track.js";

/**
 * @typedef {{experience: string | null, variation: string | null, content: Record<string, any> | null, reason: string, offer?: Record<string, any>}} Answer
 * @typedef {{decisionId: string, playbook: string, placements: Record<string, Answer>, token: string | null, level: string, degraded: boolean}} Decision
 */

/**
 * What a placement came to, and how to tell what became of it. `key` says whose moment it is, and of what: one exposure each.
 * @typedef {{experience: unknown, content: Answer["content"] | undefined, offer: Answer["offer"], key: string, tell: (event: string) => void}} Current
 */

/** What each placement shows now, and the way back. @type {WeakMap<Element, {json: string, back: (() => void) | null | undefined}>} */
const shown = new WeakMap();
/** @type {Record<string, Current>} */
const current = {};
/** Experiences that the shopper has sent away on this page. @type {Set<unknown>} */
const sentAway = new Set();
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
  const number = (questions += 1);
  for (const name of names) newest[name] = number;
  const isNewest = (/** @type {string} */ name) => newest[name] === number;
  if (!(await calm()) || !names.some(isNewest)) return null;
  consent.sync();
  const { id } = consent;
  /** @type {Record<string, any>} */
  const facts = { ...surroundings(), timeZone: timeZone(), ...context, ...more };
  const known = consent.allowed["personalization"];
  const shopper = known ? { anonymousId: id, ...person } : {};
  const cart_token = facts["cart"]?.token;
  const preview = new URLSearchParams(location.search).get("cw_preview") ?? undefined;
  const body = JSON.stringify({ ...rest, shopper, context: facts, placements: names, preview });
  const asked = performance.now();
  const { status, text } = await post(url, body, rest.deadlineMs);
  const latency = (performance.now() - asked) | 0;
  const decision = status === 200 ? parseDecision(text) : null;
  if (!(await calm())) return null;
  if (preview) import("./preview.js").then(({ badge }) => badge(status), () => {});
  // A preview is no exposure; and a token that was made for nobody would be refused.
  const token = id && !preview && (known || cart_token) && decision?.token;
  for (const name of names.filter(isNewest)) {
    answer(name, decision?.placements[name], id, (event) => {
      const properties = { placement: name, token, cart_token, latency };
      if (token && id === consent.id) record(createEvent("track", { event, properties }));
    });
  }
  return decision;
}

/**
 * @param {string} name of a placement
 * @param {Partial<Answer> | undefined} answer none leaves the shop's default
 * @param {string} id the anonymous id that asked
 * @param {Current["tell"]} tell
 */
function answer(name, { experience, variation, content, reason, offer } = {}, id, tell) {
  const last = current[name];
  if (sentAway.has(experience)) experience = content = null;
  // Seen often enough, by this very page: what it shows stays.
  if (reason === "capped" && last?.experience === experience) ({ content, offer } = { ...last });
  const key = id + experience + variation;
  current[name] = { experience, content, offer, key, tell };
  const [first] = showAll(name, content, offer);
  // An exposure is the moment a shopper could see the difference, whatever the content; asking again is no new one.
  if (first && experience && last?.key !== key) {
    whenSeen(first, () => current[name]?.key === key && tell("Experience Viewed"));
  }
}

/**
 * The shopper does not want this: the shop's default comes back, and what was shown does not on this page.
 * @param {string} name of a placement
 */
export async function dismiss(name) {
  const { experience, tell } = current[name] ?? {};
  if (!experience) return;
  sentAway.add(experience);
  delete current[name];
  tell?.("Experience Dismissed");
  await calm();
  showAll(name);
}

/**
 * @param {string} name of a placement
 * @param {Answer["content"]} [content]
 * @param {Answer["offer"]} [offer]
 * @returns {HTMLElement[]} where it is
 */
function showAll(name, content, offer) {
  const places = everyPlace().filter((place) => nameOf(place) === name);
  for (const place of places) show(place, content, offer);
  return places;
}

/** @returns {HTMLElement[]} */
const everyPlace = () => [...document.querySelectorAll(/** @type {"div"} */ ("[data-cashwrap-placement]"))];
/** @param {HTMLElement} place */
const nameOf = (place) => /** @type {string} */ (place.dataset["cashwrapPlacement"]);

/**
 * @param {HTMLElement} place
 * @param {Answer["content"] | undefined} content
 * @param {Answer["offer"]} offer
 */
function show(place, content, offer) {
  const json = JSON.stringify([content, offer]);
  const current = shown.get(place);
  if (current?.json === json) return; // no flicker, and focus stays where it is
  current?.back?.();
  shown.set(place, { json, back: content && render(place, content, offer) });
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
