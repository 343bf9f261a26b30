/** Inside the drawer: flip a permission, follow what changes, keep the reader's place. */
const sdk = () => (parent === window ? undefined : parent.cashwrap); // absent on payment pages

for (const form of document.querySelectorAll("[data-switch]")) {
  form.addEventListener("submit", async (event) => {
    if (!sdk()) return; // the shop's backend records it
    event.preventDefault();
    const { purpose, choice } = Object.fromEntries(new FormData(form));
    sdk().consent.set({ [purpose]: choice === "granted" });
    await sdk().flush();
    location.reload();
  });
}

addEventListener("keydown", ({ key }) => {
  if (key === "Escape") parent.dispatchEvent(new KeyboardEvent("keydown", { key }));
});

const open = document.documentElement;
const kept = JSON.parse(sessionStorage.getItem("why-place") || "{}");
for (const each of document.querySelectorAll("details")) if (each.id in kept) each.open = kept[each.id];
scrollTo(0, kept.top || 0);
addEventListener("pagehide", () => {
  const place = { top: scrollY };
  for (const each of document.querySelectorAll("details")) place[each.id] = each.open;
  sessionStorage.setItem("why-place", JSON.stringify(place));
});

// Follow the shopper: ask a short question every second and a half, reload only when the answer is another.
async function follow() {
  try {
    const answer = await fetch(`state/${location.search}`, { headers: { Accept: "application/json" } });
    const { digest } = await answer.json();
    if (digest !== open.dataset.digest) return location.reload();
  } catch {} // the shop is restarting
  setTimeout(follow, 1500);
}
setTimeout(follow, 700);
