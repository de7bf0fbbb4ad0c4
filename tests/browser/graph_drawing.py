"""Reads the asset graph back from the SVG that Dagster draws: which box lies where, and which two boxes each arrow joins."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from playwright.sync_api import Page

ARROWS = 'svg:has(foreignObject) path[stroke="var(--color-lineage-edge)"]'
"""CSS selector of the arrows; those of a chosen asset are drawn once more in another colour."""

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_READ = """arrows => {
    const svg = document.querySelector('svg:has(foreignObject)');
    const name = n => (n.querySelector('[class*=assetName]') ?? n.querySelector('[data-tooltip]') ?? n).textContent.trim();
    const box = n => ({
        x: +n.getAttribute('x'), y: +n.getAttribute('y'), width: +n.getAttribute('width'), height: +n.getAttribute('height'),
        text: name(n), group: n.classList.contains('group'),
    });
    return {
        boxes: [...svg.querySelectorAll('foreignObject')].map(box).filter(b => b.text),
        arrows: [...document.querySelectorAll(arrows)].map(p => p.getAttribute('d')),
    };
}"""


@dataclass(frozen=True)
class Box:
    """A drawn asset or group, in the drawing's units."""

    text: str
    group: bool
    x: float
    y: float
    width: float
    height: float

    def holds(self, x: float, y: float, margin: float = 0.0) -> bool:
        """Whether a point lies in the box or within ``margin`` of it."""
        return self.x - margin <= x <= self.x + self.width + margin and self.y - margin <= y <= self.y + self.height + margin


@dataclass(frozen=True)
class Drawing:
    """A drawn graph.

    Attributes:
        boxes: Groups and assets.
        arrows: Start and end of each arrow, ``(x1, y1, x2, y2)``.
    """

    boxes: tuple[Box, ...]
    arrows: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def of(cls, page: Page) -> Drawing:
        """What the page shows now."""
        seen = page.evaluate(_READ, ARROWS)
        points = [[float(number) for number in _NUMBER.findall(path)] for path in seen["arrows"]]
        return cls(tuple(Box(**box) for box in seen["boxes"]), tuple((way[0], way[1], way[-2], way[-1]) for way in points))

    @property
    def assets(self) -> tuple[Box, ...]:
        """The drawn assets."""
        return tuple(box for box in self.boxes if not box.group)

    @property
    def groups(self) -> tuple[Box, ...]:
        """The drawn groups."""
        return tuple(box for box in self.boxes if box.group)

    def name(self, box: Box) -> str:
        """``group/asset`` of an asset, the name of a group."""
        if box.group:
            return box.text
        middle = (box.x + box.width / 2, box.y + box.height / 2)
        around = [group.text for group in self.groups if group.holds(*middle)]
        return "/".join([*around, box.text])

    def edges(self) -> Counter[tuple[str, str]]:
        """Names of what each arrow joins, counted: two assets of a group may have one name."""
        ends = self.assets or self.groups
        joined = ((self._near(ends, x1, y1), self._near(ends, x2, y2)) for x1, y1, x2, y2 in self.arrows)
        return Counter((self.name(source), self.name(target)) for source, target in joined)

    @staticmethod
    def _near(boxes: tuple[Box, ...], x: float, y: float) -> Box:
        """The box an arrow ends at. Arrows stop short of a box by the length of their head."""
        near = [box for box in boxes if box.holds(x, y, margin=12.0)]
        assert len(near) == 1, f"an arrow ends at ({x}, {y}), at {[box.text for box in near]}"
        return near[0]
