"""The butterfly: its pose, and the painting of wings, body and antennae."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from butterflyer_jax.synthetic.primitives import Array, Rng, fill, smooth_noise
from butterflyer_jax.synthetic.species import Palette, Species, individual_palette
from butterflyer_jax.synthetic.wings import Points, Wing, band, inside, veins


class _Canvas(NamedTuple):
    """A butterfly being painted: body units (x to the right, y to the head), colour and alpha of every pixel, float32.

    Colours are (3, pixels): the other way round NumPy would be several times slower.
    """

    x: Array
    y: Array
    colour: Array
    alpha: Array
    pixel: float
    light: float

    def paint(self, where: Array, colour: Array, alpha: Array) -> None:
        """Lays colour (3, points) with alpha (points,) over the pixels at the flat indices `where`."""
        for plane, ink in zip(self.colour, np.clip(colour, 0, 255), strict=True):
            below = plane[where]
            plane[where] = below + (ink - below) * alpha
        self.alpha[where] = np.maximum(self.alpha[where], alpha)


def _paint_wings(canvas: _Canvas, wing: Wing, palette: Palette, root: float, fold: float, rng: Rng) -> None:
    """Paints a left and a right wing, nearly mirror images; `fold` is the angle by which both are raised."""
    margin, edge, cell = wing.profile()
    streaks = smooth_noise(rng, (24, 90), (256, 241))
    gloss, spread = rng.uniform(0.1, 0.6), rng.normal(0, 0.06)
    # Pixels further away than this lie on neither wing: sorted out early, they cost nothing.
    farthest = float(edge.max()) + canvas.pixel + 0.06
    around = np.flatnonzero(canvas.x**2 + (canvas.y - root) ** 2 < farthest**2)
    for side in (-1, 1):
        turn, narrowing = spread + rng.normal(0, 0.02), math.cos(fold + rng.normal(0, 0.06))
        near = around[canvas.x[around] * side > 0]
        x, y = canvas.x[near] * (side / narrowing) - 0.05, canvas.y[near] - root
        x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
        radius = np.hypot(x, y)
        index = np.clip((np.arctan2(y, x) * (1800 / math.pi) + 1200.5).astype(np.int32), 0, 2400)
        depth = edge[index] - radius
        on = np.flatnonzero(depth > -canvas.pixel)
        x, y, radius, index = x[on], y[on], radius[on], index[on]
        streak = streaks[np.minimum(radius * 200, 255).astype(np.int32), index // 10]
        reach = np.minimum(radius / np.maximum(margin[index], 0.02), 1.2) + 0.012 * streak
        points = Points(x, y, reach, cell[index], radius * wing.cell_angle, margin[index])

        colour = palette["ground"] * (1.12 - 0.28 * reach**2)
        for marking in (*wing.markings, band("dark", 0.97)):
            colour += (palette[marking.ink] - colour) * marking.coverage(points)
        dust = np.maximum(0.7 * np.exp(-((radius / 0.17) ** 2)), 0.45 * veins("dark", 0.016).coverage(points))
        colour += (palette["dark"] - colour) * dust
        along_light = x * (side * math.cos(canvas.light)) + y * math.sin(canvas.light)
        sheen = 0.22 * np.exp(-(((along_light - gloss) / 0.22) ** 2))
        ribs = 0.07 * np.cos(2 * np.pi * points.cell) * reach
        shade = 0.97 + 0.1 * side * math.cos(canvas.light) + ribs + 0.09 * streak + sheen
        canvas.paint(near[on], colour * shade, np.clip(depth[on] / canvas.pixel + 0.5, 0, 1))


def _paint_body(canvas: _Canvas, palette: Palette, rng: Rng) -> None:
    """Paints ringed abdomen, furry thorax and head as one round rod of varying width."""
    ends = (-0.62, -0.56, -0.35, -0.12, -0.06, 0.06, 0.2, 0.23, 0.25, 0.31, 0.35)
    widths = (0.0, 0.03, 0.055, 0.05, 0.07, 0.095, 0.065, 0.045, 0.055, 0.05, 0.0)
    near = np.flatnonzero((np.abs(canvas.x) < 0.1) & (canvas.y > ends[0]) & (canvas.y < ends[-1]))
    x, y = canvas.x[near], canvas.y[near]
    half = np.interp(y, ends, widths)
    across = np.clip(x / np.maximum(half, 1e-3), -1, 1)
    rings = np.where(y < -0.1, 0.4 * inside(np.cos(y * 75) - 0.1, 0.8), 0)
    fur = np.where(y > -0.08, 0.35, 0.1) + rng.normal(0, 0.1, len(y))
    colour = palette["dark"] + (palette["pale"] - palette["dark"]) * rings
    colour += (palette["ground"] - colour) * fur
    shine = (0.5 + 0.8 * np.sqrt(1 - across**2)) * (1 + 0.35 * across * math.cos(canvas.light))
    canvas.paint(near, colour * shine, np.clip((half - np.abs(x)) / canvas.pixel, 0, 1))


def _pose(rng: Rng, width: int, height: int) -> Array:
    """A homography (3, 3) from body units to pixels."""
    tilt, scale = math.radians(rng.uniform(-40, 40)), min(width, height) * rng.uniform(0.32, 0.43)
    x, y = width * rng.uniform(0.44, 0.56), height * rng.uniform(0.46, 0.54)
    place = np.array([[scale, 0, x], [0, -scale, y], [0, 0, 1]])
    turn = np.array([[math.cos(tilt), -math.sin(tilt), 0], [math.sin(tilt), math.cos(tilt), 0], [0, 0, 1]])
    # Shifted, as the middle of the spread wings lies a little ahead of the body's.
    lean = np.array([[1, 0, 0], [0, 1, -0.1], [*rng.uniform(-0.1, 0.1, 2), 1]])
    return place @ turn @ lean


def draw_butterfly(species: Species, rng: Rng, width: int, height: int, light: float) -> Image.Image:
    """Draws a butterfly on nothing, RGBA; `light` is where the light comes from, in radians."""
    palette = individual_palette(species, rng)
    pose, fold = _pose(rng, width, height), rng.uniform(0, 0.7)
    unit = math.hypot(pose[0, 0], pose[1, 0])
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    x, y, depth = (a * columns + (b * rows + c) for a, b, c in np.linalg.inv(pose).astype(np.float32))
    colour, alpha = np.full((3, width * height), palette["dark"] * 0.8), np.zeros(width * height, np.float32)
    canvas = _Canvas((x / depth).ravel(), (y / depth).ravel(), colour, alpha, 1 / unit, light)

    _paint_wings(canvas, species.hind, palette, -0.04, fold, rng)
    hind = alpha.copy()
    alpha[:] = 0
    _paint_wings(canvas, species.fore, palette, 0.1, fold, rng)
    fore = Image.fromarray((alpha.reshape(height, width) * 255).astype(np.uint8))
    shadow = np.asarray(fore.filter(ImageFilter.BoxBlur(0.05 * unit)), np.float32).ravel() / 255
    colour *= 1 - 0.45 * shadow * (1 - alpha)
    np.maximum(alpha, hind, out=alpha)
    _paint_body(canvas, palette, rng)

    planes = (plane.astype(np.uint8).reshape(height, width) for plane in (*colour, alpha * 255))
    image = Image.merge("RGBA", [Image.fromarray(plane) for plane in planes])
    _draw_antennae(ImageDraw.Draw(image), pose, unit, fill(palette["dark"][:, 0]), rng)
    return image


def _draw_antennae(draw: ImageDraw.ImageDraw, pose: Array, unit: float, ink: tuple[int, ...], rng: Rng) -> None:
    t = np.linspace(0, 1, 12)
    for side in (-1, 1):
        x, y = side * (0.02 + rng.uniform(0.2, 0.32) * t**1.4), 0.3 + rng.uniform(0.4, 0.5) * t
        x, y, depth = pose @ np.stack([x, y, np.ones(12)])
        points = list(zip(x / depth, y / depth, strict=True))
        draw.line(points, ink, max(1, round(0.016 * unit)), "curve")
        draw.circle(points[-2], 0.018 * unit, ink)
        draw.circle(points[-1], 0.026 * unit, ink)
