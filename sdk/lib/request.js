/** From what `POST /v1/decide` takes to the inputs of a local decision: src/cashwrap/request.py in the browser. */

import { decimal } from "./condition.js";

const NECESSARY = 1;
const LINES = 500;
const PURPOSES = ["necessary", "analytics", "personalization", "enrichment", "advertising", "credit"];

/**
 * @param {{currency: string, digits: number, timeZone: string, locale: string}} bundle
 * @param {Record<string, any>} request the body of `POST /v1/decide`: `shopper`, `context`, `placements`
 * @param {{now?: number, purposes?: Record<string, boolean>}} [more] the purposes the shopper allows now
 * @returns {import("./evaluate.js").Inputs}
 */
export function inputsOf(bundle, { shopper = {}, context = {}, placements }, { now = Date.now(), purposes = {} } = {}) {
  const { checkout = {}, cart = {} } = context;
  const mask = PURPOSES.reduce((sum, name, at) => (purposes[name] ? sum | (1 << at) : sum), NECESSARY);
  const consent = PURPOSES.map((name, at) => [`consent.${name}`, Boolean(mask & (1 << at))]);
  /** @type {Record<string, string | null>} */
  const units = {};
  for (const [kind, id] of Object.entries({ anonymous: shopper.anonymousId, cart: cart.token })) {
    const unit = unitOfId(id);
    if (unit !== undefined) units[kind] = unit;
  }
  if (shopper.userId || shopper.token) units["user"] = null; // proven or not: only the server can tell
  return {
    now,
    values: { ...clock(bundle, context.timeZone, now), ...Object.fromEntries(consent), ...values(bundle, context) },
    mask,
    placements: placements ? [...new Set(placements)] : null,
    locale: context.locale || bundle.locale,
    paymentMethods: checkout.paymentMethods ?? [],
    deliveryMethods: checkout.deliveryMethods ?? [],
    savedMethod: checkout.savedMethod ?? null,
    units,
    quiet: Boolean(checkout.quiet),
  };
}

const NOBODY =
  /^(?:[0\s-]*|-1|anonymous|false|guest|n\/a|na|nan|nil|none|null|\[object object\]|true|undefined|unknown)$/i;
const PLAIN = /^[\w.-]{1,200}$/;

/**
 * @param {unknown} id
 * @returns {string | null | undefined} undefined for nobody; null for what the server may keep as a keyed hash, such as
 *   an e-mail address or the number of a card
 */
function unitOfId(id) {
  const text = typeof id === "string" ? id.trim() : "";
  if (NOBODY.test(text)) return undefined;
  return PLAIN.test(text) && !/(?:\d[-_.]{0,3}){13}/.test(text) ? text : null;
}

/**
 * @param {{currency: string, digits: number}} bundle
 * @param {Record<string, any>} context
 */
function values({ currency, digits }, context) {
  const { page = {}, device = {}, app = {}, location: place = {}, checkout = {}, cart = {}, locale } = context;
  const asked = (context["currency"] || currency).toUpperCase();
  /** @type {Record<string, unknown>} */
  const found = {
    currency: asked,
    "page.path": page.path ? page.path.split("?")[0] : undefined,
    "page.type": page.type,
    locale,
    language: locale?.replaceAll("_", "-").split("-")[0].toLowerCase(),
    "location.country": place.country?.toUpperCase(),
    "location.region": place.region,
    "location.source": place.country || place.region ? (place.source ?? "shop") : undefined,
    "device.type": device.type,
    "device.os": device.os,
    "device.browser": device.browser,
    "device.os_version": device.osVersion,
    "device.browser_version": device.browserVersion,
    "app.version": app.version,
    "checkout.step": checkout.step,
    "checkout.saved_method": checkout.savedMethod,
    "checkout.payment_methods": setOf(checkout.paymentMethods),
    "checkout.delivery_methods": setOf(checkout.deliveryMethods),
    ...cartValues(cart, asked === currency ? digits : null),
  };
  const said = Object.entries(found).filter(([name, value]) => (value || value === 0 || name === "page.path") && value !== undefined);
  return Object.fromEntries(said);
}

