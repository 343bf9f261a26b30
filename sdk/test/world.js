/**
 * A page without a browser: just the globals that the logic touches, each recording what was done with it.
 * What needs a real DOM is tested in a real browser, by tests/journeys/test_sdk_browser.py.
 */

import { buildSync } from "esbuild";
import { fileURLToPath } from "node:url";

const NAMES = ["consent", "gate", "page", "queue", "signals", "track"];

const [{ text: SOURCE }] = buildSync({
  stdin: {
    contents: NAMES.map((name) => `export * as ${name} from "./lib/${name}.js";`).join("\n"),
    resolveDir: fileURLToPath(new URL("..", import.meta.url)),
  },
  bundle: true,
  format: "esm",
  write: false,
}).outputFiles;

const startTimer = globalThis.setTimeout;
// A test is over when it is over, not when the last five-second beat has come.
globalThis.setTimeout = (...args) => startTimer(...args).unref();

let loads = 0;

/**
 * The modules as one more page would load them, with their state anew.
 * @param {[string, string]} [bug] a line of the source and what to put in its place: tests of the tests
 */
export function load(bug) {
  let source = SOURCE;
  if (bug) {
    source = SOURCE.replace(...bug);
    if (source === SOURCE) throw Error(`the bug does not fit any more: ${bug[0]}`);
  }
  loads += 1;
  return import(`data:text/javascript,${encodeURIComponent(`${source}// ${loads}`)}`);
}

/** @param {{gpc?: boolean, https?: boolean, jar?: Map<string, string>}} [traits] */
export function openWorld({ gpc = false, https = true, jar = new Map() } = {}) {
  const world = {
    jar,
    /** Every cookie as it was written. @type {string[]} */
    written: [],
    /** The body of every request, parsed. @type {any[]} */
    requests: [],
    /** The same, as text. @type {string[]} */
    bodies: [],
    /** @type {any[]} */
    beacons: [],
    takesBeacons: true,
    /** What the server says next; a function may do anything. @type {(() => Response | Promise<Response>)[]} */
    answers: [],
  };
  const globals = {
    navigator: {
      globalPrivacyControl: gpc,
      userAgent: "Mozilla/5.0 (X11; Linux x86_64)",
      maxTouchPoints: 0,
      language: "en",
      sendBeacon(url, body) {
        if (world.takesBeacons) world.beacons.push(JSON.parse(body));
        return world.takesBeacons;
      },
    },
    location: { protocol: https ? "https:" : "http:", pathname: "/cart", href: "https://shop.example/cart?secret=1" },
    document: {
      documentElement: { lang: "en", dataset: {} },
      referrer: "https://shop.example/search?q=private",
      querySelector: () => null,
      get cookie() {
        return [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
      },
      set cookie(text) {
        world.written.push(text);
        const [, name, value, age] = text.match(/^(\w+)=([^;]*).*Max-Age=(\d+)/);
        if (age === "0") jar.delete(name);
        else jar.set(name, value);
      },
    },
    async fetch(url, { body }) {
      world.bodies.push(body);
      world.requests.push(JSON.parse(body));
      const answer = world.answers.shift() ?? (() => new Response('{"success":true}'));
      return answer();
    },
  };
  globals.window = globalThis;
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return world;
}

/** Let everything that is ready happen. */
export async function settle() {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Numbers that look random and are the same every time (mulberry32). @param {number} seed */
export function randomness(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
