import base64
import hashlib
import json
import math
import re

import pytest

from benchmark.report.leaderboard import page
from benchmark.report.leaderboard.documents import Page

HOSTILE = "</script><img src=x onerror=alert(1)><!-- <script> & \u2028 ]]>"


@pytest.fixture
def small(sample, table):
    return Page([sample()], table).page_data()


def _scripts(text: str) -> list[str]:
    return re.findall(r"<script[^>]*>(.*?)</script>", text, flags=re.DOTALL)


def _data(text: str) -> dict:
    return json.loads(_scripts(text)[0])


def test_the_page_holds_the_data_as_it_was(small):
    assert _data(page.render(small)) == small


def test_nothing_is_loaded_from_anywhere(small):
    text = page.render(small)
    data, script = _scripts(text)
    markup = text.replace(data, "").replace(script, "")
    assert re.findall(r"(?:src|href)=\"(?!#|data:,)", markup) == []
    assert "url(" not in markup
    assert "@import" not in markup
    assert set(re.findall(r"https?://[^\"']+", markup + script)) == {"http://www.w3.org/2000/svg"}


def test_no_text_breaks_out_of_its_place(small):
    hostile = small | {"title": HOSTILE, "boards": [small["boards"][0] | {"title": HOSTILE}]}
    text = page.render(hostile)
    assert _data(text) == hostile
    assert len(_scripts(text)) == 2
    assert "<img" not in text


def test_the_policy_admits_the_pages_own_script_and_style_alone(small):
    text = page.render(small)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    style = re.search(r"<style>(.*?)</style>", text, flags=re.DOTALL)[1]
    for kind, part in (("script", _scripts(text)[1]), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy.replace("&#43;", "+")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_what_json_cannot_hold_is_an_error(small):
    with pytest.raises(ValueError, match="not JSON compliant"):
        page.render(small | {"weight": math.nan})


def test_every_file_of_the_template_is_used():
    assert {path.name for path in page.FOLDER.iterdir()} == {page.TEMPLATE, *page.STYLES, *page.SCRIPTS}
