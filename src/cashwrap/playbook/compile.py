"""A folder to a playbook: read, checked, compiled, hashed. All or nothing: one mistake and there is no playbook."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct

from cashwrap import collector
from cashwrap.attributes import PREDICTED, is_requested
from cashwrap.condition.arms import MAX_ARMS
from cashwrap.content.shelf import CATALOGUE
from cashwrap.declarations import Declarations, Products, Settings, Spot
from cashwrap.errors import PlaybookError
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.experiences import Experiences, compile_experiences
from cashwrap.features import FeatureSet
from cashwrap.networks import Networks, compile_networks
from cashwrap.offers.grant import PROMISED
from cashwrap.offers.terms import Group, Offer
from cashwrap.playbook.check import CheckedPlaybook, check_playbook
from cashwrap.playbook.document import MAX_BYTES, read_document
from cashwrap.playbook.faults import Fault, Faults
from cashwrap.playbook.granting import Personal, compile_choices, compile_groups, compile_offers
from cashwrap.playbook.read import read_documents
from cashwrap.segments import PREFIX, Segments, compile_segments, segments_read

MAX_FILES = 1_000
_YEAR_9999 = 253_000_000_000_000
"""In milliseconds: what no calendar can write stays a number."""
_DAYS = "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"


class Playbook(Struct, frozen=True):
    """One valid version of everything a shop declared, compiled. A request sees exactly one.

    ``hash`` names the version: 16 hex digits over the canonical declarations, so that comments and spacing do not
    change it. ``segments`` are all of them; of those that an experience reads, ``standing`` depend on the profile
    alone and ``deciding`` on the request too. ``digits`` are those of the shop's currency after the point.
    """

    hash: str
    declarations: Declarations
    vocabulary: Vocabulary
    features: FeatureSet
    segments: Segments
    standing: Segments
    deciding: Segments
    experiences: Experiences
    digits: int
    networks: Networks
    offers: Mapping[str, Offer] = {}
    """All of them, those that are switched off too."""
    offer_groups: Mapping[str, Group] = {}
    money: frozenset[str] = frozenset()
    """The attributes that hold amounts, in minor units."""
    moments: frozenset[str] = frozenset()
    """The attributes that hold moments, in milliseconds."""
    predicted: tuple[str, ...] = ()
    """The predictions that a condition or a text reads: nobody asks for others while deciding."""
    recommenders: tuple[tuple[str, str], ...] = ()
    """The models that lists of products ask, each with the version that it names."""
    warnings: tuple[Fault, ...] = ()

    @property
    def predictions(self) -> tuple[str, ...]:
        """All that models may tell of a shopper here."""
        return (*PREDICTED, *self.declarations.predictions)

    @staticmethod
    def load(folder: str | Path) -> "Playbook":
        """The playbook in a folder. Raises ``PlaybookError`` with every mistake found."""
        return load_playbook(Path(folder))

    @property
    def settings(self) -> Settings:
        """What holds for the whole shop."""
        return self.declarations.settings

    def written(self, name: str, value: object) -> str:
        """An attribute's value as a person writes it: money in major units with the shop's currency, moments in UTC,
        the shopper's own time as on a clock, the weekday by its name."""
        if value is None:
            return "not known"
        if isinstance(value, tuple):  # an average: its sum and its count
            return f"{self.written(name, value[0])} / {value[1]}"
        if isinstance(value, bool):
            return str(value).lower()
        names = name, f"{name.partition('[')[0]}[*]"
        if isinstance(value, int) and not self.money.isdisjoint(names):
            return f"{Decimal(value).scaleb(-self.digits)} {self.settings.currency}"
        if isinstance(value, int) and abs(value) < _YEAR_9999 and not self.moments.isdisjoint(names):
            return datetime.fromtimestamp(value // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if isinstance(value, int) and name == "time.local":
            digits = f"{value:012}"
            return f"{digits[:-8]}-{digits[-8:-6]}-{digits[-6:-4]} {digits[-4:-2]}:{digits[-2:]}"
        if isinstance(value, int) and name.endswith("time.weekday") and value in range(1, 8):
            return f"{value}, {_DAYS[value - 1]}"
        return "{" + ", ".join(sorted(value)) + "}" if isinstance(value, frozenset) else str(value)


def load_playbook(folder: Path) -> Playbook:
    """The playbook in a folder. Raises ``PlaybookError`` with every mistake found."""
    playbook, faults = examine(read_files(folder))
    if playbook is None:
        raise refusal(faults)
    return playbook


def examine(files: Mapping[str, str]) -> tuple[Playbook | None, tuple[Fault, ...]]:
    """Compile the texts of a playbook's files, by name: the playbook (``None`` with any mistake) and all complaints."""
    with collector.paused():
        return _examine(files)


def _examine(files: Mapping[str, str]) -> tuple[Playbook | None, tuple[Fault, ...]]:
    faults = Faults()
    documents = {name: read_document(name, text, faults) for name, text in sorted(files.items())}
    if not documents:
        faults.error(Spot(".", 1, 1), "no_files", "there is no .yaml file here; 'cashwrap init' writes a starter")
    reading = read_documents(documents, faults)
    if any(document.root is None for document in documents.values()) or not documents:
        return None, faults.sorted()  # a file without content would make everything in it unknown
    checked = check_playbook(reading, faults)
    if len(faults):
        return None, faults.sorted()
    del documents, reading  # a fifth of the memory that a large playbook takes, free again before compiling needs it
    playbook = compile_playbook(checked)
    for name in playbook.experiences.index.whole:
        declared = checked.declarations.experiences[str(name)]
        spot = declared.when.spot if declared.when is not None else declared.spot
        message = f"the condition of {name} has more than {MAX_ARMS} alternatives and is judged apart, which is slower"
        faults.warn(spot, "many_alternatives", f"{message}; use 'in [...]' or split the experience")
    return msgspec.structs.replace(playbook, warnings=faults.sorted()), faults.sorted()


def compile_playbook(checked: CheckedPlaybook) -> Playbook:
    """Compile what was checked without a mistake."""
    declared = checked.declarations
    digest = hash_of(declared)
    segments = compile_segments(checked.segments)
    read = [
        segment
        for name, condition in checked.experiences.items()
        if condition is not None and declared.experiences[name].enabled
        for segment in segments_read(condition)
    ]
    read += [name for each in checked.offers.values() if each is not None for name in segments_read(each)]
    standing, deciding = segments.only(read).split(lambda name: not is_requested(name) and name != PROMISED)
    personal = Personal(segments)
    offers = compile_offers(declared, checked.offers, personal)
    moving = {PREFIX + name for name in deciding.names} | {PROMISED}
    experiences = compile_experiences(
        declared,
        checked.experiences,
        checked.renderings,
        playbook=digest,
        stable=lambda name: not is_requested(name) and name not in moving,
        choices=compile_choices(declared, offers, checked.own, personal),
    )
    return Playbook(
        hash=digest,
        declarations=declared,
        vocabulary=checked.vocabulary,
        features=checked.features.asking(sorted(checked.read)),
        segments=segments,
        standing=standing,
        deciding=deciding,
        experiences=experiences,
        digits=checked.environment.digits,
        networks=compile_networks(declared.settings.networks),
        offers=offers,
        offer_groups=compile_groups(declared, offers),
        money=checked.money,
        moments=checked.moments,
        predicted=tuple(sorted(checked.read.intersection((*PREDICTED, *declared.predictions)))),
        recommenders=tuple(sorted(set(_recommenders(declared)))),
    )


def _recommenders(declared: Declarations) -> Iterator[tuple[str, str]]:
    for experience in declared.experiences.values():
        for show in experience.variations.values() if experience.enabled else ():
            if isinstance(show, Products) and show.source not in CATALOGUE:
                yield show.model, show.version


def hash_of(declarations: Declarations) -> str:
    """The version's name: BLAKE2b over what was declared, without the places it was written at."""
    plain = msgspec.to_builtins(declarations)
    return hashlib.blake2b(msgspec.json.encode(_without_spots(plain)), digest_size=8).hexdigest()


def _without_spots(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: _without_spots(each) if isinstance(each, dict | list) else each
            for key, each in value.items()
            if not (key == "spot" and _is_spot(each))
        }
    return [_without_spots(each) for each in value] if isinstance(value, list) else value


def _is_spot(value: object) -> bool:
    """A place, and not an experience or another thing of this name."""
    return isinstance(value, dict) and tuple(value) == Spot.__struct_fields__


def read_files(folder: Path) -> dict[str, str]:
    """The texts of a folder's YAML files, by name. Raises ``PlaybookError`` where one cannot be read."""
    try:
        paths = sorted(path for path in folder.iterdir() if is_playbook_file(path))
        if len(paths) > MAX_FILES:
            raise PlaybookError(f"a playbook may have {MAX_FILES} files, {folder} has {len(paths)}")
        for path in paths:
            if path.stat().st_size > MAX_BYTES:
                raise PlaybookError(f"{path} is above {MAX_BYTES // 1024**2} MB; split it")
        return {path.name: path.read_bytes().decode() for path in paths}
    except FileNotFoundError:
        message = f"there is no playbook in {folder}: write one with 'cashwrap init {folder}', or say where it is"
        raise PlaybookError(message) from None
    except OSError as error:
        raise PlaybookError(f"{folder} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlaybookError(f"a file in {folder} is not UTF-8: {error.reason}") from error


def is_playbook_file(path: Path) -> bool:
    """Whether a file belongs to a playbook: ``*.yaml`` or ``*.yml``, not hidden, and none that never ends (a pipe)."""
    return path.suffix in {".yaml", ".yml"} and not path.name.startswith(".") and path.is_file()


def refusal(faults: tuple[Fault, ...]) -> PlaybookError:
    """All mistakes as one error."""
    errors = tuple(str(fault) for fault in faults if fault.severity == "error")
    count = f"{len(errors)} mistakes" if len(errors) != 1 else "one mistake"
    return PlaybookError(f"The playbook has {count}; nothing was changed. The first: {errors[0]}", faults=errors)
