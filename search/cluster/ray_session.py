"""The connection to Ray: a Ray that this process starts on this machine, or a running cluster."""

import logging
import os
import secrets
import sys
from typing import Any

import torch

from core.errors import Unavailable
from search.cluster.machine import memory_limit, usable_cpus
from search.methods.ray_internals import deaf_to_sigterm, end_with_ray, installed_modules_only

OBJECT_STORE = 0.3
"""Fraction of the memory that Ray's object store may use: Ray's own default."""

OBJECT_STORE_BYTES = (75 * 2**20, 10**10)
"""Minimum and maximum of the object store. Ray refuses less, and refuses more if /dev/shm is smaller."""


ATTEMPTS = 4
"""Number of times that a Ray of this process is started: on a machine under load, its parts wait too short a time."""


def start_ray(address: str | None) -> None:
    """Starts a Ray on this machine, or joins the cluster at an address.

    Args:
        address: Ray's address, such as `auto`. None: a Ray of this process, which refuses every client without the
            token of this process.

    Raises:
        Unavailable: Ray does not start, or cannot be reached at the address.
    """
    # The token is for this run only. Without one, Ray would write a lasting token, readable by all, into the home
    # folder.
    if address is None:
        os.environ.pop("RAY_ADDRESS", None)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # Ray's ports listen on every interface. All ask for the token, except the metrics ports: these stay closed.
        os.environ.setdefault("RAY_enable_metrics_collection", "0")
        os.environ.setdefault("AUTOSCALER_METRIC_PORT", "-1")
        os.environ.setdefault("DASHBOARD_METRIC_PORT", "-1")
        # Trials have an environment of their own: a process that Ray starts ahead of them would serve none.
        os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # Paths in a space are relative to the launch folder.
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # The run's folder already has all metrics.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # Ray's new output prints even when it is told not to.
    import ray

    attempts = ATTEMPTS if address is None else 1
    for attempt in range(1, attempts + 1):
        try:
            _init(address)
            break
        except Exception as error:
            # Ray does not say which classes of exceptions it raises.
            reason = " ".join(str(error).split())
            if address is not None:
                hint = "if the cluster has a token, set RAY_AUTH_MODE=token in the environment"
                raise Unavailable(f"--address {address}: Ray cannot be reached there: {reason}; {hint}") from error
            if attempt == attempts or isinstance(error, ValueError):  # a wrong option will not be right later
                raise Unavailable(f"Ray did not start: {reason}") from error
            ray.shutdown()
            print(f"spooftune: Ray did not start; attempt {attempt + 1} of {attempts}", file=sys.stderr, flush=True)
    if address is None:
        end_with_ray()
    # A failed trial does not make the search fail: the run's folder and the table report it without a traceback.
    logging.getLogger("ray").setLevel(logging.CRITICAL)


def _init(address: str | None) -> None:
    import ray

    with deaf_to_sigterm():
        ray.init(
            address=address or "local",
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            num_cpus=usable_cpus() if address is None else None,
            num_gpus=torch.cuda.device_count() if address is None else None,
            **({"job_config": installed_modules_only(), **_memory_options()} if address is None else {}),
        )


def _memory_options() -> dict[str, Any]:
    """Options of `ray.init` for a cgroup's limit of memory: Ray only sees the limit at the root of the hierarchy."""
    limit = memory_limit()
    if limit is None:
        return {}
    least, most = OBJECT_STORE_BYTES
    object_store = min(max(int(OBJECT_STORE * limit), least), most)
    return {"object_store_memory": object_store, "_memory": max(limit - object_store, least)}
