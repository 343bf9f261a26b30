"""What people see of a model: every figure in it is the evaluation's, and no name in it does any harm."""

import re
from functools import cache
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

import trainings
from cashwrap.analysis.render.page import POLICY
from cashwrap.analysis.render.style import svg
from cashwrap.learned.artefact import Gate
from cashwrap.learning import render
from cashwrap.learning.render import phrases, plots, tables
from cashwrap.learning.results import Training, Versus


@cache
def page(which: str) -> str:
    return render.page(trainings.ALL[which]())


def printed(training: Training) -> str:
    console = Console(width=80, no_color=True)
    with console.capture() as found:
        console.print(render.terminal(training))
    return found.get()


def refused(training: Training, code: str) -> Training:
    return msgspec.structs.replace(training, gate=Gate(passed=False, reasons=((code, "because of this"),)))


@pytest.mark.parametrize("which", trainings.ALL)
def test_all_renderings_are_the_same_each_time_and_say_the_verdict(which: str):
    training = trainings.ALL[which]()
    assert render.card(training) == render.card(training)
    if which == "offer":
        assert render.page(training) == page(which)
    for text in (page(which), render.card(training), printed(training)):
        assert phrases.heading(training) in text
    assert max(map(len, printed(training).splitlines())) <= 80


def test_a_card_says_where_it_comes_from_how_good_it_is_and_how_to_take_it_back():
    training = trainings.basket()
    said = render.card(training)
    recall = training.evaluation.figures["recall@20"]
    for words in (
        f"Recall@20 is {recall.value:.1%}",
        "shoppers who allow analytics",
        "5.0% of it from shoppers who saw nothing personal",
        "Better than showing what sells best",
        "cashwrap models rollback basket",
        "cashwrap train --due",
        "3,100 shoppers' data",
        "bought_together",
        "damping 0.5, k 200",
    ):
        assert words in said


def test_every_difference_of_an_evaluation_is_in_the_card():
    training = trainings.abandon()
    said = render.card(training)
    for each in training.evaluation.versus:
        assert phrases.between(each) in said
    for name in training.evaluation.figures:
        assert phrases.metric(name).label in said


def test_less_is_better_where_it_is():
    said = Versus("log_loss", "line", 0.4, 0.5, -0.1, -0.12, -0.08)
    assert phrases.standing(said) == "better"
    assert phrases.standing(msgspec.structs.replace(said, metric="auc")) == "worse"
    assert phrases.standing(msgspec.structs.replace(said, high=0.01)) == "unclear"


def test_the_sentence_is_of_the_baseline_that_leaves_least():
    training = trainings.basket()
    assert phrases.strongest(training.evaluation).baseline == "item_knn"
    assert "item neighbours" in phrases.sentence(training)


@pytest.mark.parametrize("code", phrases.CURES)
def test_a_refusal_says_why_what_to_do_and_that_nothing_changes(code: str):
    training = refused(trainings.basket(), code)
    for text in (" ".join(printed(training).split()), render.card(training)):
        assert "because of this" in text
        assert code in text
        assert phrases.CURES[code] in text
        assert "models promote" not in text


def test_one_that_is_better_and_still_refused_says_but():
    assert phrases.sentence(refused(trainings.basket(), "miscalibrated")).endswith("but because of this.")


def test_one_that_passed_and_is_as_good_as_another_model_says_so():
    training = trainings.basket()
    rival = msgspec.structs.replace(phrases.strongest(training.evaluation), low=-0.01)
    evaluation = msgspec.structs.replace(training.evaluation, versus=(rival,))
    said = phrases.sentence(msgspec.structs.replace(training, evaluation=evaluation))
    assert "better beyond doubt than what needs no model, and as good as any other" in said


def test_what_is_not_registered_names_no_version_to_promote_and_a_card_always_does():
    training = msgspec.structs.replace(trainings.basket(), version="")
    said = printed(training)
    assert "Nothing was registered" in said
    assert "models promote" not in said
    assert "Nothing was registered" not in render.card(training)


