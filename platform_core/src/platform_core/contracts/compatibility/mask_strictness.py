"""Which of two masks shows more. What cannot be shown to hide as much counts as weaker."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from platform_core.contracts.masking import Mask

Step = Literal["same", "weaker", "stricter"]


def mask_step(before: Mask | None, after: Mask | None) -> Step:
    """What becomes of a column for those who see it masked; None is a column in clear."""
    if before == after or (before and after and _months(before) and _months(before) == _months(after)):
        return "same"
    if after is None:
        return "weaker"
    return "stricter" if before is None or _hides_as_much(before, after) else "weaker"


def _hides_as_much(before: Mask, after: Mask) -> bool:
    """Of one kind, when what is shown now could be made from what was shown; of two kinds, by the order of ``docs/masking.md``."""
    if after.strictness[0] != before.strictness[0]:
        return after.strictness[0] > before.strictness[0]
    if before.kind == "partial":
        return after.first <= before.first and after.last <= before.last and (before.domain or not after.domain)
    if before.width and after.width:
        return Decimal(after.width) % Decimal(before.width) == 0
    if before.days and after.days:
        return after.days % before.days == 0
    if _months(before) and _months(after):
        return _months(after) % _months(before) == 0
    return after.strictness >= before.strictness  # weeks against months: the wider span


def _months(mask: Mask) -> int:
    """The span of a mask of dates that is counted in months or years, 0 for another."""
    return 12 if mask.kind == "year" else mask.months + 12 * mask.years
