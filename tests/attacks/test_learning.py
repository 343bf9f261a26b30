"""Attacks on what is learned: shoppers who must not be in it, models that must not pass, disks, careless hands."""

import io
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm  # type: ignore[import-untyped]
import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from cashwrap.adapters.model_folder import FolderModels
from cashwrap.cli.main import app
from cashwrap.cli.scoring import _written
from cashwrap.content import Catalogue, shelf
from cashwrap.declarations import PredictionDecl, Products, RetentionDecl
from cashwrap.errors import CashwrapError, InvalidInput, StoreError
from cashwrap.history import write_facts
from cashwrap.history.scoring import Wanted
from cashwrap.learned import extras, forgetting, registry
from cashwrap.learned.files import SUBJECTS, subjects_of, verify
from cashwrap.learned.forgetting import dues_of, forget
from cashwrap.learned.serving import Models
from cashwrap.learning import predicting, sources
from cashwrap.learning.affinity import categories_of, counted
from cashwrap.learning.data import TRAIN, Column, Interactions, Table
from cashwrap.learning.drift import summary_of
from cashwrap.learning.examples import of_log
from cashwrap.learning.gate import gate
from cashwrap.learning.measures import Rows, evaluate_prediction
from cashwrap.learning.neighbours import build_follows
from cashwrap.library import open_world
from cashwrap.model import Inputs, Product, Tenant, Touch
from cashwrap.playbook import examine
from cashwrap.propensity.trees import Trees
from cashwrap.retention import Retention
from cashwrap.world import World
from engines import GRANTED, LIVE, TestClock, memory_world, shop_over
from learned_world import draft, kept, world_with


class Place(NamedTuple):
    store: str
    environment: str
    name: str


PEOPLE = tuple(bytes([number]) * 16 for number in range(1, 5))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return world_with(FolderModels(tmp_path / "models"))


def versions(world: World) -> list[str]:
    return registry.versions_of(world, LIVE, "next_item")


def visits(*said: tuple[int, str], subjects: int = 4) -> Interactions:
    """Visits by whose they are and what was looked at; of a shop's own shoppers unless there are no ``subjects``."""
    items = tuple(sorted({name for _, names in said for name in names.split()}))
    rows = [items.index(name) for _, names in said for name in names.split()]
    ends = np.cumsum([len(names.split()) for _, names in said])
    count = len(said)
    return Interactions(
        items=items,
        item=np.array(rows, np.int32),
        kind=np.zeros(len(rows), np.int8),
        time=np.arange(len(rows), dtype=np.int64) * 60_000,
        offsets=np.append(0, ends).astype(np.int64),
        user=np.array([who for who, _ in said], np.int32),
        part=np.full(count, TRAIN, np.int8),
        explored=np.zeros(count, np.bool_),
        catalogue={name: Product(name, category=f"of {name}") for name in items},
        subjects=PEOPLE[:subjects],
    )


# --- what one shopper alone did ---

SECRET = ((0, "test cradle"), (0, "test cradle"), (0, "test cradle"))
"""One shopper, three visits: nobody is to learn that whoever wants a test wants a cradle next."""
USUAL = tuple((who, "tea cup") for who in (0, 1, 2))


def followers(data: Interactions) -> set[tuple[str, str]]:
    arrays, _ = build_follows(data, {})
    ends = arrays["follows.offsets"]
    return {
        (data.items[at], data.items[other])
        for at in range(len(data.items))
        for other in arrays["follows.items"][ends[at] : ends[at + 1]].tolist()
    }


def test_what_follows_for_one_shopper_alone_is_in_no_table() -> None:
    assert followers(visits(*SECRET, *USUAL)) == {("tea", "cup"), ("cup", "tea")}


def test_a_file_that_knows_no_shoppers_of_ours_is_learned_from_whole() -> None:
    assert ("test", "cradle") in followers(visits(*SECRET, *USUAL, subjects=0))


def test_categories_that_follow_for_one_shopper_alone_are_in_no_table() -> None:
    data = visits(*SECRET, *USUAL)
    names, category = categories_of(data)
    arrays, _ = counted(names, category, data, np.arange(data.sessions)).parts()
    assert arrays["follower_ends"].tolist() == [int(at >= names.index("of tea")) for at in range(len(names))]
    assert [names[at] for at in arrays["follower"]] == ["of cup"]


