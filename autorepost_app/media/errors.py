"""What can go wrong with a file, and whose business is it?

UserError
  MediaRejected      the file itself: the creator reads `text` and `remedy`, `detail` is for the operator
MediaFault           this machine or our settings: the operator's business, the post is unharmed
  ToolsMissing       no usable ffmpeg or ffprobe
  ToolFailed         a tool ended badly and the file is not to blame, as far as we know
    ToolTimedOut     it was stopped after its time was up
    NoSpaceLeft      the disk is full
  ResultWrong        the tool was content, but the outcome is not what was planned
"""

from autorepost_app.domain.errors import UserError


class MediaRejected(UserError):
    """The file cannot be reposted, whatever we do."""

    def __init__(self, text: str, detail: str = "", remedy: str = "") -> None:
        super().__init__(text, remedy=remedy)
        self.detail = detail


class MediaFault(Exception):
    """Something an operator can put right."""

    def __init__(self, text: str, *, remedy: str = "") -> None:
        super().__init__(f"{text} {remedy}".strip())
        self.text = text
        self.remedy = remedy


class ToolsMissing(MediaFault):
    """No ffmpeg or ffprobe that can do the work."""


class ToolFailed(MediaFault):
    """`stderr` is the end of what the tool wrote, `returncode` negative for a signal."""

    def __init__(self, text: str, *, remedy: str = "", returncode: int = 0, stderr: str = "") -> None:
        super().__init__(text, remedy=remedy)
        self.returncode = returncode
        self.stderr = stderr


class ToolTimedOut(ToolFailed):
    """Stopped by us after the wall time it was given."""


class NoSpaceLeft(MediaFault):
    """The disk, or the space a file may take, is used up."""


class ResultWrong(MediaFault):
    """The outcome was measured and differs from the plan; nothing was kept."""


class StoreUnavailable(MediaFault):
    """The object store does not answer, or refuses us."""


class ObjectMissing(MediaFault):
    """The store has nothing under this key."""


class ObjectDamaged(MediaFault):
    """The bytes read back have another hash than the bytes put."""
