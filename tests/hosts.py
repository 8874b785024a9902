"""Several hosts on one machine: each with network, processes, mounts and an ssh server of its own.

`ray up` with `provider: local` makes a cluster of them as it would of real ones. Needs root, iproute2, util-linux and
openssh-server; `reason_why_not` says what is missing.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests import commands

BIN = Path(sys.executable).parent

HOST = """
set -e
mount -t tmpfs tmpfs /dev/shm
mkdir -p /tmp/ray /run/sshd
mount --bind {folder}/ray /tmp/ray
mount --bind {folder}/passwd /etc/passwd
mount --bind {shared} {shared}
exec /usr/sbin/sshd -D -e -f {folder}/sshd_config
"""

SSHD = """
ListenAddress {address}
HostKey {base}/host_key
AuthorizedKeysFile {base}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
MaxStartups 100
Subsystem sftp internal-sftp
"""


def reason_why_not() -> str | None:
    """Why this machine cannot hold hosts; None where it can."""
    if os.geteuid():
        return "network namespaces need root"
    for program in ("ip", "unshare", "nsenter", "ssh", "ssh-keygen", "rsync", "/usr/sbin/sshd"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    tried = subprocess.run(["unshare", "--net", "--pid", "--mount", "--fork", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "namespaces are not allowed here"


@dataclass
class Host:
    """One host.

    Attributes:
        name: Of its network namespace.
        address: Its IP address.
        folder: Its temporary files, home among them.
    """

    name: str
    address: str
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    def boot(self, base: Path, shared: Path) -> None:
        """Starts its first process: an ssh server."""
        for each in ("ray", "home"):
            (self.folder / each).mkdir(parents=True, exist_ok=True)
        text = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
        root = f"root:x:0:0:root:{self.folder / 'home'}:/bin/bash"
        lines = [root if each.startswith("root:") else each for each in text]
        (self.folder / "passwd").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.folder / "sshd_config").write_text(SSHD.format(address=self.address, base=base), encoding="utf-8")
        script = HOST.format(folder=self.folder, shared=shared)
        spaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--uts"]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *spaces, "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "sshd.log").open("ab"),
            start_new_session=True,
        )

    def kill(self) -> None:
        """Ends all its processes at once, as a power cut does."""
        assert self.process is not None
        first = self.first_process()
        os.kill(first, signal.SIGKILL)
        self.process.wait()

    def first_process(self) -> int:
        """Process number, outside, of its process 1."""
        assert self.process is not None
        for _ in range(100):
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            if children:
                return int(children[0])
            time.sleep(0.05)
        raise RuntimeError(f"host {self.name} has no process")

    def run(self, command: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Runs a shell command on it."""
        enter = ["nsenter", "-t", str(self.first_process()), "--pid", "--mount", "--net", "--uts"]
        environment = {**os.environ, "HOME": str(self.folder / "home"), "PATH": f"{BIN}:{os.environ['PATH']}"}
        return subprocess.run(
            [*enter, "sh", "-c", command], env=environment, capture_output=True, text=True, check=check, timeout=600
        )

    def set_writable(self, shared: Path, writable: bool) -> None:
        """Lets it write the shared folder, or no more."""
        command = f"mount -o remount,bind,{'rw' if writable else 'ro'} {shared}"
        self.run(f"for i in $(seq 500); do {command} && exit 0; sleep 0.02; done; exit 1")  # busy while a file is open


