/** What a bundle's variations show: texts by locale, and the shop's methods in their order. As src/cashwrap/content. */

/**
 * @typedef {Record<string, string>} Texts by locale
 * @typedef {object} Options
 * @property {"payment_methods" | "delivery_methods"} of
 * @property {string[]} [first]
 * @property {string[]} [last]
 * @property {string[]} [hide]
 * @property {string[]} [highlight]
 * @property {Record<string, Texts>} [names]
 * @property {Record<string, Texts>} [badges]
 * @typedef {["same", any] | ["text", Record<string, any>] | ["options", Options] | ["needs", number] | ["server"]} Show
 * @typedef {object} Setting
 * @property {string[]} tags where to look for a text, best first
 * @property {number} mask
 * @property {Record<Options["of"], string[]>} offered
 * @property {string | null} saved
 */

/** Thrown where only the server can say what is shown. */
export const SERVER = Symbol("server");

/** Why there is no content. */
export class Ineligible {
  /** @param {string} reason */
  constructor(reason) {
    this.reason = reason;
  }
}

const NO_CONTENT = new Ineligible("no_content");

/**
 * @param {Show} show
 * @param {Setting} setting
 * @returns {unknown} the content, or an `Ineligible`; throws `SERVER`
 */
export function render(show, setting) {
  switch (show[0]) {
    case "same":
      return show[1];
    case "text":
      return say(show[1], setting) ?? NO_CONTENT;
    case "options":
      return options(show[1], setting);
    case "needs":
      if (show[1] & ~setting.mask) return new Ineligible("no_consent");
  }
  throw SERVER;
}

/**
 * @template Said
 * @param {Record<string, Said>} texts
 * @param {Setting} setting
 * @returns {Said | undefined}
 */
function say(texts, { tags }) {
  const tag = tags.find((each) => Object.hasOwn(texts, each));
  return tag === undefined ? undefined : texts[tag];
}

/**
 * @param {Options} show
 * @param {Setting} setting
 */
function options({ of, first = [], last = [], hide = [], highlight = [], names = {}, badges = {} }, setting) {
  const offered = new Set(setting.offered[of]);
  const front = new Set(first.filter((method) => offered.has(method)));
  const back = new Set(last.filter((method) => offered.has(method) && !front.has(method)));
  const middle = [...offered].filter((method) => !front.has(method) && !back.has(method));
  const order = [...front, ...middle, ...back];
  if (!order.length) return NO_CONTENT;
  const hidden = [...new Set(hide)]
    .filter((method) => offered.has(method) && method !== setting.saved)
    .slice(0, order.length - 1); // one always stays
  const shown = [];
  for (const id of order) {
    if (hidden.includes(id)) continue;
    const name = Object.hasOwn(names, id) ? say(/** @type {Texts} */ (names[id]), setting) : null;
    const badge = Object.hasOwn(badges, id) ? say(/** @type {Texts} */ (badges[id]), setting) : null;
    if (name === undefined || badge === undefined) return NO_CONTENT;
    const marked = highlight.includes(id) ? { highlight: true } : {};
    shown.push({ id, ...(name === null ? {} : { name }), ...marked, ...(badge === null ? {} : { badge }) });
  }
  return { type: "options", options: shown, hidden };
}

const TAG = /^[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8}){0,4}$/;
const MAX_LOCALE = 35;

/**
 * `de_at` as `de-AT`; empty for what is no locale.
 * @param {string} tag
 */
function canonical(tag) {
  if (tag.length > MAX_LOCALE || !TAG.test(tag)) return "";
  const [language = "", ...rest] = tag.split(/[-_]/);
  const parts = rest.map((part) => {
    if (/^[A-Za-z]{4}$/.test(part)) return part.slice(0, 1).toUpperCase() + part.slice(1).toLowerCase();
    return part.length === 2 || part.length === 3 ? part.toUpperCase() : part.toLowerCase();
  });
  return [language.toLowerCase(), ...parts].join("-");
}

/**
 * Where to look for a text, best first: `de-AT`, `de`, then the same for the shop's own locale.
 * @param {string} requested
 * @param {string} fallback
 */
export function chain(requested, fallback) {
  const found = [requested, fallback].map(canonical).flatMap((tag) => {
    const parts = tag ? tag.split("-") : [];
    return parts.map((_, dropped) => parts.slice(0, parts.length - dropped).join("-"));
  });
  return [...new Set(found)];
}