def test_a_text_that_one_shopper_has_in_many_rows_is_not_in_what_drift_is_told_by() -> None:
    """A digest of an e-mail address is an e-mail address to whoever has a list of them."""
    texts = ["ann@example.com"] * 100 + ["mugs"] * 100
    who = [0] * 100 + [1, 2, 3, 1] * 25
    table = Table(
        columns=(Column("search", "category", np.array(texts, object)), Column("all", "set", np.array(texts, object))),
        label=np.zeros(200),
        time=np.arange(200),
        group=np.array(who, np.int32),
        part=np.zeros(200, np.int8),
        explored=np.zeros(200, np.bool_),
        subjects=PEOPLE,
    )
    for spread in summary_of(table).features.values():
        assert len(spread.levels) == 1
        assert spread.shares == (0.5, 0.5, 0.0)
    assert [len(each.levels) for each in summary_of(table._replace(subjects=())).features.values()] == [2, 2]


# --- who withdraws, and who is forgotten ---


def test_who_withdraws_analytics_is_in_no_model_any_more(tmp_path: Path) -> None:
    """Facts of theirs go with the next run, and with them the sessions that neighbours are looked for in."""
    world = msgspec.structs.replace(memory_world(TestClock()), models=FolderModels(tmp_path / "models"))
    with shop_over(world) as shop:
        people = [{"anonymousId": f"anon-withdraws-{number}"} for number in range(2)]
        for who in people:
            shop.consents(who, **GRANTED)
            shop.keeps(shop.views(who))
        write_facts(world, tmp_path / "facts")
        ids = [profile.analytic_id for who in people if (profile := shop.profile(anonymous=who["anonymousId"]))]
        version = kept(world, subjects=tuple(ids))
        shop.consents(people[0], **{**GRANTED, "analytics": "denied"})
        write_facts(world, tmp_path / "facts")
    assert forgetting.holding(world, LIVE, ids[:1]) == []
    assert forgetting.holding(world, LIVE, ids[1:]) == [f"next_item@{version}"]
    assert dues_of(world.registry)[LIVE.name, "next_item", version].shoppers == 1


def damaged(array: Any) -> dict[str, bytes]:
    """Lists of subjects as a broken disk or a careless hand leaves them."""

    def written(what: Any) -> bytes:
        file = io.BytesIO()
        np.lib.format.write_array(file, what, version=(1, 0))
        return file.getvalue()

    whole = written(array)
    return {
        "of two dimensions": written(array.reshape(2, 2)),
        "of real numbers": written(np.full(4, np.nan)),
        "one number": written(array[0]),
        "in another order": written(array[::-1].copy()),
        "of objects": whole.replace(b"'<u8'", b"'|O8'"),
        "of a negative shape": whole.replace(b"(4,), ", b"(-4,),"),
        "another shopper": whole[:-8] + b"\0" * 8,
        "cut off": whole[:-3],
        "nothing": b"",
    }


@pytest.mark.parametrize("how", list(damaged(np.arange(4, dtype="<u8"))))
def test_a_damaged_list_of_subjects_hides_nobody(world: World, tmp_path: Path, how: str) -> None:
    kept(world, subjects=PEOPLE)
    path = next((tmp_path / "models").rglob(SUBJECTS))
    path.write_bytes(damaged(np.load(path))[how])
    forget(world, LIVE, PEOPLE[:1])
    assert versions(world) == []


def test_a_server_without_numpy_forgets_in_models_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    version = kept(world, subjects=PEOPLE[:2])

    def missing(_: str) -> None:
        raise CashwrapError("Models need numpy", code="extra_missing")

    with monkeypatch.context() as patched:
        patched.setattr(extras, "_loaded", missing)
        assert forget(world, LIVE, PEOPLE[2:3]) == []
        assert versions(world) == [version]
        assert forget(world, LIVE, PEOPLE[:1]) == [f"next_item@{version}"]
    assert versions(world) == []


