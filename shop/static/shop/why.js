/** Opens and closes the demo's drawer. What is in it is a page of its own (see why_frame.js). */
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
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      frame.src = `${drawer.dataset.src}&zone=${encodeURIComponent(zone)}`;
      drawer.append(frame);
    }
    try {
      sessionStorage.setItem("why", open ? "open" : "");
    } catch {} // the drawer is a demo tool: it may forget
  };
  toggle.addEventListener("click", () => show(drawer.hidden));
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && !drawer.hidden) {
      show(false);
      toggle.focus();
    }
  });
  try {
    if (sessionStorage.getItem("why") && innerWidth > 980) show(true); // on a phone it would hide the page
  } catch {}
}
