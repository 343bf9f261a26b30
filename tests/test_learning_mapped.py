"""Files read by a mapping: rows by eye, and every way a file or a mapping can be wrong."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from cashwrap.errors import InvalidInput, PlaybookError
from cashwrap.learning.data import TEST, TRAIN
from cashwrap.learning.mapped import read_interactions, read_table
from cashwrap.learning.mapping import Mapping, load_mapping, read_mapping

VISITS = """source: visits
task: next_item
rows:
  session: visit
  item: product
  time: {column: at, unit: s}
  kind: {column: did, values: {look: view, buy: order}}
  user: who
  category: kind
  title: name
skip: [{reason: ours, when: {who: staff}}]
test: {since: 1970-01-02}
"""
ROWS = """visit,product,at,did,who,kind,name
b,p2,90000,look,anna,toys,Ball
a,p1,10,look,,books,Atlas
a,p2,20,buy,,toys,Ball
a,p9,30,yawn,,toys,Bear
c,p1,15,look,staff,books,Atlas
a,p1,20,look,,books,Atlas
b,p1,90001.5,look,anna,books,Atlas
"""


def written(folder: Path, text: str, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_visits_in_order(tmp_path: Path) -> None:
    data = read_interactions(read_mapping("m.yaml", VISITS), written(tmp_path, ROWS, "rows.csv.gz"))
    assert data.items == ("p1", "p2")
    assert data.item.tolist() == [0, 1, 0, 1, 0]  # a: atlas, ball, atlas; then b: ball, atlas
    assert data.kind.tolist() == [0, 2, 0, 0, 0]
    assert data.time.tolist() == [10_000, 20_000, 20_000, 90_000_000, 90_001_500]
    assert data.offsets.tolist() == [0, 3, 5]
    assert data.user.tolist() == [-1, 0]
    assert data.part.tolist() == [TRAIN, TEST]
    assert (data.catalogue["p2"].title, data.catalogue["p2"].category) == ("Ball", "toys")


def test_an_order_stands_for_a_clock(tmp_path: Path) -> None:
    mapping = read_mapping(
        "m.yaml", "source: s\ntask: next_item\nrows: {session: s, item: i, order: n}\ntest: {share: 0.5}"
    )
    data = read_interactions(mapping, written(tmp_path, "s,i,n\nz,b,2\nz,a,1\ny,c,1\n"))
    assert not data.clock
    assert [data.items[item] for item in data.item] == ["a", "b", "c"]  # sessions as they stand in the file
    assert data.part.tolist() == [TRAIN, TEST]


@pytest.mark.parametrize(("sizes", "left"), [((1, 9), 3), ((2, 9), 2), ((3, 9), 1)])
def test_only_test_orders_have_a_size(tmp_path: Path, sizes: tuple[int, int], left: int) -> None:
    text = "order,item,at\n1,a,1\n2,a,200000\n3,a,300000\n3,b,300000\n3,a,300000\n"
    said = "source: s\ntask: basket\nrows: {session: order, item: item, time: {column: at, unit: s}}\n"
    mapping = read_mapping("m.yaml", said + f"test: {{since: 1970-01-02}}\nsizes: [{sizes[0]}, {sizes[1]}]")
    data = read_interactions(mapping, written(tmp_path, text))
    assert data.sessions == left  # the first order is small too, and stays to learn from


EXAMPLES = """source: coupons
task: prediction
label: {column: "used{i}", values: [yes]}
each: [1, 2]
group: order
time: {column: at}
numbers: ["price{i}"]
categories: [who]
sets: ["tags{i}"]
derive:
  waited: {minutes: [sent, at]}
  hour: {hour: at}
  off: {ratio: ["price{i}", full]}
  place: {place: true}
