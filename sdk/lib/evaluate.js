/**
 * Decide where the shopper is: the answers that the server gives at data level `request`, from a bundle of its playbook.
 * Not part of cashwrap.min.js. One meaning with src/cashwrap/decide.py: spec/vectors/decisions.json holds both to it.
 *
 * What only the server can say, such as products or an amount written as a locale writes it, has the reason `server`.
 * Nothing here is proof: an exposure counts when a token of `POST /v1/decide` comes back.
 */

import { assign, draw, hash, onlyExperiment, SHARES, unitOf } from "./assign.js";
import { evaluate } from "./condition.js";
import { chain, Ineligible, render, SERVER } from "./content.js";

export { openBundle } from "./bundle.js";
export { inputsOf } from "./request.js";

/**
 * @typedef {import("./assign.js").Prefix} Prefix
 * @typedef {import("./content.js").Show} Show
 * @typedef {{session?: number, day?: number, shopper?: number, cool_down?: number}} Limits
 * @typedef {object} Experience
 * @property {number} number
 * @property {number} [priority]
 * @property {number} [weight]
 * @property {Prefix} [draw] the salt of its draw
 * @property {import("./condition.js").Node} [when] left out, it is for everyone
 * @property {boolean} [server] only the server can judge its condition
 * @property {Show[]} show what each variation shows
 * @property {number} arms variations, control where there is one, and the holdout
 * @property {import("./assign.js").Trial} [trial]
 * @property {[key: string, limits: Limits][]} [caps]
 *
 * @typedef {{name: string, number: number, purpose?: number, experiences: Experience[]}} Placement
 * @typedef {object} Bundle
 * @property {string} playbook
 * @property {string} version
 * @property {number} made
 * @property {number} expires
 * @property {string} store
 * @property {string} environment
 * @property {"request" | "default"} level
 * @property {string} locale the shop's own
 * @property {string} currency
 * @property {number} digits
 * @property {string} timeZone
 * @property {{everything?: boolean, placements?: string[], experiences?: number[]}} off what is switched off
 * @property {[share: number, units: string[], hash: Prefix]} [holdout]
 * @property {{experiment: number, units: string[], hash: Prefix}[]} [alone]
 * @property {Placement[]} placements
 *
 * @typedef {object} Inputs everything a decision depends on; `inputsOf` makes it
 * @property {number} now milliseconds since 1970
 * @property {import("./condition.js").Values} [values]
 * @property {number} [mask] the purposes allowed; left out, what is necessary
 * @property {string[] | null} [placements] left out, all
 * @property {string} [locale]
 * @property {string[]} [paymentMethods]
 * @property {string[]} [deliveryMethods]
 * @property {string | null} [savedMethod]
 * @property {Record<string, string | null>} [units] `anonymous`, `user` and `cart`, as far as known; null where only the
 *   server knows it as it is hashed
 * @property {Record<string, number>} [arms] the arm seen first, by experiment
 * @property {Record<string, {times: number[], count: number, dismissed: number}>} [impressions]
 * @property {number} [sessionStart]
 * @property {Record<string, number>} [forced] experience to variation: what a preview shows
 * @property {boolean} [quiet] the shopper is typing payment data
 *
 * @typedef {{experience: number | null, variation: number | null, content: any, reason: string}} Answer
 * @typedef {{playbook: string, level: string, placements: Record<string, Answer>, exposures: number[][]}} Decision
 */

const [SHOWN, IN_CONTROL, HELD_OUT, CAPPED] = [0, 1, 2, 3];
/** Experiences kept back by a cap that one decision tells of. */
const GHOSTS = 50;
const NECESSARY = 1;
const UNIT = ["anonymous", "user", "cart"];
const DAY = 86_400_000;

/**
 * @param {string} reason
 * @returns {Answer}
 */
const shopsDefault = (reason) => ({ experience: null, variation: null, content: null, reason });

/**
 * What each placement asked for shows. Never throws for what a page may say: at worst every answer is the shop's own.
 * @param {Bundle} bundle as `openBundle` gives it
 * @param {Inputs} inputs
 * @returns {Decision}
 */
export function decide(bundle, inputs) {
  const known = new Map(bundle.placements.map((placement) => [placement.name, placement]));
  /** @type {number[][]} */
  const exposures = [];
  const answer = answering(bundle, inputs, exposures);
  const answers = [...(inputs.placements ?? known.keys())].map((name) => {
    const placement = known.get(name);
    return [name, placement ? answer(placement) : shopsDefault("no_such_placement")];
  });
  return { playbook: bundle.playbook, level: bundle.level, placements: Object.fromEntries(answers), exposures };
}