def test_an_evaluation_of_what_a_model_knew_says_so_first():
    said = printed(msgspec.structs.replace(trainings.basket(), judged="seen"))
    assert "partly knows: Recall@20" in said
    assert "shadow" not in said


def test_a_page_fetches_and_runs_nothing_and_escapes_names():
    for which in trainings.ALL:
        said = page(which)
        assert POLICY in said.replace("&#39;", "'")
        assert "<script" not in said
        assert "<img" not in said
        assert not re.search(r'(?:src|href)="(?!#|data:)', said)
    assert "&lt;script&gt;" in page("nothing")
    assert "&lt;img src=x&gt;" in page("nothing")


def test_a_table_of_the_card_keeps_its_columns_whatever_names_are_in_it():
    rows = [line for line in render.card(trainings.basket()).splitlines() if line.startswith("|")]
    assert rows
    hostile = msgspec.structs.replace(trainings.basket().trials[0], settings={"a|b": "c|d"})
    said = render.card(msgspec.structs.replace(trainings.basket(), trials=(hostile,)))
    assert r"a\|b c\|d" in said


def test_settings_of_parts_are_told_with_the_parts_name():
    assert tables.settings({"blend": {"leaves": 16, "rate": 0.1}, "k": 3}) == "blend.leaves 16, blend.rate 0.1, k 3"
    assert tables.settings({}) == "–"


def test_there_is_a_plot_of_what_there_is_and_none_else():
    drawn = {which: plots.drawn(make()) for which, make in trainings.ALL.items()}
    assert drawn["basket"] == ("against", "slices", "sources", "search")
    assert drawn["abandon"] == ("against", "reliability", "slices", "search", "roc", "precision_recall")
    assert drawn["offer"] == ("against", "reliability", "qini")
    assert drawn["nothing"] == ()
    with pytest.raises(KeyError):
        plots.plot("qini", trainings.basket())


def test_a_reliability_plot_has_a_point_for_each_bin_and_the_rows_below():
    training = trainings.abandon()
    points, rows = plots.plot("reliability", training).axes
    told = [tuple(each) for each in points.lines[-1].get_xydata()]
    assert told == [(bar.predicted, bar.observed) for bar in training.evaluation.reliability]
    assert [patch.get_height() for patch in rows.patches] == [bar.count for bar in training.evaluation.reliability]


def test_a_search_of_chances_is_told_by_its_log_loss_the_least_first():
    training = trainings.abandon()
    assert tables.trials(training).rows[0][1] == "0.4810"
    (axes,) = plots.plot("search", training).axes
    assert list(axes.lines[-1].get_ydata()) == [0.49, 0.481]


def test_names_in_plots_stay_text():
    told = msgspec.structs.replace(trainings.basket().evaluation.versus[0], baseline="<b>$x^2$ & _y_")
    evaluation = msgspec.structs.replace(trainings.basket().evaluation, versus=(told,))
    drawn = svg(plots.plot("against", msgspec.structs.replace(trainings.basket(), evaluation=evaluation)))
    assert "&lt;b&gt;$x^2$ &amp; _y_" in drawn


def test_files_for_other_programs(tmp_path: Path):
    found = msgspec.json.decode(render.to_json([trainings.offer(), trainings.nothing()]))
    assert [each["name"] for each in found["models"]] == ["discount_sensitivity", "<script>alert(1)</script>"]
    assert msgspec.json.decode(msgspec.json.encode(found["models"][0]), type=Training) == trainings.offer()
    written = render.plots_to(trainings.offer(), tmp_path / "plots")
    assert [path.name for path in written] == ["against.png", "reliability.png", "qini.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


@pytest.mark.parametrize("named", [*phrases.METRICS, *phrases.CURES, *plots.NAMES, *phrases.BASELINES])
def test_the_reference_has_every_figure_reason_plot_and_baseline(named: str):
    page = (Path(__file__).parents[1] / "docs" / "reference" / "learning.md").read_text()
    assert f"`{named}`" in page