test: {share: 0.5}
"""
ORDERS = """order|sent|at|who|full|price1|tags1|used1|price2|tags2|used2
7|2026-01-01 10:00:00|2026-01-01 10:30:00|anna|10|5|"a,b"|yes|x||no
8|2026-01-01 09:00:00|2026-01-01 09:15:00||0|4|c|no|2|d|yes
"""


def test_several_examples_a_row(tmp_path: Path) -> None:
    table = read_table(read_mapping("m.yaml", EXAMPLES), written(tmp_path, ORDERS))
    columns = {column.name: column.values for column in table.columns}
    assert table.label.tolist() == [0, 1, 1, 0]  # ascending in time: order 8 first
    assert table.group.tolist() == [1, 1, 0, 0]
    assert table.part.tolist() == [TRAIN, TRAIN, TEST, TEST]
    assert columns["waited"].tolist() == [15, 15, 30, 30]
    assert columns["hour"].tolist() == [9, 9, 10, 10]
    assert columns["place"].tolist() == [0, 1, 0, 1]
    assert np.isnan(columns["off"]).tolist() == [True, True, False, True]  # nothing is divided by 0
    assert columns["tags"].tolist() == ["c", "d", "a,b", ""]
    assert columns["who"].tolist() == ["", "", "anna", "anna"]


def test_treatment(tmp_path: Path) -> None:
    said = "source: s\ntask: uplift\nlabel: {column: came}\nnumbers: [x]\ntest: {folds: 2}\n"
    said += "treatment: {column: arm, treated: [mail], control: [none], randomised: true, propensity: 0.5}"
    table = read_table(
        read_mapping("m.yaml", said), written(tmp_path, "came,x,arm\n1,1,mail\n0,2,none\n1,3,other\n0,4,mail\n")
    )
    assert table.treated is not None
    assert table.treated.tolist() == [1, 0, 1]
    assert table.propensity is not None
    assert table.propensity.tolist() == [0.5] * 3


def test_a_word_without_randomisation_is_no_propensity(tmp_path: Path) -> None:
    said = "source: s\ntask: uplift\nlabel: {column: came}\nnumbers: [x]\n"
    said += "treatment: {column: arm, treated: [a], control: [b], propensity: 0.5}"
    table = read_table(read_mapping("m.yaml", said), written(tmp_path, "came,x,arm\n1,1,a\n0,2,b\n"))
    assert table.propensity is None


@pytest.mark.parametrize(
    ("text", "code"),
    [("visit,product\n", "unknown_column"), (ROWS.replace("look", "gaze").replace("buy", "take"), "no_interactions")],
)
def test_files_that_do_not_fit(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read_interactions(read_mapping("m.yaml", VISITS), written(tmp_path, text))
    assert error.value.code == code


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        read_interactions(read_mapping("m.yaml", VISITS), tmp_path / "nowhere.csv")
    assert error.value.code == "unreadable_file"


@pytest.mark.parametrize(
    "text",
    [
        "source: s\ntask: next_item",
        "source: s\ntask: next_item\nrows: {session: s, item: i}",
        "source: s\ntask: next_item\nrows: {session: s, item: i, order: n, colour: c}",
        "source: s\ntask: prediction\nlabel: {column: l}",
        "source: s\ntask: uplift\nlabel: {column: l}\nnumbers: [x]",
        "source: s\ntask: dance",
        *(
            f"source: s\ntask: prediction\nname: {name}\nlabel: {{column: l}}\nnumbers: [x]"
            for name in ("../up", "A B")
        ),
        *(
            f"source: s\ntask: next_item\nrows: {{session: s, item: i, order: n}}\ntest: {{{test}}}"
            for test in ("share: 2", "column: c", "since: sunday", "share: 0.2, since: 2026-01-01", "")
        ),
        "source: s\ntask: prediction\nlabel: {column: l}\nnumbers: [x]\ntest: {folds: 1}",
        "source: [",
    ],
)
def test_mappings_that_say_too_little_or_too_much(text: str) -> None:
    with pytest.raises(PlaybookError) as error:
        read_mapping("m.yaml", text)
    assert error.value.faults


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "mappings/learn").iterdir()), ids=lambda p: p.stem)
def test_ours_are_read_by_name(path: Path) -> None:
    assert isinstance(load_mapping(Path(path.stem)), Mapping)