/**
 * @param {Bundle} bundle
 * @param {Inputs} inputs
 * @param {number[][]} exposures filled
 * @returns {(placement: Placement) => Answer}
 */
function answering(bundle, inputs, exposures) {
  const everywhere = bundle.off.everything
    ? "killed"
    : bundle.level === "default"
      ? "no_consent"
      : inputs.quiet
        ? "quiet"
        : "";
  if (everywhere) return () => shopsDefault(everywhere);
  try {
    const decision = new Case(bundle, inputs, exposures);
    return (placement) => decision.answer(placement);
  } catch (failure) {
    return () => shopsDefault(whyNot(failure));
  }
}

/** @param {unknown} failure */
const whyNot = (failure) => (failure === SERVER ? "server" : "error");

/** One decision, placement by placement. */
class Case {
  /**
   * @param {Bundle} bundle
   * @param {Inputs} inputs
   * @param {number[][]} exposures
   */
  constructor(bundle, inputs, exposures) {
    this.bundle = bundle;
    this.now = inputs.now;
    this.mask = inputs.mask ?? NECESSARY;
    this.units = inputs.units ?? {};
    this.values = inputs.values ?? {};
    this.arms = inputs.arms ?? {};
    this.impressions = inputs.impressions ?? {};
    this.sessionStart = inputs.sessionStart ?? 0;
    this.forced = inputs.forced ?? {};
    this.exposures = exposures;
    this.off = new Set(bundle.off.experiences);
    this.setting = {
      tags: chain(inputs.locale ?? "", bundle.locale),
      mask: this.mask,
      offered: { payment_methods: inputs.paymentMethods ?? [], delivery_methods: inputs.deliveryMethods ?? [] },
      saved: inputs.savedMethod ?? null,
    };
    const held = (/** @type {string} */ number) =>
      bundle.placements.some(({ experiences }) => experiences.some((each) => String(each.number) === number));
    /** Whether a preview asks for what is not in the bundle. */
    this.strange = !Object.keys(this.forced).every(held);
    const [share, units, salt] = bundle.holdout ?? [0, UNIT, [0, 0, 0]];
    const unit = share ? unitOf(units, this.units, this.values) : "";
    /** Whether the shopper is in the shop's holdout. */
    this.held = Boolean(unit) && hash(/** @type {Prefix} */ (salt), unit) % SHARES < share;
    /** @type {number | null} */
    this.only = null;
    this.ghosts = 0;
    this.place = 0;
  }

  /**
   * @param {Placement} placement
   * @returns {Answer}
   */
  answer(placement) {
    if ((placement.purpose ?? 0) & ~this.mask) return shopsDefault("no_consent");
    if (this.bundle.off.placements?.includes(placement.name)) return shopsDefault("killed");
    const exposed = this.exposures.length;
    this.place = placement.number;
    try {
      return this.preview(placement) ?? this.choose(placement);
    } catch (failure) {
      this.exposures.length = exposed;
      return shopsDefault(whyNot(failure));
    }
  }

  /**
   * The variation that a preview asks for here: nobody is assigned, and nothing is an exposure.
   * @param {Placement} placement
   * @returns {Answer | null}
   */
  preview({ experiences }) {
    for (const experience of experiences) {
      const { number, show } = experience;
      if (!Object.hasOwn(this.forced, number)) continue;
      const variation = /** @type {number} */ (this.forced[number]);
      const shown = show[variation];
      if (!shown) return { experience: number, variation, content: null, reason: "preview" };
      const content = render(shown, this.setting);
      if (!(content instanceof Ineligible)) return { experience: number, variation, content, reason: "preview" };
    }
    if (this.strange) throw SERVER;
    return null;
  }

  /**
   * Try the experiences in turn. One that was kept back answers only where no other one does.
   * @param {Placement} placement
   * @returns {Answer}
   */
  choose(placement) {
    /** @type {Answer | null} */
    let ghost = null;
    let lost = "no_match";
    for (const [experience, chance] of this.candidates(placement)) {
      const found = this.attempt(experience, chance);
      if (typeof found !== "string") {
        const endsHere = found.reason === "holdout" || (experience.trial && experience.trial.sees !== "next");
        if (found.content !== null || endsHere) return found;
        ghost ??= found;
      } else if (lost === "no_match") {
        lost = found;
      }
    }
    return ghost ?? shopsDefault(lost);
  }

  // --- which to try, in order ---

  /**
   * The experiences whose conditions hold, and each one's chance, of 10,000, to be tried where it was.
   * @param {Placement} placement
   * @returns {Generator<[Experience, number]>}
   */
  *candidates({ experiences }) {
    /** @type {Experience[]} */
    let waiting = [];
    for (const experience of experiences) {
      if (experience.server) throw SERVER;
      if (experience.when && evaluate(experience.when, this.values) !== true) continue;
      if (waiting[0] && (!experience.weight || experience.priority !== waiting[0].priority)) {
        yield* this.drawn(waiting);
        waiting = [];
      }
      if (experience.weight) waiting.push(experience);
      else yield [experience, SHARES];
    }
    yield* this.drawn(waiting);
  }

