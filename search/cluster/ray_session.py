"""The connection to Ray: one of our own on this machine, or a cluster's."""

import logging
import os
import secrets

import torch

from core.errors import Unavailable


def start_ray(address: str | None) -> None:
    """Starts a Ray of our own, or joins the cluster at an address.

    Args:
        address: Ray's, such as `auto`; None = a Ray of our own, which answers nobody without the token of this process.

    Raises:
        Unavailable: Ray does not start, or cannot be reached at the address.
    """
    # A token of this run alone: without one Ray would write a lasting one, readable by all, into the home folder.
    if address is None:
        os.environ.pop("RAY_ADDRESS", None)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # Ray's ports listen on every interface and ask for the token, but for those of its metrics: these stay closed.
        os.environ.setdefault("RAY_enable_metrics_collection", "0")
        os.environ.setdefault("AUTOSCALER_METRIC_PORT", "-1")
        os.environ.setdefault("DASHBOARD_METRIC_PORT", "-1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # paths in a space are relative to where it was launched
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # the run's folder has it all once
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the table is ours; the new output prints even when told not to
    import ray

    try:
        ray.init(
            address=address or "local",
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            num_gpus=torch.cuda.device_count() if address is None else None,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address is None:
            raise Unavailable(f"Ray did not start: {error}") from error
        hint = "a cluster with a token is reached with RAY_AUTH_MODE=token in the environment"
        raise Unavailable(f"--address {address}: Ray cannot be reached there: {error}; {hint}") from error
    # A failed trial is no failure of the search: the run's folder and the table have it without a traceback.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
