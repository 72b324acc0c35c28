"""Whether a listing that ended in order was whole: a cut one looks the same, but shows far fewer markets."""

from __future__ import annotations

from kernel.errors import TransientError

LEAST_SHARE = 0.8
"""Share of the markets of the listing before that a whole one shows at the least."""

_FEW = 20
"""Below so many markets a listing may shrink as it likes."""

_PROOFS = 3
"""So many listings in a row that agree prove that the venue has become so small."""


class Wholeness:
    """Compares each listing of a job with the last whole one.

    Args:
        expected: markets that the first one should show; 0 = not known.
    """

    def __init__(self, expected: int = 0) -> None:
        self.expected = expected
        self._short: list[int] = []

    def check(self, job: str, markets: int) -> None:
        """So many markets were listed.

        Raises:
            TransientError: far fewer than before, so the listing was cut. The third in a row that agrees is believed.
        """
        if self.expected < _FEW or markets >= LEAST_SHARE * self.expected:
            self.expected = markets
            self._short.clear()
            return
        if self._short and not LEAST_SHARE * self._short[-1] <= markets <= self._short[-1] / LEAST_SHARE:
            self._short.clear()
        self._short.append(markets)
        if len(self._short) >= _PROOFS:
            self.expected = markets
            self._short.clear()
            return
        raise TransientError(f"{job}: the listing ended after {markets} markets, {self.expected} were listed before")
