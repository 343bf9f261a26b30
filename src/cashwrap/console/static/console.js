// What a page cannot do by itself. No page needs it to be read or used: it saves a reload, keeps what was entered when
// something fails, asks once more, and draws. What it says comes from the page (`#words`), in the person's language.

import { drawPlots } from "./plots.js";

/** @param {string} selector @param {ParentNode} [root] @returns {HTMLElement[]} */
const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

/** @type {DOMStringMap} */
const words = document.getElementById("words")?.dataset ?? {};

/** @param {string} tag @param {string} [text] @param {string} [kind] */
function made(tag, text = "", kind = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = kind;
  return element;
}

// --- what is said at the corner, and read out ---

/**
 * Say something. A second one of the same kind takes the first one's place.
 * @param {string} text @param {"bad" | ""} [tone] @param {string} [kind] @param {HTMLElement} [more]
 */
function tell(text, tone = "", kind = "said", more) {
  silence(kind);
  const notice = made("p", "", tone);
  notice.dataset["kind"] = kind;
  const close = made("button", words["close"]);
  close.setAttribute("type", "button");
  close.addEventListener("click", () => notice.remove());
  const said = made("span", text);
  if (more) said.append(" ", more);
  notice.append(said, close);
  document.getElementById("notices")?.append(notice);
}

/** @param {string} kind */
function silence(kind) {
  for (const old of all(`#notices > [data-kind="${kind}"]`)) old.remove();
}

// --- asking once more ---

/** @param {string} question @param {string} label @param {boolean} danger @returns {Promise<boolean>} */
function ask(question, label, danger) {
  const box = document.createElement("dialog");
  const title = made("h2", words["sure"]);
  title.id = "question";
  box.setAttribute("aria-labelledby", title.id);
  const cancel = made("button", words["cancel"]);
  cancel.autofocus = true;
  const go = made("button", label || words["go"], danger ? "danger" : "primary");
  const buttons = made("div", "", "actions");
  buttons.append(cancel, go);
  box.append(title, made("p", question), buttons);
  document.body.append(box);
  return new Promise((resolve) => {
    go.addEventListener("click", () => box.close("go"));
    cancel.addEventListener("click", () => box.close());
    box.addEventListener("close", () => {
      resolve(box.returnValue === "go");
      box.remove();
    });
    box.showModal();
  });
}

/** @type {WeakSet<HTMLFormElement>} */
const sure = new WeakSet();

document.addEventListener(
  "submit",
  (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    const button = /** @type {HTMLElement | null} */ (event.submitter);
    const question = button?.dataset["confirm"] ?? form.dataset["confirm"];
    if (!question || sure.delete(form)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    void ask(question, button?.textContent?.trim() ?? "", button?.classList.contains("danger") ?? false).then((yes) => {
      if (!yes) return;
      sure.add(form);
      form.requestSubmit(button);
    });
  },
  true,
);

document.addEventListener("htmx:confirm", (event) => {
  const detail = /** @type {CustomEvent} */ (event).detail;
  if (!detail.question) return;
  event.preventDefault();
  void ask(detail.question, "", detail.elt.classList.contains("danger")).then((yes) => yes && detail.issueRequest(true));
});

// --- changes that are not kept yet ---

/** @type {Set<HTMLFormElement>} */
const changed = new Set();

document.addEventListener("input", (event) => {
  const field = /** @type {HTMLInputElement} */ (event.target);
  if (field.form?.method === "post" && field.form.matches("main:not(.alone) form:not([data-careless])")) changed.add(field.form);
});
document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (!event.defaultPrevented && !form.hasAttribute("hx-boost")) changed.delete(form);
});
window.addEventListener("beforeunload", (event) => {
  if (Array.from(changed).some((form) => form.isConnected)) event.preventDefault();
});

// --- forms without leaving the page: what was entered stays until it is kept ---

/** @param {ParentNode} root */
function boost(root) {
  for (const form of all("main:not(.alone) form[method=post]:not([hx-post], [hx-boost], [data-whole])", root)) {
    form.setAttribute("hx-boost", "true");
    form.setAttribute("hx-target", "#content");
    form.setAttribute("hx-select", "#content");
    form.setAttribute("hx-swap", "outerHTML show:window:top");
    form.setAttribute("hx-push-url", "false");
    window.htmx?.process(form);
  }
}

/** What the server refused, where its answer says nothing else. @param {Document} answer */
function refusal(answer) {
  const page = answer.querySelector("main");
  const failure = answer.querySelector(".failure");
  return failure && (page ? page.classList.contains("alone") : failure === answer.body.firstElementChild) ? failure : null;
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const detail = /** @type {CustomEvent} */ (event).detail;
  const { status, responseText } = detail.xhr;
  silence("lost");
  if (status === 401) {
    const link = /** @type {HTMLAnchorElement} */ (made("a", words["signIn"]));
    link.href = "/console/login";
    link.target = "_blank";
    detail.shouldSwap = false;
    tell(words["ended"] ?? "", "bad", "ended", link);
    return;
  }
  const answer = new DOMParser().parseFromString(responseText, "text/html");
  const refused = status >= 400 ? refusal(answer) : null;
  const whole = detail.target.id === "content";
  if (refused) {
    detail.shouldSwap = false;
    tell(refused.querySelector("p")?.textContent ?? words["failed"] ?? "", "bad", "refused");
  } else if (whole && status !== 204 && !answer.getElementById("content")) {
    detail.shouldSwap = false;
    tell(words["failed"] ?? "", "bad", "refused");
  } else if (status >= 400) {
    detail.shouldSwap = true; // the same form, with what is wrong in it
    detail.isError = false;
  }
});