def test_two_who_forget_at_once_bring_nobody_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both read the version, the one writes it without the first shopper, and then the other without the second."""
    version = kept(world, subjects=PEOPLE)
    files = world.models
    assert files is not None
    other: list[Callable[[], object]] = [lambda: forget(world, LIVE, PEOPLE[1:2])]
    rewrite = files.rewrite

    def meanwhile(*args: Any) -> None:
        if other:
            other.pop()()
        rewrite(*args)

    monkeypatch.setattr(files, "rewrite", meanwhile)
    forget(world, LIVE, PEOPLE[:1])
    left = subjects_of(files, LIVE, "next_item", version)
    assert sorted(left) == sorted(int(each) for each in digests(world, PEOPLE[2:]))
    assert verify(files, world.vault, LIVE, "next_item", version) == []


def digests(world: World, people: tuple[bytes, ...]) -> list[int]:
    return forgetting.digests_of(world.vault, LIVE, people)


@pytest.mark.parametrize(
    "stray",
    [
        "default@live/README",
        "default@live/.DS_Store",
        "default@live/lost+found/",
        "default@live/my models/1/",
        "default@live/next_item/.DS_Store",
        "default@live/next_item/copy+old/",
        "default@live/next_item/notes.txt",
        "_unfinished/notes.txt",
        "notes@home",
    ],
)
def test_what_somebody_leaves_among_the_models_keeps_nobody_from_forgetting(
    world: World, tmp_path: Path, stray: str
) -> None:
    version = kept(world, subjects=PEOPLE)
    place = tmp_path / "models" / f"{LIVE.store}@{LIVE.environment}".join(stray.split("default@live"))
    if stray.endswith("/"):
        place.mkdir(parents=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("mine")
    assert forget(world, LIVE, PEOPLE[:1]) == [f"next_item@{version}"]
    assert forgetting.holding(world, LIVE, PEOPLE[:1]) == []
    assert versions(world) == [version]


# --- models that must not pass ---


def judged(scores: Any, label: Any, group: Any) -> bool:
    rows = Rows(label, group, np.zeros(len(label), np.bool_))
    plain = {"base_rate": np.full(len(label), label.mean())}
    verdict = gate(evaluate_prediction(rows, scores, plain, seed=7), kind="predictor")
    return {code for code, _ in verdict.reasons} <= {"miscalibrated"}


@pytest.mark.parametrize("came", [0.0, 1.0])
def test_no_model_passes_a_test_in_which_all_is_one_and_the_same(came: float) -> None:
    label = np.full(400, came)
    assert not judged(np.full(400, 0.99 * came + 0.005), label, np.arange(400))


@pytest.mark.parametrize("sizes", [[2] * 150, [13] * 20, [200] + [2] * 60, [200] * 3 + [1] * 100])
def test_hardly_any_random_model_passes(sizes: list[int]) -> None:
    """Also where a few shoppers, who are bound to do as they do, make up most of the test."""
    rng, group = np.random.default_rng(11), np.repeat(np.arange(len(sizes)), sizes)
    passed = 0
    for _ in range(40):
        label = (rng.random(len(group)) < rng.beta(1, 2, len(sizes))[group]).astype(float)
        passed += judged(0.3 + 0.02 * rng.random(len(sizes))[group], label, group)
    assert passed <= 3, "one of 40 is to be expected"


# --- sensitive products ---


def test_what_is_called_sensitive_later_is_in_no_example() -> None:
    """The log has it from before: as the last product seen, and as the one seen most."""
    text = """
features:
  last_seen: {last: Product Viewed, of: product_id}
  seen:      {count: Product Viewed, by: product_id}
placements:
  hero: {component: message}
"""
    playbook, faults = examine({"p.yaml": text})
    assert playbook is not None, faults
    with shop_over(memory_world(TestClock()), playbook) as shop:
        for number in range(4):
            who = {"anonymousId": f"anon-sensitive-{number}"}
            shop.consents(who)
            shop.keeps(shop.views(who, "pill"))
            shop.keeps(shop.event(event="Checkout Started", properties={"cart_id": "c"}, **who))
        shop.engine.world.catalogue.upsert(LIVE, [Product("pill", "Pill", 300, sensitive=True)])
        asked = PredictionDecl("looks", ("Checkout Started",), ("Order Completed",), within=3_600_000)
        table = of_log(shop.engine.world, playbook, asked, LIVE, now=shop.clock.now() + 86_400_000)
    texts = {column.name for column in table.columns if column.kind != "number"}
    assert len(table.label) == 4
    assert not texts & {"last_seen", "seen.top"}
    assert not any("pill" in str(each) for column in table.columns for each in column.values)


# --- careless hands ---


def run(*arguments: object, code: int = 1) -> str:
    """What a command says; whatever went wrong it says so in words."""
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 180 examples, and how to read it."""
    folder = tmp_path_factory.mktemp("examples")
    rows = "".join(f"{int(number % 3 == 0)},{number % 7},{number // 60}\n" for number in range(180))
    (folder / "x.csv").write_text(f"y,a,g\n{rows}")
    (folder / "odd.csv").write_text('"a"" FROM read_text(\'m.yaml\') --",y,a\n1,1,1\n')
    plain = "source: s\ntask: prediction\nlabel: {column: y, values: ['1']}\nnumbers: [a]\n"
    (folder / "m.yaml").write_text(plain)
    (folder / "folds.yaml").write_text(f"{plain}group: g\ntest: {{folds: 3, repeats: 1}}\n")
    return folder


