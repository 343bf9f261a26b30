"""Models: every version with its role, gate and card, what it said as a shadow, and the way forward and back."""

from collections.abc import Mapping
from functools import partial
from typing import Any, get_args

from msgspec import Struct
from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.routing import Route
from cashwrap.console.work import work
from cashwrap.console.work.jobs import Job, named
from cashwrap.console.work.work import Card
from cashwrap.errors import CashwrapError, InvalidInput, TooMuch
from cashwrap.learned import registry
from cashwrap.learned.artefact import Figure
from cashwrap.learned.files import verify
from cashwrap.learned.registry import Listed
from cashwrap.learned.roles import Model
from cashwrap.model import Millis
from cashwrap.ports import ModelFiles
from cashwrap.promoting import Act, give, go_back, main_figure, refusal

HOUR: Millis = 3_600_000
DUE: Millis = HOUR // 2
"""How old the answer to which models are due may be."""
REASON = 500
HISTORY = 30
"""Changes of roles that are shown, the newest."""
MOST = 200
"""Models on one page: a shop has one for each question it asks."""
ACTS: tuple[Act, ...] = get_args(Act)


class Version(Struct, frozen=True):
    """One version as a list shows it. ``why`` says of each act why it would be refused; nothing where it would not."""

    listed: Listed
    main: str
    figure: Figure | None
    size: int
    why: Mapping[Act, InvalidInput | None]


class Shown(Struct, frozen=True):
    """A model with its versions, the newest first."""

    model: Model
    versions: tuple[Version, ...]

    def having(self, role: str) -> Version | None:
        """The version in a role."""
        return next((each for each in self.versions if each.listed.role == role), None)


class Missing(Struct, frozen=True):
    """Models that cannot be kept here, and why."""

    code: str
    message: str


async def index(ask: Ask) -> Response:
    """Every model; asked for as a part, which ones are due for training."""
    job = await ask.run(_due, ask)
    if ask.is_part:
        return ask.part("models_due.html", job=job)
    shown = await ask.run(_every, ask)
    return ask.page("models.html", job=job, shown=shown)


def _due(ask: Ask) -> Job | None:
    key = named(ask.tenant, "due")
    try:
        return ask.console.jobs.ask(key, work.learnable, ask.tenant, fresh=DUE)
    except TooMuch:
        return ask.console.jobs.find(key)


def _every(ask: Ask) -> list[Shown] | Missing:
    try:
        found = registry.listed(ask.console.world, ask.tenant)
    except InvalidInput as error:
        return Missing(error.code, error.message)
    names = list(dict.fromkeys(each.name for each in found))[:MOST]
    return [_shown(ask, name, [each for each in found if each.name == name]) for name in names]


def _shown(ask: Ask, name: str, found: list[Listed]) -> Shown:
    world = ask.console.world
    model = registry.model_of(world.registry, ask.tenant, name)
    return Shown(model, tuple(_version(ask, model, each) for each in found))


def _version(ask: Ask, model: Model, listed: Listed) -> Version:
    world, now = ask.console.world, ask.console.world.clock.now()
    main = main_figure(world, ask.tenant, listed)
    figure = listed.manifest.figures.get(main) if listed.manifest is not None else None
    why = {act: refusal(model, listed, act, now) for act in ACTS}
    return Version(listed, main, figure, _size(registry.files_of(world), ask, listed), why)


def _size(files: ModelFiles, ask: Ask, listed: Listed) -> int:
    """Bytes of its files; 0 where they cannot be told."""
    names = listed.manifest.files if listed.manifest is not None else ()
    try:
        return sum(files.path(ask.tenant, listed.name, listed.version, file).stat().st_size for file in names)
    except (OSError, CashwrapError, NotImplementedError):
        return 0


# --- one model, and one version ---


async def one(ask: Ask) -> Response:
    """A model: its versions, what may be done with each, and what was."""
    shown = await ask.run(_one, ask, ask.param("name"))
    history = tuple(reversed(shown.model.history[-HISTORY:]))
    return ask.page("model.html", shown=shown, history=history, done=_done(ask))


def _one(ask: Ask, name: str) -> Shown:
    found = [each for each in registry.listed(ask.console.world, ask.tenant) if each.name == name]
    if not found:
        raise InvalidInput(ask.say("There is no such model here."), code="no_such_model")
    return _shown(ask, name, found)


