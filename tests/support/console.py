"""A browser without scripts: follows the console's pages and fills in its forms as they stand, over real HTTPS."""

from __future__ import annotations

import http.client
import re
import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urlencode, urljoin, urlsplit

VOID = {"br", "hr", "img", "input", "link", "meta"}
COOKIE = "__Host-keystead"
OWN_SCRIPT = re.compile(r"/static/[0-9a-f]{16}-console\.js")


@dataclass
class Form:
    """A form as it stands on a page; `values` are what a browser would send if nobody typed anything."""

    action: str
    method: str
    values: list[tuple[str, str]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    options: dict[str, list[str]] = field(default_factory=dict)

    def filled(self, **typed: str | list[str]) -> list[tuple[str, str]]:
        """What is sent after somebody typed this; "form_token" stands for the field with a hyphen."""
        wanted = {name.replace("form_token", "form-token"): value for name, value in typed.items()}
        assert wanted.keys() <= self.names, f"no fields {wanted.keys() - self.names} in {self.names}"
        kept = [(name, value) for name, value in self.values if name not in wanted]
        for name, value in wanted.items():
            kept += [(name, one) for one in ([value] if isinstance(value, str) else value)]
        return kept


class _Reader(HTMLParser):
    """Reads a page and holds it to what every page keeps: closed tags, labels for inputs, no script but ours."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.labelled: set[str] = set()
        self.inputs: list[dict[str, str]] = []
        self.faults: list[str] = []
        self.text: list[str] = []
        self.landmarks: set[str] = set()
        self.title = ""
        self._select = ""
        self._area: str | None = None
        self._options: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self.open.append(tag)
        is_own = tag == "script" and OWN_SCRIPT.fullmatch(given.get("src", "")) and given.keys() == {"src", "defer"}
        if (tag in ("script", "style", "iframe", "object", "embed") and not is_own) or any(
            name == "style" or name.startswith("on") for name in given
        ):
            self.faults.append(f"<{tag} {given}>")
        if tag in ("main", "nav", "header", "footer", "h1"):
            self.landmarks.add(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "label":
            self.labelled.add(given.get("for", ""))
        if tag == "form":
            self.forms.append(Form(given["action"], given["method"]))
        if tag in ("input", "select", "textarea") and self.forms:
            self._control(tag, given)
        if tag == "option" and self._select:
            self._options.append((given["value"], "selected" in given))

    def _control(self, tag: str, given: dict[str, str]) -> None:
        form, name, kind = self.forms[-1], given["name"], given.get("type", "text")
        form.names.add(name)
        if kind != "hidden":
            self.inputs.append({**given, "inside": "label" if "label" in self.open else ""})
        if tag == "select":
            self._select = name
        elif tag == "textarea":
            self._area = ""
            self._select = name
        elif kind == "checkbox":
            form.options.setdefault(name, []).append(given["value"])
            if "checked" in given:
                form.values.append((name, given["value"]))
        else:
            form.values.append((name, given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
            return
        self.open.pop()
        if tag == "select":
            chosen = [value for value, is_chosen in self._options if is_chosen] or [self._options[0][0]]
            self.forms[-1].options[self._select] = [value for value, _ in self._options]
            self.forms[-1].values.append((self._select, chosen[0]))
            self._options, self._select = [], ""
        if tag == "textarea":
            self.forms[-1].values.append((self._select, (self._area or "").removeprefix("\n")))
            self._area, self._select = None, ""

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area += data
        if self.open == ["html", "head", "title"]:
            self.title += data
        self.text.append(data)


class Page:
    """An answer, read as a page."""

    def __init__(self, url: str, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.url, self.status, self.headers, self.body = url, status, headers, body
        self.html = body.decode()
        reader = _Reader()
        if (headers["content-type"] or "").startswith("text/html"):
            reader.feed(self.html)
            reader.close()
        self.faults = reader.faults + [f"<{tag}> is not closed" for tag in reader.open]
        self.faults += [f"id {one} twice" for one in set(reader.ids) if reader.ids.count(one) > 1]
        self.faults += [f"{one} has no label" for one in reader.inputs if not _is_labelled(one, reader.labelled)]
        self.links, self.forms, self.title, self.landmarks = reader.links, reader.forms, reader.title, reader.landmarks
        self.text = " ".join(" ".join(reader.text).split())
        self.inputs = {one["name"]: one for one in reader.inputs}

    @property
    def location(self) -> str:
        return str(self.headers["location"])

    def form(self, action: str) -> Form:
        """The form that is sent to a path."""
        return next(form for form in self.forms if urlsplit(form.action).path == action)


def _is_labelled(one: dict[str, str], labelled: set[str]) -> bool:
    return bool(one["inside"] or one.get("aria-label") or one.get("id") in labelled)


class Browser:
    """One visitor with one cookie jar.

    Args:
        url: Of the console.
        ca: What is trusted; None = whatever the server shows (tests of other things).
    """

    def __init__(self, url: str, ca: Path | None) -> None:
        self.url = url.rstrip("/")
        self._trust = ssl.create_default_context(cafile=ca)
        if ca is None:
            self._trust.check_hostname, self._trust.verify_mode = False, ssl.CERT_NONE
        self.cookie = ""

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Page:
        """Send one request and do not follow."""
        place = urlsplit(self.url)
        connection = http.client.HTTPSConnection(str(place.hostname), place.port, timeout=60, context=self._trust)
        sent = {"host": place.netloc, **({"cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {})}
        if method == "POST":
            sent |= {"content-type": "application/x-www-form-urlencoded", "origin": self.url}
        sent |= headers or {}
        try:
            connection.request(
                method,
                quote(path, safe="/?&=%#:;+,@!$'()*~"),
                body or None,
                {name: value for name, value in sent.items() if value},
            )
            answer = connection.getresponse()
            page = Page(path, answer.status, answer.headers, answer.read())
        finally:
            connection.close()
        self._keep(page)
        return page

    def get(self, path: str) -> Page:
        """Open a page, following as browsers do."""
        return self._followed(self.request("GET", path))

    def send(self, form: Form, **typed: str | list[str]) -> Page:
        """Fill in a form and send it, following as browsers do."""
        if form.method == "get":
            return self.get(f"{form.action}?{urlencode(form.filled(**typed))}")
        return self.post(form.action, form.filled(**typed))

    def post(self, path: str, values: list[tuple[str, str]]) -> Page:
        return self._followed(self.request("POST", path, urlencode(values).encode()))

    def log_in(self, name: str, password: str) -> Page:
        """Log in from the page that says so."""
        return self.send(self.get("/log-in").form("/log-in"), name=name, password=password)

    def _followed(self, page: Page) -> Page:
        hops = 0
        while page.status == 303 and hops < 5:
            page, hops = self.request("GET", urljoin(page.url, page.location)), hops + 1
        return page

    def _keep(self, page: Page) -> None:
        for given in page.headers.get_all("set-cookie") or []:
            name, _, value = given.split(";")[0].partition("=")
            if name == COOKIE:
                self.cookie = value
