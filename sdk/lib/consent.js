/**
 * What the shopper allows, and the only two things we ever store: an anonymous id and the choice itself,
 * both after a grant, both gone with it.
 */

import { cookies, randomId } from "./page.js";

/** `necessary` is not here: it needs no permission, and nothing of it comes from a browser. */
const PURPOSES = ["analytics", "personalization", "enrichment", "advertising", "credit"];

const ID_COOKIE = "cw_id";
const CHOICE_COOKIE = "cw_consent";
/** 13 months, counted from the grant and not renewed by a visit. */
const LIFETIME = 395 * 24 * 3600;

/**
 * @typedef {Record<string, boolean | undefined>} Choices by purpose; undefined is unknown
 * @typedef {"device" | "person"} Scope
 * @typedef {"granted" | "denied" | "unknown"} Status
 */

/**
 * A change of what is allowed.
 * @typedef {object} Change
 * @property {string[]} changed the purposes with a new choice
 * @property {boolean} withdrawn something granted is not granted any more
 * @property {string} id the anonymous id it is about: the new one, or the one just given up, or empty
 * @property {string} source `api`, `gcm`, `tcf`, `gpc`, or `cookie` for a choice made in another tab
 * @property {Scope} scope
 */

/**
 * What was chosen: 0 denied, 1 granted, 2 granted by the shopper although the browser carries GPC.
 * @type {Record<string, number>}
 */
let chosen = {};
/** What holds. @type {Choices} */
export let allowed = {};
/** The anonymous id; empty without a grant. */
export let id = "";
/** The cookie of choices as this tab last saw it. */
let remembered = "";
/** @type {(change: Change) => void} */
let onChange;

/** Whether the browser carries Global Privacy Control. */
export const gpc = () => /** @type {{globalPrivacyControl?: unknown}} */ (navigator).globalPrivacyControl === true;

/** @param {boolean | undefined} choice @returns {Status} */
const named = (choice) => (choice ? "granted" : choice === false ? "denied" : "unknown");

/** @returns {Status} whether anything may be kept: granted, if for one of the two purposes we keep data for */
export function status() {
  const { analytics, personalization } = allowed;
  return named(analytics || personalization || (analytics === personalization ? analytics : undefined));
}

/** @returns {Record<string, Status>} every purpose by name */
export const get = () => ({
  necessary: "granted",
  ...Object.fromEntries(PURPOSES.map((purpose) => [purpose, named(allowed[purpose])])),
});

/** @returns {string[]} the names of what is stored in this browser now */
export const stored = () => [ID_COOKIE, CHOICE_COOKIE].filter(cookies.get);

/**
 * Take up what was chosen on an earlier page; what GPC denies since then is a change.
 * @param {(change: Change) => void} listener
 */
export function start(listener) {
  onChange = listener;
  recall();
  weigh(false);
  settle("gpc");
}

/** Another tab may have changed the choice: its cookie is the truth. */
export function sync() {
  if (cookies.get(CHOICE_COOKIE) === remembered) return;
  recall();
  settle("cookie");
}

/**
 * @param {Choices} choices true grants, false denies, anything else is no choice
 * @param {string} source only `api`, our own call, may grant personalization under GPC
 * @param {Scope} [scope]
 */
export function set(choices, source, scope) {
  sync();
  for (const purpose of PURPOSES) {
    if (choices[purpose] === true) chosen[purpose] = gpc() && source === "api" ? 2 : chosen[purpose] || 1;
    if (choices[purpose] === false) chosen[purpose] = 0;
  }
  settle(source, scope);
}

/** A new anonymous id with the same choices: what was known about the old one stays with the old one. */
export function rotate() {
  if (!id) return;
  rename();
  allowed = {}; // nobody has told the server about this id yet
  settle("api");
}

function recall() {
  id = cookies.get(ID_COOKIE);
  remembered = cookies.get(CHOICE_COOKIE);
  chosen = {};
  for (const [, purpose = "", choice = 0] of remembered.matchAll(/(\w+)\.([012])/g)) chosen[purpose] = +choice;
}

/**
 * GPC denies advertising always, and personalization until the shopper says otherwise under GPC.
 * @param {boolean} signal
 */
function weigh(signal) {
  allowed = {};
  for (const purpose of PURPOSES) {
    const choice = chosen[purpose];
    const refused = signal && (purpose === "advertising" || (purpose === "personalization" && choice !== 2));
    allowed[purpose] = refused ? false : choice === undefined ? choice : choice > 0;
  }
}

/** Keep or delete the cookies, as the status asks. */
function store() {
  if (status() === "granted") {
    if (!/^[0-9a-f]{32}$/.test(id)) rename();
    const text = Object.entries(chosen).map((entry) => entry.join(".")).join("-");
    if (text !== remembered) cookies.set(CHOICE_COOKIE, text, LIFETIME);
  } else {
    id = "";
    for (const name of stored()) cookies.set(name, "", 0);
  }
  remembered = cookies.get(CHOICE_COOKIE); // as the browser kept it, which may be not at all
}

function rename() {
  id = randomId();
  cookies.set(ID_COOKIE, id, LIFETIME);
}

/**
 * @param {string} source
 * @param {Scope} [scope]
 */
function settle(source, scope = "device") {
  const before = allowed;
  const oldId = id;
  weigh(gpc());
  store();
  const changed = PURPOSES.filter((purpose) => allowed[purpose] !== undefined && allowed[purpose] !== before[purpose]);
  const withdrawn = PURPOSES.some((purpose) => before[purpose] && !allowed[purpose]);
  if (withdrawn || changed.length) onChange({ changed, withdrawn, id: id || oldId, source, scope });
}
