import hashlib
import io
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmark import report
from benchmark.report.figure import PALETTE, Figure, Panel, draw, typeset
from benchmark.runs.record import Points
from tests.benchmark.hostile import ESCAPES, hidden

ROOT = Path(report.__file__).parents[2]


def cloud(classes=3, images=40, centre=0.0):
    rng = np.random.default_rng(classes)
    x, y = (rng.normal(size=(2, images)) + centre).round(2).tolist()
    return Points(x=x, y=y, label=[i % classes for i in range(images)])


def sample(points=None, stem="figure02"):
    panels = (Panel("L_FM", "NMI 77.2", points), Panel("Teacher", "", None))
    return Figure(stem, "Figure 2", "h_S on *digits*", panels, ("One.", "Two."), ("Mind | this.",))


def image(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def drawn(pixels, colour):
    """Number of pixels close to a colour over white at the points' opacity."""
    opaque = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(pixels - (0.75 * opaque + 0.25 * 255)).max(axis=2) < 12).sum())


def test_writes_three_files(tmp_path):
    paths = sample(cloud()).write(tmp_path / "figures")
    assert {path.name for path in paths} == {"figure02.pdf", "figure02.png", "figure02.md"}
    assert {path.name for path in paths} == {path.name for path in (tmp_path / "figures").iterdir()}
    content = {path.suffix: path.read_bytes() for path in paths}
    assert content[".pdf"].startswith(b"%PDF")
    assert content[".png"].startswith(b"\x89PNG")


def test_markdown_shows_the_picture(tmp_path):
    sample(None, stem="figure02+own best").write(tmp_path)
    assert (tmp_path / "figure02+own best.md").read_text() == (
        "**Figure 2.** h\\_S on \\*digits\\*\n\n"
        "![L\\_FM, Teacher](figure02+own%20best.png)\n\n"
        "One. Two.\n\n"
        "- Mind \\| this.\n"
    )


def test_fonts_are_embedded_as_outlines_and_nothing_tells_when_or_by_what():
    pdf = draw(sample(cloud()).panels)[".pdf"]
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert not any(word in pdf for word in (b"CreationDate", b"Producer", b"/Creator"))


def test_same_bytes_in_another_process_and_style():
    code = (
        "import hashlib; from benchmark.runs.record import Points; from benchmark.report.figure import Panel, draw\n"
        f"files = draw((Panel('L_FM', 'NMI 77.2', {cloud()}), Panel('Teacher', '', None)))\n"
        "print(*(hashlib.sha256(files[key]).hexdigest() for key in sorted(files)))"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    with mpl.rc_context({"font.size": 20, "pdf.compression": 0, "axes.facecolor": "red", "savefig.dpi": 50}):
        files = draw(sample(cloud()).panels)
        assert mpl.rcParams["font.size"] == 20
    assert other.stdout.split() == [hashlib.sha256(files[key]).hexdigest() for key in sorted(files)]


def test_a_class_has_its_colour_in_every_panel():
    full, last = cloud(classes=3), cloud(classes=3, centre=50.0)
    only = [i for i, label in enumerate(last.label) if label == 2]
    alone = Points(*([values[i] for i in only] for values in (last.x, last.y, last.label)))
    pixels = image(draw((Panel("a", "", full), Panel("b", "", alone)))[".png"])
    # Without the legend at the bottom.
    left, right = np.array_split(pixels[: int(pixels.shape[0] * 0.88)], 2, axis=1)
    assert [drawn(left, colour) > 50 for colour in PALETTE[:4]] == [True, True, True, False]
    assert [drawn(right, colour) > 50 for colour in PALETTE[:4]] == [False, False, True, False]


def test_a_panel_without_a_run_says_so(monkeypatch):
    texts = []
    from matplotlib.axes import Axes

    original = Axes.text
    monkeypatch.setattr(Axes, "text", lambda self, x, y, s, **rest: texts.append(s) or original(self, x, y, s, **rest))
    draw((Panel("a", "", None), Panel("b", "", cloud()), Panel("c", "", None, absent="failed")))
    assert texts == ["no run yet", "failed"]


def test_legend_only_for_few_classes_and_a_second_row_beyond_five_panels():
    heights = {classes: image(draw((Panel("a", "", cloud(classes)),))[".png"]).shape[0] for classes in (3, 10, 11, 20)}
    assert heights[3] == heights[10] > heights[11] == heights[20]
    sizes = [image(draw([Panel("a", "", None)] * count)[".png"]).shape for count in (4, 5, 6)]
    assert sizes[0][0] == sizes[1][0] < sizes[2][0]
    assert sizes[0][1] < sizes[1][1] == sizes[2][1]


def test_twenty_classes_have_twenty_colours():
    assert len(set(PALETTE)) == 20
    pixels = image(draw((Panel("a", "", cloud(classes=20)),))[".png"])
    assert all(drawn(pixels, colour) for colour in PALETTE)


def test_points_far_from_the_origin_and_a_single_one_stay_in_view():
    for points in (cloud(classes=1, centre=1e4), Points(x=[3.0], y=[4.0], label=[0])):
        pixels = image(draw((Panel("a", "", points),))[".png"])
        assert drawn(pixels[: int(pixels.shape[0] * 0.88)], PALETTE[0]) > 5


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("L_FM+L_SR", r"$\mathregular{L_{FM}}$+$\mathregular{L_{SR}}$"),
        ("Student", "Student"),
        ("5 $ a_b", r"5 \$ $\mathregular{a_{b}}$"),
    ],
)
def test_symbols_get_an_index(text, markup):
    assert typeset(text) == markup


def test_print_tells_what_is_there():
    console = Console(file=io.StringIO(), width=100)
    sample(cloud()).print(console)
    assert console.file.getvalue().splitlines() == [
        "Figure 2. h_S on *digits*",
        "  L_FM: 40 images, NMI 77.2",
        "  Teacher: no run yet",
        "One. Two.",
        "Mind | this.",
    ]


def test_importing_it_brings_in_neither_torch_nor_matplotlib():
    code = "import sys; import benchmark.report.figure; print({'torch', 'matplotlib', 'sklearn'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.filterwarnings("error")
def test_control_characters_are_spelled_out(tmp_path):
    panels = (Panel(f"{ESCAPES} $x", ESCAPES, cloud()), Panel("Teacher", ESCAPES, None, absent="no run yet"))
    made = Figure("figure02", f"Figure {ESCAPES}", ESCAPES, panels, (ESCAPES,), (ESCAPES,))
    console = Console(file=io.StringIO(), width=200)
    made.print(console)
    made.write(tmp_path)
    for text in (console.file.getvalue(), (tmp_path / "figure02.md").read_text()):
        assert hidden(text) == []
        assert "x1b" in text


def test_the_picture_s_address_is_one():
    [text] = sample(None, stem="figure02+srrl[fm=1.5](x) %#<").forms().values()
    assert "](figure02+srrl%5Bfm=1.5%5D%28x%29%20%25%23%3C.png)" in text