@pytest.mark.parametrize("where", [("--html", "no/such/page.html"), ("--png", "x.csv")])
def test_a_page_that_cannot_be_written_is_said(examples: Path, where: tuple[str, str]) -> None:
    from_file = ("--mapping", examples / "m.yaml", "--file", examples / "x.csv", "--data", examples / "none")
    assert "unwritable_file" in run("train", *from_file, where[0], examples / where[1])


def test_columns_are_named_by_who_wrote_the_file(examples: Path) -> None:
    """A quote in a name is part of the name, and nothing that the database is to do."""
    told = run("train", "--mapping", examples / "m.yaml", "--file", examples / "odd.csv", "--data", examples / "none")
    assert "too_few_examples" in told


def test_examples_of_three_groups_cannot_be_held_against_each_other(examples: Path) -> None:
    files = ("--mapping", examples / "folds.yaml", "--file", examples / "x.csv")
    assert "too_few_examples" in run("train", *files, "--data", examples / "none")


def test_what_is_not_there_is_not_as_it_was_written(tmp_path: Path) -> None:
    with open_world(tmp_path / "data", make=True) as opened:
        version = registry.register(opened, Tenant(), draft(name="basket"))
    data = ("--data", tmp_path / "data")
    assert "no_such_model" in run("models", "verify", "baskte", *data)
    assert "no_such_model" in run("models", "verify", "basket@2019", *data)
    run("models", "verify", f"basket@{version[-8:]}", *data, code=0)
    assert "shadow_unproven" in run("models", "candidate", "basket", "--force", "  ", *data)


def test_scores_are_for_nobody_elses_eyes(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old")
    path.chmod(0o644)
    assert _written(path, iter(()), Wanted(("abandon_propensity",), "", 10)) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidInput, match="cannot be written"):
        _written(tmp_path / "no" / "scores.csv", iter(()), Wanted(("abandon_propensity",), "", 10))