@dataclass
class Hosts:
    """A head and its workers.

    Attributes:
        base: Folder of everything below.
        shared: A folder that every host mounts: the network file system.
        config: The cluster's YAML.
        token: The cluster's token.
    """

    base: Path
    shared: Path
    config: Path
    token: str
    all: list[Host] = field(default_factory=list)

    @property
    def head(self) -> Host:
        """Where Ray's head and the drivers run."""
        return self.all[0]

    @property
    def workers(self) -> list[Host]:
        """Where the trials run."""
        return self.all[1:]

    def variables(self) -> dict[str, str]:
        """Environment variables of a client that has the token."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_USAGE_STATS_ENABLED": "0"}

    def environment(self) -> dict[str, str]:
        """Environment of a client that has the token."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        return {**clean, **self.variables()}

    def spooftune(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Runs spooftune on this machine, outside of the hosts."""
        return commands.spooftune(*arguments, **self.variables())

    def up(self) -> None:
        """`ray up`, and waits until every worker has joined."""
        done = subprocess.run(
            [BIN / "ray", "up", "-y", "--no-config-cache", self.config],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
        self.wait(1 + len(self.workers))

    def wait(self, n_nodes: int, seconds: float = 240) -> None:
        """Waits until so many nodes are alive."""
        end = time.monotonic() + seconds
        count = "import ray, logging; ray.init(address='auto', logging_level=logging.ERROR, log_to_driver=False); "
        count += "print('alive', sum(each['Alive'] for each in ray.nodes()))"
        found = ""
        while time.monotonic() < end:
            done = self.head.run(f'RAY_AUTH_MODE=token {BIN}/python -c "{count}"', check=False)
            found = done.stdout + done.stderr
            if f"alive {n_nodes}" in found:
                return
            time.sleep(1)
        raise RuntimeError(f"{n_nodes} nodes were expected: {found[-2000:]}")


@contextlib.contextmanager
def hosts(n_workers: int = 2, *, n_cpus: int = 1) -> Iterator[Hosts]:
    """A head and workers, booted; no Ray on them yet.

    Args:
        n_workers: Workers.
        n_cpus: CPUs that Ray counts on each.
    """
    base = Path(tempfile.mkdtemp(prefix="spooftune-hosts-", dir="/var/tmp"))
    mark = secrets.token_hex(3)
    bridge = f"st{mark}"
    subnet = f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(256)}"
    shared = base / "shared"
    shared.mkdir()
    made = Hosts(base, shared, base / "cluster.yaml", secrets.token_hex(32))
    (base / "token").write_text(made.token, encoding="utf-8")
    (base / "token").chmod(0o600)

    def run(*command: object) -> None:
        subprocess.run([*map(str, command)], check=True, capture_output=True)

    try:
        for name in ("key", "host_key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", base / name)
        run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "addr", "add", f"{subnet}.1/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        for number in range(1 + n_workers):
            host = Host(f"{bridge}-{number}", f"{subnet}.{number + 2}", base / f"host{number}")
            made.all.append(host)
            run("ip", "netns", "add", host.name)
            run("ip", "link", "add", f"{bridge}v{number}", "type", "veth", "peer", "name", "eth0", "netns", host.name)
            run("ip", "link", "set", f"{bridge}v{number}", "master", bridge, "up")
            run("ip", "-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
            run("ip", "-n", host.name, "link", "set", "eth0", "up")
            run("ip", "-n", host.name, "link", "set", "lo", "up")
            run("ip", "-n", host.name, "route", "add", "default", "via", f"{subnet}.1")
            host.boot(base, shared)
        made.config.write_text(yaml.safe_dump(_config(made, f"spooftune-{mark}", n_cpus)), encoding="utf-8")
        time.sleep(1)
        yield made
    finally:
        for host in made.all:
            if host.process and host.process.poll() is None:
                host.kill()
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", bridge], capture_output=True, check=False)
        shutil.rmtree(base, ignore_errors=True)


def _config(made: Hosts, name: str, n_cpus: int) -> dict[str, object]:
    variables = "RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_enable_autoscaler_v2=0 OMP_NUM_THREADS=1"
    variables += " RAY_health_check_period_ms=1000"  # a host that is gone is missed after 5 s, not after 15
    start = f"export {variables} PATH={BIN}:$PATH; {BIN}/ray start"
    common = "--object-store-memory=100000000 --disable-usage-stats"
    return {
        "cluster_name": name,
        "provider": {
            "type": "local",
            "head_ip": made.head.address,
            "worker_ips": [each.address for each in made.workers],
        },
        "auth": {"ssh_user": "root", "ssh_private_key": str(made.base / "key")},
        "min_workers": len(made.workers),
        "max_workers": len(made.workers),
        "idle_timeout_minutes": 60,
        "file_mounts": {"~/.ray/auth_token": str(made.base / "token")},
        "setup_commands": ["chmod 600 ~/.ray/auth_token"],
        "head_start_ray_commands": [
            f"{BIN}/ray stop",
            f"{start} --head --num-cpus=0 --port=6379 --autoscaling-config=~/ray_bootstrap_config.yaml "
            f"--dashboard-host=127.0.0.1 {common}",
        ],
        "worker_start_ray_commands": [
            f"{BIN}/ray stop",
            f"{start} --address=$RAY_HEAD_IP:6379 --num-cpus={n_cpus} {common}",
        ],
    }
