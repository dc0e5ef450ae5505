"""A small page on this machine for those who would rather click: the same registry, the same relay.

Laws: it listens on loopback and answers to that name only; the link that opens it works once and becomes a cookie; the
coordinator's PIN is asked at each start (CA-011); every form carries a value that only this page knows; no scripts.

Source: requirements CA-011, 012, 014 to 020, 031; attacks.md classes 12 and 13.
"""

import hmac
import json
import secrets
import tempfile
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jinja2 import Environment, FileSystemLoader

from keystead.clients.coordinator import relay
from keystead.clients.coordinator.registry import Registry
from keystead.core.errors import Invalid, KeysteadError, Refused
from keystead.core.secret import Secret
from keystead.core.translation import language, tr
from keystead.custody.modules.messages import Options

FORM_BYTES_MAX = 65_536
TIMEOUT_S = 15
_HERE = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Page:
    """The page of one start of the coordinator.

    Args:
        registry: The coordinator's own folder.
        hub: Where modules are plugged in.
        port: On loopback; 0 = any free one.
    """

    def __init__(self, registry: Registry, hub: relay.Hub, port: int) -> None:
        self.registry, self.hub = registry, hub
        self.link_token: str = secrets.token_urlsafe(24)
        self.cookie = secrets.token_urlsafe(24)
        self.form = secrets.token_urlsafe(24)
        self.is_open = False
        self.source = ""
        self.lines: list[str] = []
        self.worker: threading.Thread | None = None
        self._templates = Environment(loader=FileSystemLoader(_HERE), autoescape=True)
        self._templates.globals |= {"tr": tr, "language": language}
        page = self

        class Handler(_Handler):
            """Answers for this page."""

            of = page

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def link(self) -> str:
        """Return the link that opens the page, once."""
        return f"http://{self.host}/open/{self.link_token}"

    def serve(self) -> None:
        """Answer until interrupted."""
        try:
            self._server.serve_forever(0.2)
        except KeyboardInterrupt:
            return
        finally:
            self._server.server_close()

    def end(self) -> None:
        """End `serve`."""
        self._server.shutdown()

    def drawn(self, view: str, title: str, **more: Any) -> str:
        """Return a page as HTML."""
        template = self._templates.get_template("page.html")
        return template.render(view=view, title=title, form=self.form, inside=self.is_open, **more)

    def main(self, **more: Any) -> str:
        """Return the page of cloning."""
        modules = []
        for serial in self.hub.serials():
            try:
                modules.append(self.hub.status(serial))
            except KeysteadError:
                continue
        is_running = self.worker is not None and self.worker.is_alive()
        shown = {"modules": modules, "source": self.source, "settings": self.registry.settings()}
        return self.drawn("main", tr("Cloning"), refresh=is_running, lines=list(self.lines), **shown, **more)

    # ------------------------------------------------------------------------------------------------------- actions

    def log_in(self, form: dict[str, str]) -> None:
        """Judge the coordinator's PIN."""
        self.registry.open(_secret(form, "pin"))
        self.is_open = True

    def change_pin(self, form: dict[str, str]) -> None:
        """Change the coordinator's PIN (CA-012)."""
        self.registry.change_pin(_secret(form, "current"), _secret(form, "new"), _secret(form, "confirmed"))

    def set_source(self, form: dict[str, str]) -> None:
        """Set a module as source; it must be unlocked by its administrator (CA-014)."""
        chosen = form.get("source", "")
        if chosen not in self.hub.serials():
            raise Invalid(tr("choose one of the modules that are plugged in"))
        if not self.hub.status(chosen)["by_administrator"]:
            raise Refused(tr("unlock the source with its administrator's PIN before you set it as source"))
        self.source = chosen

    def start(self, form: dict[str, str]) -> None:
        """Start cloning to all others, in the background."""
        if self.worker is not None and self.worker.is_alive():
            raise Refused(tr("a cloning is running; wait for its end"))
        if form.get("source") != self.source or not self.source:
            raise Invalid(tr("set this module as source first"))
        self.registry.choose({name: name in form for name in ("auto_lock", "policy")})
        options = Options("auto_lock" in form, "policy" in form, "disable_source" in form)
        targets = [serial for serial in self.hub.serials() if serial != self.source]
        run = relay.Run(self.source, targets, options, "replace" in form)
        self.lines = []
        self.worker = threading.Thread(target=self._clone, args=(run,), daemon=True)
        self.worker.start()

    def _clone(self, run: relay.Run) -> None:
        try:
            outcomes = relay.clone(self.hub, run, self.lines.append)
        except KeysteadError as error:
            self.lines.append(error.message)
            return
        cloned = sum(not outcome.why for outcome in outcomes)
        self.lines.append(tr("{cloned} of {all} cloned.", cloned=cloned, all=len(outcomes)))

    def bring(self, form: dict[str, str]) -> None:
        """Take over exported settings (CA-020)."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "settings.json"
            file.write_text(form.get("settings", ""))
            self.registry.bring(file)


class _Handler(BaseHTTPRequestHandler):
    """One request. Everything is refused that does not name this page, and everything inside without its cookie."""

    of: Page
    timeout = TIMEOUT_S
    server_version, sys_version = "keystead-coordinator", ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        """Write nothing: requests hold a link that opens the page."""

    def do_GET(self) -> None:
        """Show a page."""
        address = urlsplit(self.path)
        if self._is_elsewhere():
            return
        if address.path == "/style.css":
            self._answer((_HERE / "style.css").read_text(), kind="text/css")
        elif address.path.startswith("/open/"):
            self._open(address.path.removeprefix("/open/"))
        elif not self._knows_cookie():
            self._refuse(HTTPStatus.FORBIDDEN, tr("Open this page by the link that the program printed."))
        elif not self.of.is_open:
            self._answer(self.of.drawn("login", tr("PIN")))
        elif address.path == "/":
            self._answer(self.of.main())
        elif address.path == "/pin":
            show = "show" in parse_qs(address.query)
            self._answer(self.of.drawn("pin", tr("Change PIN"), number=self.of.registry.number, show=show))
        elif address.path == "/settings.json":
            told = {"format": "keystead-coordinator-settings-1", **self.of.registry.settings()}
            self._answer(json.dumps(told, indent=1) + "\n", kind="application/json")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, tr("There is no such page."))

    def do_POST(self) -> None:
        """Do what a form asks."""
        if self._is_elsewhere():
            return
        form = self._form()
        if form is None or not self._knows_cookie() or not hmac.compare_digest(form.get("form", ""), self.of.form):
            self._refuse(HTTPStatus.FORBIDDEN, tr("This form was not made by this page; open it anew."))
            return
        actions: dict[str, tuple[Callable[[dict[str, str]], None], str]] = {
            "/source": (self.of.set_source, "main"),
            "/start": (self.of.start, "main"),
            "/import": (self.of.bring, "main"),
            "/pin": (self.of.change_pin, "pin"),
        }
        if not self.of.is_open:
            actions = {"/login": (self.of.log_in, "login")}
        if self.path not in actions:
            self._refuse(HTTPStatus.NOT_FOUND, tr("There is no such form."))
            return
        act, view = actions[self.path]
        try:
            act(form)
        except KeysteadError as error:
            self._answer(self._view(view, error.message), HTTPStatus.CONFLICT)
            return
        if view == "pin":
            self._answer(self.of.main(note=tr("The new PIN counts from the next start.")))
        else:
            self._send(HTTPStatus.SEE_OTHER, b"", {"Location": "/"})

    def _view(self, view: str, error: str) -> str:
        if view == "main":
            return self.of.main(error=error)
        if view == "pin":
            return self.of.drawn("pin", tr("Change PIN"), number=self.of.registry.number, error=error)
        return self.of.drawn("login", tr("PIN"), error=error)

    def _open(self, token: str) -> None:
        if not self.of.link_token or not hmac.compare_digest(token.encode(), self.of.link_token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, tr("This link was used already; start the page anew."))
            return
        self.of.link_token = ""
        cookie = f"keystead-coordinator={self.of.cookie}; HttpOnly; SameSite=Strict; Path=/"
        self._send(HTTPStatus.SEE_OTHER, b"", {"Location": "/", "Set-Cookie": cookie})

    def _is_elsewhere(self) -> bool:
        """Refuse a request to another name: a page elsewhere that had its name point here."""
        if self.headers.get("Host") == self.of.host:
            return False
        self._refuse(HTTPStatus.MISDIRECTED_REQUEST, tr("This is not the page's address."))
        return True

    def _knows_cookie(self) -> bool:
        sent = self.headers.get("Cookie", "").encode()
        return hmac.compare_digest(sent, f"keystead-coordinator={self.of.cookie}".encode())

    def _form(self) -> dict[str, str] | None:
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 < length <= FORM_BYTES_MAX:
                return None
            fields = parse_qs(self.rfile.read(length).decode(), keep_blank_values=True, max_num_fields=20)
        except ValueError:
            return None
        return {name: values[0] for name, values in fields.items()}

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._answer(text + "\n", status, kind="text/plain")

    def _answer(self, text: str, status: HTTPStatus = HTTPStatus.OK, kind: str = "text/html") -> None:
        self._send(status, text.encode(), {"Content-Type": f"{kind}; charset=utf-8"})

    def _send(self, status: HTTPStatus, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _secret(form: dict[str, str], name: str) -> Secret:
    if not form.get(name):
        raise Invalid(tr("fill in every field"))
    return Secret(form[name].encode())
