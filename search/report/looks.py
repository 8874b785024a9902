"""Looks of the figures: colours, lines and marks that differ in print and for colour-blind readers; where labels go."""

from collections.abc import Mapping
from itertools import cycle, islice
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8c6d1f")
"""Okabe and Ito (2008), in an order whose neighbours differ; its yellow, faint on white paper, is a brown."""

BLUE, ORANGE = COLOURS[:2]
LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)), (0, (3, 1, 1, 1)))
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
HATCHES = ("", "//", "", "\\\\", "", "xx", "", "..")

OFFSETS = [
    (sign_x * x, sign_y * y)
    for x, y in ((6, 6), (6, 14), (12, 24), (20, 36), (30, 48), (40, 60), (52, 76))
    for sign_x, sign_y in ((1, 1), (1, -1), (-1, -1), (-1, 1))
]
"""Offsets of a label from its point in points of 1/72 inch, the nearest first."""


def styles(n: int) -> list[dict[str, Any]]:
    """Colour and line style of `n` curves; no two of the first 8 share either."""
    return [
        {"color": colour, "linestyle": line}
        for colour, line in islice(zip(cycle(COLOURS), cycle(LINES), strict=False), n)
    ]


def marks(n: int) -> list[dict[str, Any]]:
    """Colour and marker of `n` groups of points; no two of the first 88 share both."""
    return [{"color": COLOURS[k % len(COLOURS)], "marker": MARKS[k % len(MARKS)]} for k in range(n)]


def fills(n: int) -> list[dict[str, Any]]:
    """Colour and hatch of `n` groups of bars; neighbours differ in both."""
    return [
        {"color": COLOURS[k % len(COLOURS)], "hatch": HATCHES[k % len(HATCHES)], "edgecolor": "white", "linewidth": 0}
        for k in range(n)
    ]


def legend_below(figure: Figure, axes: Axes, *, columns: int = 1) -> None:
    """Puts the legend of some axes below all axes of the figure, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize="small", ncols=columns, frameon=False)


def label_points(figure: Figure, axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Writes a label at every point, where it covers neither another label nor a labelled point.

    The labels are placed one by one, as near to their points as they can be. A line leads to a label that is not beside
    its point. The axes keep their limits from now on.

    Args:
        figure: The figure, whose other parts are complete.
        axes: The axes of the points.
        points: Label -> position in units of the data.
    """
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # computes the layout, on which distances depend
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())
    renderer, frame = canvas.get_renderer(), axes.get_window_extent()
    centres = axes.transData.transform(np.array(list(points.values())))
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in centres]
    for text, point in points.items():
        label = axes.annotate(text, point, xytext=(0, 0), textcoords="offset points", fontsize="small")
        best = None
        for offset in OFFSETS:
            _move(label, offset)
            box = label.get_window_extent(renderer)
            overlap = sum(_area(box, other) for other in taken) + box.width * box.height - _area(box, frame)
            if best is None or overlap < best[0] - 1e-6:
                best = (overlap, offset, box)
            if overlap <= 0:
                break
        assert best is not None
        _, offset, box = best
        _move(label, offset)
        taken.append(box)
        if max(map(abs, offset)) > 6:
            leader = {"arrowstyle": "-", "color": "0.5", "linewidth": 0.6}
            axes.annotate("", point, xytext=offset, textcoords="offset points", arrowprops=leader)


def _move(label: Any, offset: tuple[float, float]) -> None:
    label.set_position(offset)
    label.set_horizontalalignment("left" if offset[0] > 0 else "right")
    label.set_verticalalignment("bottom" if offset[1] > 0 else "top")


def _area(first: Bbox, second: Bbox) -> float:
    """Area of the intersection of two boxes."""
    both = Bbox.intersection(first, second)
    return 0.0 if both is None else float(both.width * both.height)
