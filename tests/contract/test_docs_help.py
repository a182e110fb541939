"""docs/cli.md is what the commands say; links in the docs lead somewhere."""

from __future__ import annotations

import re

import pytest

from pangolin_guard.cli.group import COMMANDS
from repo import ROOT, load_script

PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)[^)]*\)")


def test_the_command_line_page_is_up_to_date():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == load_script("make_docs").render(), "run: make docs"
    for name in COMMANDS:
        assert f"\n## pangolin {name}\n" in page


def test_every_option_has_a_word_of_help():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    bare = [line for line in page.splitlines() if re.fullmatch(r"\| `-.*` \|\s*\|", line)]
    assert bare == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_that_exist(page):
    content = page.read_text(encoding="utf-8")
    local = [target for target in LINK.findall(content) if "://" not in target]
    broken = [target for target in local if not (page.parent / target).exists()]
    assert broken == []
