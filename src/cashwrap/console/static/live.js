// What comes live on Now: the figures as the server makes them, and the newest point of each curve. The page is whole
// without it, and says of when its figures are where the connection is lost.

const region = /** @type {HTMLElement | null} */ (document.querySelector('[data-live="figures"]'));
const lost = /** @type {HTMLElement | null} */ (document.querySelector('[data-live="lost"]'));
const address = region?.dataset["stream"];

/** @type {string[]} */
let before = [];

/**
 * Put what changed in place of what stood there, part by part: alerts that stay as they are are not read out again, and
 * whoever was on a button stays on it.
 * @param {HTMLElement} where @param {string} html
 */
function show(where, html) {
  const fresh = Array.from(new DOMParser().parseFromString(html, "text/html").body.children);
  const texts = fresh.map((part) => new XMLSerializer().serializeToString(part));
  for (const field of fresh.flatMap((part) => Array.from(part.querySelectorAll("input[name=csrf]")))) {
    field.setAttribute("value", where.dataset["csrf"] ?? "");
  }
  const focused = where.contains(document.activeElement) ? document.activeElement?.id : "";
  const old = Array.from(where.children);
  if (old.length !== fresh.length) where.replaceChildren(...fresh);
  else fresh.forEach((part, place) => texts[place] !== before[place] && old[place]?.replaceWith(part));
  before = texts;
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
  where.dispatchEvent(new CustomEvent("htmx:load", { bubbles: true, detail: { elt: where } }));
}

if (region && address) {
  const source = new EventSource(address);
  let html = "";
  source.addEventListener("figures", (event) => {
    if (lost) lost.hidden = true;
    if (event.data === html || document.querySelector("dialog[open]")) return;
    html = event.data;
    show(region, html);
  });
  source.addEventListener("points", (event) => {
    if (!document.querySelector('[data-live="plots"]')) return;
    for (const [name, point] of Object.entries(JSON.parse(event.data))) window.cashwrapPlots?.append(name, point);
  });
  source.addEventListener("ended", () => {
    source.close();
    location.reload();
  });
  source.addEventListener("error", () => {
    const moment = /** @type {HTMLElement | null} */ (region.querySelector("[data-moment]"))?.dataset["moment"];
    const place = document.querySelector('[data-live="moment"]');
    if (place) place.textContent = moment ?? "";
    if (lost) lost.hidden = false;
  });
  window.addEventListener("pagehide", () => source.close());
}
