"""How does a video become a post on X, and how do we learn afterwards whether it did?

stage: see `uploads`. commit: one POST /2/tweets. The natural key is our freshly uploaded video itself: a post whose
attachments hold our media key is our publication (exactly-once 4.3). Its presence can be proven by a read, its absence
never.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import PlatformFault
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.protocol import (
    Absent,
    Delivery,
    Done,
    Finding,
    Handles,
    KeepHandles,
    Live,
    NotDone,
    NotReady,
    Outcome,
    SendWindow,
    Staged,
    Undecided,
    Unknown,
)
from autorepost_app.platforms.x import options, quotas
from autorepost_app.platforms.x.auth import require_scopes
from autorepost_app.platforms.x.calls import Calls, bearer
from autorepost_app.platforms.x.entities import links_in
from autorepost_app.platforms.x.errors import SAID_BEFORE, UnreadAnswer, post_id_of, says_duplicate
from autorepost_app.platforms.x.timeline import Post, Timeline
from autorepost_app.platforms.x.uploads import Upload

LOOK_BACK: Final = timedelta(minutes=1)
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class XDestination:
    api: Api
    www_url: str
    clock: Clock

    def stage(self, delivery: Delivery, handles: Handles, keep: KeepHandles) -> Staged | NotReady:
        require_scopes(delivery.grant.scopes)
        staged = Upload(self._calls, delivery, keep, dict(handles)).go_on()
        if isinstance(staged, Staged):
            self._reserve_post(delivery)
        return staged

    def commit(self, delivery: Delivery, handles: Handles, window: SendWindow) -> Outcome:
        """No read is made before this to learn the newest own post (`since_id` of exactly-once 4.3): each post it
        returned would cost $0.005 on every publication, to make the rare reconciling read cheaper. The time of the
        intent, which the ledger holds anyway, bounds that read just as well (x.md 6)."""
        request = self.api.client.build_request(
            "POST", self.api.url("/2/tweets"), json=_post(delivery, handles), headers=bearer(delivery.grant)
        )
        answer = self.api.commit(request, window)
        if isinstance(answer, NotDone | Unknown):
            return answer
        outcome = post_id_of(answer, self.clock())
        self._heed(delivery, answer)
        if isinstance(outcome, str):
            return Done(outcome, self._address(delivery, outcome))
        return self._explained(delivery, handles, outcome) if says_duplicate(answer) else outcome

    def check(self, delivery: Delivery, handles: Handles) -> Finding:
        """X cannot be asked about an upload's fate, so the question to the handle is the look through the list."""
        return self.find(delivery, handles)

    def find(self, delivery: Delivery, handles: Handles) -> Finding:
        if delivery.first_sent_at is None or "media_id" not in handles:
            return Undecided("nothing has been sent to X yet")
        since = delivery.first_sent_at - LOOK_BACK
        post = self._timeline.with_our_video(delivery.grant, _words(delivery), handles, since)
        if post is not None:
            return self._live("a post of this account carries our video", delivery, post)
        return Undecided("no post since the send carries our video; X may still show it later")

    def search(self, delivery: Delivery, since: datetime) -> Finding:
        """By our words, since the number of our video is forgotten with the handles."""
        body = _words(delivery)
        alike, whole = self._timeline.of_our_words(delivery.grant, body, since)
        if len(alike) == 1 and alike[0][1] and body:
            return self._live("one post with a video holds all of our words", delivery, alike[0][0])
        if alike:
            ours = tuple(str(post["id"]) for post, mine in alike if mine and body)
            return Undecided(f"posts that may be this one: {len(alike)}; their words do not settle it", ours)
        if not whole:
            return Undecided("the account has posted more than X lists")
        return Absent("X lists no post with these words and a video", handle_usable=False)

    # ------------------------------------------------------------------------------------------------------ the parts

    @property
    def _calls(self) -> Calls:
        return Calls(self.api, self.clock)

    @property
    def _timeline(self) -> Timeline:
        return Timeline(self._calls)

    def _reserve_post(self, delivery: Delivery) -> None:
        """Counted here, since nothing may keep the commit from its one write once it is intended."""
        account = delivery.grant.account.external_id
        self.api.meter.reserve(quotas.POST, account)
        if links_in(_words(delivery)):
            self.api.meter.reserve(quotas.LINK, account)

    def _heed(self, delivery: Delivery, answer: httpx.Response) -> None:
        """After the post: what goes wrong with the counts must not hide what X said about it."""
        try:
            quotas.heed(self.api.meter, quotas.POST, delivery.grant.account.external_id, answer.headers)
        except Exception:
            _LOG.warning("X's limits could not be written down", exc_info=True)

    def _explained(self, delivery: Delivery, handles: Handles, refused: NotDone | Unknown) -> NotDone | Unknown:
        """X says that these words were posted before. After an earlier send of ours that speaks for its success. At
        the first send it is somebody else's post, once that post is seen; unseen, it may be X's own second try."""
        if delivery.first_sent_at is not None:
            return refused
        try:
            explained = self._timeline.explains_refusal(delivery.grant, _words(delivery), handles, self.clock())
        except (PlatformFault, UnreadAnswer):
            return refused
        return NotDone(SAID_BEFORE) if explained else refused

    def _live(self, proof: str, delivery: Delivery, post: Post) -> Live:
        return Live(proof, str(post["id"]), self._address(delivery, str(post["id"])))

    def _address(self, delivery: Delivery, post_id: str) -> str:
        return f"{self.www_url}/{delivery.grant.account.handle}/status/{post_id}"


def _words(delivery: Delivery) -> str:
    return options.words(delivery.text.body, delivery.options)


def _post(delivery: Delivery, handles: Handles) -> dict[str, Any]:
    media = {"media_ids": [handles["media_id"]]}
    return {"text": _words(delivery), "media": media, **options.fields(delivery.options)}
