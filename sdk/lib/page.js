/**
 * The page we are a guest on: its cookies, its network, and whether we may run here at all. The modules with
 * logic get these by argument, so that they can be tested without a browser.
 */

/**
 * What the network answered. `status` 0 is no answer: unreachable, blocked, cut off, or later than allowed.
 * `retryAfter` is in milliseconds, 0 where the server did not say how many seconds to wait.
 * @typedef {{status: number, text: string, retryAfter: number}} Reply
 */

/** @returns {string | undefined} what the page says it is: `<html data-cashwrap-page>` or `<meta name=cashwrap-page>` */
export const pageType = () =>
  document.documentElement.dataset["cashwrapPage"] ||
  document.querySelector("meta[name=cashwrap-page]")?.getAttribute("content") ||
  undefined;

/** On a payment page nothing of ours runs: asked again before every act, since a page may become one. */
export const isPayment = () => pageType() === "payment";

const QUIET = '[autocomplete*="cc-" i],[data-cashwrap-quiet]';
const LOOK = 250;

/**
 * Resolve when nobody types payment data: in a card field, or in what the shop has marked, frames included. Nothing
 * tells when a frame is left, or when what had the focus is gone, so this looks.
 * @returns {Promise<boolean>} whether we may still run here
 */
export async function calm() {
  while (document.activeElement?.closest(QUIET)) await new Promise((again) => setTimeout(again, LOOK));
  return !isPayment();
}

/** Cookies of the page's own host. */
export const cookies = {
  /** @param {string} name */
  get: (name) => document.cookie.match(`(?:^|; )${name}=([^;]*)`)?.[1] ?? "",
  /**
   * @param {string} name
   * @param {string} value
   * @param {number} seconds until it expires; 0 deletes it
   */
  set(name, value, seconds) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${name}=${value}; Path=/; Max-Age=${seconds}; SameSite=Lax${secure}`;
  },
};

/** @returns {string} 128 random bits in hex: an anonymous id or a message id */
export const randomId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** What may outlive the page: browsers allow 64 KB at a time, and a character may take three bytes. */
const KEEPALIVE_LENGTH = 20_000;

/**
 * POST text and never reject. A plain-text body needs no preflight, which would cost a round trip; the
 * shop's own cookies and the address's query never travel with it.
 * @param {string} url
 * @param {string} body JSON
 * @param {number} timeout milliseconds for the whole answer
 * @returns {Promise<Reply>}
 */
export async function post(url, body, timeout) {
  try {
    const response = await fetch(url, {
      method: "POST",
      body,
      credentials: "omit",
      referrerPolicy: "origin",
      keepalive: body.length < KEEPALIVE_LENGTH,
      signal: AbortSignal.timeout(timeout),
    });
    const wait = Number(response.headers.get("Retry-After")) * 1000;
    return { status: response.status, text: await response.text(), retryAfter: wait > 0 ? wait : 0 };
  } catch {
    return { status: 0, text: "", retryAfter: 0 };
  }
}
