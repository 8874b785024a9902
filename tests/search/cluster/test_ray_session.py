"""Processes of a Ray that is started on this machine: which signals reach them, and how they end."""

import os
import signal
import subprocess
import time
from unittest import mock

import pytest

from core.errors import Unavailable
from search.cluster.ray_session import start_ray
from search.methods.ray_internals import deaf_to_sigterm
from search.runs.interruption import forward_sigterm


def test_processes_of_ray_outlive_the_signals_of_their_driver_and_end_with_their_children():
    from ray._private import services

    original = services.ConsolePopen
    with deaf_to_sigterm():
        command = ["bash", "-c", "sleep 600 & echo $!; wait; sleep 600"]
        process = services.ConsolePopen(command, stdout=subprocess.PIPE, preexec_fn=lambda: None)
    assert services.ConsolePopen is original
    child = int(process.stdout.readline())
    assert os.getsid(process.pid) == os.getsid(child) == process.pid != os.getsid(0)
    os.kill(process.pid, signal.SIGTERM)
    os.kill(child, signal.SIGTERM)
    time.sleep(0.05)
    assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=10) == -signal.SIGKILL
    assert process.stdout.read() == b""  # nobody holds the other end of the pipe: the child has ended, too


@mock.patch.dict(os.environ)
def test_a_ray_that_starts_in_part_leaves_no_process_and_is_started_again(monkeypatch, capsys):
    import ray
    from ray._private import services

    started = []

    def fails_twice(**options):
        command = ["bash", "-c", "echo; sleep 600"]
        started.append(services.ConsolePopen(command, stdout=subprocess.PIPE, preexec_fn=lambda: None))
        started[-1].stdout.readline()
        if len(started) < 3:
            raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr(ray, "init", fails_twice)
    start_ray(None)
    assert [process.poll() is None for process in started] == [False, False, True]
    assert "attempt 3 of 4" in capsys.readouterr().err
    started[-1].terminate()
    monkeypatch.setattr(ray, "init", lambda **options: 1 / 0)
    with pytest.raises(Unavailable, match="Ray did not start: division by zero"):
        start_ray(None)


def test_a_second_sigterm_does_not_end_the_export():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    heard = []
    try:
        signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
        forward_sigterm()
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert heard == [signal.SIGINT]
