"""Signatures that platforms make with a secret we share: the known ones are accepted, every change is noticed."""

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.platform_kit.protocol import NotGenuine
from autorepost_app.platform_kit.signatures import hmac_hex, same, signed_request

VECTORS = json.loads((Path(__file__).parents[1] / "sandbox" / "vectors.json").read_text())
SIGNED = VECTORS["meta_signed_request"]
WEBHOOK = VECTORS["tiktok_webhook"]


def signed(content: Any, secret: str = "s3cret") -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    written = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return f"{encoded_hex(hmac_hex(secret, written))}.{written}"


def encoded_hex(digest: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip("=")


def test_a_signature_beside_a_text_is_the_published_one() -> None:
    expected = WEBHOOK["header"].rpartition("s=")[2]
    assert hmac_hex(WEBHOOK["client_secret"], f"{WEBHOOK['t']}.{WEBHOOK['raw_body']}") == expected
    assert hmac_hex(WEBHOOK["client_secret"], f"{WEBHOOK['t']}.{WEBHOOK['raw_body']}".encode()) == expected


def test_a_signed_text_gives_its_content() -> None:
    assert signed_request(SIGNED["signed_request"], SIGNED["app_secret"]) == SIGNED["payload"]


@given(st.text(), st.text())
def test_only_equal_texts_are_the_same(one: str, other: str) -> None:
    assert same(one, one)
    assert same(one, other) == (one == other)


@given(st.integers(0, len(SIGNED["signed_request"]) - 1), st.sampled_from("AZaz09-_.=+/ é"))
def test_no_letter_of_a_signed_text_can_be_changed(place: int, letter: str) -> None:
    text = SIGNED["signed_request"]
    changed = text[:place] + letter + text[place + 1 :]
    try:
        # The last letter of the signature carries two bits that mean nothing: all of them decode to one signature.
        assert signed_request(changed, SIGNED["app_secret"]) == SIGNED["payload"]
        assert changed == text or place == text.index(".") - 1
    except NotGenuine:
        assert changed != text


def test_another_secret_signs_differently() -> None:
    with pytest.raises(NotGenuine):
        signed_request(SIGNED["signed_request"], "another")


@pytest.mark.parametrize("algorithm", ["none", "", None, "HMAC-SHA1", "AES-256-CBC HMAC-SHA256"])
def test_a_text_signed_with_our_secret_by_another_algorithm_is_refused(algorithm: str | None) -> None:
    with pytest.raises(NotGenuine, match="HMAC-SHA256"):
        signed_request(signed({"user_id": "1", "algorithm": algorithm}), "s3cret")


@pytest.mark.parametrize("text", ["", ".", "abc", "abc.", ".abc", "!!.!!", "é.é", "a.b.c", "\ud83d.\ud83d"])
def test_what_is_no_signed_text_is_refused_and_never_breaks(text: str) -> None:
    with pytest.raises(NotGenuine):
        signed_request(text, "s3cret")


@pytest.mark.parametrize("content", [b"", b"[]", b"not json", b'"text"', b"\xff\xfe"])
def test_a_content_that_is_no_object_is_refused_even_when_it_is_signed(content: bytes) -> None:
    with pytest.raises(NotGenuine):
        signed_request(signed(content), "s3cret")


def test_the_reason_of_a_refusal_gives_away_neither_the_text_nor_the_secret() -> None:
    with pytest.raises(NotGenuine) as caught:
        signed_request(SIGNED["signed_request"][:-1] + "A", SIGNED["app_secret"])
    assert SIGNED["app_secret"] not in str(caught.value)
    assert SIGNED["signed_request"][:10] not in str(caught.value)


def test_nothing_unproven_is_parsed() -> None:
    """Also where it could not be parsed: a stranger learns nothing but that it is a stranger."""
    with pytest.raises(NotGenuine, match="the signature is not ours"):
        signed_request(signed(b"{no json", "another"), "s3cret")


def test_secrets_are_compared_in_the_same_time_wherever_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", watched)
    assert same("one", "one")
    assert not same("one", "two")
    signed_request(signed({"algorithm": "HMAC-SHA256"}), "s3cret")
    assert len(compared) == 3
