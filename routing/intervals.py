"""Intervals for a share, from counts."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy import special

from routing.errors import NotEnoughEvidence, RoutingError


class Interval(NamedTuple):
    """Two ends between which the true value lies with the stated confidence."""

    low: float
    high: float


def wilson(successes: int, n: int, *, alpha: float = 0.05) -> Interval:
    """Shares that `successes` out of `n` leave plausible, approximately: right on average over true shares.

    Args:
        successes: 0 to n.
        n: Observations drawn at random and independently.
        alpha: Allowed probability that the interval misses, both sides together, in (0, 1).

    Raises:
        NotEnoughEvidence: `n` is 0.
        RoutingError: A count or `alpha` is out of range.

    Source:
        Wilson (1927), JASA 22(158).

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    _check(successes, n, alpha)
    z = float(special.ndtri(1 - alpha / 2))
    share = successes / n
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    centre, scale = share + z * z / (2 * n), 1 + z * z / n
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return Interval(low, high)


def clopper_pearson(successes: int, n: int, *, alpha: float = 0.05) -> Interval:
    """Shares that `successes` out of `n` do not rule out, exactly: it misses at most `alpha` of the time.

    Args:
        successes: 0 to n.
        n: Observations drawn at random and independently.
        alpha: Allowed probability that the interval misses, half on each side, in (0, 1).

    Raises:
        NotEnoughEvidence: `n` is 0.
        RoutingError: A count or `alpha` is out of range.

    Source:
        Clopper & Pearson (1934), Biometrika 26(4).

    >>> [round(end, 4) for end in clopper_pearson(8, 10)]
    [0.4439, 0.9748]
    """
    _check(successes, n, alpha)
    low = 0.0 if successes == 0 else float(special.betaincinv(successes, n - successes + 1, alpha / 2))
    high = 1.0 if successes == n else float(special.betaincinv(successes + 1, n - successes, 1 - alpha / 2))
    return Interval(low, high)


def _check(successes: int, n: int, alpha: float) -> None:
    if n == 0:
        raise NotEnoughEvidence("a share of no observations has no interval; wait for the first")
    if not 0 <= successes <= n:
        raise RoutingError(f"{successes} of {n} is no share; successes lie between 0 and n")
    if not 0 < alpha < 1:
        raise RoutingError(f"alpha lies between 0 and 1, not {alpha}")
