"""What is wrong with the meaning of a playbook: names, types, cycles, purposes, texts. All mistakes at once."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct

from cashwrap.attributes import environment
from cashwrap.condition.ast import Attribute, In, Literal, walk
from cashwrap.condition.check import Checked, check
from cashwrap.condition.cost import excessive_segments
from cashwrap.condition.environment import Environment, Type, did_you_mean
from cashwrap.content import Rendering, Shop, examine_content, placeholders
from cashwrap.content.locales import chain
from cashwrap.declarations import (
    MAIN,
    Condition,
    Content,
    Declarations,
    ExperienceDecl,
    Message,
    Options,
    Products,
    Texts,
)
from cashwrap.errors import ConditionError, ContentError, PlaybookError
from cashwrap.events.money import minor_digits
from cashwrap.events.vocabulary import Vocabulary, compile_vocabulary, public_kind
from cashwrap.features import FeatureSet
from cashwrap.model import Purpose
from cashwrap.playbook.choosing import check_choosing
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.features import check_features
from cashwrap.playbook.granting import check_granting, check_words, granted_by, granting_text, is_granted, wrapped
from cashwrap.playbook.measuring import check_designs, check_metrics, unused_metrics
from cashwrap.playbook.places import Places
from cashwrap.playbook.predicted import check_predictions, warn_segments
from cashwrap.playbook.read import Reading
from cashwrap.playbook.schedule import schedule_text
from cashwrap.segments import order, segments_read

NETWORKS = "request.networks"
MONEY = frozenset({Type.MONEY, Type.MONEY_AVERAGE})
_COMMON = Purpose.NECESSARY | Purpose.PERSONALIZATION
"""What every placement may use; anything else it must declare."""


class CheckedPlaybook(Struct, frozen=True):
    """Everything the compiler needs, with every condition typed."""

    declarations: Declarations
    vocabulary: Vocabulary
    features: FeatureSet
    environment: Environment
    segments: dict[str, Checked | None]
    experiences: dict[str, Checked | None]
    offers: dict[str, Checked | None] = {}
    own: dict[str, Checked | None] = {}
    """The conditions of experiences that grant an offer, without what the offer asks for."""
    read: frozenset[str] = frozenset()
    """Every attribute that a condition or a text reads."""
    renderings: dict[tuple[str, str], Rendering] = {}
    """Contents, compiled, by experience and variation."""

    @property
    def money(self) -> frozenset[str]:
        """The attributes that hold amounts."""
        return self._of(*MONEY)

    @property
    def moments(self) -> frozenset[str]:
        """The attributes that hold moments."""
        return self._of(Type.TIME)

    def _of(self, *kinds: Type) -> frozenset[str]:
        return frozenset(path for path, kind in self.environment.types.items() if kind in kinds)


def check_playbook(reading: Reading, faults: Faults) -> CheckedPlaybook:
    """Check what was read. Mistakes go to ``faults``; the answer may be compiled only where there is none."""
    checker = _Checker(reading, Places(reading, faults))
    return checker.run()


class _Checker:
    def __init__(self, reading: Reading, places: Places) -> None:
        self.reading = reading
        self.declared = reading.declarations
        self.places = places
        self.faults = places.faults
        self.used: set[str] = set()
        """Attributes and segments (``segments.x``) that something reads."""
        self.own: dict[str, Checked | None] = {}
        """Conditions of experiences that grant an offer, as they stand there."""

    def run(self) -> CheckedPlaybook:
        declared = self.declared
        vocabulary = self.vocabulary()
        digits = minor_digits(declared.settings.currency)
        features = check_features(declared.features, declared.settings, vocabulary, self.places, digits)
        unread = [name for section, name in self.reading.unread if section == "segments"]
        traits = {name: public_kind(kind) for name, kind in vocabulary.traits.items() if kind != "email"}
        segments_named = [*declared.segments, *unread]
        names = environment(declared.settings, digits, features.types(), traits, segments_named, declared.predictions)
        check_predictions(declared, vocabulary, names, self.places)
        segments = {
            name: None if segment.pushed else self.condition(segment.when, names, "segments", name)
            for name, segment in declared.segments.items()
        }
        self.cycles(segments)
        for name, error in excessive_segments(segments):
            self.places.condition(error, "segments", name, "when")
        offers = {name: self.condition(each.when, names, "offers", name) for name, each in declared.offers.items()}
        experiences = {name: self.experience(each, names, offers) for name, each in declared.experiences.items()}
        check_choosing(declared, names, self.places)
        check_granting(self.reading, self.places)
        check_metrics(declared, vocabulary, self.places, digits)
        check_designs(declared, self.places)
        checked = CheckedPlaybook(declared, vocabulary, features, names, segments, experiences, offers, self.own)
        self.contents(checked)
        self.purposes(checked)
        if not len(self.faults):
            self.unused()
            warn_segments(declared, segments, self.places)
        return msgspec.structs.replace(checked, read=frozenset(self.used))

    # --- names ---

    def vocabulary(self) -> Vocabulary:
        """The events and traits; where they have mistakes, the standard ones alone."""
        try:
            return compile_vocabulary(self.declared)
        except PlaybookError as error:
            self.places.absorb(error.faults)
            return compile_vocabulary(Declarations(settings=self.declared.settings))

    def condition(self, when: Condition | None, names: Environment, section: str, name: str) -> Checked | None:
        if when is None:
            return None
        try:
            checked = check(when.text, names)
        except ConditionError as error:
            self.places.condition(error, section, name, "when")
            return None
        self.used.update(checked.attributes)
        if NETWORKS in checked.attributes:
            self.networks(checked, section, name)
        return checked

    def networks(self, checked: Checked, section: str, name: str) -> None:
        """Complain about each network that a condition asks for and the shop does not name."""
        known = self.declared.settings.networks
        for node in walk(checked.node):
            match node:
                case In(Literal(str() as network) as element, Attribute(path)) if path == NETWORKS:
                    if network not in known:
                        hint = did_you_mean(network, known) or "name it under 'networks' of the shop"
                        message = f"{network} is not a network of the shop"
                        error = ConditionError(message, code="unknown_network", offset=element.offset, hint=hint)
                        self.places.condition(error, section, name, "when")

    def experience(
        self, declared: ExperienceDecl, names: Environment, offers: Mapping[str, Checked | None]
    ) -> Checked | None:
        """An experience's condition; its schedule and what its offer asks for are parts of it."""
        checked = self.condition(declared.when, names, "experiences", declared.name)
        granted = granted_by(declared, self.declared)
        if granted:
            self.own[declared.name] = checked
        if any(each.when is not None and offers[each.name] is None for each in granted):
            return None
        zone = self.declared.settings.time_zone
        schedule = schedule_text(declared.schedule, zone) if declared.schedule is not None else ""
        more = [text for text in (schedule, granting_text(granted)) if text]
        if not more or (declared.when is not None and checked is None):
            return checked
        try:
            return check(" && ".join(more if declared.when is None else [*more, wrapped(declared.when.text)]), names)
        except ConditionError as error:  # such as one that is too long with it
            key = "schedule" if schedule else "offer"
            spot = self.places.spot("experiences", declared.name, key)
            self.faults.error(spot, error.code, f"with its {key}: {error.message}")
            return None

    def cycles(self, segments: Mapping[str, Checked | None]) -> None:
        """Complain about each cycle once, at the first segment of it."""
        needs = {name: segments_read(each) if each is not None else () for name, each in segments.items()}
        while True:
            try:
                order(needs)
            except ValueError as error:
                cycle = str(error)
                first = min(cycle.split(" -> "), key=list(needs).index)
                spot = self.places.value_spot("segments", first)
                self.faults.error(spot, "segment_cycle", f"segments need each other: {cycle}")
                needs[first] = ()
            else:
                return

    # --- contents ---

    def contents(self, checked: CheckedPlaybook) -> None:
        shop = Shop(self.declared.settings, checked.money)
        for experience in self.declared.experiences.values():
            placement = self.declared.placements[experience.placement]
            for variation, show in experience.variations.items():
                path = content_path(experience, variation)
                found = examine_content(show, placement, shop)
                if isinstance(found, Rendering):
                    checked.renderings[experience.name, variation] = found
                    self.reads(path, show, checked.environment)
                    check_words(self.declared, experience, show, self.places, path)
                else:
                    for error in found:
                        self.places.content(error, *path)
                self.translations(path, show)
                if isinstance(show, Options):
                    self.contradictions(path, show)
                if isinstance(show, Products) and show.version == "candidate" and experience.experiment is None:
                    message = "a candidate is shown to everybody here: give it an arm of an experiment"
                    self.faults.warn(self.places.spot(*path, "version"), "candidate_for_all", message)

    def reads(self, at: tuple[str, ...], show: Content, names: Environment) -> None:
        """Every value that a content reads must be declared."""
        for where, placeholder in placeholders(show):
            if is_granted(placeholder.name):
                continue
            path = _declared_path(placeholder.name, names)
            if path is None:
                hint = names.suggest(placeholder.name)
                message = f"{{{placeholder.name}}} is not an attribute" + (f"; {hint}" if hint else "")
                error = ContentError(message, code="unknown_attribute", offset=placeholder.offset, where=where)
                self.places.content(error, *at)
            else:
                self.used.add(path)
        if isinstance(show, Message) and show.progress is not None:
            path = show.progress[0]
            if names.types.get(path) is not Type.MONEY:
                known = names.types.get(path)
                hint = f", it is {known.value}" if known else f"; {names.suggest(path)}"
                message = f"{path!r} is not an amount of money{hint}"
                spot = self.places.value_spot(*at, "progress", "of")
                self.faults.error(spot, "unknown_attribute", message)
            self.used.add(path)
        if isinstance(show, Products):
            self.used.update(show.rules.only, show.rules.never, (show.category,) if show.category else ())

    def translations(self, at: tuple[str, ...], show: Content) -> None:
        """Warn of each declared locale that a text leaves out, unless its language is there."""
        for where, texts in texts_of(show):
            missing = [tag for tag in self.declared.settings.locales if not set(chain(tag, tag)) & set(texts)]
            if texts and missing:
                spot = self.places.spot(*at, *where)
                message = f"no text for {', '.join(missing)}: shoppers there get {_fallback(texts, self.declared)}"
                self.faults.warn(spot, "missing_translation", message)

    def contradictions(self, at: tuple[str, ...], show: Options) -> None:
        """Complain about a method that is asked to be two things at once."""
        for one, other in (("first", "last"), ("first", "hide"), ("last", "hide"), ("highlight", "hide")):
            for method in sorted(set(getattr(show, one)) & set(getattr(show, other))):
                spot = self.places.spot(*at, other)
                self.faults.error(spot, "contradiction", f"{method!r} is both in {one!r} and in {other!r}")

    # --- purposes ---

    def purposes(self, checked: CheckedPlaybook) -> None:
        """No placement may use data of a purpose that it does not declare."""
        purposes = {name: each.purpose for name, each in self.declared.features.items()}
        purposes |= {name: each.purpose for name, each in self.declared.predictions.items()}
        purposes = {name: purpose for name, purpose in purposes.items() if not purpose & _COMMON}
        if not purposes:
            return
        segments = {name: set(each.attributes) if each else set() for name, each in checked.segments.items()}
        for experience in self.declared.experiences.values():
            condition = checked.experiences[experience.name]
            offers = [checked.offers[each.name] for each in granted_by(experience, self.declared)]
            read = {name for each in (condition, *offers) if each is not None for name in each.attributes}
            for show in experience.variations.values():
                read |= _read_by(show)
            allowed = self.declared.placements[experience.placement].purpose or Purpose(0)
            for feature in sorted(_features_behind(read, segments) & purposes.keys()):
                if not purposes[feature] & allowed:
                    word = str(purposes[feature].name).lower()
                    message = (
                        f"this uses {feature!r}, whose purpose is {word}; "
                        f"placement {experience.placement!r} does not declare 'purpose: {word}'"
                    )
                    spot = self.places.spot("experiences", experience.name, "when")
                    self.faults.error(spot, "purpose_not_allowed", message)

    # --- what is left over ---

    def unused(self) -> None:
        """Warn of what nothing reads. A segment with a description is an audience in its own right."""
        roots = {_root(path) for path in self.used}
        for name, feature in self.declared.features.items():
            if name not in roots:
                self.faults.warn(feature.spot, "unused_feature", f"nothing reads feature {name!r}")
        for name, segment in self.declared.segments.items():
            if f"segments.{name}" not in self.used and not segment.description:
                message = f"nothing reads segment {name!r}; describe it if it is an audience of its own"
                self.faults.warn(segment.spot, "unused_segment", message)
        for metric in unused_metrics(self.declared):
            self.faults.warn(metric.spot, "unused_metric", f"no experiment is measured by metric {metric.name!r}")


