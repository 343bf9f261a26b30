/**
 * Who is in which arm: a salted hash of the declared unit, and nothing else. One meaning with Python:
 * spec/vectors/hashing.json and assignment.json hold both to it.
 *
 * A salt comes as the state that hashing it leaves behind, so that the same numbers come out and nobody reads the name.
 */

import { exact } from "./condition.js";
import { SERVER } from "./content.js";

/**
 * @typedef {[state: number, length: number, rest: number]} Prefix what has been hashed already: the state after its
 *   whole blocks of four bytes, its length in bytes, and the bytes that are left, the first one lowest
 * @typedef {object} Trial an experiment as a bundle holds it
 * @property {number} experiment
 * @property {Prefix} hash
 * @property {string[]} units
 * @property {number[]} arms what each arm is called where arms seen are kept; the last is the holdout
 * @property {number[]} shares of 10,000
 * @property {number[]} bounds the first quotient that is not an owner's any more
 * @property {number[]} owners
 * @property {[since: number, share: number][]} traffic
 * @property {[share: number, hash: Prefix]} [holdout]
 * @property {[start: number, hash: Prefix]} [slot] its part of a layer
 * @property {"default" | "next"} [sees]
 * @property {boolean} [sticky]
 * @typedef {{arm: number, propensity: number}} Assigned
 */

export const SHARES = 10_000;
const encoder = new TextEncoder();
const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

/**
 * MurmurHash3 x86_32 of a text in UTF-8, behind a prefix; `[seed, 0, 0]` is none.
 * @param {Prefix} prefix
 * @param {string} text
 * @returns {number} 32 bits without a sign
 */
export function hash([state, length, rest], text) {
  if (/\p{Surrogate}/u.test(text)) throw TypeError("half a character has no bytes to hash");
  const bytes = encoder.encode(text);
  let hashed = state | 0;
  let block = rest;
  let filled = length & 3;
  for (const byte of bytes) {
    block |= byte << (8 * filled);
    filled += 1;
    if (filled < 4) continue;
    hashed ^= mix(block);
    hashed = Math.imul((hashed << 13) | (hashed >>> 19), 5) + 0xe6546b64;
    block = filled = 0;
  }
  if (filled) hashed ^= mix(block);
  hashed ^= length + bytes.length;
  hashed = Math.imul(hashed ^ (hashed >>> 16), 0x85ebca6b);
  hashed = Math.imul(hashed ^ (hashed >>> 13), 0xc2b2ae35);
  return (hashed ^ (hashed >>> 16)) >>> 0;
}

/** @param {number} block */
function mix(block) {
  const product = Math.imul(block, C1);
  return Math.imul((product << 15) | (product >>> 17), C2);
}

/**
 * The first of the chain that is known; empty where none is: nobody is assigned by chance.
 * @param {string[]} chain
 * @param {Record<string, string | null>} units null where only the server knows the unit as it is hashed
 * @param {Record<string, unknown>} values an attribute counts where it is a text or a whole number
 */
export function unitOf(chain, units, values) {
  for (const name of chain) {
    const unit = Object.hasOwn(units, name) ? units[name] : "";
    if (unit === null) throw SERVER;
    if (unit) return unit;
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (typeof value === "string") return value;
    const number = exact(value);
    if (number && !number.places) return String(number.digits);
  }
  return "";
}

/**
 * The share of units that take part now: that of the newest step that has begun.
 * @param {[since: number, share: number][]} traffic
 * @param {number} now
 */
export function shareAt(traffic, now) {
  let share = traffic[0]?.[1] ?? 0;
  for (const [since, step] of traffic.slice(1)) {
    if (now < since) break;
    share = step;
  }
  return share;
}

/**
 * @param {Trial} trial
 * @param {string} unit
 * @param {number} now
 * @param {Record<string, number>} seen the arm seen first, by experiment
 * @returns {Assigned | null} null where the unit does not take part
 */
export function assign(trial, unit, now, seen) {
  const share = shareAt(trial.traffic, now);
  if (!share) return null;
  const pick = (/** @type {number} */ arm) => ({ arm, propensity: trial.shares[arm] ?? 0 });
  const stays = trial.sticky === false ? -1 : trial.arms.indexOf(seen[trial.experiment] ?? -1);
  if (stays >= 0) return pick(stays);
  if (!unit) return null;
  if (trial.holdout && hash(trial.holdout[1], unit) % SHARES < trial.holdout[0]) return pick(trial.arms.length - 1);
  const hashed = hash(trial.hash, unit);
  const place = trial.slot ? (hash(trial.slot[1], unit) - trial.slot[0] + SHARES) % SHARES : hashed % SHARES;
  if (place >= share) return null;
  const quotient = Math.floor(hashed / SHARES);
  return pick(trial.owners[trial.bounds.findIndex((bound) => quotient < bound)] ?? 0);
}

/**
 * Names in the order that the unit draws them, the first with a chance in proportion to its weight. Compared exactly:
 * u ** (1 / weight) as u ** its against its u ** weight.
 * @template Name
 * @param {string} unit
 * @param {{name: Name, weight: number, hash: Prefix}[]} drawn
 * @returns {Name[]}
 */
export function draw(unit, drawn) {
  const numbered = drawn.map((each) => ({ ...each, number: BigInt(hash(each.hash, unit)) + 1n }));
  const before = (/** @type {typeof numbered[0]} */ one, /** @type {typeof numbered[0]} */ other) =>
    one.number ** BigInt(other.weight) << BigInt(32 * one.weight) >
    other.number ** BigInt(one.weight) << BigInt(32 * other.weight);
  return numbered.sort((one, other) => Number(before(other, one)) - Number(before(one, other))).map(({ name }) => name);
}

/**
 * The one experiment that a shopper takes part in: one already seen, else drawn with equal chances.
 * @param {{experiment: number, units: string[], hash: Prefix}[]} alone
 * @param {{units: Record<string, string | null>, values: Record<string, unknown>, arms: Record<string, number>}} inputs
 */
export function onlyExperiment(alone, { units, values, arms }) {
  const seen = alone.find(({ experiment }) => Object.hasOwn(arms, experiment));
  if (seen) return seen.experiment;
  let [best, most] = [-1, -1];
  for (const each of alone) {
    const number = hash(each.hash, unitOf(each.units, units, values));
    if (number > most || (number === most && each.experiment > best)) [best, most] = [each.experiment, number];
  }
  return best;
}
