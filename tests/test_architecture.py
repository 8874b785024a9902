"""The walls between the rooms stand, and the packages that are tested are those of this checkout."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import core
import search

ROOT = Path(__file__).resolve().parent.parent


def imported(path: Path) -> set[str]:
    """Top-level packages that a module imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", [core, search])
def test_packages_are_of_this_checkout(package):
    assert Path(package.__file__).resolve().parent.parent == ROOT


@pytest.mark.parametrize("path", sorted((ROOT / "core").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_core_knows_no_search(path):
    assert not imported(path) & {"ray", "optuna", "search", "argparse", "rich", "typer"}


@pytest.mark.parametrize("path", sorted((ROOT / "search").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_search_holds_no_audio(path):
    assert not imported(path) & {"soundfile", "torchaudio", "transformers"}


def test_ray_is_known_where_trials_run_and_nodes_are_spoken_to_alone():
    knowing = {path.stem for path in (ROOT / "search").glob("*.py") if "ray" in imported(path)}
    trials = {"trial", "brain", "tuning", "replay", "recorder", "progress", "schedulers", "median"}
    trials |= {"tensorboard", "budget"}
    nodes = {"ray_session", "cluster", "capacity", "preflight", "share", "spread"}
    assert knowing == trials | nodes | {"ray_internals"}


def test_what_ray_keeps_private_is_touched_in_one_module_alone():
    private = re.compile(
        r"ray\S*\._private|\b(?!self\b)\w+\._(brackets|rungs|results|max_t|metric_op|stopped_trials)\b"
    )
    touching = {path.stem for path in (ROOT / "search").rglob("*.py") if private.search(path.read_text("utf-8"))}
    assert touching == {"ray_internals"}


def test_a_trials_process_loads_no_package_that_few_trials_need():
    # Every trial's process waits for its imports: these are imported by the functions that call them.
    slow = ["scipy.signal", "scipy.fft", "scipy.stats", "sklearn", "matplotlib", "transformers", "tensorboard"]
    code = f"import sys, search.trial; print(*(set(sys.modules) & set({slow})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_training_loads_no_vocoder_and_nothing_of_the_demo_corpus():
    vocoding = ["core.demo", "core.vocoders", "core.widening", "pyworld", "pysptk", "av", "pynanotts", "parselmouth"]
    code = f"""import core.fit_folds, core.training, sys
print(*(name for name in sys.modules if any(name == each or name.startswith(each + ".") for each in {vocoding})))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", ["search.sections", "search.space", "search.configurations", "search.capacity"])
def test_a_space_is_known_without_optuna_and_ray(module):
    code = f"import sys, {module}; print(*(set(sys.modules) & {{'ray', 'optuna'}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def modules_imported(path: Path) -> set[str]:
    """Full names of the modules that a module imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    return names


def test_the_demo_corpus_is_built_from_vocoders_and_nothing_is_built_from_the_demo_corpus():
    outside = [path for path in (ROOT / "core").rglob("*.py") if path.parent.name != "demo"]
    assert not any(name.startswith("core.demo") for path in outside for name in modules_imported(path))


@pytest.mark.parametrize("module", ["search.cli.main", "search.report", "search.run", "search.cli.remote"])
def test_runs_are_listed_without_torch_and_ray(tmp_path):
    called = f"search.cli.main.main(['list', '--storage', {str(tmp_path)!r}])"
    code = f"import sys, search.cli.main; {called}; print(*(set(sys.modules) & {{'torch', 'ray', 'optuna'}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == []


@pytest.mark.parametrize("module", ["search.cli.main", "search.report", "search.run", "search.cli.remote"])
def test_who_looks_at_runs_waits_for_no_torch(module):
    code = f"import sys, {module}; print(*(set(sys.modules) & {{'torch', 'ray', 'optuna', 'scipy.stats', 'sklearn'}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_spaces_hold_data_alone():
    assert {path.suffix for path in (ROOT / "spaces").rglob("*") if path.is_file()} == {".yaml"}
