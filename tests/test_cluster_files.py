"""The cluster files against Ray's own schema, and against what keeps a cluster closed."""

import copy
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parent.parent
CLUSTERS = [ROOT / "cluster.yaml", ROOT / "docs" / "cluster-on-premises.yaml"]


@pytest.fixture(params=CLUSTERS, ids=lambda path: path.name)
def cluster(request):
    return yaml.safe_load(request.param.read_text())


def test_ray_takes_it(cluster):
    validate_config(prepare_config(copy.deepcopy(cluster)))


def test_the_schema_would_notice_a_mistake(cluster):
    with pytest.raises(Exception, match="idle_timeout_minuts"):
        validate_config(prepare_config({**copy.deepcopy(cluster), "idle_timeout_minuts": 5}))


def test_nothing_listens_wide_open_and_every_node_asks_for_the_token(cluster):
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        start = cluster[key][-1]
        assert "RAY_AUTH_MODE=token" in start
        assert "RAY_USAGE_STATS_ENABLED=0" in start
    assert "--dashboard-host=127.0.0.1" in cluster["head_start_ray_commands"][-1]
    assert "0.0.0.0" not in yaml.safe_dump(cluster)
    assert any(path.endswith(".ray/auth_token") for path in cluster["file_mounts"])
    assert any("chmod 600 ~/.ray/auth_token" in each for each in cluster["setup_commands"])


def test_the_package_is_installed_as_on_a_laptop(cluster):
    assert any("make install" in each for each in cluster["setup_commands"])


def test_workers_come_from_zero_and_no_trial_runs_on_the_head():
    cluster = yaml.safe_load(CLUSTERS[0].read_text())
    types = cluster["available_node_types"]
    assert types["gpu"]["min_workers"] == 0
    assert types["gpu"]["max_workers"] <= cluster["max_workers"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert cluster["provider"]["cache_stopped_nodes"] is False


def test_the_rayjob_has_the_fields_of_its_kind():
    job = yaml.safe_load((ROOT / "docs" / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    known = {"entrypoint", "submissionMode", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished"}
    assert set(spec) == known | {"rayClusterSpec"}
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] == 0 <= workers["replicas"] <= workers["maxReplicas"]
    for group in (cluster["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    assert "spooftune resume" in spec["entrypoint"]
    assert "spooftune launch" in spec["entrypoint"]
