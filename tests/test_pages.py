"""The pages of the documentation: length, links, named files; and the files that say what the project is."""

import re
import tomllib

import pytest
import yaml

from tests.documents import PAGES, ROOT, prose_of

WRITTEN = [*PAGES, ROOT / "CHANGELOG.md", *sorted((ROOT / ".github").rglob("*.md"))]
pages = pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))


def slug(heading: str) -> str:
    """The anchor that a heading gets on the web."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readme_is_read_in_minutes():
    words = [word for word in (ROOT / "README.md").read_text().split() if re.search(r"\w", word)]
    assert 500 <= len(words) <= 850


@pages
def test_no_line_is_wider_than_a_screen(page):
    lines = page.read_text().splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > 120] == []


@pages
def test_links_lead_somewhere(page):
    text = "\n".join(prose_of(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target}: no such file"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", "\n".join(prose_of(file)), flags=re.MULTILINE)
            assert anchor in map(slug, headings), f"{target}: no such heading"


@pages
def test_named_files_are_there(page):
    named = re.findall(r"`((?:core|search|spaces|tests|benchmarks)/[\w./-]+)`", "\n".join(prose_of(page)))
    made = {"core/backbones/pooled.py", "core/classifiers/linear.py"}  # by whoever follows CONTRIBUTING.md
    assert [path for path in named if path not in made and not (ROOT / path).exists()] == []


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text()
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"({page.name})" not in index] == ["README.md"]


def test_glossary_is_in_order():
    words = re.findall(r"^\| \*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE)
    assert words == sorted(words, key=str.lower)
    assert {"space", "run", "trial", "store", "bundle", "fold", "confirmation"} <= set(words)


def test_version_and_licence_are_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / project["license-files"][0]).read_text()
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_changelog_is_grouped():
    headings = re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("package", ["core", "search"])
def test_type_checkers_are_told_that_packages_are_typed(package):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert (ROOT / package / "py.typed").exists()
    assert "py.typed" in settings["package-data"][package]


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*_*.yml")), ids=lambda path: path.name
)
def test_issue_templates_are_forms(path):
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= set(form)
    for field in form["body"]:
        assert field["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert field["type"] == "markdown" or {"id", "attributes"} <= set(field)
