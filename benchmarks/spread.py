"""One host against two hosts that extract a corpus together: wall time, and whether the stores have the same bytes.

    sudo .venv/bin/python benchmarks/spread.py

Hosts are namespaces of this machine. Each extracts with one process, so two idle cores are needed; the head only waits.
The times include the start of the extracting processes.
"""

import argparse
import re
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.hosts import BIN, hosts  # noqa: E402
from tests.search.conftest import SPACE  # noqa: E402
from tests.speech import make_corpus  # noqa: E402


def measured(n_hosts: int, n_per_class: int, duration_s: float) -> tuple[float, dict[str, str]]:
    """Seconds of the extraction, and the SHA-256 of every file of its stores by relative path."""
    with hosts(n_hosts) as made:
        made.up()
        corpus = make_corpus(made.shared / "LA", n_per_class=n_per_class, duration_s=duration_s)
        space = made.shared / "space.yaml"
        text = SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(made.shared / "storage"))
        space.write_text(text.replace("{name: lfcc, deltas: false}", "cqcc"))
        command = f"RAY_AUTH_MODE=token OMP_NUM_THREADS=1 {BIN}/spooftune extract {space} --address auto"
        printed = made.head.run(command).stdout
        seconds = [float(number) for number in re.findall(r"utterances extracted in ([0-9.]+) s", printed)]
        assert len(seconds) == 2, printed
        stores = made.shared / "storage" / "stores"
        files = {str(file.relative_to(stores)): sha256(file.read_bytes()).hexdigest() for file in _files(stores)}
    return sum(seconds), files


def _files(stores: Path) -> list[Path]:
    return sorted([*stores.rglob("*.arrow"), *stores.rglob("manifest.json")])


def main() -> None:
    """Prints the times and their ratio, and compares the stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=800, help="clips per class and partition")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a clip in s")
    options = parser.parse_args()
    one, alone = measured(1, options.clips, options.seconds)
    two, together = measured(2, options.clips, options.seconds)
    print(f"one host {one:.1f} s, two hosts {two:.1f} s, ratio {two / one:.2f}; {len(alone)} files")
    print("the stores have the same bytes" if alone == together else "THE STORES DIFFER")


if __name__ == "__main__":
    main()
