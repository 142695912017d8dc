"""Which files have to be made so that every destination gets one it accepts, at the least cost?

The answer is a `Plan`: renditions, cheapest first, each serving as many destinations as accept it, and a refusal
in a creator's words for every destination no rendition can satisfy. Nothing here touches a file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from autorepost_app.domain.media_facts import MediaFacts, MediaLimits, Violation, say_duration, violations
from autorepost_app.domain.media_rendition import (
    AudioTarget,
    Kind,
    RenditionSpec,
    VideoTarget,
    cut_for,
    predict,
    rendition_spec,
    transcode_spec,
)

__all__ = [
    "AudioTarget",
    "Kind",
    "MediaFacts",
    "MediaLimits",
    "Plan",
    "Refusal",
    "RenditionPlan",
    "RenditionSpec",
    "VideoTarget",
    "Violation",
    "plan",
    "predict",
    "say_duration",
    "violations",
]

REMEDIES = {
    "duration_max": "Post a shorter version, or allow shortening for this destination.",
    "duration_min": "Post a longer version.",
    "aspect": "Post a version in another shape; upright 9:16 is taken everywhere.",
    "size": "Post a shorter version.",
}
OTHER_REMEDY = "Export the video as MP4 with H.264 picture and AAC sound and post it again."


@dataclass(frozen=True, slots=True)
class RenditionPlan:
    """One file to make (or, for a passthrough, to use) and the destinations it is for."""

    spec: RenditionSpec
    serves: tuple[str, ...]
    reason: str
    predicted: MediaFacts

    @property
    def kind(self) -> Kind:
        return self.spec.kind

    @property
    def fingerprint(self) -> str:
        return self.spec.fingerprint


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a destination gets nothing, and what the creator can change about it."""

    destination: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Renditions stand in the order they can be made: a trim comes after the rendition it is cut from."""

    renditions: tuple[RenditionPlan, ...]
    refusals: tuple[Refusal, ...]

    def rendition_for(self, destination: str) -> RenditionPlan | None:
        return next((r for r in self.renditions if destination in r.serves), None)

    def refusal_for(self, destination: str) -> Refusal | None:
        return next((r for r in self.refusals if r.destination == destination), None)


@dataclass(frozen=True, slots=True)
class _Group:
    """Destinations sharing one rendition, or trims of it."""

    kind: Kind
    specs: Mapping[str, RenditionSpec]


def plan(facts: MediaFacts, destinations: Mapping[str, MediaLimits]) -> Plan:
    """Every destination ends in exactly one rendition or one refusal; equal input gives an equal plan."""
    groups: list[_Group] = []
    refusals = []
    for key in sorted(destinations):
        alone = _cheapest(facts, key, destinations[key])
        if alone is None:
            refusals.append(_refusal(key, facts, destinations[key]))
        else:
            _place(facts, alone, destinations, groups)
    order = list(Kind)
    groups.sort(key=lambda group: order.index(group.kind))
    made = [rendition for group in groups for rendition in _renditions(facts, group, destinations)]
    return Plan(tuple(made), tuple(refusals))


def _cheapest(facts: MediaFacts, key: str, limits: MediaLimits) -> _Group | None:
    shared = (_shared(facts, kind, {key: limits}) for kind in Kind)
    return next((group for group in shared if group is not None), None)


def _place(facts: MediaFacts, alone: _Group, destinations: Mapping[str, MediaLimits], groups: list[_Group]) -> None:
    """Into the first group of its kind that still has one rendition for all, else beside them."""
    for at, group in enumerate(groups):
        if group.kind is not alone.kind:
            continue
        joined = _shared(facts, alone.kind, {k: destinations[k] for k in (*group.specs, *alone.specs)})
        if joined is not None:
            groups[at] = joined
            return
    groups.append(alone)


def _shared(facts: MediaFacts, kind: Kind, members: Mapping[str, MediaLimits]) -> _Group | None:
    """One rendition for all of them, as long as the longest wants it; shorter ones are copied out of it."""
    cuts = {key: cut_for(facts, own) for key, own in members.items()}
    wanted = [cut for cut in cuts.values() if cut is not None]
    longest = max(wanted) if len(wanted) == len(cuts) else None
    main = rendition_spec(kind, facts, _intersect(members.values()), longest)
    if main is None:
        return None
    specs = {}
    for key, own in members.items():
        spec = main if cuts[key] == longest else _trim_of(main, cuts[key])
        if spec is None or violations(predict(facts, spec), own):
            return None
        specs[key] = spec
    return _Group(kind, specs)


def _trim_of(main: RenditionSpec, cut_seconds: float | None) -> RenditionSpec | None:
    if main.kind not in (Kind.AUDIO_ONLY, Kind.TRANSCODE):
        return None
    return RenditionSpec(Kind.TRIM, cut_seconds=cut_seconds, base=main)


def _renditions(facts: MediaFacts, group: _Group, destinations: Mapping[str, MediaLimits]) -> list[RenditionPlan]:
    distinct = sorted(set(group.specs.values()), key=lambda spec: (spec.base is not None, spec.fingerprint))
    made = []
    for spec in distinct:
        serves = tuple(key for key, its in group.specs.items() if its == spec)
        reason = _reason(facts, [destinations[key] for key in serves])
        made.append(RenditionPlan(spec, serves, reason, predict(facts, spec)))
    return made


def _reason(facts: MediaFacts, served: list[MediaLimits]) -> str:
    texts = [violation.text for limits in served for violation in violations(facts, limits)]
    return "; ".join(dict.fromkeys(texts)) or "accepted as it is"


def _refusal(key: str, facts: MediaFacts, limits: MediaLimits) -> Refusal:
    """What even a full re-encoding would leave wrong, said about the original where it is true of it too."""
    spec = transcode_spec(facts, limits, cut_for(facts, limits))
    original = {violation.field: violation for violation in violations(facts, limits)}
    left = [original.get(v.field, v) for v in violations(predict(facts, spec), limits)]
    remedies = dict.fromkeys(REMEDIES.get(violation.field, OTHER_REMEDY) for violation in left)
    return Refusal(key, f"This video cannot be made to fit: {'; '.join(v.text for v in left)}.", " ".join(remedies))


_KEPT_TRUE = frozenset({"audio_required", "constant_fps", "faststart", "closed_gop", "square_pixels"})


def _intersect(limits: Iterable[MediaLimits]) -> MediaLimits:
    """What every one of them accepts."""
    several = list(limits)
    combined: dict[str, Any] = {}
    for field in fields(MediaLimits):
        stated = [value for value in (getattr(each, field.name) for each in several) if value is not None]
        if stated:
            combined[field.name] = _strictest(field.name, stated)
    return MediaLimits(**combined)


def _strictest(name: str, stated: list[Any]) -> Any:
    if isinstance(stated[0], frozenset):
        return frozenset.intersection(*stated)
    if isinstance(stated[0], bool):
        return any(stated) if name in _KEPT_TRUE else all(stated)
    if isinstance(stated[0], tuple):
        return min(stated)
    return max(stated) if "_min" in name else min(stated)