document.addEventListener("htmx:beforeOnLoad", (event) => {
  const detail = /** @type {CustomEvent} */ (event).detail;
  const form = detail.elt.closest("form");
  if (detail.xhr.status < 400 && form && (detail.elt === form || detail.elt.type === "submit")) {
    changed.delete(form);
    silence("ended");
  }
});

document.addEventListener("htmx:beforeRequest", () => silence("refused"));
for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, () => tell(words["lost"] ?? "", "bad", "lost"));
}

document.addEventListener("htmx:afterSwap", (event) => {
  const target = /** @type {CustomEvent} */ (event).detail.target;
  if (target.id !== "content") return;
  const wrong = document.querySelector("#content [aria-invalid=true]");
  (/** @type {HTMLElement} */ (wrong ?? document.getElementById("content"))).focus();
});

// --- lists that open below their button ---

/** @param {Element | null} but */
const closeDrops = (but) => {
  for (const drop of all("details.drop[open]")) if (drop !== but) drop.removeAttribute("open");
};
document.addEventListener("click", (event) => closeDrops(/** @type {Element} */ (event.target).closest("details.drop")));
document.addEventListener("keydown", (event) => {
  const drop = event.key === "Escape" && document.querySelector("details.drop[open]");
  if (!drop) return;
  closeDrops(null);
  drop.querySelector("summary")?.focus();
});

// --- what pages are made of ---

/** @param {ParentNode} root */
function fillShares(root) {
  for (const bar of all("[data-share]", root)) {
    bar.style.width = `${Math.min(1, Math.max(0, Number(bar.dataset["share"]) || 0)) * 100}%`;
  }
}

/** A table that scrolls can be scrolled by keys; one that is cards on a phone names its cells. @param {ParentNode} root */
function nameTables(root) {
  for (const table of /** @type {HTMLTableElement[]} */ (all("table.stack", root))) {
    const heads = all("thead th", table).map((head) => head.textContent?.trim() ?? "");
    for (const row of Array.from(table.tBodies).flatMap((body) => Array.from(body.rows))) {
      Array.from(row.cells).forEach((cell, place) => (cell.dataset["label"] ??= heads[place] ?? ""));
    }
  }
  for (const box of all(".wide, .wide > *", root)) sizes.observe(box);
}

const sizes = new ResizeObserver((boxes) => {
  for (const { target: changed } of boxes) {
    const target = changed.closest(".wide") ?? changed;
    const scrolls = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
    if (scrolls && !target.hasAttribute("tabindex")) {
      target.setAttribute("tabindex", "0");
      target.setAttribute("role", "region");
      const title = target.closest(".card, section, figure")?.querySelector("h2, h3, figcaption")?.textContent?.trim();
      target.setAttribute("aria-label", title ? `${title}: ${words["scrolls"]}` : words["scrolls"] ?? "");
    }
  }
});

/** Line numbers beside a text; `data-problems="3,7"` marks lines. @param {HTMLTextAreaElement} area */
function number(area) {
  const box = made("div", "", "editor");
  const gutter = made("div", "", "gutter");
  gutter.setAttribute("aria-hidden", "true");
  area.replaceWith(box);
  box.append(gutter, area);
  let lines = 0;
  let marked = "";
  const write = () => {
    const wanted = area.value.split("\n").length;
    if (wanted !== lines || marked !== area.dataset["problems"]) {
      marked = area.dataset["problems"] ?? "";
      const wrong = new Set(marked.split(","));
      gutter.replaceChildren(...Array.from({ length: wanted }, (_, at) => made("b", `${at + 1}`, wrong.has(`${at + 1}`) ? "wrong" : "")));
      lines = wanted;
    }
    gutter.scrollTop = area.scrollTop;
  };
  new ResizeObserver(() => (gutter.style.height = `${area.offsetHeight}px`)).observe(area);
  area.addEventListener("input", write);
  document.addEventListener("htmx:afterSwap", () => {
    const checks = document.querySelector("[data-problems]:not(textarea)");
    if (checks) area.dataset["problems"] = /** @type {HTMLElement} */ (checks).dataset["problems"] ?? "";
    write();
  });
  area.addEventListener("scroll", () => (gutter.scrollTop = area.scrollTop));
  write();
}

/** To a line of the text that is edited: `<a href="#f-text" data-line="7">`. */
document.addEventListener("click", (event) => {
  const link = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-line]"));
  const area = /** @type {HTMLTextAreaElement | null} */ (document.querySelector("textarea[data-lines]"));
  if (!link || !area) return;
  event.preventDefault();
  const before = area.value.split("\n").slice(0, Number(link.dataset["line"]) - 1);
  const start = before.join("\n").length + (before.length ? 1 : 0);
  area.focus();
  area.setSelectionRange(start, start + (area.value.slice(start).split("\n")[0]?.length ?? 0));
  area.scrollTop = (area.scrollHeight / area.value.split("\n").length) * Math.max(0, before.length - 4);
});

/** @param {ParentNode} root */
function prepare(root) {
  fillShares(root);
  nameTables(root);
  drawPlots(root, words);
  boost(root);
  for (const area of all("textarea[data-lines]:not(.editor > *)", root)) number(/** @type {HTMLTextAreaElement} */ (area));
}

prepare(document);
document.addEventListener("htmx:load", (event) => {
  const fresh = /** @type {CustomEvent} */ (event).detail.elt;
  if (fresh !== document.body) prepare(fresh.parentElement ?? fresh);
});
