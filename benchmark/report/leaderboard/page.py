"""The leaderboard as one HTML file that needs nothing else: styles, scripts and numbers are inside it.

The template and what it is made of lie in ``templates/``. The browser does the rest: this module knows no
statistics.
"""

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
STYLES = ("page.css", "controls.css", "tables.css", "heatmap.css", "charts.css", "detail.css", "print.css")
SCRIPTS = (
    "dom.js",
    "numbers.js",
    "state.js",
    "scores.js",
    "marks.js",
    "tooltip.js",
    "controls.js",
    "ranking.js",
    "chart.js",
    "diagram.js",
    "heatmap.js",
    "costs.js",
    "detail.js",
    "grids.js",
    "downloads.js",
    "main.js",
)
"""In the order in which they are put together: who is called while loading stands before its caller."""

_UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def render(page_data: Mapping[str, Any]) -> str:
    """The page of a leaderboard.

    Args:
        page_data: title, boards and all their numbers, as `benchmark.report.leaderboard` makes it; numbers may be None.

    Returns:
        HTML that loads nothing from anywhere.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold.
    """
    # FileSystemLoader and not PackageLoader: the templates are data beside this file, wherever it was installed.
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
    """JSON that can stand between script tags: no text in it can end them or begin a comment.

    Raises:
        ValueError: a number is not finite.
    """
    # Only texts can hold these characters, and in a text the escape means the same.
    return json.dumps(page_data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)


def _joined(names: tuple[str, ...]) -> str:
    return "\n" + "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def _hash(text: str) -> str:
    """How a content security policy names an inline script or style that may be used."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
