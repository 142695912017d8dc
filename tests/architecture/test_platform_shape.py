"""Is every platform folder complete, and built like its siblings?

Whoever knows one platform finds their way in all of them: the same file names, a manifest without gaps, exactly the
parts that it announces.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from autorepost_app.bootstrap import find_platforms
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.media import MediaLimits
from autorepost_app.platform_kit.options import Option, OptionKind
from autorepost_app.platform_kit.protocol import (
    AppCredentials,
    DestinationSpec,
    Host,
    OAuthSpec,
    Platform,
    PostText,
    QuotaRule,
    Reach,
    SourceSpec,
    TextField,
)

PLATFORMS = find_platforms()
EVERY_FOLDER = {"__init__.py", "auth.py", "limits.py", "errors.py"}
EVERY_TEST_FOLDER = {"test_auth.py", "test_errors.py"}
WHO = Option("who", "Who", "all", OptionKind.CHOICE, choices=(("one", "One"),))
LONG_TEXT = PostText(
    "A long story 👩‍👩‍👧 about ✂️. " * 500, title="A title of many words " * 50, tags=("walk", "park") * 300
)


def folder_gaps(folder: Path, manifest: Platform) -> Iterator[str]:
    """A file beyond the house's has to be named by one of its siblings: nothing lies about unused."""
    wanted = EVERY_FOLDER | {f"{role}.py" for role in ("source", "destination") if getattr(manifest, role)}
    there = {path.name for path in folder.glob("*.py")}
    yield from (f"{name} is missing" for name in sorted(wanted - there))
    for extra in sorted(there - wanted):
        siblings = "\n".join(path.read_text() for path in folder.glob("*.py") if path.name != extra)
        if not re.search(rf"\b{extra.removesuffix('.py')}\b", siblings):
            yield f"{extra} is used by no other file"
    for path in folder.glob("*.py"):
        if not ast.get_docstring(ast.parse(path.read_text())):
            yield f"{path.name} does not say what it is for"


def manifest_gaps(manifest: Platform) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9]*", manifest.key):
        yield f"{manifest.key!r} is no key"
    if not manifest.name:
        yield "no name"
    if not (manifest.source or manifest.destination):
        yield "neither source nor destination"
    yield from host_gaps(manifest.hosts)
    yield from oauth_gaps(manifest.oauth)
    for quota in manifest.quotas:
        yield from (f"quota {quota.name}: {gap}" for gap in quota_gaps(quota))
    yield from repeated("quota", [each.name for each in manifest.quotas])
    if manifest.destination:
        yield from destination_gaps(manifest.destination)
    if manifest.source:
        yield from source_gaps(manifest.source)
        yield from uncounted_calls(manifest.source, manifest.quotas)


def repeated(what: str, names: list[str]) -> Iterator[str]:
    yield from (f"{what} {name!r} is there twice" for name in sorted(set(names)) if names.count(name) > 1)


def host_gaps(hosts: tuple[Host, ...]) -> Iterator[str]:
    if not hosts:
        yield "no host"
    yield from repeated("host", [host.name for host in hosts])
    for host in hosts:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", host.name):
            yield f"host {host.name!r} makes no setting"
        if not re.fullmatch(r"https://[a-z0-9.-]+", host.default_url):
            yield f"host {host.name}: {host.default_url!r} is no bare https address"


def oauth_gaps(oauth: OAuthSpec) -> Iterator[str]:
    if not oauth.logins:
        yield "no login"
    for login in oauth.logins:
        if not oauth.scopes.get(login):
            yield f"login {login} asks for nothing"
        if not oauth.needed_scopes.get(login, frozenset({""})) <= set(oauth.scopes.get(login, ())):
            yield f"login {login} needs scopes that it does not ask for"
    if not 0 < oauth.refresh_margin < 1:
        yield "refresh_margin is a share of a token's life"


def quota_gaps(quota: QuotaRule) -> Iterator[str]:
    if not (quota.name and quota.label and quota.unit and quota.costs):
        yield "no name, label, unit or costs"
    if quota.scope not in ("app", "account"):
        yield f"scope {quota.scope!r}"
    if not all(cost >= 1 for cost in quota.costs.values()):
        yield "a call that costs nothing"
    if any(number is not None and number <= 0 for number in (quota.limit, quota.window_seconds)):
        yield "its limit or window is nothing"
    if quota.window_seconds is None:
        ZoneInfo(quota.zone)


