"""Do the names that others hold on to stay? A change needs a note in the changelog and a page in docs/decisions."""

from __future__ import annotations

from autorepost_app.bootstrap import find_platforms, platform_settings
from autorepost_app.cli import main
from autorepost_app.config import PREFIX, Settings
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.services import links
from autorepost_app.web.app import PREFIXES
from autorepost_app.web.beside import DAGSTER_PREFIX
from autorepost_pipelines import keys
from autorepost_pipelines.assets import ASSETS

COMMANDS = {"demo", "up", "sandbox", "doctor", "migrate"}
SETTINGS = {"home", "database_url", "store_url", "keys", "host", "port", "public_url", "log_format"}
TAGS = {"autorepost/tenant", "autorepost/connection", "autorepost/post"}


def test_commands_stay() -> None:
    assert set(main.commands) >= COMMANDS


def test_settings_stay() -> None:
    assert PREFIX == "AUTOREPOST_"
    assert set(Settings.model_fields) >= SETTINGS


def test_each_platform_has_its_credentials_by_the_same_names() -> None:
    names = platform_settings(find_platforms())
    for key in find_platforms():
        assert {f"{key.upper()}_CLIENT_ID", f"{key.upper()}_CLIENT_SECRET"} <= set(names)


def test_addresses_stay() -> None:
    assert set(PREFIXES) >= {"/healthz", "/readyz", "/metrics", "/media/signed/"}
    assert links.PATH == "/media/signed/"
    assert DAGSTER_PREFIX == "/dagster"


def test_assets_stay_in_the_order_of_the_flow() -> None:
    flow = [asset.key.to_user_string() for asset in ASSETS]
    assert flow[:5] == ["posts", "originals", "renditions", "publications", "activity"]


def test_the_partition_of_a_post_can_be_written_by_hand() -> None:
    assert keys.POSTS.name == "posts"
    assert PostIdentity("tube", "account-1", "post.2").partition_key() == "tube:account-1:post.2"


def test_tags_and_pools_stay() -> None:
    assert {keys.TAG_TENANT, keys.TAG_CONNECTION, keys.TAG_POST} == TAGS
    assert set(keys.pool_limits(2)) == {"transcode", *find_platforms()}