  /**
   * Experiences of one priority, in the order that the shopper's unit draws them.
   * @param {Experience[]} waiting
   * @returns {Generator<[Experience, number]>}
   */
  *drawn(waiting) {
    const unit = waiting.length > 1 ? unitOf(UNIT, this.units, this.values) : "";
    const fitting = unit ? waiting.filter((each) => typeof this.contents(each) !== "string") : [];
    let total = fitting.reduce((sum, each) => sum + (each.weight ?? 0), 0);
    const tickets = fitting.map((each) => ({
      name: each,
      weight: each.weight ?? 0,
      hash: /** @type {Prefix} */ (each.draw),
    }));
    for (const experience of draw(unit, tickets)) {
      const weight = experience.weight ?? 0;
      yield [experience, Math.floor((weight * SHARES) / total)];
      total -= weight;
    }
    for (const each of waiting) if (!fitting.includes(each)) yield [each, SHARES];
  }

  // --- one experience ---

  /**
   * What an experience whose condition holds comes to, for this shopper: an answer, or the reason for none.
   * @param {Experience} experience
   * @param {number} chance
   * @returns {Answer | string}
   */
  attempt(experience, chance) {
    const { number, trial } = experience;
    const contents = this.contents(experience);
    if (typeof contents === "string") return contents;
    const kept = (/** @type {number} */ arm, /** @type {string} */ reason) => ({
      experience: number,
      variation: arm,
      content: null,
      reason,
    });
    const assigned = trial ? this.assign(trial) : { arm: 0, propensity: SHARES };
    if (!assigned) return "no_match";
    if (this.held) {
      const holdout = experience.arms - 1;
      this.expose(experience, [holdout, this.bundle.holdout?.[0] ?? 0, HELD_OUT]);
      return kept(holdout, "holdout");
    }
    const { arm } = assigned;
    const propensity = Math.floor((assigned.propensity * chance) / SHARES);
    if (arm >= contents.length) {
      this.expose(experience, [arm, propensity, IN_CONTROL]);
      return kept(arm, "control");
    }
    if (experience.caps && this.isCapped(experience.caps)) {
      this.ghosts += 1;
      if (this.ghosts <= GHOSTS) this.expose(experience, [arm, propensity, CAPPED]);
      return kept(arm, "capped");
    }
    this.expose(experience, arm === 0 && propensity === SHARES ? [] : [arm, propensity, SHOWN]);
    return { experience: number, variation: arm, content: contents[arm], reason: "match" };
  }

  /**
   * Each variation's content; where one has none the experience fits nobody, and this is why.
   * @param {Experience} experience
   * @returns {unknown[] | string}
   */
  contents({ number, show }) {
    if (this.off.has(number)) return "killed";
    const contents = [];
    for (const variation of show) {
      const content = render(variation, this.setting);
      if (content instanceof Ineligible) return content.reason;
      contents.push(content);
    }
    return contents;
  }

  /** @param {import("./assign.js").Trial} trial */
  assign(trial) {
    const unit = unitOf(trial.units, this.units, this.values);
    if (!unit && !Object.hasOwn(this.arms, trial.experiment)) return null;
    const { alone } = this.bundle;
    if (alone) {
      this.only ??= onlyExperiment(alone, this);
      if (this.only !== trial.experiment) return null;
    }
    return assign(trial, unit, this.now, this.arms);
  }

  /**
   * Whether a limit forbids one more.
   * @param {[key: string, limits: Limits][]} caps
   */
  isCapped(caps) {
    return caps.some(([key, { session, day, shopper, cool_down: coolDown }]) => {
      const seen = Object.hasOwn(this.impressions, key) ? this.impressions[key] : undefined;
      if (!seen) return false;
      const since = (/** @type {number} */ moment) => seen.times.filter((time) => time > moment).length;
      return (
        (coolDown !== undefined && seen.dismissed > 0 && this.now - seen.dismissed < coolDown) ||
        (shopper !== undefined && seen.count >= shopper) ||
        (day !== undefined && since(this.now - DAY) >= day) ||
        (session !== undefined && since(this.sessionStart - 1) >= session)
      );
    });
  }

  /**
   * @param {Experience} experience
   * @param {number[]} details arm, propensity and outcome, where there is anything to say of them
   */
  expose({ number }, details) {
    this.exposures.push([this.place, number, ...details]);
  }
}
