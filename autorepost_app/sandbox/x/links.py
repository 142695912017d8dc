"""What in a text does X take for a link? Written from the rules of twitter-text, and held to its conformance tests."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import regex

_ANY = r"[^!\"#%&'()*+,\-./:;<=>?@\[\]^_{|}~$\s\p{Cf}\uFFFE\uFEFF\uFFFF]"
_ACCENTED = (
    r"\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b\u0263\u0268\u026f\u0272\u0289\u028b"
    r"\u02bb\u0300-\u036f\u1e00-\u1eff"
)
_ASCII = rf"[a-z0-9{_ACCENTED}]"
_PATH_ENDS = rf"[+\-a-z\p{{Cyrillic}}0-9=_#/{_ACCENTED}]"
_IN_PATH = rf"[a-z\p{{Cyrillic}}0-9!*';:=+,.$/%#\[\]\-\u2013_~@|&{_ACCENTED}]"
_PARENTHESES = rf"\((?:{_IN_PATH}|\({_IN_PATH}+\))+\)"
_PATH = rf"(?:(?:{_IN_PATH}|{_PARENTHESES})*(?:{_PATH_ENDS}|{_PARENTHESES}))?"
_QUERY = r"[a-z0-9!?*'();:&=+$/%#\[\]\-_.,~|@]*[a-z0-9\-_&=#/]"
_SHORT_LINK = regex.compile(r"https?://t\.co/(?P<name>[a-z0-9]+)" + rf"(?:\?{_QUERY})?", regex.IGNORECASE)
_LONGEST_SHORT_NAME = 40
_LONGEST_LINK = 4096


@dataclass(frozen=True)
class Link:
    start: int
    end: int
    url: str


def links_in(text: str) -> list[Link]:
    """Links by twitter-text's rules: a scheme is not needed, a real top-level domain is."""
    found: list[Link] = []
    for match in _patterns().link.finditer(text):
        if _fits(match["host"], _url(match)):
            found += _with_scheme(match) if match["scheme"] else _bare(match)
    return found


def _fits(host: str, url: str) -> bool:
    """No label beyond what the name system knows, no address beyond what X follows."""
    try:
        return len(url) + len(host.encode("idna")) - len(host) <= _LONGEST_LINK
    except UnicodeError:
        return False


def _url(match: regex.Match[str]) -> str:
    """The character before it belongs to the match, as in twitter-text: it cannot end another link."""
    return match[0].removeprefix(match["before"])


def _with_scheme(match: regex.Match[str]) -> list[Link]:
    short = _SHORT_LINK.match(_url(match))
    url = short[0] if short else _url(match)
    too_long = short and len(short["name"]) > _LONGEST_SHORT_NAME
    return [] if too_long else [Link(match.end("before"), match.end("before") + len(url), url)]


def _bare(match: regex.Match[str]) -> list[Link]:
    """Only what is ASCII in the host, so that a link ends where Chinese begins; the path goes with the last of it."""
    start = match.start("host")
    if match["before"] in ("-", "_", ".", "/"):
        return []
    hosts = [(start + each.start(), start + each.end()) for each in _patterns().host.finditer(match["host"])]
    if hosts and match["path"]:
        hosts[-1] = hosts[-1][0], match.end()
    return [Link(first, end, match.string[first:end]) for first, end in hosts]


@dataclass(frozen=True)
class _Patterns:
    link: regex.Pattern[str]
    host: regex.Pattern[str]


@cache
def _patterns() -> _Patterns:
    lines = (Path(__file__).parent / "tlds.txt").read_text(encoding="utf-8").splitlines()
    names = {name for line in lines if not line.startswith("#") for name in line.split()}
    # the longest first, since `com` would hide `community`
    tld = rf"(?:(?:xn--[a-z0-9-]+|{'|'.join(sorted(names, key=len, reverse=True))})(?=[^0-9a-zA-Z@+-]|$))"
    below = rf"(?:{_ANY}(?:{_ANY}|[_-])*(?<![_-])\.)*{_ANY}(?:{_ANY}|-)*(?<!-)\."
    scheme = r"(?P<before>[^A-Za-z0-9@＠$#＃]|^)(?P<scheme>https?://)?"
    rest = rf"(?::[0-9]+)?(?P<path>/{_PATH})?(?:\?{_QUERY})?"
    return _Patterns(
        regex.compile(rf"{scheme}(?P<host>{below}{tld}){rest}", regex.IGNORECASE | regex.VERSION1),
        regex.compile(rf"(?:{_ASCII}(?:{_ASCII}|-)*\.)+{tld}", regex.IGNORECASE | regex.VERSION1),
    )
