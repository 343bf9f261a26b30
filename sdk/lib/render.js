/**
 * Typed content into a placement, by DOM operations and text only: nothing from the server is ever parsed as
 * markup, style or script. Every change records how to take it back, so that a placement can always return to
 * the shop's default. Content of the wrong shape throws; `render` then takes back what was done.
 */

import { calm } from "./page.js";

const TOKEN = /^[a-z][\w-]{0,40}$/i;
/** One number, word or colour: no brackets, so no `url(...)`; no space, colon or semicolon, so no second value. */
const STYLE_VALUE = /^[#\w.%-]{1,32}$/;

/** Answers are unchecked JSON: every renderer checks what it uses. @typedef {Record<string, any>} Content */
/** @typedef {(place: HTMLElement, content: Content) => void} Renderer */

/** How to take back what was done so far, in the render under way. @type {(() => unknown)[]} */
let undo = [];

/**
 * Show content in a placement.
 * @param {HTMLElement} place
 * @param {Content} content
 * @param {Content | undefined} offer what it promises, if it does
 * @returns {() => void} brings the shop's default back
 */
export function render(place, content, offer) {
  /** @type {typeof undo} */
  const done = [];
  let over = false;
  const back = () => {
    over = true;
    undo = []; // a way back needs no way back
    while (done.length) done.pop()?.();
  };
  const run = (/** @type {Renderer | undefined} */ renderer) => {
    try {
      undo = done;
      renderer?.(place, content);
    } catch {
      back();
    }
  };
  const type = content["type"];
  const [list, beside] = [type === "products" && import("./products.js"), offer && import("./offer.js")];
  if (list || beside) {
    Promise.all([list, beside]).then(
      async ([list, beside]) => {
        if (!(await calm()) || over) return;
        const tools = { append, fill, later, mark, set, slot, write };
        run(list ? list.products(tools) : RENDERERS[type]);
        if (beside && offer && done.length) run(() => beside.disclose(tools, place, offer, back));
      },
      () => {},
    );
  } else run(RENDERERS[type]);
  return back;
}

// --- changes that can be taken back ---

/** @param {() => unknown} way back */
const later = (way) => undo.push(way);

/**
 * Replace what an element shows. Where the shop has redrawn it since, the shop's newer content stays.
 * @param {Element} element
 * @param {...(string | Node)} nodes
 */
function fill(element, ...nodes) {
  const old = [...element.childNodes];
  element.replaceChildren(...nodes);
  const ours = element.lastChild;
  undo.push(() => ours?.parentNode === element && element.replaceChildren(...old));
}

/**
 * Replace an element's text. A script or a style is never written to, whoever marked it.
 * @param {Element} element
 * @param {unknown} text anything but a text with something in it is content of the wrong shape
 */
function write(element, text) {
  if (typeof text !== "string" || !text || /^(script|style)$/i.test(element.tagName)) throw text;
  fill(element, text);
}

/**
 * @param {Element} element
 * @param {string} name attribute
 * @param {string | null} value null removes it
 */
function set(element, name, value) {
  const put = (/** @type {string | null} */ to) => (to === null ? element.removeAttribute(name) : element.setAttribute(name, to));
  const old = element.getAttribute(name);
  put(value);
  undo.push(() => put(old));
}

/**
 * @param {Element} element
 * @param {string} name class
 */
function mark(element, name) {
  if (element.classList.contains(name)) return;
  element.classList.add(name);
  undo.push(() => element.classList.remove(name));
}

/**
 * @param {Element | DocumentFragment} parent
 * @param {string} tag
 * @param {string} name class, and where it is to be filled later, slot
 */
function append(parent, tag, name) {
  const node = document.createElement(tag);
  node.className = "cw-" + name;
  node.dataset["cashwrapSlot"] = name;
  parent.append(node);
  undo.push(() => node.remove());
  return node;
}

/**
 * The part of an element that the shop has marked for something.
 * @param {ParentNode} place
 * @param {string} name
 * @returns {HTMLElement | null}
 */
const slot = (place, name) => place.querySelector(`[data-cashwrap-slot=${name}]`);

// --- one renderer for each component ---

/** @type {Record<string, Renderer>} */
const RENDERERS = {
  // @ts-expect-error JSON could name a component "constructor": nothing is inherited here
  __proto__: null,

  message,
  installments: message,

  options(place, { options: wanted, hidden = [] }) {
    const now = [...place.querySelectorAll(/** @type {"div"} */ ("[data-cashwrap-option]"))];
    /** @param {HTMLElement} option */
    const idOf = (option) => option.dataset["cashwrapOption"];
    /** @param {HTMLElement} option one that is not named comes after those that are */
    const rank = (option) => wanted.findIndex((/** @type {Content} */ { id }) => id === idOf(option)) >>> 0;
    reorder(now, [...now].sort((a, b) => rank(a) - rank(b)));
    let left = now.filter((option) => !option.hidden).length;
    for (const option of now) {
      const { name, badge, highlight } = wanted[rank(option)] ?? {};
      const label = slot(option, "label") ?? (option.childElementCount ? null : option);
      if (highlight === true) mark(option, "cw-highlight");
      if (name && label) write(label, name);
      if (badge && option.tagName !== "OPTION") write(slot(option, "badge") ?? append(option, "span", "badge"), badge);
      if (hidden.includes(idOf(option)) && left > 1 && !isKept(option) && !option.hidden) {
        set(option, "hidden", "");
        left -= 1;
      }
    }
  },

  button(place, { text, style }) {
    const target = place.matches("button,a,input") ? place : (place.querySelector("button,a,input[type=submit]") ?? place);
    if (target.tagName === "INPUT") set(target, "value", `${text}`);
    else write(slot(target, "text") ?? target, text);
    if (style && TOKEN.test(style)) mark(target, "cw-button--" + style);
  },

  field(place, { state, prefill }) {
    const input = /** @type {HTMLInputElement | null} */ (slot(place, "field"));
    if (input && prefill && !input.value && mayPrefill(input)) {
      input.value = prefill;
      undo.push(() => input.value === prefill && (input.value = ""));
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }
    const collapse = state === "collapse";
    // What must be filled in, or already is, stays in sight.
    if (collapse && (place.querySelector(":required") || input?.value)) return;
    const details = place.tagName === "DETAILS";
    set(place, details ? "open" : "hidden", collapse === details ? null : "");
  },

  help(place, { text, style }) {
    const target = slot(place, "target") ?? place.querySelector("input,select,textarea,button") ?? place;
    if (style === "tooltip") set(target, "title", `${text}`); // shown on hover, and read out as its description
    else {
      const hint = slot(place, "text") ?? append(place, "span", "help");
      write(hint, text);
      set(hint, "id", hint.id || `cw-help-${(hints += 1)}`);
      set(target, "aria-describedby", `${target.getAttribute("aria-describedby") ?? ""} ${hint.id}`.trim());
    }
    set(place, "hidden", null);
  },

  layout({ style }, { tokens }) {
    for (const [name, value] of Object.entries(tokens)) {
      if (!TOKEN.test(name) || !STYLE_VALUE.test(value)) continue;
      const old = style.getPropertyValue("--cw-" + name);
      style.setProperty("--cw-" + name, value);
      undo.push(() => style.setProperty("--cw-" + name, old));
    }
  },
};

let hints = 0;

/** @type {Renderer} */
function message(place, { text, locale, tone, progress }) {
  const target = slot(place, "text") ?? place;
  write(target, text);
  if (locale) set(target, "lang", `${locale}`);
  if (tone && TOKEN.test(tone)) mark(place, "cw-tone--" + tone);
  if (progress?.target > 0) {
    const bar = slot(place, "progress") ?? append(place, "progress", "progress");
    set(bar, "max", `${+progress.target}`);
    set(bar, "value", `${+progress.value}`);
    set(bar, "aria-label", text);
  }
  set(place, "hidden", null);
}

/**
 * The chosen and the saved method are the shopper's: they never disappear.
 * @param {Element} option
 */
const isKept = (option) => option.matches(KEPT) || option.querySelector(KEPT);
const KEPT = "[data-cashwrap-saved],[aria-checked=true],[aria-selected=true],:checked";

/**
 * Put the nodes of a list into another order, each into a place one of them had, so that what stands between
 * them stays. Moving a frame would load it anew, and it may hold what the shopper typed: then nothing moves.
 * @param {Element[]} from
 * @param {Element[]} to
 */
function reorder(from, to) {
  if (from.every((node, index) => node === to[index]) || from.some((node) => node.querySelector("iframe"))) return;
  const focus = /** @type {HTMLElement | null} */ (document.activeElement);
  const gaps = from.map((node) => {
    const gap = document.createComment("");
    node.replaceWith(gap);
    return gap;
  });
  gaps.forEach((gap, index) => gap.replaceWith(/** @type {Element} */ (to[index])));
  focus?.focus({ preventScroll: true });
  undo.push(() => from.every((node) => node.isConnected) && reorder(to, from));
}

/**
 * Secrets and card numbers are never ours to fill in.
 * @param {HTMLInputElement} input
 */
const mayPrefill = (input) => !/cc-|password|one-time/.test(input.type + input.autocomplete);
