"""Tiny curves as hand-written SVG: a few hundred bytes each, so that a page can hold a thousand."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from dilannot.report.palette import css

WIDTH, HEIGHT = 120, 80  # units of the drawing; coordinates are whole numbers
POINTS = 40  # of a curve, at most


def tiny_curves(pr: tuple[NDArray[np.float64], ...], roc: tuple[NDArray[np.float64], ...]) -> Markup:
    """A PR curve, and a ROC curve behind it, each as x and y from 0 to 1; colours are those around it."""
    return Markup(f'{_open("tiny")}<path class="r" d="{_path(*roc)}"/><path d="{_path(*pr)}"/></svg>')


def spark(pr: tuple[NDArray[np.float64], ...], colour: str) -> Markup:
    """A PR curve as large as a word, with its area filled."""
    path = _path(*pr)
    closed = f'<path class="f" d="{path}V{HEIGHT}H0z"/>' if path else ""
    return Markup(f'{_open("spark", f"--c:{css(colour)}")}{closed}<path d="{path}"/></svg>')


def _open(kind: str, style: str = "") -> str:
    styled = f' style="{style}"' if style else ""
    return f'<svg class="{kind}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true"{styled}>'


def _path(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Straight lines through points on the grid of whole numbers, without those that lie on the way to the next."""
    at = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).astype(int))
    x, y = x[at], y[at]
    known = np.isfinite(x) & np.isfinite(y)
    points = np.stack([np.rint(x[known] * WIDTH), np.rint((1 - y[known]) * HEIGHT)], axis=1).astype(int)
    if len(points) < 2:
        return ""
    points = points[np.append(True, (np.diff(points, axis=0) != 0).any(axis=1))]
    step = np.diff(points, axis=0)
    straight = (step[1:, 0] * step[:-1, 1] == step[1:, 1] * step[:-1, 0]) & ((step[1:] * step[:-1]).sum(axis=1) > 0)
    points = points[np.concatenate(([True], ~straight, [True] * (len(points) > 1)))]
    moves = " ".join(map(str, np.diff(points, axis=0).ravel().tolist())).replace(" -", "-")
    return f"M{points[0, 0]} {points[0, 1]}l{moves or '0 0'}"
