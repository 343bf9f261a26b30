/**
 * The shop's consent banner. It knows three things: show it until there is a choice, make refusing as easy as
 * accepting, and hand the choice to cashwrap. The only thing kept here is that a choice was made.
 */
const DONE = "kc_choice"; // "1" once the shopper chose, whatever they chose; says nothing about them
const PURPOSES = ["personalization", "analytics", "credit"];
const banner = document.querySelector("[data-consent]");

if (banner && window.cashwrap) {
  const settings = banner.querySelector("[data-consent-settings]");
  const all = (value) => Object.fromEntries(PURPOSES.map((purpose) => [purpose, value]));
  const chosen = () => Object.fromEntries(PURPOSES.map((purpose) => [purpose, settings.elements[purpose].checked]));
  const on = (name, act) => {
    for (const button of document.querySelectorAll(`[data-consent-${name}]`)) button.addEventListener("click", act);
  };
  const decide = (choices) => {
    window.cashwrap.consent.set(choices);
    document.cookie = `${DONE}=1; Path=/; Max-Age=15552000; SameSite=Lax`;
    banner.hidden = true;
    document.dispatchEvent(new CustomEvent("shop:consent"));
  };
  on("accept", () => decide(all(true)));
  on("reject", () => decide(all(false)));
  on("save", () => decide(chosen()));
  on("open", () => {
    const now = window.cashwrap.consent.get();
    for (const purpose of PURPOSES) settings.elements[purpose].checked = now[purpose] === "granted";
    banner.hidden = false;
    settings.hidden = false;
  });
  banner.hidden = document.cookie.includes(`${DONE}=1`);
}
