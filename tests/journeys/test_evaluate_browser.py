"""The evaluator in a real browser: every vector, and a decision from the true engine's signed bundle."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page
from recorder import Recorder

from conftest import watched

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
CASHWRAP = Path(sys.executable).with_name("cashwrap")
VECTORS = ("conditions", "hashing", "assignment", "decisions")
POLICY = {"Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; connect-src 'self'"}

RUN = """async () => {
  const [conditions, assignment, evaluator, { run }] = await Promise.all(
    ["/sdk/condition.js", "/sdk/assign.js", "/sdk/evaluate.js", "/vectors.js"].map((path) => import(path)));
  const names = %s;
  const files = await Promise.all(names.map((name) => fetch(`/vectors/${name}.json`).then((answer) => answer.json())));
  const vectors = Object.fromEntries(names.map((name, at) => [name, files[at]]));
  return run(vectors, { conditions, assignment, evaluator });
}""" % json.dumps(VECTORS)  # noqa: UP031 - the script is full of braces


def pages() -> Recorder:
    recorder = Recorder()
    recorder.pages["/"] = ("<!doctype html><title>Vectors</title>", POLICY)
    recorder.files["/vectors.js"] = (ROOT / "sdk" / "test" / "vectors.js").read_bytes()
    for name in VECTORS:
        recorder.files[f"/vectors/{name}.json"] = (ROOT / "spec" / "vectors" / f"{name}.json").read_bytes()
    return recorder


def test_every_vector(browser_page: Page, record_property: Callable[[str, object], None]) -> None:
    recorder = pages()
    try:
        complaints = watched(browser_page)
        browser_page.goto(recorder.url)
        results = browser_page.evaluate(RUN)
    finally:
        recorder.close()
    counts = {name: results[name]["cases"] for name in VECTORS}
    for name, count in counts.items():
        record_property(f"vectors in chromium: {name}", count)
    assert {name: results[name]["wrong"] for name in VECTORS} == {name: [] for name in VECTORS}
    assert sum(counts.values()) >= 1000
    assert complaints.errors == []


def test_a_vector_that_is_wrong_is_seen(browser_page: Page) -> None:
    recorder = pages()
    planted = json.loads(recorder.files["/vectors/hashing.json"])
    planted["cases"][7]["expected"] += 1
    recorder.files["/vectors/hashing.json"] = json.dumps(planted).encode()
    try:
        browser_page.goto(recorder.url)
        results = browser_page.evaluate(RUN)
    finally:
        recorder.close()
    assert [len(results[name]["wrong"]) for name in VECTORS] == [0, 1, 0, 0]


BUGS = {
    "conditions": ("condition.js", "return found === null ? null : !found", "return !found"),
    "hashing": ("assign.js", "hashed ^= length + bytes.length", "hashed ^= length + text.length"),
    "assignment": ("assign.js", "if (stays >= 0) return pick(stays);", ""),
    "decisions": ("evaluate.js", "if (this.held) {", "if (false) {"),
}


@pytest.mark.parametrize("name", BUGS)
def test_the_vectors_notice_a_bug_in_the_browser(browser_page: Page, name: str) -> None:
    file, line, broken = BUGS[name]
    source = (ROOT / "sdk" / "lib" / file).read_text()
    assert line in source
    recorder = pages()
    recorder.files[f"/sdk/{file}"] = source.replace(line, broken).encode()
    try:
        browser_page.goto(recorder.url)
        results = browser_page.evaluate(RUN)
    finally:
        recorder.close()
    assert results[name]["wrong"]


PLAYBOOK = """
shop: {currency: EUR, locale: en}
placements:
  basket_message: {component: message}
  payment_methods: {component: options}
experiences:
  mobile:
    in: basket_message
    when: device.type == "mobile"
    show: {text: {en: "On your phone.", de: "Am Handy."}}
  wallet_first:
    in: payment_methods
    when: cart.total > 20
    show: {first: [wallet]}
"""
DECIDE = """async ({engine, key, jwks}) => {
  const { decide, inputsOf, openBundle } = await import(`${engine}/sdk/0.1.0/evaluate.js`);
  const answer = await fetch(`${engine}/v1/bundle?key=${key}`);
  const signed = await answer.text();
  const bundle = await openBundle(signed, { jwks });
  const context = {locale: "de-AT", device: {type: "mobile"}, cart: {total: 20.01},
    checkout: {paymentMethods: ["card", "wallet"]}};
  const refused = await openBundle(signed.replace(".", ".A"), { jwks }).catch(({ code }) => code);
  return { etag: answer.headers.get("etag"), decision: decide(bundle, inputsOf(bundle, { context })), refused };
}"""


def cashwrap(*arguments: object) -> str:
    done = subprocess.run([CASHWRAP, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_page_of_another_origin_decides_by_a_bundle_of_the_true_engine(browser_page: Page, tmp_path: Path) -> None:
    recorder = Recorder()
    origin = f"http://localhost:{recorder.port}"
    recorder.pages["/"] = ("<!doctype html><title>Shop</title>", {})
    playbook, data, keys = tmp_path / "playbook", tmp_path / "data", tmp_path / "jwks.json"
    playbook.mkdir()
    (playbook / "shop.yaml").write_text(PLAYBOOK)
    key = cashwrap("keys", "create", "publishable", "--origin", origin, "--data", data).split()[-1]
    cashwrap("bundle", tmp_path / "bundle.jws", "--keys", keys, "--playbook", playbook, "--data", data)
    serve = [CASHWRAP, "serve", "--playbook", playbook, "--data", data, "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            ready = (re.search(r"ready at (http://\S+)", line) for line in process.stdout)
            engine = next(found[1] for found in ready if found)
            browser_page.goto(origin)
            asked = {"engine": engine, "key": key, "jwks": json.loads(keys.read_text())}
            found = browser_page.evaluate(DECIDE, asked)
        finally:
            process.terminate()
            process.communicate(timeout=30)
            recorder.close()
    placements = found["decision"]["placements"]
    assert found["etag"]
    assert found["refused"] == "bad_signature"
    assert placements["basket_message"]["content"] == {"type": "message", "text": "Am Handy.", "locale": "de"}
    assert [option["id"] for option in placements["payment_methods"]["content"]["options"]] == ["wallet", "card"]
