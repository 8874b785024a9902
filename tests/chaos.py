"""Disturbs searches on a cluster at random moments and checks that nothing is lost.

    sudo .venv/bin/python -m tests.chaos --searches 8 --disturbances 4

Not a test that pytest runs: it takes an hour. It prints a row for each disturbance and one for each search.
"""

import argparse
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from search.runs.run import Run
from tests.hosts import BIN, Host, Hosts, hosts, reason_why_not
from tests.search.conftest import SPACE
from tests.speech import make_corpus

TRIALS, EPOCHS = 8, 24
UNWRITABLE = 20.0
"""Seconds without a storage."""


def write_space(made: Hosts, *, trials: int = TRIALS, epochs: int = EPOCHS) -> Path:
    """A space whose corpus and storage every host mounts."""
    corpus = made.shared / "LA"
    if not corpus.exists():
        make_corpus(corpus, n_per_class=48)
    text = SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(made.shared / "storage"))
    text = text.replace("epochs: 4", f"epochs: {epochs}").replace("trials: 6", f"trials: {trials}")
    path = made.base / "space.yaml"
    path.write_text(text.replace("  concurrency: 2\n", "").replace("grace_epochs: 1", "grace_epochs: 8"))
    return path


def kill_worker(made: Hosts, run: Run, draw: random.Random) -> None:
    """A worker loses its power; it is back, empty, after a while."""
    host = draw.choice(made.workers)
    host.kill()
    host.boot(made.base, made.shared)
    time.sleep(2)
    join(made, host)


def kill_trial(made: Hosts, run: Run, draw: random.Random) -> None:
    """The process of a trial is killed."""
    host = draw.choice(made.workers)
    host.run("pgrep -f ray::ImplicitFunc | shuf -n 1 | xargs -r kill -9", check=False)


def kill_driver(made: Hosts, run: Run, draw: random.Random) -> None:
    """The process that steers the search is killed."""
    made.head.run(f"kill -9 {run.info()['pid']}", check=False)


def kill_head(made: Hosts, run: Run, draw: random.Random) -> None:
    """The head loses its power, and the cluster is started again."""
    made.head.kill()
    made.head.boot(made.base, made.shared)
    for host in made.workers:
        host.run(f"{BIN}/ray stop --force", check=False)
    time.sleep(2)
    made.up()


def lose_storage(made: Hosts, run: Run, draw: random.Random) -> None:
    """No host can write the storage for a while."""
    for host in made.all:
        host.set_writable(made.shared, False)
    time.sleep(UNWRITABLE)
    for host in made.all:
        host.set_writable(made.shared, True)


DISTURBANCES: dict[str, Callable[[Hosts, Run, random.Random], None]] = {
    "worker killed": kill_worker,
    "trial killed": kill_trial,
    "driver killed": kill_driver,
    "head killed": kill_head,
    "storage unwritable": lose_storage,
}


def join(made: Hosts, host: Host) -> None:
    """Starts Ray on a worker that was booted again."""
    home = host.folder / "home" / ".ray"
    home.mkdir(exist_ok=True)
    start = "RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 OMP_NUM_THREADS=1"
    options = "--num-cpus=1 --object-store-memory=100000000 --disable-usage-stats"
    host.run(f"{start} PATH={BIN}:$PATH {BIN}/ray start --address={made.head.address}:6379 {options}")


def problems_of(run: Run, n_trials: int, n_disturbances: int) -> list[str]:
    """What was lost or done twice in a search that has ended."""
    found = []
    trials = run.journal.trials()
    if [each.number for each in trials] != list(range(n_trials)):
        found.append(f"trials {[each.number for each in trials]}")
    found += [f"trial {each.number} is {each.status} {each.error}" for each in trials if each.status not in ENDED]
    starts = Counter(each["trial"] for each in run.journal.events() if each["event"] == "start")
    found += [f"trial {number} began {count} times" for number, count in starts.items() if count != 1]
    ends = [each for each in run.journal.events() if each["event"] == "end" and each["status"] in ENDED]
    found += [
        f"trial {n} ended {count} times" for n, count in Counter(each["trial"] for each in ends).items() if count > 1
    ]
    for number in range(n_trials):
        epochs = [epoch for one, epoch, _ in run.journal.epochs() if one == number]
        repeated = len(epochs) - len(set(epochs))
        if repeated > n_disturbances:
            found.append(f"trial {number} did {repeated} epochs again")
        if epochs and len(set(epochs)) < max(epochs) - n_disturbances:
            found.append(f"trial {number} skipped epochs: {epochs}")
    return found