/** @param {string[] | undefined} names */
const setOf = (names) => (names?.length ? { set: [...new Set(names)] } : undefined);

/**
 * @param {Record<string, any>} cart
 * @param {number | null} digits null for another currency than the shop's, in which amounts are unknown
 */
function cartValues(cart, digits) {
  /** @type {Record<string, any>[]} */
  const items = (cart["items"] ?? []).slice(0, LINES);
  /** @type {Record<string, unknown>} */
  const found = {};
  if (digits !== null) found["cart.total"] = total(cart, items, digits);
  const count = items.reduce((sum, { quantity = 1 }) => sum + quantity, 0);
  if (cart["count"] !== undefined && cart["count"] !== null) found["cart.count"] = cart["count"];
  else if (items.length) found["cart.count"] = count;
  if (items.length || cart["count"] === 0) {
    found["cart.products"] = { set: [...new Set(items.map(({ id }) => id))] };
    found["cart.categories"] = { set: [...new Set(items.map(({ category }) => category).filter(Boolean))] };
  }
  return found;
}

/**
 * @param {Record<string, any>} cart
 * @param {Record<string, any>[]} items
 * @param {number} digits
 */
function total(cart, items, digits) {
  if (cart["total"] !== undefined && cart["total"] !== null) return toMinor(cart["total"], 1, digits);
  if (!items.length || items.some(({ price }) => price === undefined || price === null)) return undefined;
  let sum = 0;
  for (const { price, quantity = 1 } of items) {
    const line = toMinor(price, 1, digits) === undefined ? undefined : toMinor(price, quantity, digits);
    if (line === undefined) return undefined;
    sum += line;
  }
  return sum;
}

/**
 * Major units to minor ones, exactly, half a unit to the even one; undefined for what is no sensible amount.
 * @param {number | string} amount as the page has it: `19.99` is nineteen and ninety-nine hundredths
 * @param {number} times
 * @param {number} digits
 */
function toMinor(amount, times, digits) {
  const found = decimal(String(amount));
  if (!found || !Number.isSafeInteger(times)) return undefined;
  const scaled = found.digits * BigInt(times) * 10n ** BigInt(digits);
  const unit = 10n ** BigInt(found.places);
  const size = scaled < 0n ? -scaled : scaled;
  if (size >= 10n ** BigInt(12 + digits) * unit) return undefined;
  const [whole, rest] = [size / unit, (size % unit) * 2n];
  const rounded = whole + BigInt(rest > unit || (rest === unit && whole % 2n === 1n));
  return Number(scaled < 0n ? -rounded : rounded);
}

/**
 * The time where the shopper is, and where the shop is; an unknown time zone leaves it unknown.
 * @param {{timeZone: string}} bundle
 * @param {string | undefined} zone
 * @param {number} now
 */
function clock(bundle, zone, now) {
  const local = parts(zone || bundle.timeZone, now);
  const shop = parts(bundle.timeZone, now);
  return {
    now,
    ...(local && {
      "time.hour": local.hour,
      "time.weekday": local.weekday,
      "time.is_weekend": local.weekday >= 6,
      "time.local": local.number,
    }),
    ...(shop && { "shop_time.hour": shop.hour, "shop_time.weekday": shop.weekday }),
  };
}

/**
 * @param {string} timeZone
 * @param {number} now
 */
function parts(timeZone, now) {
  /** @type {Intl.DateTimeFormatOptions} */
  const whole = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" };
  try {
    const format = new Intl.DateTimeFormat("en-u-ca-gregory-nu-latn", { ...whole, timeZone, hourCycle: "h23" });
    const said = Object.fromEntries(format.formatToParts(now).map(({ type, value }) => [type, value]));
    const { year = "", month = "", day = "", hour = "", minute = "" } = said;
    const weekday = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDay() || 7;
    return { hour: Number(hour), weekday, number: Number(`${year}${month}${day}${hour}${minute}`) };
  } catch {
    return null;
  }
}
