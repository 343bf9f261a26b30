/** What happened, as events in the Segment spec's shape: from calls, and from attributes in the page. */

import { pageType, randomId } from "./page.js";

export const VERSION = "0.1.0";

const PROPERTY = "data-cashwrap-prop-";

/** Where the shopper is, without query and fragment; what kind of device it is, the server reads from the user agent. */
export const surroundings = () => ({
  locale: document.documentElement.lang || navigator.language,
  page: { path: location.pathname, type: pageType(), referrer: document.referrer.replace(/[?#].*/, "") },
  // But an iPad calls itself a Mac there.
  ...(/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1 && { device: { type: "tablet" } }),
});

export const timeZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

/**
 * @param {"track" | "page" | "identify" | "consent"} type
 * @param {object} fields
 * @returns {Record<string, any>} without a shopper: the gate adds that, when it may
 */
export const createEvent = (type, fields) => ({
  type,
  messageId: randomId(),
  timestamp: new Date().toISOString(),
  ...fields,
  context: { ...surroundings(), timezone: timeZone(), library: { name: "cashwrap.js", version: VERSION } },
});

/**
 * Read what an element declares. Never looks at form values.
 * @param {Element} element with `data-cashwrap-event`
 * @returns {[string, Record<string, string>]} event name and properties, all text: the server knows which are numbers
 */
function declared(element) {
  /** @type {Record<string, string>} */
  const properties = {};
  for (const { name, value } of element.attributes) {
    if (name.startsWith(PROPERTY)) properties[name.slice(PROPERTY.length)] = value;
  }
  return [/** @type {string} */ (element.getAttribute("data-cashwrap-event")), properties];
}

/**
 * Call back once, when an element is first seen.
 * @param {Element} element
 * @param {() => void} act
 */
export function whenSeen(element, act) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    act();
  });
  observer.observe(element);
}

/**
 * Watch `data-cashwrap-event` elements: clicks anywhere, now and later; views of those found by `scan`. And clicks
 * that send away what the placement around them shows.
 * @param {(name: string, properties: object) => void} track
 * @param {(placement: any) => void} dismiss
 * @returns {() => void} `scan`, to be called when the page has got new elements
 */
export function watch(track, dismiss) {
  /** @type {WeakSet<Element>} */
  const known = new WeakSet();
  document.addEventListener(
    "click",
    ({ target }) => {
      if (!(target instanceof Element)) return;
      const element = target.closest("[data-cashwrap-event]:not([data-cashwrap-on=view])");
      if (element) track(...declared(element));
      const place = target.closest("[data-cashwrap-dismiss]")?.closest("[data-cashwrap-placement]");
      if (place) dismiss(/** @type {HTMLElement} */ (place).dataset["cashwrapPlacement"]);
    },
    true, // a shop's stopPropagation is about its own handlers
  );
  return () => {
    for (const element of document.querySelectorAll("[data-cashwrap-event][data-cashwrap-on=view]")) {
      if (!known.has(element)) whenSeen(element, () => track(...declared(element)));
      known.add(element);
    }
  };
}
