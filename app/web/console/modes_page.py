"""`/modes`: every mode with its numbers, and `/modes/<name>`: what the model gets of one, and what that costs in tokens."""

import asyncio
from datetime import UTC, date, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.mode import Mode
from app.mode_sheet import Shown, look
from app.settings import Settings
from app.web.console.pages import Console


class ModesPage:
    """Sheets are kept until the day is over, which prompts name, or `serve --reload` has taken an edit."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._sheets: dict[str, Shown] = {}
        self._of: tuple[date, Settings] | None = None
        """The day that the sheets are of, and the settings: a reload takes other ones with the modes."""

    def routes(self) -> list[BaseRoute]:
        """Both pages."""
        return [self.console.get("/modes", self.overview), self.console.get("/modes/{name}", self.one)]

    async def overview(self, request: Request) -> Response:
        """All of them."""
        sheets = [await self._sheet(mode) for _, mode in sorted(self.console.registry.modes.items())]
        reached = {sheet.name: self._reached_by(sheet.name) for sheet in sheets}
        return self.console.page(request, "modes.html", sheets=sheets, reached=reached)

    async def one(self, request: Request) -> Response:
        """One mode."""
        name = request.path_params["name"]
        mode = self.console.registry.modes.get(name)
        if mode is None:
            there = ", ".join(sorted(self.console.registry.modes))
            return self.console.missing(request, f"There is no mode of that name. There are: {there}.")
        sheet = await self._sheet(mode)
        schemas = {tool.name: schema_text(tool.parameters) for tool in sheet.tools}
        return self.console.page(
            request, "mode.html", sheet=sheet, schemas=schemas, reached=self._reached_by(name), door=self._door(name)
        )

    def _reached_by(self, name: str) -> list[str]:
        """The dialled numbers that this mode answers, and in words what else leads to it."""
        settings = self.console.settings
        numbers = sorted(number for number, mode in settings.numbers.items() if mode == name)
        return [*numbers, "every other number"] if name == settings.default_mode else numbers

    def _door(self, name: str) -> str:
        """The webhook that leads to it whatever was dialled."""
        return f"{self.console.settings.public_url}/twilio/incoming?mode={name}"

    async def _sheet(self, mode: Mode) -> Shown:
        """A mode's sheet. The tokenizer is loaded with the first one: a tenth of a second, in a thread."""
        settings = self.console.settings
        today = settings.office.now(datetime.now(UTC)).date()
        if self._of is None or self._of[0] != today or self._of[1] is not settings:
            self._sheets, self._of = {}, (today, settings)
        sheets = self._sheets
        if mode.name not in sheets:
            sheets[mode.name] = await asyncio.to_thread(look, mode, settings)
        return sheets[mode.name]


def schema_text(parameters: dict[str, object]) -> str:
    """A tool's schema, to be read."""
    return msgspec.json.format(msgspec.json.encode(parameters), indent=2).decode()
