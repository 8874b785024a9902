"""The command serve: what it refuses, and one service in a process of its own."""

import importlib.util
import json
import os
import signal
import socket
import time
import urllib.request

import numpy as np
import pytest
import soundfile

from search.cli.main import main
from tests.bundles import export
from tests.commands import Command


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory.mktemp("bundle") / "b")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--host", "0.0.0.0"], 2, "--token-file names the token"),
        (["--token-file", "absent"], 2, "--token-file absent: cannot be read"),
        (["--port", "70000"], 2, "--port is 70000"),
        (["--host", "127.0.0.1.example", "--token-file", "token"], 2, "cannot listen there"),
        (["--max-seconds", "0"], 2, "--max-seconds must be above 0"),
        (["--port", "0", "--p-spoof", "0.1"], 2, "has no calibration"),
        (["--port", "0", "--device", "tpu"], 2, "device is 'tpu'"),
    ],
)
def test_what_cannot_be_served(exported, tmp_path, monkeypatch, capsys, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("0123456789abcdef")
    assert main(["serve", str(exported), *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_port_in_use_and_a_missing_bundle(exported, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", str(exported), "--port", str(taken.getsockname()[1])]) == 1
    assert "cannot listen there: Address already in use" in capsys.readouterr().err
    assert main(["serve", str(tmp_path), "--port", "0"]) == 2
    assert "not a bundle" in capsys.readouterr().err


def test_without_its_packages_it_names_them(exported, monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fastapi" else real(name))
    assert main(["serve", str(exported)]) == 2
    expected = "spooftune: serve needs fastapi: install spooftune with its extra, as in 'spooftune[serve]'\n"
    assert capsys.readouterr().err == expected


def test_it_serves_until_sigterm(exported, tmp_path):

    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(size=9600) * 0.1, 16000)
    command = Command("serve", exported, "--port", "0")
    try:
        until = time.monotonic() + 60
        while "Ctrl-C ends it" not in command.stdout:
            assert command.running, command.stderr
            assert time.monotonic() < until
            time.sleep(0.05)
        address = command.stdout.split()[3].removesuffix("/docs;")
        request = urllib.request.Request(f"{address}/score", (tmp_path / "a.wav").read_bytes())
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["decision"] in ("bonafide", "spoof")
        os.kill(command.pid, signal.SIGTERM)
        assert command.wait(60) == 0
        assert command.stdout.splitlines()[-1] == "the service has ended"
        assert command.stderr == ""
    finally:
        command.kill()
