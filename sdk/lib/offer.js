/**
 * What stands beside an offer. Loaded only where an answer has one. A price that personal data had a part in is shown
 * together with the sentence that says so, or not at all: where the sentence has no room, is taken away or cannot be
 * read, the shop's default comes back.
 */

const SMALLEST = 10;
/** WCAG 2.2, 1.4.3, for text of usual size. */
const CONTRAST = 4.5;

/**
 * The changes that can be taken back, as `render.js` has them.
 * @typedef {object} Tools
 * @property {(parent: Element | DocumentFragment, tag: string, name: string) => HTMLElement} append
 * @property {(element: Element, name: string) => void} mark
 * @property {(element: Element, name: string, value: string | null) => void} set
 * @property {(place: ParentNode, name: string) => HTMLElement | null} slot
 * @property {(element: Element, text: unknown) => void} write
 * @property {(way: () => unknown) => unknown} later
 */

/**
 * Say what has to be said, keep it there, and tell the page that the offer stands.
 * @param {Tools} tools
 * @param {HTMLElement} place
 * @param {Record<string, any>} offer throws where it is personal and nothing can be said
 * @param {() => void} back brings the shop's default back
 */
export function disclose(tools, place, offer, back) {
  const { disclosure, personal } = offer;
  if (personal || disclosure) keep(tools, place, disclosure.text, back);
  const tell = (/** @type {object | null} */ detail) =>
    place.dispatchEvent(new CustomEvent("cashwrap:offer", { bubbles: true, detail }));
  tools.later(() => tell(null));
  tell(offer);
}

/**
 * @param {Tools} tools
 * @param {HTMLElement} place
 * @param {string} text
 * @param {() => void} back
 */
function keep({ append, mark, set, slot, write, later }, place, text, back) {
  if (place.dataset["cashwrapDisclosure"] === "none") throw text; // the shop has no room for it here
  const note = slot(place, "disclosure") ?? beside(place, append);
  mark(note, "cw-disclosure");
  write(note, text);
  set(note, "role", "note");
  set(note, "hidden", null);
  if (contrast(note) < CONTRAST) for (const [name, value] of Object.entries(PLAIN)) paint(note, name, value, later);
  const check = () => stands(place, note, text) || back();
  if (!stands(place, note, text)) throw text;
  const changes = new MutationObserver(check);
  for (const root of [place, /** @type {Element} */ (note.parentElement)]) {
    changes.observe(root, { attributes: true, characterData: true, childList: true, subtree: true });
  }
  const sizes = new ResizeObserver(check); // also when what was folded is opened
  sizes.observe(place);
  sizes.observe(note);
  later(() => (changes.disconnect(), sizes.disconnect()));
}

/** The reader's own colours: they can always be read. */
const PLAIN = { color: "CanvasText", background: "Canvas" };

/**
 * @param {HTMLElement} place
 * @param {Tools["append"]} append
 */
function beside(place, append) {
  // Inside a control it would be read as the control's own name, and in a folded one it would be folded away.
  if (!place.matches("a,button,details,fieldset,input,select,textarea,ol,ul,table,tr")) return append(place, "div", "disclosure");
  const note = append(document.createDocumentFragment(), "div", "disclosure");
  place.after(note);
  return note;
}

/**
 * @param {HTMLElement} note
 * @param {string} name
 * @param {string} value
 * @param {Tools["later"]} later
 */
function paint({ style }, name, value, later) {
  const old = style.getPropertyValue(name);
  style.setProperty(name, value);
  later(() => style.setProperty(name, old));
}

/**
 * Whether the sentence can be read wherever the placement can.
 * @param {HTMLElement} place
 * @param {HTMLElement} note
 * @param {string} text
 */
function stands(place, note, text) {
  if (!note.isConnected || note.textContent !== text) return false;
  if (!place.checkVisibility({ visibilityProperty: true })) return true;
  const { width, height } = note.getBoundingClientRect();
  return (
    note.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
    width > 1 &&
    height >= SMALLEST &&
    parseFloat(getComputedStyle(note).fontSize) >= SMALLEST &&
    !clipped(note) &&
    contrast(note) >= CONTRAST
  );
}

/**
 * Whether something around it cuts it off. A page that cannot be scrolled now, as under a dialogue, cuts nothing.
 * @param {HTMLElement} note
 */
function clipped(note) {
  const own = note.getBoundingClientRect();
  for (let around = note.parentElement; around && around !== document.body; around = around.parentElement) {
    if (!/hidden|clip/.test(getComputedStyle(around).overflow)) continue;
    const box = around.getBoundingClientRect();
    if (own.right > box.right + 1 || own.bottom > box.bottom + 1 || own.left < box.left - 1 || own.top < box.top - 1) return true;
  }
  return false;
}

/**
 * The contrast of text and what is behind it, as WCAG computes it; 0 where a colour is none that we can read.
 * @param {Element} note
 */
function contrast(note) {
  const front = channels(getComputedStyle(note).color);
  const [light = 0, dark = 0] = [luminance(front), luminance(behind(note))].sort((a, b) => b - a);
  return front.length < 3 || front[3] === 0 ? 0 : (light + 0.05) / (dark + 0.05);
}

/**
 * The colour of the nearest background that hides what is behind it.
 * @param {Element | null} element
 * @returns {number[]}
 */
function behind(element) {
  for (; element; element = element.parentElement) {
    const found = channels(getComputedStyle(element).backgroundColor);
    if (found.length >= 3 && (found[3] ?? 1) > 0.5) return found;
  }
  return [255, 255, 255];
}

/** @param {string} colour as computed: `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.4)` */
const channels = (colour) => (colour.startsWith("rgb") ? (colour.match(/[\d.]+/g) ?? []).map(Number) : []);

/** @param {number[]} colour */
function luminance(colour) {
  const [red = 0, green = 0, blue = 0] = colour.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
