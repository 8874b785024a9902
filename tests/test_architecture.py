"""The rooms stand in their order, and the packages that are tested are those of this checkout."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import core
import search

ROOT = Path(__file__).resolve().parent.parent

SEARCH_FLOORS = [
    ("methods",),
    ("space",),
    ("runs",),
    ("cluster",),
    ("prepare",),
    ("tuning", "report"),
    ("service",),
    ("cli",),
    ("api",),
]
"""Rooms of search/ from the ground up: a room imports from floors below its own, never from its own floor or above."""

CORE_FLOORS = [
    ("audio", "integrity"),
    ("catalogue", "vocoders"),
    ("corpora",),
    ("features",),
    ("stores",),
    ("backbones", "classifiers", "siamese"),
    ("evaluation",),
    ("training",),
    ("bundle",),
    ("pretraining",),
    ("demo",),
]
"""Rooms of core/ from the ground up; loose modules stand between them and are not counted."""

RAY = {"methods", "cluster", "prepare", "tuning"}
"""Rooms of search/ that may import Ray."""

OPTUNA = {"methods", "space", "tuning", "report"}
"""Rooms of search/ that may import Optuna."""

LINES = 300
"""Lines of a module at most."""


def modules(package: str) -> list[Path]:
    """Every module of a package, by its path."""
    return sorted((ROOT / package).rglob("*.py"))


def named(path: Path) -> str:
    """Id of a test over modules."""
    return str(path.relative_to(ROOT))


def imported(source: str) -> Iterator[str]:
    """Dotted names of the modules that a source imports, inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(path: Path) -> set[str]:
    """Top-level packages that a module imports."""
    return {name.split(".")[0] for name in imported(path.read_text(encoding="utf-8"))}


def room(path: Path) -> str:
    """The room of a module below core/ or search/; its own name where it stands loose."""
    return path.relative_to(ROOT).parts[1]


def arrows_back(room: str, source: str, package: str, floors: list[tuple[str, ...]]) -> list[str]:
    """Imports of a module in `room` that lead to a room on its own floor or above."""
    height = {name: floor for floor, names in enumerate(floors) for name in names}
    targets = [name.split(".")[1] for name in imported(source) if name.startswith(f"{package}.")]
    return [target for target in targets if target != room and height.get(target, -1) >= height[room]]


@pytest.mark.parametrize("package", [core, search])
def test_packages_are_of_this_checkout(package):
    assert Path(package.__file__).resolve().parent.parent == ROOT


@pytest.mark.parametrize("path", modules("core"), ids=named)
def test_core_knows_neither_the_search_nor_the_command_line(path):
    assert not packages(path) & {"ray", "optuna", "search", "argparse", "click", "typer", "rich"}


@pytest.mark.parametrize("path", modules("search"), ids=named)
def test_search_holds_no_audio(path):
    assert not packages(path) & {"soundfile", "torchaudio", "transformers"}


@pytest.mark.parametrize(("package", "floors"), [("core", CORE_FLOORS), ("search", SEARCH_FLOORS)])
def test_every_room_has_its_floor(package, floors):
    folders = {path.name for path in (ROOT / package).iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == {name for floor in floors for name in floor}


@pytest.mark.parametrize("path", [*modules("core"), *modules("search")], ids=named)
def test_arrows_between_rooms_run_one_way(path):
    package, floors = ("core", CORE_FLOORS) if path.is_relative_to(ROOT / "core") else ("search", SEARCH_FLOORS)
    if path.parent.parent == ROOT:
        return  # loose modules belong to no room
    assert arrows_back(room(path), path.read_text(encoding="utf-8"), package, floors) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("from search.cli.terminal import console", ["cli"]),
        ("from search.report import scoring", ["report"]),
        ("def f():\n    import search.cli.main", ["cli"]),
        ("from search.prepare.plan import Plan", []),
        ("from search.tuning.trial import TrialSetup", []),
    ],
)
def test_a_line_that_runs_back_is_told(source, told):
    assert arrows_back("tuning", source, "search", SEARCH_FLOORS) == told


def test_loose_modules_are_few():
    assert {path.name for path in (ROOT / "search").glob("*.py")} == {"__init__.py", "pretrain.py"}
    assert len({path.name for path in (ROOT / "core").glob("*.py")} - {"__init__.py"}) <= 16


@pytest.mark.parametrize(
    "path",
    [
        ROOT / "spooftune.py",
        *(path for folder in ("core", "search", "tests", "benchmarks") for path in modules(folder)),
    ],
    ids=named,
)
def test_modules_are_short(path):
    n_lines = path.read_text(encoding="utf-8").count("\n")
    assert n_lines <= LINES


@pytest.mark.parametrize(("package", "knowing"), [("ray", RAY), ("optuna", OPTUNA)])
def test_few_rooms_know_ray_and_optuna(package, knowing):
    assert {room(path) for path in modules("search") if package in packages(path)} == knowing


def test_a_trials_process_loads_no_package_that_few_trials_need():
    # Every trial's process waits for its imports: these are imported by the functions that call them.
    slow = ["scipy.signal", "scipy.fft", "scipy.stats", "sklearn", "matplotlib", "transformers", "tensorboard"]
    assert loaded("search.tuning.trial", slow) == []


def test_training_loads_no_builder_of_a_corpus():
    builders = ["core.demo", "core.vocoders", "core.corpora.copies", "pyworld", "pysptk", "av", "pynanotts"]
    assert loaded("core.training.fit_folds", [*builders, "parselmouth"]) == []


@pytest.mark.parametrize("module", ["search.space.sections", "search.space.configurations", "search.cluster.capacity"])
def test_a_space_is_known_without_optuna_and_ray(module):
    assert loaded(module, ["ray", "optuna"]) == []


def test_a_nodes_check_loads_no_torch():
    assert loaded("search.cluster.node_check", ["torch", "numpy", "optuna"]) == []


@pytest.mark.parametrize(
    "module",
    [
        "spooftune",
        "search.cli.main",
        "search.cli.terminal",
        "search.runs.run",
        "search.cli.remote",
        "search.prepare.early",
    ],
)
def test_commands_that_look_at_runs_and_early_checks_wait_for_no_torch(module):
    assert loaded(module, ["torch", "ray", "optuna", "scipy.stats", "sklearn"]) == []


def loaded(module: str, names: list[str]) -> list[str]:
    """Those of some packages that are loaded once a module is imported in a process of its own."""
    code = f"import sys, {module}; print(*(set(sys.modules) & set({names})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_spaces_hold_data_alone():
    assert {path.suffix for path in (ROOT / "spaces").rglob("*") if path.is_file()} == {".yaml"}
