"""What did the operator set? Read once, from the environment; nowhere else.

Every name starts with AUTOREPOST_. A name that nothing knows is an error that suggests the nearest one: a misspelt
setting that is silently ignored is a post at the wrong place.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from autorepost_app.domain.errors import UserError

PREFIX: Final = "AUTOREPOST_"
LAST_PORT: Final = 65535
_SCHEMES: Final = ("postgresql://", "postgres://", "postgresql+psycopg://")
_PLAIN_WORDS: Final = {
    "port": ("is no port", f"Use a number from 1 to {LAST_PORT}, or leave it unset for 8080."),
    "log_format": ("is no format of the logs", "Use pretty or json, or leave it unset to have it chosen."),
    "transcode_slots": ("is no number of slots", "Use a number from 1 to 64, or leave it unset to have it chosen."),
}
"""What is wrong with a value that only its type refuses, and what helps. None of them is a secret."""


class _Unusable(ValueError):
    """What is wrong with a value, completing "... is not usable: ", and the one thing that helps."""

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(fault)
        self.remedy = remedy


class Settings(BaseModel):
    """Field names are setting names in lower case. `platforms` holds hosts and app credentials by full name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Annotated[Path, Field(validate_default=True)] = Path(".autorepost")
    database_url: SecretStr | None = None
    store_url: str = ""
    keys: str = ""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=LAST_PORT)] = 8080
    public_url: str = ""
    log_format: Literal["pretty", "json", ""] = ""
    ffmpeg_bin: str | None = None
    ffprobe_bin: str | None = None
    transcode_slots: Annotated[int, Field(ge=1, le=64)] | None = None
    platforms: Mapping[str, SecretStr] = Field(default_factory=dict)

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("host")
    @classmethod
    def _is_this_machine(cls, value: str) -> str:
        """Nobody can sign in yet, so whoever reaches the port is an operator."""
        if not _is_loopback(value):
            raise _Unusable(
                f"nobody can sign in yet, and others would reach “{value}”",
                "Use 127.0.0.1; to be reached from elsewhere, put a server that asks who comes in front of it.",
            )
        return value

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(_SCHEMES):
            raise _Unusable(
                "it is no address of a PostgreSQL database",
                "Write postgresql://user:password@host/name, or leave it unset for a database of our own.",
            )
        return value

    @field_validator("store_url")
    @classmethod
    def _is_store(cls, value: str) -> str:
        if value and not re.match(r"file:///.|s3://[^/]", value):
            raise _Unusable(
                "it is neither a folder nor a bucket",
                "Write file:///folder or s3://bucket/prefix, or leave it unset for a folder in the home.",
            )
        return value

    @field_validator("public_url")
    @classmethod
    def _is_public_url(cls, value: str) -> str:
        return _web_address(value) if value else value

    @field_validator("keys")
    @classmethod
    def _is_key_source(cls, value: str) -> str:
        if value.startswith("kms:") and len(value) > len("kms:"):
            return value
        if value and not value.startswith(("/", "./", "~")):
            raise _Unusable(
                "it is neither a path nor a key in KMS",
                "Write the path of a key file such as /etc/autorepost.key, or leave it unset for one in the home.",
            )
        return value

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        """An empty value is as good as none: that is what an empty line in an env file means."""
        return {name: value for name, value in values.items() if value != ""}

    @property
    def store(self) -> str:
        return self.store_url or f"file://{self.home / 'store'}"

    @property
    def key_file(self) -> Path:
        return Path(self.keys).expanduser() if self.keys else self.home / "keys" / "sealing.key"

    @property
    def url(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    def platform_value(self, platform: str, name: str) -> str | None:
        """The setting AUTOREPOST_<PLATFORM>_<NAME>, or None."""
        value = self.platforms.get(f"{platform}_{name}".upper())
        return value.get_secret_value() if value is not None else None


def read(environ: Mapping[str, str], platform_names: Iterable[str] = ()) -> Settings:
    """Settings from `environ`; `platform_names` are the names that platforms' manifests add, without the prefix.

    Raises UserError naming the setting and the remedy.
    """
    given = {name.removeprefix(PREFIX): value for name, value in environ.items() if name.startswith(PREFIX)}
    ours = {name.upper() for name in Settings.model_fields} - {"PLATFORMS"}
    of_platforms = set(platform_names)
    for name in given:
        if name not in ours | of_platforms:
            raise _unknown(name, ours | of_platforms)
    values: dict[str, Any] = {name.lower(): value for name, value in given.items() if name in ours}
    values["platforms"] = {name: value for name, value in given.items() if name in of_platforms and value}
    for name, value in values["platforms"].items():
        _check_platform_url(name, value)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _wrong(error) from None  # it holds every value, secret ones too


def _is_loopback(host: str) -> bool:
    """IPv4 only: addresses are written into URLs as they are."""
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or any(sign.isspace() for sign in value):
        raise _Unusable("it is no web address", "Write one such as https://repost.example.org, or leave it unset.")
    return value


def _check_platform_url(name: str, value: str) -> None:
    if not name.endswith("_URL"):
        return
    try:
        _web_address(value)
    except _Unusable as error:
        remedy = "Write one that begins with https://, or leave it unset for the real platform."
        raise _refusal(PREFIX + name, str(error), remedy) from None


def _unknown(name: str, known: set[str]) -> UserError:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    remedy = f"Did you mean {PREFIX}{nearest[0]}?" if nearest else "See .env.example for every setting."
    return UserError(f"There is no setting {PREFIX}{name}.", remedy=remedy, field=PREFIX + name)


def _wrong(error: ValidationError) -> UserError:
    """In our words: the library's speak of its own types."""
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0])
    unusable = first.get("ctx", {}).get("error")
    if isinstance(unusable, _Unusable):
        return _refusal(PREFIX + field.upper(), str(unusable), unusable.remedy)
    fault, remedy = _PLAIN_WORDS[field]
    return _refusal(PREFIX + field.upper(), f"“{first['input']}” {fault}", remedy)


def _refusal(name: str, fault: str, remedy: str) -> UserError:
    return UserError(f"{name} is not usable: {fault}.", remedy=remedy, field=name)