def destination_gaps(spec: DestinationSpec) -> Iterator[str]:
    for option in spec.options:
        yield from (f"option {option.name}: {gap}" for gap in option_gaps(option))
    yield from repeated("option", [option.name for option in spec.options])
    if not spec.text.fields:
        yield "no field of text"
    for field in spec.text.fields:
        yield from (f"text {field.name}: {gap}" for gap in field_gaps(field, spec))
    media = spec.media
    if not (media.duration_max_seconds and media.size_max_bytes):
        yield "media of any length or size"
    reads = spec.reconcile.read_after_seconds
    if not reads or list(reads) != sorted(reads) or spec.reconcile.give_up_after_seconds < reads[-1]:
        yield "reads are not in order, or given up before the last"
    if spec.reconcile.request_lifetime_seconds < 60:
        yield "a lost request is not waited for"
    if spec.pool_slots < 1:
        yield "no slot to work in"


def option_gaps(option: Option) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", option.name):
        yield "its name is no name"
    if not option.label:
        yield "no label to draw"
    if option.choices and option.default not in [value for value, _label in option.choices]:
        yield "the default is not among its choices"
    if not all(label for _value, label in option.choices):
        yield "a choice without words"
    if not takes(option, option.default):
        yield "its default is nothing that it takes"


def takes(option: Option, value: object) -> bool:
    try:
        return option.check(value) == value
    except UserError:
        return False


def field_gaps(field: TextField, spec: DestinationSpec) -> Iterator[str]:
    if field.name not in PostText.__dataclass_fields__:
        yield "no such field of a post"
        return
    if not (field.label and field.unit and field.limit > 0):
        yield "no label, unit or limit"
    fitted, changes = spec.text.fit(LONG_TEXT)
    value = getattr(fitted, field.name)
    said = value if isinstance(value, str) else ",".join(value)
    if field.measure(said) > field.limit:
        yield "fitting leaves it too long"
    if not changes:
        yield "fitting does not say what it changed"


def source_gaps(spec: SourceSpec) -> Iterator[str]:
    if min(spec.polls_per_minute, spec.page_size, spec.pool_slots) < 1 or spec.poll_gap_seconds <= 0:
        yield "a number of the source is nothing"


def uncounted_calls(spec: SourceSpec, quotas: tuple[QuotaRule, ...]) -> Iterator[str]:
    """A call that no rule with a limit knows by its name would be made as often as anybody likes."""
    limited = {call for quota in quotas if quota.limit is not None for call in quota.costs}
    for name in ("poll_call", "pulse_call"):
        call = getattr(spec, name)
        if call and call not in limited:
            yield f"{name} {call!r} is limited by no quota"


@pytest.fixture(params=sorted(PLATFORMS))
def manifest(request: pytest.FixtureRequest) -> Platform:
    return PLATFORMS[request.param]


@pytest.fixture
def destination() -> Platform:
    """Any one: what follows breaks it."""
    return next(each for each in PLATFORMS.values() if each.destination)


def test_the_folder_has_the_files_of_its_siblings(root: Path, manifest: Platform) -> None:
    assert not list(folder_gaps(root / "autorepost_app" / "platforms" / manifest.key, manifest))


def test_the_manifest_has_no_gap(manifest: Platform) -> None:
    assert not list(manifest_gaps(manifest))


def test_it_is_found_under_its_own_key(manifest: Platform) -> None:
    assert find_platforms()[manifest.key] is manifest


def test_it_builds_exactly_the_parts_it_announces(manifest: Platform) -> None:
    urls = {host.name: host.default_url for host in manifest.hosts}
    parts = manifest.build(Reach(urls, AppCredentials("id", "secret"), lambda: datetime.now(UTC)))
    try:
        assert parts.authoriser
        assert (parts.source is None) == (manifest.source is None)
        assert (parts.destination is None) == (manifest.destination is None)
    finally:
        parts.close()


