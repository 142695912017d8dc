"""How does a video get onto Loops, and how do we know that it did? Each post carries a key of ours that Loops keeps."""

from __future__ import annotations

import httpx

from autorepost_app.domain.clock import Clock
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.protocol import (
    Absent,
    Delivery,
    Done,
    Finding,
    Handles,
    KeepHandles,
    Live,
    NotReady,
    Outcome,
    SendWindow,
    Staged,
)
from autorepost_app.platforms.loops import errors


class LoopsDestination:
    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    def stage(self, delivery: Delivery, handles: Handles, keep: KeepHandles) -> Staged | NotReady | Live:
        if "upload" not in handles:
            headers = {**_signed_in(delivery), "Content-Length": str(delivery.media.size_bytes)}
            answer = self._api.call("PUT", "/uploads", content=delivery.media.chunks(), headers=headers)
            keep({"upload": str(errors.accepted(answer)["id"])})
        return Staged()

    def commit(self, delivery: Delivery, handles: Handles, window: SendWindow) -> Outcome:
        body = {"upload": handles["upload"], "text": delivery.text.body, "key": delivery.marker}
        request = self._api.client.build_request(
            "POST", self._api.url("/posts"), json=body, headers=_signed_in(delivery)
        )
        answer = self._api.commit(request, window)
        if not isinstance(answer, httpx.Response):
            return answer
        if not answer.is_success:
            return errors.refused(answer)
        post = errors.accepted(answer)
        return Done(str(post["id"]), str(post["url"]))

    def check(self, delivery: Delivery, handles: Handles) -> Finding:
        answer = self._api.call("GET", "/posts", params={"key": delivery.marker}, headers=_signed_in(delivery))
        posts = errors.accepted(answer)["posts"]
        if not posts:
            return Absent("Loops knows no post with our key", handle_usable=True)
        return Live("Loops shows the post with our key", str(posts[0]["id"]), str(posts[0]["url"]))

    def find(self, delivery: Delivery, handles: Handles) -> Finding:
        return self.check(delivery, handles)


def _signed_in(delivery: Delivery) -> dict[str, str]:
    return {"Authorization": f"Bearer {delivery.grant.access_token}"}
