"""Every fenced block of the documentation is run or checked, and what the pages say of themselves holds."""

import ast
import contextlib
import csv
import functools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import soundfile
import torch
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli as ray_cli

import spooftune
from core import bundle
from core.config import experiment_from_plain
from core.corpora.layouts import CORPORA
from core.detector import build_detector
from core.evaluation.calibration import Calibration
from core.evaluation.score_file import CmScores, write_cm_scores
from core.features.spectral import lfcc
from search.space.reader import SECTIONS, read_space
from tests.documents import BLOCKS, PAGES, ROOT, Block, new_rows, patched_tree, prose_of
from tests.speech import make_corpus

BIN = Path(sys.executable).parent
BASE = {
    "name": "fragment",
    "corpus": {"layout": "asvspoof2019_la", "path": "data/LA"},
    "experiment": {"front_end": "lfcc"},
}
"""Completes a YAML that shows a part of a space."""

Check = Callable[[Block, pytest.FixtureRequest], None]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_block(block: Block, request: pytest.FixtureRequest) -> None:
    checks: dict[str, Check] = {
        "sh": check_shell,
        "yaml": check_yaml,
        "python": check_python,
        "diff": check_diff,
        "csv": check_csv,
        "text": check_output,
    }
    assert block.language in checks, f"{block.place}: no check for blocks of {block.language!r}"
    checks[block.language](block, request)


# Shell


def check_shell(block: Block, request: pytest.FixtureRequest) -> None:
    lines = block.text.replace("\\\n", " ").splitlines()
    commands = [words for words in (shlex.split(line, comments=True) for line in lines) if words]
    assert commands, "no command"
    for words in commands:
        check_command(words)


def check_command(words: list[str]) -> None:
    """Fails where a command line names what is not there: a command, an option, a file."""
    program, *arguments = words
    for word in arguments:
        if re.match(r"(spaces|docs|benchmarks|tests)/|(requirements\.txt|cluster\.yaml)$", word):
            assert (ROOT / word).exists(), f"{word} is not there"
    if program == "spooftune":
        check_spooftune(arguments)
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert arguments[0] in targets
    elif program == "ray":
        known = {option for each in ray_cli.commands[arguments[0]].params for option in each.opts}
        assert set(options_of(arguments)) <= known
    elif Path(program).name == "pip":
        check_pip(arguments)
    elif Path(program).name.startswith("python"):
        check_interpreter(arguments)
    elif program == "tensorboard":
        assert arguments[0] == "--logdir"
        assert (BIN / program).exists()
    elif program == "kubectl":
        assert arguments[:2] == ["apply", "-f"]
    else:
        known = {"git": ("clone",), "cd": ("spooftune",), "chmod": ("600",), "curl": ("-F", "--data-binary")}
        assert arguments[0] in known.get(program, ()), program


def options_of(arguments: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in arguments if re.match(r"--?[a-z]", word)]


@functools.cache
def help_of(*command: str) -> str:
    """What a program prints for --help, in lines that are wide enough to keep options whole."""
    environment = {**os.environ, "COLUMNS": "200", "TERMINAL_WIDTH": "200", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [*command, "--help"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} --help: {done.stderr}"
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def assert_options(arguments: list[str], text: str) -> None:
    for option in options_of(arguments):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), f"no option {option}"


def check_spooftune(arguments: list[str]) -> None:
    verbs = arguments[: 2 if arguments[0] == "corpus" else 1]
    text = help_of(str(BIN / "spooftune"), *(verbs if not verbs[0].startswith("-") else []))
    assert_options(arguments, text)
    if arguments[0] in ("check", "extract", "launch") and arguments[1:] and arguments[1].endswith(".yaml"):
        changes = [arguments[k + 1] for k, word in enumerate(arguments) if word == "--set"]
        read_space(ROOT / arguments[1], changes)


def check_pip(arguments: list[str]) -> None:
    assert arguments[0] == "install"
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    for word in (word for word in arguments[1:] if not word.startswith("-")):
        local = re.fullmatch(r"\.(?:\[(\w+)\])?", word)
        if local:
            assert local[1] is None or local[1] in extras
        elif not (ROOT / word).is_file():
            pinned = [(ROOT / name).read_text() for name in ("cluster.yaml", "pyproject.toml")]
            assert any(word in text for text in pinned), f"what is {word} for?"


def check_interpreter(arguments: list[str]) -> None:
    if arguments[:2] in (["-m", "venv"], ["-m", "pytest"]):
        return
    n_words = 2 if arguments[0] == "-m" else 1
    verbs = [word for word in arguments[n_words : n_words + 1] if word.isalpha()]
    assert_options(arguments[n_words:], help_of(sys.executable, *arguments[:n_words], *verbs))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_within_the_text(page):
    for line in prose_of(page):
        for code in re.findall(r"`(spooftune [^`]+)`", line):
            check_spooftune(shlex.split(code)[1:])


# YAML, CSV, output


