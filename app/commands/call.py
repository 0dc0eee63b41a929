"""`./offhook call`: phones the running product by a script, or starts one for it, and prints the talk as it happens."""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from app import registry
from app import settings as all_settings
from app.adapters.data_folder import Running, kept_secret
from app.adapters.database import make_engine
from app.adapters.store import CallStore
from app.commands.comparison import summarise, table, verdict
from app.commands.own_server import answers, find_running, free_port, started_server
from app.commands.side_by_side import Lane, play, usual_jobs
from app.commands.talk_printer import Printer
from app.errors import SetupError
from app.settings import Settings
from app.sim import script as scripts
from app.sim.budgets import USUAL, Budgets
from app.sim.budgets import load as load_budgets
from app.sim.carrier import ACCOUNT_SID, Carrier
from app.sim.carrier_numbers import PhoneNumber
from app.sim.placing import Target
from app.sim.report import Report

OWN_NUMBER = "+14155550199"
"""Of a server that places calls for a rehearsal; 555-01xx numbers belong to nobody."""
VERB_SPEED = 10.0


def call(
    *,
    script: str | None,
    mode: str | None,
    to: str | None,
    every: bool,
    as_json: bool,
    models: Sequence[str] = (),
    jobs: int | None = None,
    budgets: Path | None = None,
) -> int:
    """Run one script, or all; against each of `models`, if there are any. 0 only if all expectations hold, within the budgets."""
    chosen = _chosen(script, every=every)
    limits = load_budgets(budgets) if budgets is not None else USUAL
    if jobs is not None and jobs < 1:
        raise SetupError(f"expected --jobs of 1 or more, got {jobs}")
    if models and to is not None:
        raise SetupError("expected --model or --to, got both: which model a server has is its own setting")
    if len(set(models)) != len(models) or not all(models):
        raise SetupError(f"expected the names of different models as --model A,B, got {','.join(models)!r}")
    if (mode or models) and to is None:
        found = registry.find(all_settings.load()).modes
        if mode and mode not in found:
            raise SetupError(f"expected a mode, one of {', '.join(found)}, got {mode!r}")
        own = {name: found[name].model for name in {mode or one.mode for one in chosen.values()} if name in found}
        for name in sorted(name for name, model in own.items() if models and model):
            print(
                f"offhook call: the mode {name!r} has a model of its own, {own[name]}, in every column", file=sys.stderr
            )
    plan = Plan(mode=mode or "", to=to, as_json=as_json, models=tuple(models), jobs=jobs, limits=limits)
    try:
        return asyncio.run(_call(chosen, plan))
    except* SetupError as wrong:
        raise _first(wrong) from None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How the calls are made. jobs None: as many as this machine bears."""

    mode: str
    to: str | None
    as_json: bool
    models: tuple[str, ...]
    jobs: int | None
    limits: Budgets


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What is said of several things that went wrong at once: the first."""
    wrong = group.exceptions[0]
    return _first(wrong) if isinstance(wrong, BaseExceptionGroup) else wrong


def _chosen(name: str | None, *, every: bool) -> dict[str, scripts.Script]:
    shipped = scripts.shipped()
    if every:
        return {name: scripts.load(path) for name, path in shipped.items()}
    if name is None:
        raise SetupError(f"expected the name or path of a script, or --all; shipped: {', '.join(shipped)}")
    path = shipped.get(name) or Path(name)
    if not path.exists():
        raise SetupError(f"expected a script, found none called {name!r}; shipped: {', '.join(shipped)}")
    return {path.stem: scripts.load(path)}


async def _call(chosen: dict[str, scripts.Script], plan: Plan) -> int:
    settings = all_settings.load()
    several = len(chosen) * max(1, len(plan.models)) > 1
    jobs = min(plan.jobs or usual_jobs(), len(chosen) * max(1, len(plan.models)))
    live = not plan.as_json and not plan.models and jobs == 1
    printers: dict[str, Printer] = {}

    def watcher(script: scripts.Script) -> Printer | None:
        if live:
            printers[script.title] = Printer(script)
        return printers.get(script.title)

    def done(report: Report) -> None:
        if plan.as_json:
            print(msgspec.json.encode(report).decode(), flush=True)
        elif live:
            print(printers[chosen[report.script].title].summary(report), flush=True)
        else:
            print(verdict(report), flush=True)

    reports: list[Report] = []
    async with contextlib.AsyncExitStack() as stack:
        today = settings.office.now(datetime.now(UTC)).date()
        for placed in (False, True):  # calls that the server places need one that has our carrier's REST API
            part = {name: script for name, script in chosen.items() if (script.outbound is not None) is placed}
            if not part:
                continue
            lanes = []
            for model in plan.models or ("",):
                target, database = await _target(
                    settings, plan.to, stack, quiet=plan.as_json, model=model, places=placed
                )
                store = None
                if database:
                    engine = make_engine(database)
                    stack.push_async_callback(engine.dispose)
                    store = CallStore(engine)
                lanes.append(Lane(model=model, target=target, store=store))
            reports += await play(
                part, lanes, today=today, mode=plan.mode, jobs=jobs, limits=plan.limits, watcher=watcher, done=done
            )
    by_model = {model: [report for report in reports if report.model == model] for model in plan.models or ("",)}
    summaries = [summarise(model, calls, plan.limits) for model, calls in by_model.items()]
    if not several:
        return 0 if reports[0].ok else 1
    good = all(summary.ok for summary in summaries)
    if plan.as_json:
        print(msgspec.json.encode({"ok": good, "jobs": jobs, "models": summaries}).decode())
    else:
        print("\n" + table(reports, summaries, jobs=jobs))
    return 0 if good else 1


