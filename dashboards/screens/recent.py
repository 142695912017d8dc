"""What happened to the newest posts? One card a post, one line a destination; looks again by itself."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

import streamlit as st

from autorepost_app.domain.publications import State
from autorepost_app.media.errors import MediaFault
from autorepost_app.services.record import Story, recent
from autorepost_app.services.rows import Publication
from dashboards.house import OPERATOR, this_house
from dashboards.words import STATES, clock_time, in_one_line, linked, when, zone_of

_SHOWN = 20
_LOOK_AGAIN_SECONDS = 3
_PICTURE_WIDTH = 88
_SOON = timedelta(minutes=1)
_NOT_SENT = frozenset({State.DETECTED, State.PREPARING, State.READY})


def show() -> None:
    st.header("Recent posts", anchor=False)
    _posts()


@st.fragment(run_every=_LOOK_AGAIN_SECONDS)
def _posts() -> None:
    stories = recent(this_house(), OPERATOR, limit=_SHOWN)
    if not stories:
        with st.container(border=True):
            st.markdown("**No post yet**")
            st.caption("A video appears here within a minute of being posted on a connected source that has a rule.")
    for story in stories:
        _card(story)


def _card(story: Story) -> None:
    with st.container(border=True, horizontal=True, wrap=False, gap="medium", key=f"post-{story.post.id}"):
        with st.container(width=_PICTURE_WIDTH, gap=None):
            _picture(story)
        with st.container(gap="xsmall"):
            _heading(story)
            for row in sorted(story.publications, key=lambda row: row.platform):
                _line(row)
            if not story.publications:
                st.caption("No rule sends it anywhere.")


def _picture(story: Story) -> None:
    key = story.original.thumbnail_key if story.original else None
    picture = _thumbnail(key) if key else None
    if picture is None:
        st.markdown(":gray[:material/movie:]")
    else:
        st.image(picture, width=_PICTURE_WIDTH, alt="")


def _heading(story: Story) -> None:
    source = this_house().platforms.manifest(story.post.platform).name
    st.text(in_one_line(story.post.full_caption or story.post.caption) or "No caption")
    with st.container(horizontal=True, gap="small"):
        st.text(f"@{in_one_line(story.source.handle)}", width="content")
        posted = when(story.post.posted_at, _now(), _zone())
        st.markdown(f"{linked(source, story.post.url)} :gray[{posted}]", width="content")


def _line(row: Publication) -> None:
    words, colour = STATES[State(row.state)]
    name = this_house().platforms.manifest(row.platform).name
    place = linked(name, row.url) if row.state == State.PUBLISHED else name
    since = f":gray[{clock_time(row.published_at, _now(), _zone())}]" if row.published_at is not None else ""
    st.markdown(f":{colour}-badge[{words}] **{place}** {since}".rstrip())
    for said in (row.reason or row.waiting_for or _planned(row), row.remedy):
        if said:
            st.text(in_one_line(said, 400))


def _planned(row: Publication) -> str:
    if State(row.state) not in _NOT_SENT or row.publish_at - _now() < _SOON:
        return ""
    return f"Goes out {clock_time(row.publish_at, _now(), _zone())}."


def _thumbnail(key: str) -> bytes | None:
    """A lost or unreachable picture takes nothing else from the page."""
    try:
        return _stored(key)
    except MediaFault:
        return None


@st.cache_data(max_entries=500, show_spinner=False)
def _stored(key: str) -> bytes:
    """The key names the content and its tenant, so what is kept here never grows old."""
    return b"".join(this_house().store.stream(key))


def _now() -> datetime:
    return this_house().clock()


def _zone() -> tzinfo:
    return zone_of(st.context.timezone)
