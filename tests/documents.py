"""Fenced blocks of the documentation, and the source tree that CONTRIBUTING.md's files and diffs make."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"(?P<indent> *)```(?P<language>\S*)")
FILE = re.compile(r"`(?P<path>(?:core|search)/\S+\.py)`:$")
HEADER = re.compile(r"--- a/(?P<path>\S+)")
ROW = re.compile(r'"(\w+)": \1\b')


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: The file that holds it.
        line: Of its fence, from 1.
        language: What stands behind the fence.
        text: Its lines, without the indent of the fence.
        before: The last line before the fence that is not blank.
    """

    page: Path
    line: int
    language: str
    text: str
    before: str

    @property
    def place(self) -> str:
        """Such as `docs/spaces.md:9`."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """Path of the module that the block is, where the line before names one."""
        named = FILE.search(self.before)
        return named["path"] if named and self.language == "python" else None


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    blocks: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    start: int | None = None
    for number, line in enumerate(lines):
        fence = FENCE.fullmatch(line.rstrip())
        if fence is None:
            continue
        if start is None:
            start, opening = number, fence
            continue
        before = next((text.strip() for text in reversed(lines[:start]) if text.strip()), "")
        body = [text.removeprefix(opening["indent"]) for text in lines[start + 1 : number]]
        blocks.append(Block(page, start + 1, opening["language"], "\n".join(body) + "\n", before))
        start = None
    assert start is None, f"{page}:{(start or 0) + 1}: the block does not end"
    return blocks


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def prose_of(page: Path) -> list[str]:
    """The lines of a page; those of fenced blocks are empty."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for block in blocks_of(page):
        for number in range(block.line - 1, block.line + block.text.count("\n") + 1):
            lines[number] = ""
    return lines


def hunks(diff: str) -> list[tuple[str, str, str]]:
    """Path, old text and new text of every hunk of a diff without line numbers."""
    found: list[tuple[str, str, str]] = []
    for section in re.split(r"^(?=--- a/)", diff, flags=re.MULTILINE)[1:]:
        header = HEADER.match(section)
        assert header is not None
        for hunk in re.split(r"^@@\n", section, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -\n")
            new = "".join(line[1:] for line in lines if line[0] in " +\n")
            found.append((header["path"], old, new))
    return found


def patched_tree(folder: Path) -> dict[str, str]:
    """Copies the source to a folder and lays CONTRIBUTING.md's modules and diffs over it.

    Returns:
        What went wrong, by the place of the block.
    """
    for package in ("core", "search", "spaces"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    wrong: dict[str, str] = {}
    for block in blocks_of(ROOT / "CONTRIBUTING.md"):
        if block.file:
            path = folder / block.file
            if path.exists() or not path.parent.is_dir():
                wrong[block.place] = f"{block.file}: is there already, or its folder is not"
                continue
            path.write_text(block.text, encoding="utf-8")
        for file, old, new in hunks(block.text) if block.language == "diff" else []:
            path = folder / file
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            if not old.strip() or text.count(old) != 1:
                wrong[block.place] = f"{file}: these lines are not there exactly once:\n{old}"
                continue
            path.write_text(text.replace(old, new), encoding="utf-8")
    return wrong


def new_rows() -> list[tuple[str, str]]:
    """Module and name of every row that CONTRIBUTING.md's diffs add to a table."""
    rows: list[tuple[str, str]] = []
    for block in blocks_of(ROOT / "CONTRIBUTING.md"):
        for file, old, new in hunks(block.text) if block.language == "diff" else []:
            module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            rows += [(module, name) for name in ROW.findall(new) if name not in ROW.findall(old)]
    return rows
