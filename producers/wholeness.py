"""Whether a listing that ended in order can have been whole: a cut one looks the same, but shows far fewer markets."""

from __future__ import annotations

LEAST_SHARE = 0.8
"""Share of the markets of the listing before that a whole one shows at the least, unless the others have ended."""

_FEW = 20
"""Below so many markets a listing may shrink as it likes."""


class Wholeness:
    """Compares each listing of a job with the last whole one."""

    def __init__(self) -> None:
        self.expected = 0
        """Markets that the next one should show; 0 = not known."""

    def is_short(self, markets: int) -> bool:
        """Whether a listing of so many markets is suspiciously short."""
        return self.expected >= _FEW and markets < LEAST_SHARE * self.expected

    def was_whole(self, markets: int) -> None:
        """A listing of so many markets is believed to be whole."""
        self.expected = markets