def test_the_largest_number_of_anybody_is_in_no_model() -> None:
    """LightGBM writes the smallest and the largest value of each column into its text: one shopper's each."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=200)
    values[7] = 123_456.75
    table = Table(
        columns=(Column("spent", "number", values), Column("looks", "number", rng.normal(size=200))),
        label=(rng.random(200) < 0.4).astype(np.float64),
        time=np.arange(200),
        group=np.arange(200, dtype=np.int32),
        part=np.zeros(200, np.int8),
        explored=np.zeros(200, np.bool_),
        subjects=PEOPLE,
    )
    made = predicting.fit(table, {"model": "trees", "leaves": 4, "trees": 5, "smoothing": 10.0}, lambda _, __: None)
    assert "123456" not in made.texts["trees"]
    whole = lightgbm.Booster(model_str=made.texts["trees"])
    rows = np.stack([each.values for each in table.columns], axis=1).astype(np.float64)
    odds = np.asarray(whole.predict(rows, raw_score=True))
    assert np.allclose(odds, Trees.of(made.arrays).scores(rows))


def test_what_costs_nothing_is_suggested_to_nobody() -> None:
    """A price of 0 is one that nobody set, and a checkout would give it away."""
    catalogue = Catalogue.of({"mug": Product("mug", "Mug", 0), "tea": Product("tea", "Tea", 500)})
    assert catalogue.popular == ("tea",)
    inputs = Inputs(0, LIVE, {}, "request", 1, None, "en", "EUR")
    placed = shelf.pick(Products("popular", 5), shelf.Rules(), inputs, catalogue, ("en",))
    assert [each.product.id for each in placed] == ["tea"]


# --- broken disks ---


def test_whatever_becomes_of_a_file_is_seen_and_not_answered_from(world: World, tmp_path: Path) -> None:
    """A bit turned, a piece cut off, something added, or another file in its place."""
    data = visits(*SECRET, *USUAL)
    version = kept(world, artefact=sources.recommender(data, "next_item", {}), subjects=data.subjects)
    registry.promote(world, LIVE, "next_item", version, "trusted")
    asked = Inputs(10**9, LIVE, {}, "profile", 0, None, touched=(Touch("tea", "view", 10**9 - 1, "1"),))
    folder = next((tmp_path / "models").rglob("manifest.json")).parent
    files, chance, models = sorted(folder.iterdir()), random.Random(5), world.models
    assert models is not None
    assert Models(world).of(LIVE).suggest("next_item", "live", "recommended", asked)
    for _ in range(50):
        path = chance.choice(files)
        whole = path.read_bytes()
        turned = bytearray(whole)
        turned[chance.randrange(len(turned))] ^= 1 << chance.randrange(8)
        cut = whole[: chance.randrange(len(whole))]
        path.write_bytes(chance.choice([bytes(turned), cut, whole + b"\0", files[files.index(path) - 1].read_bytes()]))
        assert verify(models, world.vault, LIVE, "next_item", version)
        answers = Models(world).of(LIVE).suggest("next_item", "live", "recommended", asked)
        assert not answers or path.name == SUBJECTS
        path.write_bytes(whole)
    assert verify(models, world.vault, LIVE, "next_item", version) == []


@pytest.mark.parametrize(
    "place",
    [
        Place("other", LIVE.environment, "next_item"),
        Place(LIVE.store, "test", "next_item"),
        Place(LIVE.store, LIVE.environment, "basket"),
    ],
)
def test_a_model_of_one_store_answers_in_no_other(world: World, tmp_path: Path, place: Place) -> None:
    version = kept(world)
    folder = next((tmp_path / "models").rglob("manifest.json")).parent
    shutil.copytree(folder, tmp_path / "models" / f"{place.store}@{place.environment}" / place.name / version)
    other = Tenant(place.store, place.environment)
    with pytest.raises(StoreError) as refused:
        registry.promote(world, other, place.name, version, "trusted")
    assert refused.value.code == "model_unsigned"


# --- at the same time ---


def test_what_a_guard_takes_back_meanwhile_is_not_promoted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promoting reads all files first; the experiment's guard says in that moment that the candidate harms."""
    version = kept(world)
    registry.candidate(world, LIVE, "next_item", version, "trusted")
    guard: list[Callable[[], object]] = [lambda: registry.take_back(world, LIVE, "next_item", "it harms")]

    def slowly(*args: Any) -> list[str]:
        if guard:
            guard.pop()()
        return verify(*args)

    monkeypatch.setattr(registry, "verify", slowly)
    with pytest.raises(InvalidInput) as refused:
        registry.promote(world, LIVE, "next_item")
    assert refused.value.code == "not_candidate"
    model = registry.model_of(world.registry, LIVE, "next_item")
    assert (model.live, model.candidate) == ("", "")
    assert model.history[-1].action == "take_back"


def test_two_trainings_at_once_are_both_kept(tmp_path: Path) -> None:
    """And what is live stays so."""
    with open_world(tmp_path / "data", make=True) as opened:
        first = registry.register(opened, Tenant(), draft())
        registry.promote(opened, Tenant(), "next_item", first, "trusted")
        together = threading.Barrier(2)
        made: list[str] = []

        def train() -> None:
            together.wait()
            made.append(registry.register(opened, Tenant(), draft()))

        threads = [threading.Thread(target=train) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        model = registry.model_of(opened.registry, Tenant(), "next_item")
        assert set(registry.versions_of(opened, Tenant(), "next_item")) == {first, *made}
        assert model.live == first
        assert model.shadow in made
        assert not any(verify(registry.files_of(opened), opened.vault, Tenant(), "next_item", each) for each in made)


def test_many_who_are_idle_cost_models_one_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each writing may take a second, and events wait behind it."""
    clock = TestClock()
    world = msgspec.structs.replace(memory_world(clock), models=FolderModels(tmp_path / "models"))
    files, written = world.models, list[object]()
    assert files is not None
    rewrite = files.rewrite
    monkeypatch.setattr(files, "rewrite", lambda *args: (written.append(args), rewrite(*args)))
    with shop_over(world) as shop:
        people = [{"anonymousId": f"anon-idle-{number:05}"} for number in range(12)]
        for who in people:
            shop.consents(who)
        found = [profile for who in people if (profile := shop.profile(anonymous=who["anonymousId"]))]
        ids = [profile.analytic_id for profile in found]
        version = kept(world, subjects=(*ids, *PEOPLE))
        clock.wait(days=5 * 366)
        playbook = shop.engine.live.playbook
        retention = Retention(world, shop.engine.forgetting, RetentionDecl, lambda: playbook.features)
        retention.all()
    assert retention.removed == 12
    assert len(written) == 1
    assert forgetting.holding(world, LIVE, ids) == []
    assert forgetting.holding(world, LIVE, PEOPLE) == [f"next_item@{version}"]
