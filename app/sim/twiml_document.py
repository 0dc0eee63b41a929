"""One TwiML document, read as strictly as Twilio reads it: what is fatal is refused with its code, the rest is warned of."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urldefrag
from xml.etree import ElementTree as ET

from app.errors import PeerError
from app.sim.twiml_vocabulary import ATTRIBUTES, CHILDREN

MAX_BYTES = 64 * 1024
XML_TYPES = ("text/xml", "application/xml", "text/html")


class Refused(PeerError):
    """The carrier refuses what the server answered; `code` is Twilio's."""

    def __init__(self, code: int, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status


@dataclass(frozen=True)
class Verb:
    """A verb or a noun: known attributes only, all text inside it (stripped), known children."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list["Verb"] = field(default_factory=list)

    def number(self, name: str, default: float) -> float:
        """A numeric attribute, or its default where it is missing or not a number."""
        try:
            value = float(self.attributes.get(name, default))
        except ValueError:
            return default
        return value if math.isfinite(value) else default

    def method(self, name: str = "method") -> str:
        """`GET` or `POST`, which is the default."""
        return "GET" if self.attributes.get(name, "POST").upper() == "GET" else "POST"


@dataclass(frozen=True)
class Document:
    """What to do, in order. url: where it came from; relative URLs in it are relative to that ("" for literal TwiML)."""

    verbs: list[Verb]
    url: str = ""
    warnings: list[str] = field(default_factory=list)


def read_answer(body: bytes, content_type: str | None, url: str) -> Document:
    """Read an HTTP answer as TwiML by its content type.

    Raises Refused 12300 (content type), 11750 (over 64 kB), 12100 (XML).
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if len(body) > MAX_BYTES:
        raise Refused(11750, f"expected TwiML of at most 64 kB, came {len(body)} bytes")
    if kind.startswith("audio/"):
        return Document([Verb("Play", text=url)], url)
    if kind == "text/plain":
        return Document([Verb("Say", text=body.decode("utf-8", "replace").strip())], url)
    if kind not in XML_TYPES:
        raise Refused(12300, f"expected Content-Type text/xml, came {content_type!r}")
    return parse(body, url)


def parse(body: bytes, url: str = "") -> Document:
    """Parse TwiML. Raises Refused 12100 for what is not XML, does not begin with it, or has another root."""
    if not body.startswith(b"<"):
        raise Refused(
            12100, f"expected the document to begin with '<', came {body[:20]!r}; nothing may stand before it"
        )
    try:
        root = ET.fromstring(body)  # noqa: S314 - see the import
    except (ET.ParseError, ValueError, LookupError) as error:
        raise Refused(12100, f"TwiML does not parse: {error}") from error
    if root.tag != "Response":
        raise Refused(12100, f"expected the root <Response>, came <{root.tag}>; names are case-sensitive")
    warnings: list[str] = []
    if (root.text or "").strip():
        warnings.append(f"text directly in <Response> is ignored: {(root.text or '').strip()[:40]!r}")
    verbs = list(_children(root, warnings))
    if any(verb.name == "Reject" for verb in verbs[1:]):
        warnings.append("<Reject> works only as the first verb")
    return Document(verbs, urldefrag(url).url, warnings)


def _children(element: ET.Element, warnings: list[str]) -> Iterator[Verb]:
    allowed = CHILDREN.get(element.tag)
    if allowed is None:  # Say's SSML and the like: its text is read with its parent
        return
    for child in element:
        if child.tag not in allowed:
            warnings.append(f"<{child.tag}> is not known in <{element.tag}>; it is skipped")
            continue
        known = ATTRIBUTES[child.tag]
        for name in child.attrib:
            if name not in known:
                warnings.append(f"attribute {name!r} is not known on <{child.tag}>; it is ignored")
        nested = list(_children(child, warnings))
        text = "".join(child.itertext() if child.tag not in CHILDREN else [child.text or ""])
        attributes = {name: value for name, value in child.attrib.items() if name in known}
        yield Verb(child.tag, attributes, text.strip(), nested)