def check_yaml(block: Block, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue("tmp_path")
    data = yaml.safe_load(block.text)
    if "cluster_name" in data:
        validate_config(prepare_config(data))
        return
    assert set(data) <= set(SECTIONS), "neither a space nor a cluster"
    path = folder / "space.yaml"
    # The lines of the page are kept where they are a whole space, so that its own syntax is what is read.
    path.write_text(block.text if set(data) >= set(BASE) else yaml.safe_dump(merged(BASE, data)))
    if block.before != "<!-- check: patched -->":
        read_space(path)
        return
    tree, _ = request.getfixturevalue("patched")
    imports = f"from pathlib import Path; from {read_space.__module__} import read_space"
    in_tree(tree, f"{imports}; read_space(Path({str(path)!r}))")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    sections = {key: {**base.get(key, {}), **value} for key, value in over.items() if isinstance(value, dict)}
    if "system" in sections.get("experiment", {}):
        sections["experiment"].pop("front_end")
    return {**base, **over, **sections}


def check_csv(block: Block, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue("tmp_path") / "corpus.csv"
    path.write_text(block.text)
    rows = list(csv.DictReader(block.text.splitlines()))
    for row in rows:
        file = path.parent / row["path"]
        file.parent.mkdir(exist_ok=True)
        file.touch()
    corpus = CORPORA["csv"](path)
    assert sum(len(corpus.partition(name)) for name in {row["partition"] for row in rows}) == len(rows)


def check_output(block: Block, request: pytest.FixtureRequest) -> None:
    """Every line must be one that a text of the program can give."""
    texts = program_texts()
    for line in block.text.splitlines():
        assert line.strip() == "..." or any(text.search(line) for text in texts), f"nothing prints {line!r}"


@functools.cache
def program_texts() -> list[re.Pattern[str]]:
    """The strings of the source as patterns, those with few letters left out."""
    patterns = set()
    for path in [*(ROOT / "core").rglob("*.py"), *(ROOT / "search").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            literals = [part.value if isinstance(part, ast.Constant) else None for part in parts]
            known = [text for text in literals if isinstance(text, str)]
            if sum(letter.isalpha() for text in known for letter in text) >= 6:
                patterns.add("".join(".+?" if text is None else re.escape(str(text)) for text in literals))
    return [re.compile(pattern) for pattern in patterns]


# Python and diffs


def check_python(block: Block, request: pytest.FixtureRequest) -> None:
    if block.file:
        check_diff(block, request)
        return
    spaces = request.getfixturevalue("namespaces")
    done, names = spaces.setdefault(block.page, (set(), {}))
    # A search takes minutes: its arguments are checked, and the run of the workplace is returned.
    search = mock.create_autospec(spooftune.search, side_effect=lambda *_, **__: spooftune.Run("quickstart-001"))
    with contextlib.chdir(request.getfixturevalue("workplace")), mock.patch.object(spooftune, "search", search):
        # A page's blocks build on each other: those above that have not run yet run first.
        for other in BLOCKS:
            before = other.page == block.page and other.language == "python" and not other.file
            if before and other.line <= block.line and other.line not in done:
                done.add(other.line)
                exec(compile("\n" * other.line + other.text, other.page, "exec"), names)


def check_diff(block: Block, request: pytest.FixtureRequest) -> None:
    _, wrong = request.getfixturevalue("patched")
    assert block.place not in wrong, wrong[block.place]


@pytest.fixture(scope="session")
def patched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The source tree with CONTRIBUTING.md's parts, and what was wrong with them by block."""
    folder = tmp_path_factory.mktemp("patched")
    return folder, patched_tree(folder)


def in_tree(folder: Path, code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_parts_of_contributing_become_rows_of_their_tables(patched):
    rows = new_rows()
    assert {name for _, name in rows} == {"pooled", "bands", "contrastive_cubed", "linear", "quasi_random"}
    checks = [f"m = importlib.import_module({module!r}); assert row({name!r}), {name!r}" for module, name in rows]
    tables = "row = lambda name: any(isinstance(each, dict) and name in each for each in vars(m).values())"
    in_tree(patched[0], "\n".join(["import importlib", tables, *checks]))


@pytest.fixture(scope="session")
def namespaces() -> dict[Path, tuple[set[int], dict[str, Any]]]:
    """Lines that ran and names that they left, by page."""
    return {}


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples name: a corpus, recordings, a run and its bundle with random weights."""
    folder = tmp_path_factory.mktemp("workplace")
    corpus = make_corpus(folder / "data" / "demo")
    (folder / "spaces").symlink_to(ROOT / "spaces")
    for name in ("a.flac", "b.flac"):
        source = sorted((corpus / "ASVspoof2019_LA_dev" / "flac").iterdir())[0]
        soundfile.write(folder / name, *soundfile.read(source))
    run = folder / "storage" / "runs" / "quickstart-001"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"state": "finished", "created": "2026-01-01T00:00:00.000+00:00"}))
    events = [
        {"event": "start", "trial": 0, "values": {"loss.margin": 2.0}},
        {"event": "epoch", "trial": 0, "epoch": 1, "objective": 0.25},
        {"event": "end", "trial": 0, "status": "finished", "seconds": 3.0},
    ]
    (run / "trials.jsonl").write_text("".join(json.dumps({**event, "time": ""}) + "\n" for event in events))
    torch.manual_seed(0)
    plain = {"front_end": "lfcc", "input": {"n_frames": 32}, "backbone": {"name": "senet18", "embedding_dim": 16}}
    experiment = experiment_from_plain(plain)
    measured = {"dev": {"eer": 0.125, "auc": 0.9, "n_bona_fide": 3, "n_spoof": 4}}
    parts = build_detector(experiment, 60).eval(), experiment, 60, 0.25, measured, {"run": run.name}
    made = bundle.Bundle(*parts, calibration=Calibration(2.0, 1.0))
    bundle.save(made, run / "export", front_end_weights={}, front_end_version=lfcc().version)
    (run / "export" / "scores").mkdir()
    columns = {"attack_ids": np.array(["-", "A01"]), "labels": np.array([1, 0], np.int8)}
    scores = CmScores(np.array(["u1", "u2"]), np.array([0.5, -0.5]), **columns)
    write_cm_scores(run / "export" / "scores" / "dev.txt", scores)
    return folder
