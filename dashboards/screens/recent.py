"""What happened to the newest posts? One card a post, one line a destination, refreshed while something moves."""

from datetime import UTC, datetime

import streamlit as st

from autorepost_app.domain.publications import State
from autorepost_app.services.record import Story, recent
from autorepost_app.services.rows import Publication
from dashboards.house import OPERATOR, this_house

_SHOWN = 30
_COLOURS = {
    State.PUBLISHED: "green",
    State.FAILED: "red",
    State.NEEDS_REVIEW: "orange",
    State.UNKNOWN: "orange",
    State.RECONCILING: "orange",
    State.SKIPPED: "gray",
    State.CANCELLED: "gray",
    State.DROPPED: "gray",
}
_WORDS = {
    State.PUBLISHED: "live",
    State.RECONCILING: "checking",
    State.UNKNOWN: "checking",
    State.NEEDS_REVIEW: "please look",
    State.COMMITTING: "publishing",
    State.STAGING: "uploading",
    State.DETECTED: "found",
}


def show() -> None:
    st.title("Recent posts")
    _posts()


@st.fragment(run_every=3)
def _posts() -> None:
    stories = recent(this_house(), OPERATOR, limit=_SHOWN)
    if not stories:
        st.caption("No post has been found yet. Connect a source, make a rule, and post a video.")
    for story in stories:
        _card(story)


def _card(story: Story) -> None:
    with st.container(border=True):
        picture, words = st.columns([1, 5])
        thumbnail = _thumbnail(story)
        if thumbnail is not None:
            picture.image(thumbnail, width=120)
        with words:
            st.markdown(f"**[{_plain(story.post.caption) or 'No caption'}]({story.post.url})**")
            st.caption(f"{story.source.handle}, {_ago(story.post.posted_at)}")
            for row in story.publications:
                st.markdown(_line(row))


def _line(row: Publication) -> str:
    state = State(row.state)
    badge = f":{_COLOURS.get(state, 'blue')}-badge[{_WORDS.get(state, state.value)}]"
    name = this_house().platforms.manifest(row.platform).name
    link = f" [{row.url}]({row.url})" if row.url and state is State.PUBLISHED else ""
    reason = _plain(row.reason or row.waiting_for)
    return f"{badge} **{name}**{link} {reason} {_plain(row.remedy)}".strip()


def _thumbnail(story: Story) -> bytes | None:
    key = story.original.thumbnail_key if story.original else None
    return b"".join(this_house().store.stream(key)) if key else None


def _plain(text: str) -> str:
    """A creator's words as words: no markup of theirs is drawn."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]()#+-!|<>:$~" else sign for sign in text.replace("\n", " "))


def _ago(at: datetime) -> str:
    seconds = (datetime.now(UTC) - at).total_seconds()
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {name} ago"
    return "just now"
