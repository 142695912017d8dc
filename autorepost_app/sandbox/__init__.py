"""The platforms as local servers, for the demo, the tests and anyone's first evening.

They behave as the platforms' public documents say and were written from those documents alone: nothing here
is shared with the clients, which is what makes a post in the sandbox's ledger evidence.

Start it: `python -m autorepost_app.sandbox [--port N] [--state FILE] [--ready-file PATH]`, or in a test
`with SandboxServer() as sandbox:` and then `sandbox.base_url`, `sandbox.hosts`, `sandbox.apps`.
Each host is a prefix, `<base>/<platform>-<host>`, below which every path is exactly the real one.

Control API, JSON, below `/_sandbox`; a mistaken name is a 422 that names the nearest known one:

    GET    /hosts                              settings that point a product here
    GET    /apps                               the client ids and secrets that are accepted
    GET    /accounts                           all accounts
    POST   /accounts                           {"platform", "handle", "name", ...options of the platform}
    DELETE /accounts/{platform}/{handle}/grants   a person removes the app; webhooks and callbacks go out
    POST   /consent                            {"authorize_url", "account", "deny_scopes": [], "deny": false}
                                               -> {"redirect_to"}
    GET    /ledger?platform=&account=          {"posts": [...], "orphans": {...}, "orphan_count"}
    GET    /requests?platform=                 the last 5000 requests, without their queries and bodies
    DELETE /requests                           forgets them
    GET, PUT, POST, DELETE /faults             see, replace, add, clear; a list of {"platform", "call", "fault",
                                               "account", "count" (null: for ever), "after", and parameters}
    GET, PUT /clock                            {"advance_seconds"} or {"now"}
    GET, PUT /settings                         {"<platform>": {...}}: documented variants, limits, delays
    PUT    /outage                             {"seconds"}: nobody listens, every connect is refused
    DELETE /posts/{platform}/{id}              the owner deletes a post in the platform's own app
    POST   /tiktok/accounts/{handle}/posts     a clip (multipart `clip`, JSON `clip_path`, or raw body) with title,
                                               description, create_time, private, trouble
    GET    /tiktok/accounts/{handle}/posts     and PATCH .../posts/{id} to change privacy, text or trouble
    POST   /instagram/accounts/{handle}/data-deletion   Meta's data deletion request goes out
    POST   /youtube/accounts/{handle}/videos   the owner uploads by hand: title, description, tags, privacy,
                                               duration_seconds, copies
    GET, POST /youtube/accounts/{handle}/playlists   the owner's own playlists ({"title"}), and what is in them
    GET    /x/bill, /youtube/quota             what was spent
    GET    /{platform}/refusals                instagram, x, youtube: what it is known to refuse with, by name, each as
                                               parameters of the fault `error`

Faults are described in `faults.FAULTS`. Calls that a fault may name (`*` for any):

    tiktok     authorize token token.revoke user.info video.list video.query video.page video.download video.cover
    instagram  authorize token.code token.exchange token.refresh token.facebook token.debug me accounts.list
               container.create container.status rupload media_publish media.list media.get user.get
               publishing_limit
    youtube    authorize token token.revoke session.start session.put session.query insert.last channels.list
               playlistItems.list playlistItems.insert playlists.list videos.list videos.update videos.delete
               thumbnails.set thumbnails.put search.list
    x          authorize token token.revoke users.me upload.initialize upload.append upload.finalize
               upload.status media.metadata tweets.create tweets.get tweets.delete timeline

`token` is code exchange and refresh together where one address does both; `token.code` and `token.refresh` tell
them apart. `session.put` is every PUT that carries bytes, `insert.last` only the one that ends the file.
"""

from autorepost_app.sandbox.server import SandboxServer

__all__ = ["SandboxServer"]
