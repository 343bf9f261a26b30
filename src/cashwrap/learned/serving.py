"""Models in memory, as decisions ask them: loaded when a role changes, never in the way, silent where they are broken.

A version that cannot be used is told once in the log and shown in ``status``; the live role falls back to the version
that was live before, and then to nothing: whoever asked goes on without. A shadow is asked after the live answer.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.declarations import NEXT_CATEGORY
from cashwrap.errors import CashwrapError
from cashwrap.learned.artefact import Role
from cashwrap.learned.extras import answering
from cashwrap.learned.files import opened
from cashwrap.learned.forgetting import dues_of, key_of
from cashwrap.learned.registry import files_of, models_of
from cashwrap.learned.roles import ROLES, Model
from cashwrap.learned.shadow import overlap
from cashwrap.learned.shadowing import Shadows
from cashwrap.model import Inputs, Suggested, Tenant, Value
from cashwrap.world import World

log = logging.getLogger("cashwrap")

LIMIT = 150
"""Products that are suggested: more than are shown, since rules come after."""
REMEMBERED = 1_024
"""Answers of one version that are kept for whoever asks the same again."""
STEP = 60_000
"""Milliseconds by which the age of what was done is rounded up: within it the same question has the same answer."""
AGAIN = 60.0
"""Seconds after which a version that could not be used is tried again."""
T = TypeVar("T")


class Status(Struct, frozen=True):
    """What a role comes to in this process: the version that has it, the one that answers, and why it is another."""

    model: str
    role: Role
    version: str
    answering: str
    code: str = ""
    message: str = ""
    failed: int = 0
    """Answers that failed, of the one that answers."""


class _Loaded(NamedTuple):
    """A version in memory; ``answers`` is a ``Recommender``, ``Predictor``, ``Affinity`` or ``Uplift``."""

    key: str
    version: str
    answers: Any
    failed: Counter[str]
    remembered: dict[object, tuple[Suggested, ...]]
    """Answers by question: at most ``REMEMBERED``."""


class _Broken(NamedTuple):
    """Why a version cannot be used."""

    code: str
    message: str


_Roles = dict[tuple[str, str], _Loaded]
"""What answers, by model and role."""


class TenantModels:
    """Every model of one store, as they were at one refresh. Never raises; any thread may ask."""

    def __init__(self, roles: _Roles, stamp: int, shadows: Shadows) -> None:
        self.roles = roles
        self._stamp = stamp
        self._shadows = shadows

    def version(self, model: str, version: str) -> str | None:
        """The version that is ``live`` or ``candidate`` of a model and can answer; ``None`` where there is none."""
        found = self.roles.get((model, version))
        return found.version if found is not None else None

    def stamp(self) -> int:
        """Equal as long as every question has the same answer."""
        return self._stamp

    def suggest(self, model: str, version: str, source: str, inputs: Inputs) -> Sequence[Suggested]:
        """Products, best first, at most ``LIMIT``; none where no version of the model can answer.

        ``source`` is ``recommended`` or one source of the model's. What was done is a little older here than it is, so
        that whoever asks again within a minute is answered from memory.
        """
        known = inputs.touched, inputs.earlier, inputs.bought
        now = -(-inputs.now // STEP) * STEP if any(known) else 0
        asked = source, inputs.basket, known, now

        def suggested(loaded: _Loaded) -> tuple[Suggested, ...]:
            return _remembered(loaded, asked, lambda: _suggested(loaded.answers, source, inputs, now))

        answer = self._answer(model, version, suggested)
        self._ask_shadow(model, version, suggested, lambda said: _agreement(said, answer))
        return answer or ()

    def predict(self, name: str, version: str, values: Mapping[str, Value]) -> float | None:
        """The chance, or by how much an offer raises it, by a shopper's attributes; ``None`` where nothing answers."""

        def chance(loaded: _Loaded) -> float:
            return float(loaded.answers.predict(values))

        answer = self._answer(name, version, chance)
        self._ask_shadow(name, version, chance, lambda said: None if answer is None else 1 - abs(said - answer))
        return answer

    def next_category(self, version: str, inputs: Inputs) -> str | None:
        """The category that a shopper is likeliest to look at next; ``None`` where nothing answers."""

        def category(loaded: _Loaded) -> str | None:
            return _category(loaded.answers, inputs)

        answer = self._answer(NEXT_CATEGORY, version, category)
        self._ask_shadow(
            NEXT_CATEGORY, version, category, lambda said: None if answer is None else float(said == answer)
        )
        return answer

    def _answer(self, model: str, version: str, ask: Callable[[_Loaded], T]) -> T | None:
        loaded = self.roles.get((model, version))
        if loaded is None:
            return None
        try:
            return ask(loaded)
        except Exception:  # whatever is wrong with a model costs its answer, and nothing else
            if not loaded.failed["answers"]:
                log.exception("%s@%s failed to answer: it is left out, and this is told once", model, loaded.version)
            loaded.failed["answers"] += 1
            return None

    def _ask_shadow(
        self, model: str, version: str, ask: Callable[[_Loaded], T | None], agreement: Callable[[T], float | None]
    ) -> None:
        shadow = self.roles.get((model, "shadow")) if version == "live" else None
        if shadow is not None:
            self._shadows.ask(shadow.key, lambda: ask(shadow), agreement)


