// What a page cannot do by itself: the menu on a phone, asking once more, plots, and what comes live. No page needs it to be read.

/** @param {string} selector @returns {HTMLElement[]} */
const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

for (const button of all(".menu-button")) {
  button.addEventListener("click", () => {
    const open = document.getElementById("menu")?.classList.toggle("open") ?? false;
    button.setAttribute("aria-expanded", String(open));
  });
}

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLElement} */ (event.target);
  const question = form.dataset["confirm"];
  if (question && !window.confirm(question)) event.preventDefault();
}, true);