async def version(ask: Ask) -> Response:
    """A version's card; with ``verify`` every file is read, with ``drift`` it is held against what happens now."""
    shown = await ask.run(_one, ask, ask.param("name"))
    found = next((each for each in shown.versions if each.listed.version == ask.param("version")), None)
    if found is None:
        raise InvalidInput(ask.say("There is no such version of this model."), code="no_such_model")
    name, digits = found.listed.name, found.listed.version
    card = await ask.run(_asked, ask, named(ask.tenant, "card", name, digits), work.card, name, digits, fresh=HOUR)
    wanted = bool(ask.query("drift"))
    key = named(ask.tenant, "drift", name, digits)
    drift = await ask.run(_asked, ask, key, work.drifted, name, digits, fresh=HOUR) if wanted else _find(ask, key)
    wrong = await ask.run(_verified, ask, name, digits) if ask.query("verify") else None
    values = {"shown": shown, "one": found, "card": card, "drift": drift, "wrong": wrong}
    template = "model_card.html" if ask.is_part else "model_version.html"
    return ask.page(template, **values, dots=_dots(card.result))


def _asked(ask: Ask, key: str, does: Any, *args: str, fresh: Millis) -> Job:
    return ask.console.jobs.ask(key, does, ask.tenant, *args, fresh=fresh)


def _find(ask: Ask, key: str) -> Job | None:
    return ask.console.jobs.find(key)


def _verified(ask: Ask, name: str, digits: str) -> list[str]:
    world = ask.console.world
    return verify(registry.files_of(world), world.vault, ask.tenant, name, digits)


# --- what changes something ---


async def change(ask: Ask) -> Response:
    """Give a version a role, or take it."""
    form, name = await ask.form(), ask.param("name")
    act = next((each for each in ACTS if each == form.get("act")), None)
    if act is None:
        message = ask.say("Say what is to be done: shadow, candidate, promote or retire.")
        raise InvalidInput(message, code="invalid_request")
    force = form.get("reason", "").strip()[:REASON]
    asked = f"{name}@{form.get('version', '')}"
    await ask.run(_one, ask, name)
    await ask.run(give, ask.console.world, _actor(ask), ask.tenant, act, asked, force)
    return ask.go(f"/models/{name}", done=act)


async def rollback(ask: Ask) -> Response:
    """Go back to the version that was live before, or to none."""
    name = ask.param("name")
    await ask.run(_one, ask, name)
    await ask.run(go_back, ask.console.world, _actor(ask), ask.tenant, name)
    return ask.go(f"/models/{name}", done="rollback")


def _actor(ask: Ask) -> str:
    return ask.note("model").actor


def _done(ask: Ask) -> str:
    texts = {
        "shadow": ask.say("It is asked beside the live one from now on, and shown to nobody."),
        "candidate": ask.say("An experiment's arm may show it from now on."),
        "promote": ask.say("It is live: every server asks it within a second."),
        "retire": ask.say("Its role is taken."),
        "rollback": ask.say("What was live before is live again."),
    }
    return texts.get(ask.query("done"), "")


async def train(ask: Ask) -> Response:
    """Begin a training, as a job."""
    name = ask.param("name")
    key = named(ask.tenant, "train", name)
    await ask.run(partial(ask.console.jobs.ask, fresh=0), key, work.trained, ask.tenant, name, _actor(ask))
    return ask.go(f"/models/{name}/training")


async def training(ask: Ask) -> Response:
    """How far a training is, or what came of it."""
    name = ask.param("name")
    job = ask.console.jobs.find(named(ask.tenant, "train", name))
    if job is None:
        raise InvalidInput(ask.say("Nothing is being learned under this name."), code="no_such_training")
    template = "model_training_part.html" if ask.is_part else "model_training.html"
    return ask.page(template, name=name, job=job, ahead=ask.console.jobs.ahead(job))


# --- a reliability plot ---

SIDE = 220.0


class Dot(Struct, frozen=True):
    """One bin of a reliability plot: where it lies on a square of ``SIDE``, and how large it is drawn."""

    x: float
    y: float
    radius: float


def _dots(card: Card | None) -> tuple[Dot, ...]:
    """What a model says from left to right, what comes from below to above."""
    if card is None or not card.reliability:
        return ()
    most = max(count for _, _, count in card.reliability) or 1
    return tuple(
        Dot(round(20 + said * SIDE, 1), round(SIDE - came * SIDE, 1), round(3 + 5 * (count / most) ** 0.5, 1))
        for said, came, count in card.reliability
        if 0 <= said <= 1 and 0 <= came <= 1
    )


ROUTES: list[Route] = [
    Route("GET", "/models", index, "see"),
    Route("GET", "/models/{name}", one, "see"),
    Route("GET", "/models/{name}/training", training, "see"),
    Route("GET", "/models/{name}/version/{version}", version, "see"),
    Route("POST", "/models/{name}/change", change, "models.change"),
    Route("POST", "/models/{name}/rollback", rollback, "models.change"),
    Route("POST", "/models/{name}/train", train, "models.change"),
]