class Models:
    """The models of one process. ``of`` is for whoever answers; ``refresh`` for a thread that may wait for the disk."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shadows = Shadows(world)
        self._refreshing = threading.Lock()
        """Guards everything below."""
        self._known: Mapping[tuple[Tenant, str], Model] = {}
        self._written: dict[str, int] = {}
        self._loaded: dict[tuple[str, int], _Loaded] = {}
        """By version, and how often it was written anew."""
        self._broken: dict[tuple[str, int], _Broken] = {}
        self._told: set[_Broken] = set()
        self._again = 0.0
        self._stamps = 0
        self._tenants: dict[Tenant, TenantModels] = {}
        self._status: dict[Tenant, tuple[Status, ...]] = {}
        self.refresh()

    def of(self, tenant: Tenant) -> TenantModels:
        """The models of a store as they are now."""
        found = self._tenants.get(tenant)
        return found if found is not None else TenantModels({}, 0, self._shadows)

    def stamp(self, tenant: Tenant) -> int:
        """Changes whenever something else answers in any role."""
        return self.of(tenant).stamp()

    def status(self, tenant: Tenant) -> tuple[Status, ...]:
        """Every role that a version has, and what comes of it here."""
        return tuple(_counted(each, self.of(tenant)) for each in self._status.get(tenant, ()))

    def flush(self, *, ending: bool = False) -> None:
        """Write down what shadows said."""
        self._shadows.flush(ending=ending)

    def refresh(self) -> None:
        """See roles that another process changed, and load what they need. Costs little where nothing changed."""
        with self._refreshing:
            try:
                self._refresh()
            except CashwrapError as error:
                log.warning("models stay as they are: %s", error.message)
            except Exception:  # a server starts, and looks at everything else, whatever is wrong here
                log.exception("models stay as they are")

    def _refresh(self) -> None:
        world, now = self._world, self._world.clock.monotonic()
        if world.models is None:
            return
        known, dues = models_of(world.registry), dues_of(world.registry)
        written = {"/".join(key): due.written for key, due in dues.items()}
        tries = bool(self._broken) and now >= self._again
        if (known, written) == (self._known, self._written) and not tries:
            return
        self._known, self._written = known, written
        if tries:
            self._broken.clear()
        self._again = now + AGAIN
        tenants: dict[Tenant, _Roles] = {}
        status: dict[Tenant, list[Status]] = {}
        for model in known.values():
            for role in ROLES:
                if getattr(model, role):
                    told, loaded = self._role(model, role)
                    status.setdefault(model.tenant, []).append(told)
                    if loaded is not None:
                        tenants.setdefault(model.tenant, {})[model.name, role] = loaded
        self._show(tenants)
        self._status = {tenant: tuple(each) for tenant, each in status.items()}

    def _show(self, tenants: dict[Tenant, _Roles]) -> None:
        """Put what answers in place of what did, where it is another."""
        for tenant in self._tenants.keys() | tenants.keys():
            roles = tenants.get(tenant, {})
            if tenant not in self._tenants or self._tenants[tenant].roles != roles:
                self._stamps += 1
                self._tenants = {**self._tenants, tenant: TenantModels(roles, self._stamps, self._shadows)}
        used = {id(loaded) for models in self._tenants.values() for loaded in models.roles.values()}
        self._loaded = {key: loaded for key, loaded in self._loaded.items() if id(loaded) in used}

    def _role(self, model: Model, role: Role) -> tuple[Status, _Loaded | None]:
        """What answers in a role: its version, else for ``live`` the one that was so before."""
        wanted: str = getattr(model, role)
        first: _Broken | None = None
        for version in (wanted, *reversed(model.former)) if role == "live" else (wanted,):
            found = self._version(model, version)
            if isinstance(found, _Loaded):
                why = first if first is not None else _Broken("", "")
                return Status(model.name, role, wanted, version, why.code, why.message), found
            first = first or found
        why = first or _Broken("", "")
        return Status(model.name, role, wanted, "", why.code, why.message), None

    def _version(self, model: Model, version: str) -> _Loaded | _Broken:
        name = key_of(model.tenant, model.name, version)
        key = name, self._written.get(name, 0)
        if key in self._loaded:
            return self._loaded[key]
        if key not in self._broken:
            try:
                _, artefact = opened(files_of(self._world), self._world.vault, model.tenant, model.name, version)
                self._loaded[key] = _Loaded(name, version, answering(artefact), Counter(), {})
                return self._loaded[key]
            except CashwrapError as error:
                self._broken[key] = _Broken(error.code, error.message)
            except Exception as error:  # signed here, and all the same not what its kind needs
                self._broken[key] = _Broken("model_format", f"{model.name}@{version} cannot be used: {error!r}"[:300])
            if self._broken[key] not in self._told:
                self._told.add(self._broken[key])
                log.error("a model is left out: %s (%s)", self._broken[key].message, self._broken[key].code)
        return self._broken[key]


def _counted(status: Status, models: TenantModels) -> Status:
    loaded = models.roles.get((status.model, status.role))
    return replace(status, failed=loaded.failed["answers"] if loaded is not None else 0)


def _remembered(loaded: _Loaded, asked: object, answer: Callable[[], tuple[Suggested, ...]]) -> tuple[Suggested, ...]:
    found = loaded.remembered.get(asked)
    if found is None:
        if len(loaded.remembered) >= REMEMBERED:
            loaded.remembered.clear()
        found = loaded.remembered[asked] = answer()
    return found


def _suggested(recommender: Any, source: str, inputs: Inputs, now: int) -> tuple[Suggested, ...]:
    """What a recommender says, as products."""
    found = recommender.recommend(recommender.question(inputs, now), LIMIT, source)
    return tuple(Suggested(recommender.items[each.item], each.source) for each in found)


def _category(affinity: Any, inputs: Inputs) -> str | None:
    """What an affinity says."""
    category: str | None = affinity.category(inputs)
    return category


def _agreement(said: tuple[Suggested, ...], answer: tuple[Suggested, ...] | None) -> float | None:
    if answer is None:
        return None
    return overlap([each.product for each in said], [each.product for each in answer])
