/** Open a signed bundle: a JSON Web Signature (RFC 7515, compact) by ES256 over the bytes as they came. */

/** @typedef {{kty?: string, crv?: string, kid?: string, x?: string, y?: string}} PublicKey as in a JWKS (RFC 7517) */

const TYPE = "cashwrap-bundle+jws";
const FORMAT = 1;

/** Why a bundle is refused; `code` is for programs. */
export class BundleError extends Error {
  /**
   * @param {"not_a_bundle" | "unknown_key" | "bad_signature" | "unknown_format" | "expired" | "older" | "of_another"} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * @param {string} signed what `GET /v1/bundle` answers, or `cashwrap bundle` writes
 * @param {object} trust
 * @param {{keys: PublicKey[]}} trust.jwks the keys that may sign, from where you trust: part of your page, not of the answer
 * @param {{made: number, version: string} | undefined} [trust.newest] the newest bundle seen so far: an older one is refused
 * @param {number} [trust.now]
 * @param {string} [trust.store]
 * @param {string} [trust.environment]
 * @returns {Promise<import("./evaluate.js").Bundle>} rejects with a `BundleError`
 */
export async function openBundle(signed, { jwks, newest, now = Date.now(), store, environment }) {
  const parts = signed.trim().split(".");
  const [head = "", payload = "", signature = ""] = parts;
  const header = parts.length === 3 ? parse(head) : null;
  if (header?.alg !== "ES256" || header.typ !== TYPE || "crit" in header) {
    throw new BundleError("not_a_bundle", "this is no signed bundle");
  }
  const key = jwks.keys.find(({ kid }) => kid === header.kid);
  if (!key) throw new BundleError("unknown_key", `no trusted key is called ${String(header.kid).slice(0, 40)}`);
  const { kty = "", crv = "", x = "", y = "" } = key;
  const ecdsa = { name: "ECDSA", namedCurve: "P-256" };
  const verifier = await crypto.subtle.importKey("jwk", { kty, crv, x, y }, ecdsa, false, ["verify"]);
  const bytes = decode(signature);
  const said = new TextEncoder().encode(`${head}.${payload}`);
  if (!bytes || !(await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, verifier, bytes, said))) {
    throw new BundleError("bad_signature", "the bundle was changed, or another key has signed it");
  }
  const bundle = parse(payload);
  if (bundle?.format !== FORMAT) throw new BundleError("unknown_format", "this evaluator is for another format of bundles");
  if (now >= bundle.expires) throw new BundleError("expired", "the bundle has expired; fetch it again");
  if (newest && bundle.made < newest.made && bundle.version !== newest.version) {
    throw new BundleError("older", "the bundle is older than one that was here before");
  }
  if ((store ?? bundle.store) !== bundle.store || (environment ?? bundle.environment) !== bundle.environment) {
    throw new BundleError("of_another", `the bundle is for ${bundle.store}/${bundle.environment}`);
  }
  return bundle;
}

/** @param {string} text base64url of JSON */
function parse(text) {
  const bytes = decode(text);
  try {
    return bytes && JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
}

/**
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer> | null} null for any but the one spelling of the bytes
 */
function decode(text) {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) return null;
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const again = btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return again === text ? Uint8Array.from(plain, (character) => character.charCodeAt(0)) : null;
}
