"""An embedded Ray answers nobody without the token of its run."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import grpc

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import json, os, sys, time
from search.cluster.ray_session import start_ray

start_ray(None)
import ray

@ray.remote
def there():
    return 1

assert ray.get(there.remote()) == 1
time.sleep(3)
told = {"pid": os.getpid(), "gcs": ray.get_runtime_context().gcs_address, "token": os.environ["RAY_AUTH_TOKEN"]}
print(json.dumps(told), flush=True)
sys.stdin.read()
"""
AGENT = 52365
METHODS = [
    "NodeInfoGcsService/GetAllNodeInfo",  # gcs_server
    "NodeManagerService/GetNodeStats",  # raylet
    "ObjectManagerService/Pull",  # raylet
    "CoreWorkerService/GetCoreWorkerStats",  # the driver and the processes of trials
    "CoreWorkerService/Exit",
    "ReporterService/GetTraceback",  # the dashboard's agent
    "LogService/ListLogs",
]
"""A call of each of Ray's services; a server says UNIMPLEMENTED to those of others."""

JOIN = "import ray; ray.init(address='{gcs}', logging_level=50)"


def listening(pid):
    """Ports on which a process or one of its descendants listens, and for each an address at which it answers."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    ours = {pid}
    while more := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= more
    sockets = set()
    for each in ours:
        for descriptor in Path(f"/proc/{each}/fd").glob("*"):
            try:
                found = re.fullmatch(r"socket:\[(\d+)]", str(descriptor.readlink()))
            except OSError:
                continue
            if found:
                sockets.add(found[1])
    ports = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                address, port = fields[1].rsplit(":", 1)
                four = len(address) == 8 and int(address, 16)
                found = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if four else "127.0.0.1"
                ports[int(port, 16)] = found
    return ports


def answer(address, port, path):
    """The HTTP status that a port answers a stranger with; None where it does not speak HTTP."""
    try:
        with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=5) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code
    except Exception:  # noqa: BLE001 - gRPC, or nothing
        return None


def called(address, port):
    """The gRPC statuses that a port answers a stranger's calls with."""
    found = set()
    with grpc.insecure_channel(f"{address}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        for method in METHODS:
            try:
                channel.unary_unary(f"/ray.rpc.{method}")(b"", timeout=5)
                found.add("OK")
            except grpc.RpcError as error:
                found.add(error.code().name)
    return found


def test_every_socket_asks_for_the_token(tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment["HOME"] = str(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        started = json.loads(next(line for line in process.stdout if line.startswith("{")))
        ports = listening(started["pid"])
        assert int(started["gcs"].rsplit(":", 1)[1]) in ports
        paths = ("/", "/metrics", "/api/version")
        told = {port: {answer(where, port, path) for path in paths} - {None} for port, where in ports.items()}
        assert all(codes <= {401} for codes in told.values()), told
        for port, where in ports.items():
            if not told[port]:  # it speaks gRPC
                statuses = called(where, port)
                assert "UNAUTHENTICATED" in statuses, (port, statuses)
                assert statuses <= {"UNAUTHENTICATED", "UNIMPLEMENTED"}, (port, statuses)
        # Where another Ray of this machine has the agents' one fixed port, ours do without it and speak no HTTP.
        assert AGENT not in ports or told[AGENT] == {401}
        command = ["timeout", "60", sys.executable, "-c", JOIN.format(**started)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        strangers = [
            subprocess.Popen(command, env={**environment, **variables}, **pipes)
            for variables in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": 64 * "a"})
        ]
        for each in strangers:
            said, _ = each.communicate()
            assert each.returncode != 0
            assert "uthenticat" in said
        assert not (tmp_path / ".ray").exists()
        assert started["token"] not in Path(f"/proc/{started['pid']}/cmdline").read_text()
    finally:
        process.communicate()
