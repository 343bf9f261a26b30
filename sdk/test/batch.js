/** Answers many questions of tests/test_bundle.py in one process: JSON lines in, JSON lines out. */

import { readFileSync } from "node:fs";
import { decide, inputsOf, openBundle } from "../lib/evaluate.js";

const ASKED = {
  decide: ({ bundle, inputs }) => decide(bundle, inputs),
  page: ({ bundle, request, more }) => decide(bundle, inputsOf(bundle, request, more)),
  inputs: ({ shop, request, more }) => inputsOf(shop, request, more),
  open: async ({ signed, trust }) => {
    try {
      return await openBundle(signed, trust);
    } catch (failure) {
      return { refused: failure.code ?? String(failure) };
    }
  },
};

let bundle;
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const { kind, ...asked } = JSON.parse(line);
  if (asked.bundle) bundle = asked.bundle; // one bundle stands for the questions after it
  process.stdout.write(`${JSON.stringify(await ASKED[kind]({ bundle, ...asked }))}\n`);
}
