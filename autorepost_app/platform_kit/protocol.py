"""What must a platform be able to do? This file is the whole contract.

A platform is a folder under `platforms/` whose `__init__` offers `PLATFORM: Platform`. It holds data (hosts, OAuth,
limits, options) and builds up to three parts: an `Authoriser`, a `Source`, a `Destination`. Every refusal leaves a
part as `PlatformFault(verdict)`; any other exception is a bug.

The way of one publication through a destination:

    stage()   everything the public cannot see; may be repeated, resumes from the kept handles
    commit()  the one call that may make it public; made at most once for each recorded intent
    check()   a read that asks the handle what happened
    find()    a read that looks through the account's own list for our post
    search()  the same without any handle, when a restored database may have forgotten a send
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import Verdict
from autorepost_app.domain.media import MediaFacts, MediaLimits
from autorepost_app.domain.posts import PostPage, SourcePost
from autorepost_app.platform_kit.options import Option

# ---------------------------------------------------------------------------------------------- accounts and tokens


@dataclass(frozen=True, slots=True)
class AppCredentials:
    """The installation's own registration with a platform."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What a token endpoint gave. Lifetimes come from the reply, never from memory; None means: does not expire.

    `extra` keeps what a platform needs later beside the tokens (for instance `open_id`), as text.
    """

    access_token: str = field(repr=False)
    access_expires_at: datetime | None
    refresh_token: str | None = field(default=None, repr=False)
    refresh_expires_at: datetime | None = None
    scopes: frozenset[str] = frozenset()
    issued_at: datetime | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """One account on a platform. `external_id` is the id that publishing and listing use, always text."""

    external_id: str
    handle: str
    display_name: str = ""
    avatar_url: str | None = None
    url: str | None = None
    traits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connectable:
    """An account that a fresh grant reaches, with the tokens to use for it."""

    account: Account
    tokens: TokenSet


@dataclass(frozen=True, slots=True)
class Grant:
    """What a call needs to act for an account."""

    account: Account
    access_token: str = field(repr=False)
    scopes: frozenset[str] = frozenset()
    login: str = "default"


@dataclass(frozen=True, slots=True)
class Consent:
    """Where to send the person, and what must be kept (sealed) until they come back."""

    url: str
    state: str
    verifier: str | None = field(default=None, repr=False)


class Authoriser(Protocol):
    """OAuth with one platform. `login` is a key of `OAuthSpec.logins`."""

    def consent(self, *, login: str, redirect_uri: str, state: str) -> Consent: ...

    def exchange(self, *, login: str, redirect_uri: str, code: str, verifier: str | None) -> TokenSet:
        """Turns the code of a callback into tokens that last. `code` is as the callback's query was decoded."""

    def refresh(self, *, login: str, tokens: TokenSet) -> TokenSet:
        """One refresh. Returns a complete set: what the reply left out is taken over from `tokens`."""

    def revoke(self, *, login: str, tokens: TokenSet) -> None:
        """Ends the grant at the platform; does nothing where the platform offers no way."""

    def accounts(self, *, login: str, tokens: TokenSet) -> list[Connectable]: ...


@dataclass(frozen=True, slots=True)
class OAuthSpec:
    """OAuth as data. `scopes` and `needed_scopes` are by login; a login is a way in (most platforms have one).

    `refresh_margin` is the share of a token's life left at which it is refreshed; `refresh_min_age_seconds` the age
    below which the platform refuses to. `registrations` are logins for which we may be registered apart, by the
    settings AUTOREPOST_<PLATFORM>_<LOGIN>_CLIENT_ID and _CLIENT_SECRET; without them they share the one.
    """

    logins: tuple[str, ...]
    scopes: Mapping[str, tuple[str, ...]]
    needed_scopes: Mapping[str, frozenset[str]]
    registrations: frozenset[str] = frozenset()
    refresh_margin: float = 0.1
    refresh_min_age_seconds: float = 0.0


# ---------------------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True, slots=True)
class Downloaded:
    """The file as fetched, already on disk and complete. `full_caption` is the uncut text where it came along, `cover`
    the file of the post's cover picture, of any kind."""

    size_bytes: int
    sha256: str
    full_caption: str | None = None
    cover: Path | None = None


