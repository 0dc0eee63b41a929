"""All routes of the console. Each page's owner adds one import and one line here."""

from starlette.routing import BaseRoute

from app.web.console.call_page import CallPage
from app.web.console.calls import CallsPage
from app.web.console.live import LivePage
from app.web.console.login import LoginPage
from app.web.console.modes_page import ModesPage
from app.web.console.pages import Console
from app.web.console.phone import PhonePage
from app.web.console.recording import RecordingDoors
from app.web.console.setup_page import SetupPage
from app.web.console.stats import StatsPage


def routes(console: Console) -> list[BaseRoute]:
    """Every page, action and file."""
    return [
        *LoginPage(console).routes(),
        *LivePage(console).routes(),
        *CallsPage(console).routes(),
        *CallPage(console).routes(),
        *RecordingDoors(console).routes(),
        *ModesPage(console).routes(),
        *PhonePage(console).routes(),
        *StatsPage(console).routes(),
        *SetupPage(console).routes(),
        console.files.route(),
    ]
