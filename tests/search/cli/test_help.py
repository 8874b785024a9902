"""The command line itself: help, mistyped words, version, shell completion, and how little of it starts."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from search.cli.main import COMMANDS, CORPUS_COMMANDS, app, main
from search.runs.run import Run

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"torch", "ray", "optuna", "transformers", "sklearn", "scipy", "pyarrow", "numpy", "pydantic", "matplotlib"}
MODULES_OF_LIST = 300
"""More modules than `spooftune list` may import, those of Python among them; it imports 269."""

WORDS = {(name,): command for name, command in COMMANDS.items()}
WORDS |= {("corpus", name): command for name, command in CORPUS_COMMANDS.items()}
every_command = pytest.mark.parametrize("words", WORDS, ids=" ".join)


def parser_of(words):
    command = typer.main.get_command(app())
    for word in words:
        command = command.commands[word]
    return command


@every_command
def test_help_has_an_example_and_exit_codes(words, capsys):
    assert main([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    unfolded = " ".join(shown.split())
    assert f"Example: {WORDS[words].example}" in unfolded
    assert "0 done" in unfolded
    assert "130 interrupted" in unfolded
    assert main([*words, "-h"]) == 0
    assert capsys.readouterr().out == shown


@every_command
def test_the_example_is_a_valid_command_line(words):
    program, *rest = shlex.split(WORDS[words].example)
    assert program == "spooftune"
    assert tuple(rest[: len(words)]) == words
    parser_of(words).make_context(words[-1], rest[len(words) :])


@every_command
def test_help_says_every_default(words):
    command = parser_of(words)
    with command.context_class(command) as context:
        for parameter in command.params:
            name, text = parameter.get_help_record(context)
            assert parameter.help[0].isupper(), name
            assert parameter.help.endswith("."), name
            flag = getattr(parameter, "is_flag", False)
            assert flag or "[default: " in text or "[required]" in text, name


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]], ids=str)
def test_help_lists_every_command_in_its_group(words, capsys):
    assert main(words) == 0
    shown = capsys.readouterr().out
    for heading in ("Search:", "Runs:", "Results:", "Corpora:"):
        assert f"\n{heading}\n" in shown
    for name in (*COMMANDS, "corpus"):
        assert f"\n  {name} " in shown
    assert main(["corpus"]) == 0
    shown = capsys.readouterr().out
    for name in CORPUS_COMMANDS:
        assert f"\n  {name} " in shown


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["lanch", "s.yaml"], "No such command 'lanch'. Did you mean 'launch'? See spooftune --help"),
        (["corpus", "dmo"], "No such command 'dmo'. Did you mean 'demo'? See spooftune corpus --help"),
        (
            ["stop", "r", "--storge", "s"],
            "No such option: --storge. Did you mean '--storage'? See spooftune stop --help",
        ),
        (["--versoin"], "No such option: --versoin. Did you mean '--version'? See spooftune --help"),
        (["launch"], "Missing argument 'SPACE'. See spooftune launch --help"),
        (["stop", "a", "b"], "Got unexpected extra argument(s) (b). See spooftune stop --help"),
        (["status", "r", "--limit", "many"], "Invalid value for '--limit': Input should be a valid integer"),
        (["evaluate", "s", "--asv-rates", "la20"], "'la20' is not one of 'la19-dev', 'la19-eval', 'asvspoof5-eval'."),
        (["evaluate", "s", "--asv-rates", "la19-dev", "--asv-scores", "a"], "--asv-scores and --asv-rates exclude"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words_give_one_line_that_says_what_is_valid(words, problem, capsys):
    assert main(words) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.startswith("spooftune: ")
    assert shown.err.count("\n") == 1
    assert problem in shown.err


def test_version(capsys):
    assert main(["--version"]) == 0
    program, version = capsys.readouterr().out.split()
    assert program == "spooftune"
    assert version[0].isdigit()


def test_the_shell_completes_commands_and_names_of_runs(tmp_path, monkeypatch, capfd):
    for name in ("monday", "tuesday"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text("{}")

    def asked(instruction, words=""):
        monkeypatch.setenv("_SPOOFTUNE_COMPLETE", instruction)
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        with pytest.raises(SystemExit) as ended:
            main([])
        assert ended.value.code == 0
        return capfd.readouterr().out

    assert "complete -o default -F _spooftune_completion spooftune" in asked("source_bash")
    assert asked("complete_bash", "spooftune la").split() == ["launch"]
    assert asked("complete_bash", "spooftune corpus d").split() == ["demo"]
    assert asked("complete_bash", f"spooftune stop --storage {tmp_path} mon").split() == ["monday"]


def test_list_imports_little(tmp_path):
    code = f"import sys; from search.cli.main import main; main(['list', '--storage', {str(tmp_path)!r}]); "
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    first, modules = done.stdout.splitlines()
    assert first == f"no runs in {tmp_path} yet"
    assert not HEAVY & set(modules.split())
    assert len(modules.split()) < MODULES_OF_LIST


def test_front_ends_are_listed_without_a_library(tmp_path):
    code = "import sys; from search.cli.main import main; main(['front-ends']); print(*sys.modules)"
    environment = {**os.environ, "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    *table, modules = done.stdout.splitlines()
    assert not HEAVY & set(modules.split())
    assert len(modules.split()) < MODULES_OF_LIST
    assert table[0].split()[:2] == ["front", "end"]
    (whisper,) = [line for line in table if "openai/whisper-tiny.en" in line]
    assert "downloaded when used" in whisper
    assert whisper.split()[-5:] == ["M", "384", "50", "0-4", "Apache-2.0"]


def test_square_brackets_and_colons_are_shown_as_the_user_wrote_them(tmp_path, capsys):
    for name in ("[bold]", "[/bold]", ":smile:"):
        assert main(["list", "--storage", str(tmp_path / name)]) == 0
        assert capsys.readouterr().out == f"no runs in {tmp_path / name} yet\n"


def test_an_interrupted_command_says_so(tmp_path, monkeypatch, capsys):
    def interrupted(storage):
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "all", interrupted)
    assert main(["list", "--storage", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "spooftune: interrupted\n"