class Source(Protocol):
    def list_posts(self, grant: Grant, cursor: str | None = None) -> PostPage:
        """One page of the account's public posts, newest first."""

    def download(
        self, grant: Grant, post: SourcePost, target: Path, progress: Callable[[int, int | None], None]
    ) -> Downloaded:
        """Writes the best clean file to `target`; `progress(bytes done, bytes in all or None)`."""

    def pulse(self, grant: Grant) -> str | None:
        """A cheap sign of life on a budget of its own: another text than last time means that the account has posted
        (or removed) something, so its posts are worth listing now. None where the platform offers no such thing."""

    def probe(self) -> None:
        """Asks for a public post that is known to be there, to learn whether files can be fetched at all.

        Raises PlatformFault with the reason when they cannot: a fault of the way, not of anybody's post.
        """


# ----------------------------------------------------------------------------------------------------- destinations


@dataclass(frozen=True, slots=True)
class PostText:
    """The words of a publication, frozen at READY. Which fields are used is in the manifest's `TextSpec`."""

    body: str
    title: str = ""
    tags: tuple[str, ...] = ()


class MediaFile(Protocol):
    """A rendition in the store."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def sha256(self) -> str: ...

    @property
    def facts(self) -> MediaFacts: ...

    def chunks(self, offset: int = 0, length: int | None = None, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """The bytes from `offset`, never more than `chunk_bytes` in memory."""

    def public_url(self, ttl_seconds: float) -> str:
        """A short-lived address that the platform itself can fetch. Raises UserError where there is none."""


Handles = Mapping[str, str]
"""What the platform gave us before the commit (session URI, container id, media key), by name."""

KeepHandles = Callable[[Handles], None]
"""Commits these names to the database before it returns; they are merged over the earlier ones."""


class Picture(Protocol):
    """A cover in the store, a JPEG."""

    def read(self) -> bytes: ...

    def public_url(self, ttl_seconds: float) -> str:
        """As of a MediaFile."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One publication as a destination sees it.

    `marker` is short, unique to the publication and may be put where only the owner sees it.
    `first_sent_at` is when the first commit of this publication was intended, None before. `cover` is the picture that
    the post had at its source, or one of its own.
    """

    publication_id: str
    marker: str
    grant: Grant
    text: PostText
    media: MediaFile
    options: Mapping[str, object] = field(default_factory=dict)
    first_sent_at: datetime | None = None
    cover: Picture | None = None
    report: Callable[[str, float], None] = lambda _step, _fraction: None


@dataclass(frozen=True, slots=True)
class Staged:
    """Ready for the commit."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """The platform is still working on it; look again after `after_seconds`."""

    text: str
    after_seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """Live, and the platform said so. `external_id` is the id of the public post.

    `url` is its own address, or None where the answer does not tell it: `find` is asked for it afterwards.
    """

    external_id: str
    url: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NotDone:
    """Proven that nothing was published by this exchange."""

    verdict: Verdict
    handle_usable: bool = True


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened. `reason` is for operators; `detail` the raw exchange with secrets removed."""

    reason: str
    detail: str = ""


Outcome = Done | NotDone | Unknown


@dataclass(frozen=True, slots=True)
class Live:
    """Proof that it is public. The id may be missing (status proof): then `url` may point at the profile.

    `alike` are the ids of all that look like it, where they are several.
    """

    proof: str
    external_id: str | None = None
    url: str | None = None
    alike: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Absent:
    """Proof that this handle has published nothing. `handle_usable`: the same handle may be committed again,
    which the platform itself keeps single."""

    proof: str
    handle_usable: bool


@dataclass(frozen=True, slots=True)
class Undecided:
    """The read proves nothing yet. `alike` as of Live."""

    reason: str
    alike: tuple[str, ...] = ()


Finding = Live | Absent | Undecided


class SendTooLate(Exception):
    """The window of an intent closed before the first byte: nothing was sent."""