async def _target(
    settings: Settings,
    to: str | None,
    stack: contextlib.AsyncExitStack,
    *,
    quiet: bool,
    model: str = "",
    places: bool = False,
) -> tuple[Target, str]:
    """The server to call and its database: the one at `to`, this checkout's running one, or one started for the calls.

    model: then it is always one of our own, as a server has one model. places: it is to place calls, at our carrier stand-in: then
    it is one of our own, too, so that nobody's telephone rings.
    """
    if places and to is None:
        return await _placing_target(stack, quiet=quiet, model=model)
    found = None if model else await asyncio.to_thread(find_running, settings.data)
    if to is not None and (found is None or not _is_at(to, found)):
        return await _elsewhere(settings, to, quiet=quiet), ""
    if found:
        running, data = found, settings.data
    else:
        server = started_server(quiet=quiet, REALTIME_MODEL=model) if model else started_server(quiet=quiet)
        running, data = await stack.enter_async_context(server)
    token = settings.twilio_auth_tokens[0] if settings.twilio_auth_tokens else kept_secret(data, "twilio_auth_token")
    return _aim(settings, to or running.url, running.public_url, token, running.model), running.database_url


def _is_at(to: str, running: Running) -> bool:
    """Whether this is a URL of the running server of the data folder, whose secrets and database are at hand."""
    return to.rstrip("/").replace("://localhost", "://127.0.0.1") in (running.url, running.public_url)


async def _elsewhere(settings: Settings, to: str, *, quiet: bool) -> Target:
    """A server of another data folder: its URL is its PUBLIC_URL, and its token is in the settings here."""
    if not settings.twilio_auth_tokens:
        raise SetupError(
            f"expected TWILIO_AUTH_TOKEN to sign calls to {to}, found none in the environment or .env, and the data folder"
            f" {settings.data} has no running server of that URL. Set the token that the server has; or OFFHOOK_DATA to its"
            " data folder, if it runs here; or leave out --to, to call a server of this checkout"
        )
    if not await asyncio.to_thread(answers, to.rstrip("/")):
        raise SetupError(f"expected a server at {to}, but {to.rstrip('/')}/healthz does not answer")
    if not quiet:
        print("the books of that server are out of reach: talk, tools and outcome are neither shown nor checked")
    return _aim(settings, to, to, settings.twilio_auth_tokens[0])


async def _placing_target(stack: contextlib.AsyncExitStack, *, quiet: bool, model: str) -> tuple[Target, str]:
    """A server of our own whose carrier is the stand-in, at any hour, and whose bookings are its own."""
    port, token = free_port(), secrets.token_hex(16)
    url = f"http://127.0.0.1:{port}"
    carrier = Carrier(
        auth_token=token, public_url=url, numbers=[PhoneNumber(OWN_NUMBER)], verb_speed=VERB_SPEED, keep_audio=False
    )
    stack.push_async_callback(carrier.close)
    environment = {
        "PORT": str(port),
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": token,
        "TWILIO_PHONE_NUMBER": OWN_NUMBER,
        "TWILIO_API_BASE": await carrier.start_rest(),
        "TWILIO_EDGE": "",
        "TWILIO_REGION": "",
        "BUSINESS_API_BASE": "",
        "QUIET_HOURS": "never",
    }
    if model:
        environment["REALTIME_MODEL"] = model
    running, _ = await stack.enter_async_context(started_server(quiet=quiet, folder=None, **environment))
    target = Target(
        url=running.url,
        public_url=running.public_url,
        auth_token=token,
        account_sid=ACCOUNT_SID,
        model=running.model,
        carrier=carrier,
        phone_number=OWN_NUMBER,
    )
    return target, running.database_url


def _aim(settings: Settings, url: str, public_url: str, token: str, model: str = "") -> Target:
    return Target(
        url=url.rstrip("/"),
        public_url=public_url.rstrip("/"),
        auth_token=token,
        account_sid=settings.twilio_account_sid or ACCOUNT_SID,
        model=model,
        phone_number=settings.twilio_phone_number,
    )
