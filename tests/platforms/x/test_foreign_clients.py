"""Do clients that others wrote get from our sandbox what they get from X?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

NODE = Path(__file__).parent / "node"


def test_twitter_api_v2_uploads_posts_and_reads(
    run_node: Callable[..., Any], connect: Callable[..., Any], control: Any, longer_clip: Any
) -> None:
    connected = connect("ada")
    got = run_node(
        NODE / "publish.mjs",
        api=control.hosts["X_API_URL"],
        token=connected.tokens.access_token,
        clip=str(longer_clip.path),
        text="from a client of somebody else",
    )
    (post,) = control.live()
    assert got["me"]["id"] == connected.account.external_id
    assert got["made"]["id"] == post["id"]
    assert got["listed"] == [[post["id"], [f"13_{got['media']}"]]]
    assert got["rate"]["limit"] == 900
    assert post["media"]["sha256"] == longer_clip.sha256
    assert len(control.calls("upload.append")) == 2