class SendWindow(Protocol):
    """The deadline of one intent (exactly-once R2)."""

    def check(self) -> None:
        """Called immediately before the socket write. Raises SendTooLate."""

    @property
    def timeout_seconds(self) -> float:
        """The longest the whole exchange may take."""


class Destination(Protocol):
    def stage(self, delivery: Delivery, handles: Handles, keep: KeepHandles) -> Staged | NotReady | Live:
        """Every step that the public cannot see. Calls `keep` after each handle and before the call that uses it.

        `Live` when the kept handle says that it is public already: nothing may be sent for it again.

        Raises HandleDead where the kept handle is proven dead, PlatformFault otherwise.
        """

    def commit(self, delivery: Delivery, handles: Handles, window: SendWindow) -> Outcome:
        """The one call that may publish: one socket write, no retry of any kind."""

    def check(self, delivery: Delivery, handles: Handles) -> Finding:
        """Asks the handle. Reads only. Raises PlatformFault when the read itself fails."""

    def find(self, delivery: Delivery, handles: Handles) -> Finding:
        """Looks through the account's list for strong evidence. Reads only; never `Absent` on a miss that
        could be lag."""

    def search(self, delivery: Delivery, since: datetime) -> Finding:
        """Looks for this publication among everything the account published after `since`, knowing no handle.

        `Live` for exactly one post that carries our marker, or all of our words; `Absent` only when the whole list back
        to `since` was read and nothing is alike; `Undecided` when several are alike. Reads only.
        """


class Finisher(Protocol):
    """What a destination may do once a post is live. Nothing here can change that it is."""

    def finish(self, delivery: Delivery, handles: Handles, external_id: str) -> tuple[str, ...]:
        """The steps that are left, and notes for the creator on what could not be done. May be repeated.

        Raises PlatformFault where going on later may help.
        """


# -------------------------------------------------------------------------------------------------------- manifests


class KeyKind(StrEnum):
    """How exactly a platform can be asked what happened (exactly-once section 4.4)."""

    NATIVE = "native"
    HANDLE_WITH_STATUS = "handle_with_status"
    EVIDENCE_ONLY = "evidence_only"


@dataclass(frozen=True, slots=True)
class Host:
    """A base address every request starts with; the setting is AUTOREPOST_<PLATFORM>_<NAME>_URL."""

    name: str
    default_url: str


@dataclass(frozen=True, slots=True)
class TextField:
    """One field of text. `measure` counts as the platform counts; `unit` is what to call the count on a screen."""

    name: str
    label: str
    limit: int
    measure: Callable[[str], int]
    unit: str = "characters"
    required: bool = False
    forbidden: str = ""


