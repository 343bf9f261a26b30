/**
 * Consent that is managed elsewhere in the page, read and never written: Google Consent Mode v2 and IAB TCF v2.
 * docs/reference/sdk.md has both mappings as tables. Loaded only where a page asks for one of them.
 */

/** @typedef {(choices: import("./consent.js").Choices) => void} Report */

/**
 * @param {string} source `gcm` or `tcf`
 * @param {Report} report
 */
export function follow(source, report) {
  if (source === "gcm") followGoogle(report);
  if (source === "tcf") followIab(report);
}

/** Where a purpose of ours needs several signals, all of them must be granted, and one denied denies. */
const GOOGLE = {
  analytics: ["analytics_storage"],
  personalization: ["personalization_storage"],
  advertising: ["ad_storage", "ad_user_data", "ad_personalization"],
};

const IAB = { analytics: [1, 7, 8, 9], personalization: [1, 5, 6], advertising: [1, 2, 3, 4] };

/**
 * @param {Record<string, any[]>} mapping purpose to signals
 * @param {(signal: any) => boolean | undefined} read
 */
const choicesOf = (mapping, read) =>
  Object.fromEntries(
    Object.entries(mapping).map(([purpose, signals]) => [
      purpose,
      signals.every(read) || (signals.some((signal) => read(signal) === false) ? false : undefined),
    ]),
  );

/**
 * Follow `dataLayer`: what is in it and what is pushed later. A default of `denied` only means that nobody
 * was asked yet; a default for some regions counts only where it denies, since we cannot tell the region.
 * @param {Report} report
 */
export function followGoogle(report) {
  const layer = (/** @type {{dataLayer?: any[]}} */ (window).dataLayer ??= []);
  /** @type {Record<string, boolean | undefined>} */
  const signals = {};

  /** @param {any[]} entries each the `arguments` of a `gtag(...)` call, or anything else a shop pushes */
  function read(entries) {
    const relevant = entries.filter((entry) => entry?.[0] === "consent");
    for (const entry of relevant) {
      const isDefault = entry[1] === "default";
      for (const [name, value] of Object.entries(entry[2] ?? {})) {
        if (value === "denied") signals[name] = isDefault && undefined;
        if (value === "granted" && !(isDefault && entry[2].region)) signals[name] = true;
      }
    }
    if (relevant.length) report(choicesOf(GOOGLE, (name) => signals[name]));
  }

  const push = layer.push;
  layer.push = (...entries) => {
    try {
      read(entries);
    } catch {
      // The shop's own push must never fail because of us.
    }
    return push.apply(layer, entries);
  };
  read(layer);
}

/**
 * Follow a consent platform that speaks TCF; its stub must be in the page before us, as TCF asks.
 * @param {Report} report
 */
export function followIab(report) {
  /** @type {{__tcfapi?: Function}} */ (window).__tcfapi?.("addEventListener", 2, (/** @type {any} */ data) => {
    // While the dialogue is open, and where the law behind TCF does not apply, TCF says nothing.
    if (data?.gdprApplies && /^(tcloaded|useractioncomplete)$/.test(data.eventStatus)) {
      report(choicesOf(IAB, (id) => data.purpose?.consents?.[id] === true));
    }
  });
}