ENDED = ("finished", "stopped")


def state_of(run: Run) -> str:
    """The state of a run, also while its file is out of reach."""
    try:
        return str(run.info()["state"])
    except Exception:  # noqa: BLE001
        return "unknown"


def disturbed(made: Hosts, space: Path, name: str, chosen: list[str], draw: random.Random) -> list[str]:
    """One search with some disturbances; returns what it lost."""
    began = time.monotonic()
    run = Run(made.shared / "storage" / "runs" / name)
    done = made.spooftune("launch", space, "--cluster", made.config, "--name", name)
    if done.returncode:
        return [f"launch: {done.stdout}{done.stderr}"]
    n_resumed = 0
    for number, disturbance in enumerate(chosen):
        # A random moment of what is left, which is as long as the epochs that are left.
        target = draw.uniform(number, number + 0.8) / len(chosen) * 0.8 * TRIALS * EPOCHS * 0.5
        while len(run.journal.epochs()) < target and state_of(run) in ("extracting", "running"):
            time.sleep(0.2)
        if state_of(run) not in ("extracting", "running") and "finished" in state_of(run):
            print(f"{name}: over before {disturbance}", flush=True)
            break
        at = len(run.journal.epochs())
        DISTURBANCES[disturbance](made, run, draw)
        print(f"{name}: {disturbance} after {at} epochs", flush=True)
        if disturbance in ("driver killed", "head killed"):
            n_resumed += 1
            time.sleep(3)
            if not resume(made, run):
                return [f"resume after {disturbance} failed"]
    while time.monotonic() - began < 900:
        time.sleep(1)
        if state_of(run) == "finished":
            break
        if state_of(run) not in ("running", "extracting") or not driver_runs(made, run):
            n_resumed += 1
            if n_resumed > 8 or not resume(made, run):
                return ["does not resume"]
    found = problems_of(run, TRIALS, len(chosen))
    again = len(run.journal.epochs()) - len({(number, epoch) for number, epoch, _ in run.journal.epochs()})
    seconds = time.monotonic() - began
    print(
        f"{name}: {state_of(run)} in {seconds:.0f} s, resumed {n_resumed} times, {again} epochs again: {found}",
        flush=True,
    )
    return found


def resume(made: Hosts, run: Run) -> bool:
    """Lets a run go on."""
    done = made.spooftune("resume", run.name, "--cluster", made.config, "--storage", run.path.parent.parent)
    if done.returncode:
        print(done.stdout[-1500:], done.stderr[-1500:], flush=True)
    return done.returncode == 0


def driver_runs(made: Hosts, run: Run) -> bool:
    """Whether the process that steers a search is there."""
    return made.head.run(f"kill -0 {run.info()['pid']}", check=False).returncode == 0


def main() -> int:
    """Runs the searches; returns 1 where one lost something."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--searches", type=int, default=8)
    parser.add_argument("--disturbances", type=int, default=4)
    parser.add_argument("--only", choices=DISTURBANCES)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    reason = reason_why_not()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    draw = random.Random(options.seed)
    lost = 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # the hosts are taken down
    with hosts() as made:
        made.up()
        space = write_space(made)
        for number in range(options.searches):
            names = [options.only] if options.only else list(DISTURBANCES)
            chosen = [draw.choice(names) for _ in range(options.disturbances)]
            lost += bool(disturbed(made, space, f"chaos-{number}", chosen, draw))
    print(f"{lost} of {options.searches} searches lost something")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