@dataclass(frozen=True, slots=True)
class TextSpec:
    """`fit` shortens any text to what the platform takes, at a grapheme border, and says what it changed."""

    fields: tuple[TextField, ...]
    fit: Callable[[PostText], tuple[PostText, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class QuotaRule:
    """A limit in a window. `costs` says what each call that a client counts takes from it; `scope` is 'app' or
    'account'; `unit` is what to call the count on a screen.

    `limit` None: only counted, as money is. `window_seconds` None: a calendar day in `zone`.
    """

    name: str
    label: str
    scope: str
    costs: Mapping[str, int]
    limit: int | None
    window_seconds: float | None = None
    zone: str = "UTC"
    unit: str = "calls"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a platform itself said about one of its limits; None where it did not say."""

    limit: int | None = None
    remaining: int | None = None
    resets_at: datetime | None = None


class Meter(Protocol):
    """The house's ledger of one platform's limits. `account` is the external id that the call is made for."""

    def reserve(self, call: str, account: str = "") -> None:
        """Counts a call before it is sent, under every rule that names it.

        Raises PlatformFault(WaitUntil) with the moment at which there is room again; then nothing was counted.
        """

    def settle(self, quota: str, account: str, told: Allowance) -> None:
        """Corrects the count of one rule by what the platform's answer told."""


class Unmetered:
    """For a client that stands alone, as in a test of its own: every call is allowed, nothing is counted."""

    def reserve(self, call: str, account: str = "") -> None:
        return None

    def settle(self, quota: str, account: str, told: Allowance) -> None:
        return None


@dataclass(frozen=True, slots=True)
class ReconcilePlan:
    """How an unknown outcome is settled.

    `read_after_seconds` are the ages (since the send) of the reads; after `give_up_after_seconds` a person decides.
    `request_lifetime_seconds` is how long the platform may still act on a request we lost sight of.
    """

    read_after_seconds: tuple[float, ...]
    give_up_after_seconds: float
    request_lifetime_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class DestinationSpec:
    """`check_options` raises UserError for choices that do not go together, or not with that login.

    `marked`: a post carries our marker, so that a search can take no other publication's post for it. `finishes`: its
    parts have a finisher. `reads_cost`: money, so that nothing is looked at out of mere prudence more than once.
    """

    key_kind: KeyKind
    media: MediaLimits
    text: TextSpec
    options: tuple[Option, ...]
    reconcile: ReconcilePlan
    check_options: Callable[[Mapping[str, object], str], None] = lambda _options, _login: None
    marked: bool = False
    finishes: bool = False
    reads_cost: bool = False
    secret_handles: frozenset[str] = frozenset()
    needs_public_url: Callable[[str], bool] = lambda _login: False
    pool_slots: int = 10


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """`polls_per_minute` is the limit for the whole app; `poll_gap_seconds` how long one account is left alone, and
    `pulse_gap_seconds` how long its pulse is. At most `pinned_most` old posts come before the newest.

    `poll_call` and `pulse_call` are what these calls are counted as; `calls_kept` of each limit are never given to
    turns, so that repeats and further pages go through.

    `chain_codes` are the verdict codes of a download that say nothing of the post: no file comes for anybody now.
    """

    polls_per_minute: int
    page_size: int
    poll_gap_seconds: float = 60.0
    pulse_gap_seconds: float = 20.0
    poll_call: str = ""
    pulse_call: str = ""
    calls_kept: int = 0
    pinned_most: int = 0
    pool_slots: int = 10
    chain_codes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reach:
    """What the wiring gives a platform to build its parts: addresses by host name, our registration, the time.

    `apps` are further registrations, by the login that has one of its own (`OAuthSpec.registrations`).
    """

    urls: Mapping[str, str]
    app: AppCredentials
    clock: Clock
    meter: Meter = field(default_factory=Unmetered)
    apps: Mapping[str, AppCredentials] = field(default_factory=dict)
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Parts:
    authoriser: Authoriser
    source: Source | None = None
    destination: Destination | None = None
    finisher: Finisher | None = None
    close: Callable[[], None] = lambda: None


class NoticeKind(StrEnum):
    """What a platform tells us on its own."""

    DISCONNECTED = "disconnected"
    DELETE_EVERYTHING = "delete_everything"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Notice:
    """One call of a platform to us, proven genuine. `key` is the same when the same notice is delivered again;
    `account` is the platform's own id of the person or account, as `Account.external_id` or in its `traits`."""

    kind: NoticeKind
    key: str
    account: str
    at: datetime
    detail: str = ""


class NotGenuine(Exception):
    """A call to us that the platform did not sign, or signed too long ago. The text is for operators."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One address below /webhooks/<platform> that a platform calls. `path` is what follows the key, "" for nothing.

    `read` proves and understands a call (headers by lower-case name, raw body, our registration, now) or raises
    NotGenuine. `confirms`: the answer carries a confirmation code and the address of a page about it.
    """

    path: str
    read: Callable[[Mapping[str, str], bytes, AppCredentials, datetime], Notice]
    confirms: bool = False


@dataclass(frozen=True, slots=True)
class Platform:
    """The manifest: everything about a platform that is data, and how to build the rest."""

    key: str
    name: str
    hosts: tuple[Host, ...]
    oauth: OAuthSpec
    build: Callable[[Reach], Parts]
    quotas: tuple[QuotaRule, ...] = ()
    hooks: tuple[Hook, ...] = ()
    source: SourceSpec | None = None
    destination: DestinationSpec | None = None
