"""The leaderboard as one self-contained HTML file, from the template, styles and scripts in ``templates/``."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

FOLDER = Path(__file__).parent / "templates"
TEMPLATE = "page.html.jinja"
STYLES = (
    "page.css",
    "controls.css",
    "tables.css",
    "heatmap.css",
    "charts.css",
    "detail.css",
    "published.css",
    "print.css",
)
SCRIPTS = (
    "dom.js",
    "numbers.js",
    "state.js",
    "scores.js",
    "tooltip.js",
    "controls.js",
    "ranking.js",
    "chart.js",
    "diagram.js",
    "heatmap.js",
    "published.js",
    "costs.js",
    "detail.js",
    "exports.js",
    "downloads.js",
    "main.js",
)
"""In the order of concatenation: what runs while the script loads comes after what it calls."""

_UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def render(page_data: Mapping[str, Any]) -> str:
    """The page of a leaderboard.

    Args:
        page_data: title and boards, see `benchmark.report.leaderboard.page_data`; numbers may be None.

    Returns:
        HTML that loads no other file.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold.
    """
    # FileSystemLoader, because the templates are files beside this one and not those of a package.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    styles, script = _joined(STYLES), _joined(SCRIPTS)
    page = environment.get_template(TEMPLATE).render(
        title=page_data["title"],
        styles=styles,
        script=script,
        styles_hash=_hash(styles),
        script_hash=_hash(script),
        page_data=embedded(page_data),
    )
    return f"{page}\n"


def embedded(page_data: Mapping[str, Any]) -> str:
    """JSON that is safe between script tags: no text in it can close them or open a comment.

    Raises:
        ValueError: a number is not finite.
    """
    # These characters occur only in strings, where the escapes mean the same.
    return json.dumps(page_data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)


def _joined(names: tuple[str, ...]) -> str:
    return "\n" + "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def _hash(text: str) -> str:
    """The hash by which a content security policy admits an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
