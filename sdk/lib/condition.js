/**
 * Conditions in their compiled JSON form, three-valued: true, false, or null for unknown. One meaning with Python:
 * spec/vectors/conditions.json holds both to it. Numbers are exact, texts are ordered by code points.
 */

/**
 * @typedef {any[]} Node as src/cashwrap/condition/wire.py makes it
 * @typedef {Record<string, unknown>} Values by flat name: a boolean, a string, a safe integer, `{n: "2.5"}`,
 *   `{set: [...]}` or `{sum, count}`; anything else, and a name that is missing, is unknown
 * @typedef {{digits: bigint, places: number}} Exact a number of `digits` times ten to the minus `places`
 */

/** @type {Record<string, (order: number) => boolean>} what an operator says to less (below 0), equal (0) or more */
const OPERATORS = {
  "==": (order) => order === 0,
  "!=": (order) => order !== 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

/**
 * @param {Node} node
 * @param {Values} values
 * @returns {boolean | null}
 */
export function evaluate(node, values) {
  const [tag, first, second] = node;
  switch (tag) {
    case "and":
      return every(node, values, false);
    case "or":
      return every(node, values, true);
    case "not": {
      const found = evaluate(first, values);
      return found === null ? null : !found;
    }
    case "cmp":
      return compare(node, values);
    case "in":
      return second[0] === "list" ? inList(first, second[1], values) : inValue(first, second, values);
    case "call":
      return call(node, values);
    case "attr": {
      const value = read(values, first);
      return typeof value === "boolean" ? value : null;
    }
    case "lit":
      return first === true;
    default:
      throw TypeError(`this is no condition: ${String(tag).slice(0, 40)}`);
  }
}

/**
 * All operands of an `and`, or of an `or`: the one that decides alone does so, whatever is unknown.
 * @param {Node} node
 * @param {Values} values
 * @param {boolean} decides
 */
function every(node, values, decides) {
  /** @type {boolean | null} */
  let result = !decides;
  for (let at = 1; at < node.length; at += 1) {
    const found = evaluate(node[at], values);
    if (found === decides) return decides;
    if (found === null) result = null;
  }
  return result;
}

/**
 * @param {Values} values
 * @param {string} name
 */
const read = (values, name) => (Object.hasOwn(values, name) ? values[name] : undefined);

/**
 * What has a value: an attribute, a size, a constant.
 * @param {Node} node
 * @param {Values} values
 * @returns {unknown}
 */
function term(node, values) {
  if (node[0] === "attr") return read(values, node[1]);
  if (node[0] === "lit") return node[1];
  if (node[0] === "call" && node[1] === "size") return size(term(node[2], values));
  throw TypeError(`this has no value: ${String(node[0]).slice(0, 40)}`);
}

/** @param {unknown} value */
function size(value) {
  if (typeof value === "string") return [...value].length;
  return members(value)?.size;
}

/**
 * @param {unknown} value
 * @returns {Set<unknown> | undefined} the members of a set of texts
 */
function members(value) {
  const set = /** @type {{set?: unknown} | null | undefined} */ (value)?.set;
  return Array.isArray(set) ? new Set(set) : undefined;
}

// --- numbers ---

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?$/;

/**
 * @param {unknown} value
 * @returns {Exact | null} null for what is no exact number
 */
export function exact(value) {
  if (typeof value === "number") return Number.isSafeInteger(value) ? { digits: BigInt(value), places: 0 } : null;
  const text = /** @type {{n?: unknown} | null | undefined} */ (value)?.n;
  return typeof text === "string" ? decimal(text) : null;
}

/** @param {string} text such as `12.50` */
export function decimal(text) {
  const found = NUMBER.exec(text);
  if (!found) return null;
  const [, sign, whole = "", fraction = ""] = found;
  return { digits: BigInt(`${sign}${whole}${fraction}`), places: fraction.length };
}

/**
 * @param {Exact} one
 * @param {Exact} other
 */
function order(one, other) {
  const left = one.digits * 10n ** BigInt(Math.max(0, other.places - one.places));
  const right = other.digits * 10n ** BigInt(Math.max(0, one.places - other.places));
  return left < right ? -1 : Number(left > right);
}

/**
 * @param {unknown} one
 * @param {unknown} other
 * @returns {number | null} null where one of them is no number
 */
function orderNumbers(one, other) {
  if (Number.isSafeInteger(one) && Number.isSafeInteger(other)) return Math.sign(Number(one) - Number(other));
  const left = exact(one);
  const right = exact(other);
  return left && right && order(left, right);
}

// --- texts ---

/**
 * By code points: UTF-16 puts the characters beyond U+FFFF before some of those below.
 * @param {unknown} one
 * @param {unknown} other
 */
function orderTexts(one, other) {
  if (typeof one !== "string" || typeof other !== "string") return null;
  if (one === other) return 0;
  let at = 0;
  while (one.codePointAt(at) === other.codePointAt(at)) at += 1;
  return (one.codePointAt(at) ?? -1) < (other.codePointAt(at) ?? -1) ? -1 : 1;
}

const VERSION = /^(\d{1,15}(?:\.\d{1,15})*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;
const MAX_VERSION = 64;

/** @param {unknown} value */
function version(value) {
  const found = typeof value === "string" && value.length <= MAX_VERSION && VERSION.exec(value);
  return found ? { numbers: found[1]?.split(".").map(BigInt) ?? [], before: found[2]?.split(".") } : null;
}

/**
 * Number by number, then a pre-release before its release, then as Semantic Versioning 2.0.0, item 11, orders them.
 * @param {unknown} one
 * @param {unknown} other
 */
function orderVersions(one, other) {
  const left = version(one);
  const right = version(other);
  if (!left || !right) return null;
  for (let at = 0; at < Math.max(left.numbers.length, right.numbers.length); at += 1) {
    const mine = left.numbers[at] ?? 0n;
    const its = right.numbers[at] ?? 0n;
    if (mine !== its) return mine < its ? -1 : 1;
  }
  if (!left.before || !right.before) return Number(!left.before) - Number(!right.before);
  for (let at = 0; at < Math.min(left.before.length, right.before.length); at += 1) {
    const found = orderIdentifiers(/** @type {string} */ (left.before[at]), /** @type {string} */ (right.before[at]));
    if (found) return found;
  }
  return Math.sign(left.before.length - right.before.length);
}

/**
 * A number is below every word; numbers go by value, words by their characters.
 * @param {string} one
 * @param {string} other
 */
function orderIdentifiers(one, other) {
  const isNumber = /^\d+$/;
  if (isNumber.test(one) !== isNumber.test(other)) return isNumber.test(one) ? -1 : 1;
  if (isNumber.test(one)) return order({ digits: BigInt(one), places: 0 }, { digits: BigInt(other), places: 0 });
  return one < other ? -1 : Number(one > other);
}

// --- tests ---

/**
 * @param {unknown} one
 * @param {unknown} other
 */
const orderFlags = (one, other) =>
  typeof one === "boolean" && typeof other === "boolean" ? Number(one) - Number(other) : null;

/**
 * Attributes typed only at run time: equal or not, or ordered, where they are of one type.
 * @param {unknown} one
 * @param {unknown} other
 * @param {string} op
 */
const orderAlike = (one, other, op) =>
  orderTexts(one, other) ?? orderNumbers(one, other) ?? (op === "==" || op === "!=" ? orderFlags(one, other) : null);

/**
 * sum / count against a limit, as sum against limit times count: exact, and no average over nothing.
 * @param {unknown} pair
 * @param {unknown} limit
 */
function orderAverage(pair, limit) {
  const { sum, count } = /** @type {{sum?: unknown, count?: unknown}} */ (pair ?? {});
  const total = exact(sum);
  const threshold = exact(limit);
  if (!total || !threshold || typeof count !== "number" || !Number.isSafeInteger(count) || count <= 0) return null;
  return order(total, { ...threshold, digits: threshold.digits * BigInt(count) });
}

/** @type {Record<string, (one: unknown, other: unknown, op: string) => number | null>} */
const DOMAINS = {
  bool: orderFlags,
  string: orderTexts,
  number: orderNumbers,
  average: orderAverage,
  version: orderVersions,
  same: orderAlike,
};

/**
 * @param {Node} node
 * @param {Values} values
 */
function compare([, op, domain, left, right], values) {
  const says = OPERATORS[op];
  const orders = DOMAINS[domain];
  if (!says || !orders) throw TypeError(`conditions do not compare so: ${op} ${domain}`);
  const found = orders(term(left, values), term(right, values), op);
  return found === null ? null : says(found);
}

/**
 * @param {Node} element
 * @param {unknown[]} list constants of one type
 * @param {Values} values
 */
function inList(element, list, values) {
  const value = term(element, values);
  const orders = typeof list[0] === "string" ? orderTexts : orderNumbers;
  if (orders(value, value) === null) return null;
  return list.some((member) => orders(value, member) === 0);
}

/**
 * @param {Node} element
 * @param {Node} container
 * @param {Values} values
 */
function inValue(element, container, values) {
  const found = members(term(container, values));
  const value = term(element, values);
  return found && typeof value === "string" ? found.has(value) : null;
}

/**
 * @param {Node} node
 * @param {Values} values
 */
function call([, name, subject, part], values) {
  const value = term(subject, values);
  if (name === "has") return value !== undefined && value !== null;
  if (typeof value !== "string") return null;
  const text = /** @type {string} */ (part[1]);
  if (name === "startsWith") return value.startsWith(text);
  if (name === "endsWith") return value.endsWith(text);
  if (name === "contains") return value.includes(text);
  throw TypeError(`this is no function of conditions: ${String(name).slice(0, 40)}`);
}