def test_a_handle_that_is_kept_secret_is_one_that_the_destination_keeps(root: Path, manifest: Platform) -> None:
    secret = manifest.destination.secret_handles if manifest.destination else frozenset()
    folder = root / "autorepost_app" / "platforms" / manifest.key
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    assert all(f'"{name}"' in source for name in secret)


def test_it_has_a_sandbox_and_tests(root: Path, manifest: Platform) -> None:
    sandbox = root / "autorepost_app" / "sandbox"
    assert (sandbox / manifest.key).is_dir() or (sandbox / f"{manifest.key}.py").is_file()
    tests = {path.name for path in (root / "tests" / "platforms" / manifest.key).glob("test_*.py")}
    assert tests >= EVERY_TEST_FOLDER


@pytest.mark.parametrize("missing", sorted(EVERY_FOLDER | {"destination.py"}))
def test_a_folder_that_lacks_a_file_is_noticed(root: Path, destination: Platform, tmp_path: Path, missing: str) -> None:
    for path in (root / "autorepost_app" / "platforms" / destination.key).glob("*.py"):
        if path.name != missing:
            (tmp_path / path.name).write_text(path.read_text())
    assert f"{missing} is missing" in list(folder_gaps(tmp_path, destination))


def test_a_file_that_nothing_uses_is_noticed(root: Path, destination: Platform, tmp_path: Path) -> None:
    for path in (root / "autorepost_app" / "platforms" / destination.key).glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "odds_and_ends.py").write_text('"""Left over."""\n')
    assert list(folder_gaps(tmp_path, destination)) == ["odds_and_ends.py is used by no other file"]


def _with(**changes: object) -> Callable[[Platform], Platform]:
    return lambda platform: replace(platform, **changes)


def _with_destination(**changes: object) -> Callable[[Platform], Platform]:
    return lambda platform: replace(platform, destination=replace(platform.destination, **changes))


@pytest.mark.parametrize(
    ("spoil", "gap"),
    [
        (_with(hosts=()), "no host"),
        (_with(hosts=(Host("API", "https://api.example/v1/"),)), "no bare https address"),
        (_with(source=None, destination=None), "neither source nor destination"),
        (_with(oauth=OAuthSpec(("default",), {}, {})), "asks for nothing"),
        (_with(oauth=OAuthSpec(("a",), {"a": ("read",)}, {"a": frozenset({"write"})})), "does not ask for"),
        (_with(quotas=(QuotaRule("posts", "posts", "team", {"post": 1}, 5),)), "scope 'team'"),
        (_with(quotas=(QuotaRule("posts", "posts", "app", {}, 5),)), "no name, label, unit or costs"),
        (_with_destination(options=(Option("who", "", "all"),)), "no label to draw"),
        (_with(quotas=(QuotaRule("posts", "posts", "app", {"post": 0}, 5),)), "costs nothing"),
        (_with(quotas=(QuotaRule("posts", "posts", "app", {"post": 1}, 0),)), "limit or window is nothing"),
        (_with_destination(options=(WHO,)), "not among its choices"),
        (_with_destination(options=(replace(WHO, kind=OptionKind.NUMBER, choices=()),)), "nothing that it takes"),
        (_with_destination(options=(Option("a", "A", True), Option("a", "A", True))), "there twice"),
        (_with_destination(media=MediaLimits()), "any length or size"),
        (_with_destination(secret_handles=frozenset(), pool_slots=0), "no slot"),
    ],
)
def test_a_gap_in_a_manifest_is_noticed(destination: Platform, spoil: Callable[[Platform], Platform], gap: str) -> None:
    assert any(gap in found for found in manifest_gaps(spoil(destination)))


@pytest.mark.parametrize("name", ["poll_call", "pulse_call"])
@pytest.mark.parametrize("call", ["video.lists", "uncounted", "token"])
def test_a_call_of_a_source_that_is_misspelt_is_noticed(name: str, call: str) -> None:
    source = next(each for each in PLATFORMS.values() if each.source)
    counted = replace(source, quotas=(*source.quotas, QuotaRule("tokens2", "Tokens", "app", {"token": 1}, None)))
    spoilt = replace(counted, source=replace(source.source, **{name: call}))
    assert f"{name} {call!r} is limited by no quota" in list(manifest_gaps(spoilt))