def content_path(experience: ExperienceDecl, variation: str) -> tuple[str, ...]:
    """Where a variation's content stands: a single one is mostly written under ``show``."""
    below = ("show",) if list(experience.variations) == [MAIN] else ("variations", variation)
    return ("experiences", experience.name, *below)


def texts_of(show: Content) -> Iterator[tuple[tuple[str, ...], Texts]]:
    """Every text of a content by locale, with its keys below ``show``."""
    for key in ("text", "title"):
        texts = getattr(show, key, None)
        if texts:
            yield (key,), texts
    for key in ("tones", "badge", "rename"):
        for name, texts in getattr(show, key, {}).items():
            yield (key, name), texts


def _fallback(texts: Texts, declared: Declarations) -> str:
    return f"the {declared.settings.locale} one" if declared.settings.locale in texts else "the shop's default"


def _declared_path(name: str, names: Environment) -> str | None:
    """The path a placeholder reads: as written, or a trait by its plain name."""
    if name in names.types or name.startswith("traits."):
        return name
    trait = f"traits.{name}"
    return trait if trait in names.types else None


def _read_by(show: Content) -> set[str]:
    try:
        found = {placeholder.name for _, placeholder in placeholders(show)}
    except ContentError:
        return set()
    if isinstance(show, Message) and show.progress is not None:
        found.add(show.progress[0])
    return found


def _root(path: str) -> str:
    """The feature a path belongs to: ``category_views`` of ``category_views.max``."""
    return path.partition(".")[0].partition("[")[0]


def _features_behind(read: Iterable[str], segments: Mapping[str, set[str]]) -> set[str]:
    """The first words of all attributes read, through segments of segments too."""
    found: set[str] = set()
    stack, seen = list(read), set[str]()
    while stack:
        path = stack.pop()
        if path in seen:
            continue
        seen.add(path)
        head, _, rest = path.partition(".")
        if head == "segments":
            stack.extend(segments.get(rest, ()))
        else:
            found.add(_root(path))
    return found
