/**
 * Runs spec/vectors against the evaluators, in Node (vectors.test.js) and in a browser (tests/journeys): no imports,
 * nothing of Node.
 */

/** Plain values as text, keys in order: equal texts are equal values. @param {unknown} value */
export function canonical(value) {
  return JSON.stringify(value, (_, each) =>
    each && typeof each === "object" && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([one], [other]) => (one < other ? -1 : 1)))
      : each,
  );
}

/**
 * @param {Record<string, any>} vectors the files by name: conditions, hashing, assignment, decisions
 * @param {{conditions: any, assignment: any, evaluator: any}} modules condition.js, assign.js and evaluate.js
 * @returns {Record<string, {cases: number, wrong: string[]}>} by file
 */
export function run(vectors, { conditions, assignment, evaluator }) {
  const answers = {
    conditions(_, { compiled, values }) {
      const found = conditions.evaluate(compiled, values);
      return found === null ? "unknown" : found;
    },
    hashing(_, { seed, text, prefix, unit }) {
      return prefix ? assignment.hash(prefix, unit) : assignment.hash([seed, 0, 0], text);
    },
    assignment({ trials }, { group, ...asked }) {
      if (group === "unit") return assignment.unitOf(asked.chain, asked.units, asked.values);
      if (group === "traffic") return assignment.shareAt(asked.traffic, asked.now);
      if (group === "draw") return assignment.draw(asked.unit, asked.drawn);
      return assignment.assign(trials[asked.trial].compiled, asked.unit, asked.now, asked.kept);
    },
    decisions({ playbooks }, { playbook, inputs, off }) {
      const { bundle } = playbooks[playbook];
      const { placements, exposures } = evaluator.decide(off ? { ...bundle, off } : bundle, inputs);
      return { placements, exposures };
    },
  };
  const judge = (name) => {
    const cases = vectors[name].cases.filter((each) => "expected" in each);
    const wrong = cases.flatMap((each) => {
      const found = canonical(answer(() => answers[name](vectors[name], each)));
      const expected = canonical(each.expected);
      return found === expected ? [] : [`${JSON.stringify({ ...each, expected: 0 })}\n  ${expected}\n  ${found}`];
    });
    return { cases: cases.length, wrong };
  };
  return Object.fromEntries(Object.keys(answers).map((name) => [name, judge(name)]));
}

/** @param {() => unknown} ask */
function answer(ask) {
  try {
    return ask();
  } catch (failure) {
    return `threw ${failure}`;
  }
}
