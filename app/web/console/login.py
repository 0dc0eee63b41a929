"""`/login` and `/logout`: the password in, and back to where one was."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from app.web.console import words
from app.web.console.pages import Console, Form


class LoginPage:
    """The one way in for who is not at this machine."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def routes(self) -> list[BaseRoute]:
        """Both addresses."""
        return [
            self.console.get("/login", self.show, open_to_all=True),
            self.console.post("/login", self.log_in, open_to_all=True),
            self.console.post("/logout", self.log_out, open_to_all=True),
        ]

    async def show(self, request: Request) -> Response:
        """The form; who is in already goes on."""
        back = words.way_back(request.query_params.get("next", "/"))
        if self.console.inside(request, request.state.session):
            return RedirectResponse(back, 303)
        return self._form(request, back)

    async def log_in(self, request: Request, form: Form) -> Response:
        """Check the password. 401: wrong; 429: too many wrong ones, with the seconds to wait."""
        back = words.way_back(form.get("next", "/"))
        wait, right = await self.console.checked(request, form.get("password", ""))
        if wait:
            answer = self._form(request, back, f"Too many wrong passwords. Try again in {wait} s.", 429)
            answer.headers["Retry-After"] = str(wait)
            return answer
        if not right:
            return self._form(request, back, "That is not the operator's password.", 401)
        sessions = await self.console.sessions()
        sessions.end(request.state.session)
        request.state.session = sessions.begin(operator=True)
        return RedirectResponse(back, 303)

    async def log_out(self, request: Request, form: Form) -> Response:
        """The session is over, here and now."""
        sessions = await self.console.sessions()
        sessions.end(request.state.session)
        request.state.session = sessions.begin()
        return RedirectResponse("/login", 303)

    def _form(self, request: Request, back: str, wrong: str = "", status: int = 200) -> Response:
        return self.console.page(request, "login.html", status, back=back, wrong=wrong)
