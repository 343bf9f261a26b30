/** Offers of cashwrap: loaded before its script, which tells when an offer stands in the page. */

// The token is for the shop's backend: it verifies it, and believes nothing else that comes from a page.
const taken = new Set([...document.querySelectorAll("[data-held]")].map((each) => each.dataset.held));
document.addEventListener("cashwrap:offer", ({ target, detail }) => {
  const form = document.querySelector(`[data-offer="${target.dataset.cashwrapPlacement}"]`);
  if (!form) return;
  form.parentElement.toggleAttribute("data-offered", Boolean(detail));
  const applied = taken.has(detail?.name);
  form.hidden = !detail || applied;
  document.querySelector(`[data-taken="${form.dataset.offer}"]`).hidden = !applied;
  form.elements.token.value = detail?.token ?? "";
});
// One click is one click: the second would ask for what the first is already given.
for (const form of document.querySelectorAll("[data-offer], #place_order_form")) {
  form.addEventListener("submit", (event) => (form.dataset.sent ? event.preventDefault() : (form.dataset.sent = "1")));
}
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));
