"""What the README and docs say is true: paths of the map exist, commands exist, local links lead somewhere."""

import re
from pathlib import Path

import pytest

from vivavoce.cli import load_commands

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "checkpoints").rglob("README.md")])


def names_of(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def test_the_map_of_the_readme_is_the_tree() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(rows) >= 10
    assert [path for path in rows if not (ROOT / path).exists()] == []
    rooms = {
        path.name for path in (ROOT / "src" / "vivavoce").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert {Path(path).name for path in rows if path.startswith("src/vivavoce/")} == rooms


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_every_command_on_a_page_exists(page: Path) -> None:
    table = load_commands()
    text = page.read_text()
    written = re.findall(r"(?:^\s*\$ |`)viva ([a-z]+(?: [a-z][a-z-]*)?)", text, re.MULTILINE)
    unknown = [
        words
        for words in written
        if words not in table and words.split()[0] not in table and not _is_room(words, table)
    ]
    assert unknown == []


def _is_room(words: str, table) -> bool:
    return any(name.startswith(words + " ") for name in table)


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_every_local_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
