/**
 * What the shopper allows, and the only two things we ever store: an anonymous id and the choice itself,
 * both after a grant, both gone with it.
 */

/** `necessary` is not here: it needs no permission, and nothing of it comes from a browser. */
export const PURPOSES = ["analytics", "personalization", "enrichment", "advertising", "credit"];

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
 * @property {Choices} before
 * @property {boolean} withdrawn something granted is not granted any more
 * @property {string} id the anonymous id it is about: the new one, or the one just given up, or empty
 * @property {string} source `api`, `gcm`, `tcf`, `gpc`, or `cookie` for a choice made in another tab
 * @property {Scope} scope
 */

/**
 * @typedef {object} Outside
 * @property {{get(name: string): string, set(name: string, value: string, seconds: number): void}} cookies
 * @property {boolean} gpc the browser carries Global Privacy Control
 * @property {() => string} randomId
 * @property {(change: Change) => void} onChange
 */

/** @param {boolean | undefined} choice @returns {Status} */
const named = (choice) => (choice ? "granted" : choice === false ? "denied" : "unknown");

/** @param {Outside} outside */
export function createConsent({ cookies, gpc, randomId, onChange }) {
  /**
   * What was chosen: 0 denied, 1 granted, 2 granted by the shopper although the browser carries GPC.
   * @type {Record<string, number>}
   */
  let chosen = {};
  /** What holds. @type {Choices} */
  let allowed = {};
  let id = "";
  let remembered = "";

  /**
   * GPC denies advertising always, and personalization until the shopper says otherwise under GPC.
   * @param {boolean} signal
   */
  function weigh(signal) {
    for (const purpose of PURPOSES) {
      const choice = chosen[purpose];
      const refused = signal && (purpose === "advertising" || (purpose === "personalization" && choice !== 2));
      allowed[purpose] = refused ? false : choice === undefined ? choice : choice > 0;
    }
  }

  function recall() {
    remembered = cookies.get(CHOICE_COOKIE);
    chosen = {};
    for (const [, purpose = "", choice = 0] of remembered.matchAll(/(\w+)\.([012])/g)) chosen[purpose] = +choice;
  }

  /** Keep or delete the cookies, as the status asks. */
  function store() {
    if (status() === "granted") {
      id ||= cookies.get(ID_COOKIE);
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
   * @param {Scope} scope
   */
  function settle(source, scope) {
    const before = allowed;
    const oldId = id;
    allowed = {};
    weigh(gpc);
    store();
    const changed = PURPOSES.filter((purpose) => allowed[purpose] !== undefined && allowed[purpose] !== before[purpose]);
    const withdrawn = PURPOSES.some((purpose) => before[purpose] && !allowed[purpose]);
    if (withdrawn || changed.length) onChange({ changed, before, withdrawn, id: id || oldId, source, scope });
  }

  /** @returns {Status} whether anything may be kept: granted, if for one of the two purposes we keep data for */
  function status() {
    const { analytics, personalization } = allowed;
    return named(analytics || personalization || (analytics === false ? personalization : undefined));
  }

  /** @returns {string[]} the names of what is stored in this browser now */
  const stored = () => [ID_COOKIE, CHOICE_COOKIE].filter(cookies.get);

  return {
    status,
    stored,

    /** Take up what was chosen on an earlier page; what GPC denies since then is a change. */
    start() {
      recall();
      weigh(false);
      if (status() === "granted") store();
      settle("gpc", "device");
    },

    /** Another tab may have changed the choice: its cookie is the truth. */
    sync() {
      if (cookies.get(CHOICE_COOKIE) === remembered) return;
      recall();
      settle("cookie", "device");
    },

    /**
     * @param {Choices} choices true grants, false denies, anything else is no choice
     * @param {string} source only `api`, our own call, may grant personalization under GPC
     * @param {Scope} scope
     */
    set(choices, source, scope) {
      for (const purpose of PURPOSES) {
        if (choices[purpose] === true) chosen[purpose] = gpc && source === "api" ? 2 : (chosen[purpose] || 1);
        if (choices[purpose] === false) chosen[purpose] = 0;
      }
      settle(source, scope);
    },

    /** A new anonymous id with the same choices: what was known about the old one stays with the old one. */
    rotate() {
      if (!id) return;
      rename();
      const changed = PURPOSES.filter((purpose) => allowed[purpose] !== undefined);
      onChange({ changed, before: {}, withdrawn: false, id, source: "api", scope: "device" });
    },

    /** @returns {Choices} what holds */
    choices: () => allowed,

    /** @returns {Record<string, Status>} every purpose by name */
    get: () => ({ necessary: "granted", ...Object.fromEntries(PURPOSES.map((purpose) => [purpose, named(allowed[purpose])])) }),

    /** @returns {string} the anonymous id; empty without a grant */
    id: () => id,
  };
}
