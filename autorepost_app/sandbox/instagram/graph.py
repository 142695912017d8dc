"""The Graph's nodes and edges: me, containers, publishing, the media list, limits, pages."""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import Response

from autorepost_app.sandbox import pages
from autorepost_app.sandbox.instagram import shapes
from autorepost_app.sandbox.instagram.records import Container, Media
from autorepost_app.sandbox.oauth import Grant, Token
from autorepost_app.sandbox.platform import Account, Ask, Call, Refusal

if TYPE_CHECKING:
    from autorepost_app.sandbox.instagram import Instagram

CONTAINER_SECONDS = 86400
DAY = 86400
_PUBLISH = "media_publish"


class Graph:
    def __init__(self, platform: "Instagram") -> None:
        self._platform = platform

    def calls(self) -> list[Call]:
        return [call for host in ("graph", "facebook-graph") for call in self._calls_of(host)] + [
            Call("www", "GET", "/reel/{shortcode}", "reel.page", self.page)
        ]

    def _calls_of(self, host: str) -> list[Call]:
        table = [
            ("GET", "/me", "me", self.me),
            ("GET", "/me/accounts", "accounts.list", self.pages_of),
            ("GET", "/debug_token", "token.debug", self.debug_token),
            ("POST", "/{ig}/media", "container.create", self.create),
            ("GET", "/{ig}/media", "media.list", self.media_list),
            ("POST", "/{ig}/media_publish", _PUBLISH, self.publish),
            ("POST", "/{ig}/mediapublish", _PUBLISH, self.publish),
            ("GET", "/{ig}/content_publishing_limit", "publishing_limit", self.limit),
        ]
        calls = [
            Call(host, method, prefix + path, name, answer)
            for method, path, name, answer in table
            for prefix in ("/{version:version}", "")
        ]
        names = ("media.get", "user.get")
        nodes = [
            Call(host, "GET", prefix + "/{node}", "container.status", self.node, self._node_names, names)
            for prefix in ("/{version:version}", "")
        ]
        return calls + nodes

    async def _node_names(self, ask: Ask) -> tuple[str, ...]:
        node = ask.path_params["node"]
        if self._platform.media.get(node):
            return ("media.get",)
        return () if self._platform.containers.get(node) else ("user.get",)

    async def _fields(self, ask: Ask) -> dict[str, Any]:
        """Query and body in one: the Graph does not care where a parameter came from."""
        fields: dict[str, Any] = dict(ask.query_params)
        if ask.method == "POST":
            body = await ask.body()
            if "json" in ask.headers.get("content-type", ""):
                try:
                    fields |= json.loads(body or b"{}")
                except ValueError:
                    raise Refusal(shapes.graph_error(100, None, "Invalid JSON")) from None
            elif "multipart" in ask.headers.get("content-type", ""):
                async with ask.form() as form:
                    fields |= {name: value for name, value in form.items() if isinstance(value, str)}
            else:
                fields |= dict(parse_qsl(body.decode(), keep_blank_values=True))
        return fields

    async def _own(self, ask: Ask) -> tuple[Account, Grant, dict[str, Any]]:
        """The account an edge belongs to, when the token is that account's."""
        fields = await self._fields(ask)
        token, grant = await self._platform.login.signed_in(ask, fields)
        named = ask.path_params["ig"]
        if named not in ("me", token.account_id, self._platform.scoped_id(token.account_id)):
            raise shapes.refuse(shapes.NO_OBJECT)
        return self._platform.world.account("instagram", token.account_id), grant, fields

    def _reply(self, body: Any, account_id: str) -> Response:
        return self._platform.json(body, headers=shapes.usage_headers(account_id, percent=1))

    async def me(self, ask: Ask) -> Response:
        fields = await self._fields(ask)
        token, _ = await self._platform.login.signed_in(ask, fields)
        account = self._platform.world.account("instagram", token.account_id)
        if token.kind.startswith("fb"):
            return self._reply({"id": self._platform.scoped_id(account.id), "name": account.name}, account.id)
        wanted = str(fields.get("fields", "id")).split(",")
        profile = self._profile(account)
        chosen = {name: profile[name] for name in (*wanted, "id") if name in profile}
        flat = self._platform.settings.reply_shape == "flat"
        return self._reply(chosen if flat else {"data": [chosen]}, account.id)

    def _profile(self, account: Account) -> dict[str, Any]:
        return {
            "id": self._platform.scoped_id(account.id),
            "user_id": account.id,
            "username": account.handle,
            "name": account.name,
            "account_type": account.options["account_type"] if account.options["professional"] else "PERSONAL",
            "profile_picture_url": pages.avatar_url(self._platform.world, account),
            "followers_count": 0,
            "follows_count": 0,
            "media_count": len(self._platform.live_posts(account)),
        }

    async def pages_of(self, ask: Ask) -> Response:
        fields = await self._fields(ask)
        token, grant = await self._platform.login.signed_in(ask, fields)
        account = self._platform.world.account("instagram", token.account_id)
        if "pages_show_list" not in grant.scopes or not account.options.get("page", True):
            return self._reply({"data": []}, token.account_id)
        page: dict[str, Any] = {
            "id": self._platform.page_id(account.id),
            "name": account.name,
            "access_token": self._platform.login.page_token(token).id,
        }
        if account.options["professional"]:
            page["instagram_business_account"] = {"id": account.id, "username": account.handle}
        return self._reply({"data": [page], "paging": {"cursors": {"before": "a", "after": "b"}}}, account.id)

    async def debug_token(self, ask: Ask) -> Response:
        grants = self._platform.world.grants
        token = grants.tokens.get(ask.query_params.get("input_token", ""))
        if token is None:
            return self._platform.json({"data": {"is_valid": False, "scopes": []}})
        kinds = ("short", "long", "fb_short", "fb_long", "page")
        live = grants.live("instagram", token.id, *kinds) is not None
        until = int(token.expires_at.timestamp()) if token.expires_at else 0
        scopes = grants.grant_of(token).scopes
        body = {"app_id": self._platform.facebook_app[0], "is_valid": live, "expires_at": until, "scopes": scopes}
        return self._platform.json({"data": {**body, "user_id": self._platform.scoped_id(token.account_id)}})

    async def create(self, ask: Ask) -> Response:
        account, grant, fields = await self._own(ask)
        self._platform.login.may_publish(grant, account)
        self._check_container(account, fields)
        kept = {name: value for name, value in fields.items() if name not in ("access_token", "appsecret_proof")}
        container = Container(
            id=str(self._platform.world.next_number("instagram.container", 17_900_000_000_000_000, 13)),
            account_id=account.id,
            created_at=self._platform.world.clock.now(),
            params=kept,
            resumable=fields.get("upload_type") == "resumable",
            forced_failure=ask.failure_reason,
        )
        self._platform.containers.put(container)
        reply = {"id": container.id}
        if container.resumable:
            version = ask.path_params.get("version", "v26.0")
            reply["uri"] = f"{self._platform.url('rupload')}/ig-api-upload/{version}/{container.id}"
        else:
            self._platform.world.soon(self._platform.intake.fetch(container))
        return self._reply(reply, account.id)

    def _check_container(self, account: Account, fields: dict[str, Any]) -> None:
        if fields.get("media_type") != "REELS":
            raise shapes.refuse(shapes.MEDIA_TYPE)
        url = str(fields.get("video_url", ""))
        if fields.get("upload_type") != "resumable" and not url.startswith(("http://", "https://")):
            raise shapes.refuse(shapes.UNFETCHABLE)
        self._check_caption(str(fields.get("caption") or ""))
        self._check_choices(account, fields)
        since = self._platform.world.clock.now() - timedelta(seconds=DAY)
        recent = [c for c in self._platform.containers.of(account.id) if c.created_at > since]
        if len(recent) >= self._platform.settings.containers_per_day:
            refusal = shapes.refuse(shapes.CONTAINER_LIMIT)
            refusal.response.headers.update(shapes.usage_headers(account.id, percent=100, minutes=60))
            raise refusal

    @staticmethod
    def _check_choices(account: Account, fields: dict[str, Any]) -> None:
        if fields.get("trial_params") and not account.options["trial_reels"]:
            raise Refusal(shapes.graph_error(100, 2207081, "Trial reels are not available to this account"))
        for name, most in (("collaborators", 3), ("branded_content_sponsor_ids", 2)):
            listed = shapes.listed(fields.get(name))
            if listed is None or len(listed) > most:
                raise Refusal(shapes.graph_error(100, None, f"Param {name} must be an array of at most {most}"))
        if fields.get("trial_params") and shapes.listed(fields.get("collaborators")):
            raise Refusal(shapes.graph_error(100, None, "Collaborators cannot be added to a trial reel"))

    @staticmethod
    def _check_caption(caption: str) -> None:
        if len(caption) > 2200:
            raise shapes.refuse(shapes.CAPTION_LONG)
        words = caption.split()
        if caption.count("#") > 30 or sum(word.startswith("@") for word in words) > 20:
            raise shapes.refuse(shapes.TOO_MANY_TAGS)

    def status_of(self, container: Container, at: datetime) -> str:
        if container.published_at is not None and container.published_at <= at:
            return "PUBLISHED"
        if at >= container.created_at + timedelta(seconds=CONTAINER_SECONDS):
            return "EXPIRED"
        if container.settled_at is None or container.settled_at > at:
            return "IN_PROGRESS"
        return "ERROR" if container.failed_subcode else "FINISHED"

    async def node(self, ask: Ask) -> Response:
        fields = await self._fields(ask)
        token, _ = await self._platform.login.signed_in(ask, fields)
        node = ask.path_params["node"]
        wanted = str(fields.get("fields", "id")).split(",")
        found = self._node(node, token, wanted, ask.lag_seconds)
        if found is None:
            raise shapes.refuse(shapes.NO_OBJECT)
        return self._reply({**{k: v for k, v in found.items() if k in wanted}, "id": node}, token.account_id)

    def _node(self, node: str, token: Token, wanted: list[str], lag_seconds: float) -> dict[str, Any] | None:
        at = self._platform.world.clock.after(-lag_seconds)
        container, media = self._platform.containers.get(node), self._platform.media.get(node)
        if container is not None and container.account_id == token.account_id:
            return self._container_fields(container, at)
        if media is not None and media.account_id == token.account_id and not media.deleted and media.created_at <= at:
            return self._media_fields(media)
        if node == token.account_id:
            return self._profile(self._platform.world.account("instagram", node))
        return None

    def _container_fields(self, container: Container, at: datetime) -> dict[str, Any]:
        code = self.status_of(container, at)
        words = {
            "IN_PROGRESS": "In Progress: Media is still being processed.",
            "FINISHED": "Finished: Media has been uploaded and it is ready to be published.",
            "ERROR": f"Error: Media upload has failed with error code {container.failed_subcode}",
            "EXPIRED": "Expired: Media has not been published within 24 hours.",
            "PUBLISHED": "Published: Media has been published.",
        }
        uploading = {"status": "complete" if container.settled_at else "in_progress"}
        phase = {**uploading, "bytes_transferred": container.received, "source_file_size": container.file_size or 0}
        processing = {"status": "complete" if code in ("FINISHED", "PUBLISHED") else "not_started"}
        return {
            "status_code": code,
            "status": words[code],
            "video_status": {"uploading_phase": phase, "processing_phase": processing},
            "copyright_check_status": {"status": "completed", "matches_found": False},
        }

    def _media_fields(self, media: Media) -> dict[str, Any]:
        account = self._platform.world.account("instagram", media.account_id)
        return {
            "id": media.id,
            "ig_id": media.id,
            "caption": media.caption,
            "media_type": "VIDEO",
            "media_product_type": "REELS",
            "permalink": self._platform.permalink(media),
            "shortcode": media.shortcode,
            "timestamp": media.created_at.strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "username": account.handle,
            "media_url": pages.media_url(self._platform.world, media.facts.sha256),
            "is_shared_to_feed": str(media.params.get("share_to_feed", "true")).lower() == "true",
        }

    async def publish(self, ask: Ask) -> Response:
        account, grant, fields = await self._own(ask)
        self._platform.login.may_publish(grant, account)
        container = self._platform.containers.get(str(fields.get("creation_id", "")))
        # From here to the end nothing waits: of two publishes of one container the second sees the first.
        if container is None:
            raise shapes.refuse(shapes.NO_CONTAINER)
        if container.account_id != account.id:
            raise shapes.refuse(shapes.NO_MEDIA)
        self._check_publishable(container)
        if self._used(account, self._platform.world.clock.now() - timedelta(seconds=DAY)) >= (
            self._platform.settings.posts_per_day
        ):
            raise shapes.refuse(shapes.QUOTA)
        return self._reply({"id": self._platform.go_live(container).id}, account.id)

    def _check_publishable(self, container: Container) -> None:
        status = self.status_of(container, self._platform.world.clock.now())
        if status == "PUBLISHED":
            if self._platform.settings.republish == "same_id":
                raise Refusal(self._reply({"id": container.media_id}, container.account_id))
            raise shapes.refuse(shapes.NO_CONTAINER)
        if status == "EXPIRED":
            raise shapes.refuse(shapes.NO_CONTAINER)
        if status == "IN_PROGRESS":
            raise shapes.refuse(shapes.NOT_READY)
        if status == "ERROR":
            subcode = container.failed_subcode or 2207053
            code = shapes.CODE_OF_SUBCODE.get(subcode, -1)
            raise Refusal(shapes.graph_error(code, subcode, "The media could not be processed"))

    def _used(self, account: Account, since: datetime) -> int:
        # A deleted post has still used up its place in the quota.
        return sum(media.created_at > since for media in self._platform.media.of(account.id))

    async def limit(self, ask: Ask) -> Response:
        account, _, fields = await self._own(ask)
        since = self._platform.world.clock.now() - timedelta(seconds=DAY)
        if str(fields.get("since", "")).isdigit():
            since = max(since, datetime.fromtimestamp(int(fields["since"]), since.tzinfo))
        config = {"quota_total": self._platform.settings.posts_per_day, "quota_duration": DAY}
        row: dict[str, Any] = {"quota_usage": self._used(account, since)}
        if "config" in str(fields.get("fields", "")):
            row["config"] = config
        return self._reply({"data": [row]}, account.id)

    def _sees_words(self, grant: Grant) -> bool:
        return self._platform.settings.own_login_sees_words or "instagram_basic" in grant.scopes

    async def media_list(self, ask: Ask) -> Response:
        account, grant, fields = await self._own(ask)
        until = self._platform.world.clock.after(-ask.lag_seconds)
        since = int(fields["since"]) if str(fields.get("since", "")).isdigit() else 0
        media = [
            each
            for each in self._platform.media.of(account.id)
            if not each.deleted and each.created_at <= until and each.created_at.timestamp() >= since
        ]
        media.sort(key=lambda each: each.created_at, reverse=True)
        ids = [each.id for each in media]
        start = ids.index(fields["after"]) + 1 if fields.get("after") in ids else 0
        size = int(fields["limit"]) if str(fields.get("limit", "")).isdigit() else 25
        page = media[start : start + size]
        wanted = str(fields.get("fields", "id")).split(",")
        shown = {"id", *wanted} - (set() if self._sees_words(grant) else {"caption", "media_product_type"})
        rows = [{k: v for k, v in self._media_fields(each).items() if k in shown and v is not None} for each in page]
        body: dict[str, Any] = {"data": rows}
        if page:
            body["paging"] = {"cursors": {"before": page[0].id, "after": page[-1].id}}
            if start + size < len(media):
                body["paging"]["next"] = f"{self._platform.url('graph')}/{account.id}/media?after={page[-1].id}"
        return self._reply(body, account.id)

    async def page(self, ask: Ask) -> Response:
        return self._platform.page_of(ask.path_params["shortcode"])
