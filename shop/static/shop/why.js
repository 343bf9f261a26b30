/** Opens and closes the demo's drawer, and passes its switches on to cashwrap where cashwrap runs. */
const toggle = document.querySelector("[data-why-toggle]");
const drawer = document.querySelector("[data-why]");

if (toggle && drawer) {
  const show = (open) => {
    drawer.hidden = !open;
    document.body.classList.toggle("why-open", open);
    toggle.setAttribute("aria-expanded", String(open));
    if (open && !drawer.firstElementChild) {
      const frame = document.createElement("iframe");
      frame.title = drawer.getAttribute("aria-label");
      frame.src = drawer.dataset.src;
      drawer.append(frame);
    }
    try {
      sessionStorage.setItem("why", open ? "open" : "");
    } catch {} // the drawer is a demo tool: it may forget
  };
  toggle.addEventListener("click", () => show(drawer.hidden));
  addEventListener("message", async ({ origin, source, data }) => {
    if (origin !== location.origin || source !== drawer.querySelector("iframe")?.contentWindow || !data?.consent) return;
    // On payment pages there is no SDK; the drawer then asks the shop's backend instead.
    window.cashwrap?.consent.set(data.consent);
    await window.cashwrap?.flush();
    source.postMessage({ done: true }, origin);
  });
  try {
    if (sessionStorage.getItem("why")) show(true);
  } catch {}
}
