"""The Job of every domain's run: the rendered instance configuration in a real DagsterInstance, its real K8sRunLauncher,
the real Postgres storage; only the Kubernetes API is a recorder.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import kubernetes_validate
import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import DOCKER_IMAGE_TAG
from dagster._core.test_utils import create_run_for_test
from dagster_k8s import K8sRunLauncher
from kubernetes.client import ApiClient, V1Job

from platform_core.warehouse import EmbeddedPostgres, Warehouse

DOMAINS = ("customer", "inventory", "marketing", "sales")
SHARED_SECRETS = {"dagster-storage", "datahub", "alerts"}


@dataclass
class RecordedCluster:
    """Stands in for the batch and core clients of the Kubernetes API."""

    jobs: list[tuple[str, V1Job]] = field(default_factory=list)

    def create_namespaced_job(self, body: V1Job, namespace: str, _request_timeout: object = None) -> None:
        self.jobs.append((namespace, body))


@contextmanager
def instance_of(release: Any, home: Path, cluster: RecordedCluster) -> Iterator[DagsterInstance]:
    """The instance that the rendered dagster.yaml describes. Only the folder for artifacts is moved into the test's own."""
    text = release.dagster_yaml()
    assert text.count("/tmp/dagster") == 1
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(text.replace("/tmp/dagster", str(home / "artifacts")))

    def construct(cls: type[K8sRunLauncher], inst_data: Any, config_value: dict[str, Any]) -> K8sRunLauncher:
        return cls(inst_data=inst_data, k8s_client_batch_api=cluster, k8s_client_core_api=cluster, **config_value)

    with (
        mock.patch("kubernetes.config.load_incluster_config") as loaded,
        mock.patch.object(K8sRunLauncher, "from_config_value", classmethod(construct)),
        DagsterInstance.from_config(str(home)) as instance,
    ):
        assert isinstance(instance.run_launcher, K8sRunLauncher)
        loaded.assert_called_once_with()
        yield instance


@pytest.fixture
def storage(empty_database: Warehouse, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables a pod gets for Dagster's storage, for a fresh database of the test's own server."""
    role = empty_database.admin
    variables = {
        "DAGSTER_PG_HOST": empty_database.parameters["host"],
        "DAGSTER_PG_PORT": empty_database.parameters["port"],
        "DAGSTER_PG_DB": empty_database.parameters["dbname"],
        "DAGSTER_PG_USERNAME": role,
        "DAGSTER_PG_PASSWORD": postgres.set_password(role),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture(scope="module")
def plain_storage(render: Callable[..., Any]) -> Callable[..., Any]:
    """Renders without TLS to the storage: the embedded server has none."""

    def rendered(environment: str, over: dict[str, Any] | None = None) -> Any:
        return render(environment, {"dagsterStorage": {"params": None}, **(over or {})})

    return rendered


def launch(instance: DagsterInstance, release: Any, location: str, tags: dict[str, str] | None = None) -> None:
    """Launches a run of a location, with the origin that the location's gRPC server would report for it."""
    (container,) = release.location(location)["spec"]["template"]["spec"]["containers"]
    env = {v["name"]: v.get("value") for v in container["env"]}
    repository = RepositoryPythonOrigin(
        executable_path=sys.executable,
        code_pointer=ModuleCodePointer(f"{location}.definitions", "defs"),
        container_image=env["DAGSTER_CURRENT_IMAGE"],
        container_context=json.loads(str(env["DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT"])),
        entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
    )
    server = GrpcServerCodeLocationOrigin(host="server", port=4000, location_name=location)
    run = create_run_for_test(
        instance,
        job_name="__ASSET_JOB",
        tags=tags or {},
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), "__ASSET_JOB"),
        job_code_origin=JobPythonOrigin("__ASSET_JOB", repository),
    )
    instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))


def plain(job: V1Job) -> dict[str, Any]:
    """The Job as it goes over the wire."""
    return ApiClient().sanitize_for_serialization(job)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_each_domain_gets_its_own_job(environment: str, plain_storage: Callable[..., Any], storage: dict[str, str], tmp_path: Path) -> None:
    credentials = {"domains": {"sales": {"envSecrets": ["sales-shop"], "env": {"SHOP_REGION": "eu"}}}}
    release = plain_storage(environment, credentials)
    cluster = RecordedCluster()
    locations = ("platform", *DOMAINS)
    with instance_of(release, tmp_path / "home", cluster) as instance:
        for location in locations:
            launch(instance, release, location)
        assert [r.tags[DOCKER_IMAGE_TAG] for r in instance.get_runs(ascending=True)] == [
            release.location(name)["spec"]["template"]["spec"]["containers"][0]["image"] for name in locations
        ]

    assert len(cluster.jobs) == len(locations)
    for location, (namespace, body) in zip(locations, cluster.jobs, strict=True):
        job = plain(body)
        kubernetes_validate.validate(job, "1.37", strict=True)
        deployment = release.location(location)
        server_pod = deployment["spec"]["template"]["spec"]
        (server,) = server_pod["containers"]
        template = job["spec"]["template"]
        pod = template["spec"]
        (container,) = pod["containers"]

        assert (
            namespace
            == deployment["metadata"]["namespace"]
            == ("mesh" if environment == "dev" or location == "platform" else f"mesh-{location}")
        )
        assert container["image"] == server["image"]
        assert container["image"].rpartition("/")[2].startswith(f"{location}:")
        assert pod["serviceAccountName"] == server_pod["serviceAccountName"] == f"mesh-{location}"
        assert ("ServiceAccount", namespace, pod["serviceAccountName"]) in release.by_key
        assert pod["automountServiceAccountToken"] is False

        plain_variables = release.by_key["ConfigMap", namespace, "mesh-environment"]["data"]
        assert plain_variables["MESH_WAREHOUSE_DSN"] == release.values["warehouse"]["dsn"]
        assert {"configMapRef": {"name": "mesh-environment"}} in container["envFrom"]
        own_values = release.values["platformLocation"] if location == "platform" else release.values["domains"][location]
        own_secret = own_values["databaseSecret"]["existingSecret"]
        variables = {v["name"]: v for v in container["env"]}
        assert variables["PGPASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": own_secret, "key": "password"}
        assert variables["DAGSTER_PG_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "dagster-storage"
        assert len(variables) == len(container["env"]), "a variable given twice hides the first one"
        expected = {own_secret} | ({"sales-shop"} if location == "sales" else set())
        assert release.secrets_of(job) - SHARED_SECRETS == expected
        assert ("SHOP_REGION" in variables) is (location == "sales")

        assert container["resources"] == context_resources(release, location)
        assert container["securityContext"] == server["securityContext"]
        assert pod["securityContext"] == server_pod["securityContext"]
        assert by_name(pod["volumes"]) == by_name(server_pod["volumes"])
        assert by_name(container["volumeMounts"]) == by_name(server["volumeMounts"])
        assert not any("hostPath" in volume for volume in pod["volumes"])
        assert (
            template["metadata"]["labels"].items()
            >= {
                "dagster/code-location": location,
                "data-mesh/instance": "mesh",
                "data-mesh/component": "run",
            }.items()
        )
        assert container["args"][:3] == ["dagster", "api", "execute_run"]
        assert storage["DAGSTER_PG_PASSWORD"] not in json.dumps(job)


def context_resources(release: Any, location: str) -> dict[str, Any]:
    """What the values promise a run of the location."""
    defaults = yaml.safe_load((Path(__file__).parents[2] / "deploy/chart/values.yaml").read_text())["locationDefaults"]
    resources = {**defaults["runResources"], **release.values.get("locationDefaults", {}).get("runResources", {})}
    own = release.values["domains"].get(location, {}).get("runResources", {})
    return {kind: {**resources[kind], **own.get(kind, {})} for kind in resources}


def by_name(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Volumes or mounts, without the ``readOnly: null`` differences of order."""
    return {item["name"]: item for item in items}


def test_no_job_names_another_domains_secret(plain_storage: Callable[..., Any], storage: dict[str, str], tmp_path: Path) -> None:
    release = plain_storage("dev", {"domains": {d: {"envSecrets": [f"{d}-connector"]} for d in DOMAINS}})
    cluster = RecordedCluster()
    with instance_of(release, tmp_path / "home", cluster) as instance:
        for domain in DOMAINS:
            launch(instance, release, domain)
    for domain, (_, body) in zip(DOMAINS, cluster.jobs, strict=True):
        text = json.dumps(plain(body))
        assert f"{domain}-database" in text and f"{domain}-connector" in text
        assert not [other for other in DOMAINS if other != domain and other in text]


def test_a_run_of_no_known_location_has_no_rights_and_no_database(
    plain_storage: Callable[..., Any], storage: dict[str, str], tmp_path: Path
) -> None:
    release = plain_storage("prod")
    sales = release.location("sales")["spec"]["template"]["spec"]["containers"][0]
    sales["env"] = [v for v in sales["env"] if v["name"] == "DAGSTER_CURRENT_IMAGE"] + [
        {"name": "DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT", "value": "{}"}
    ]
    cluster = RecordedCluster()
    with instance_of(release, tmp_path / "home", cluster) as instance:
        launch(instance, release, "sales")
    ((namespace, body),) = cluster.jobs
    job = plain(body)
    assert (namespace, job["spec"]["template"]["spec"]["serviceAccountName"]) == ("mesh", "mesh-unassigned")
    assert release.by_key["ServiceAccount", "mesh", "mesh-unassigned"]["automountServiceAccountToken"] is False
    assert release.secrets_of(job) <= SHARED_SECRETS


FORBIDDEN_TAGS = {
    "host folder": {"pod_spec_config": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}},
    "host network": {"pod_spec_config": {"hostNetwork": True}},
    "second container": {"pod_spec_config": {"containers": [{"name": "x", "image": "x"}]}},
    "first container": {"pod_spec_config": {"initContainers": [{"name": "x", "image": "x"}]}},
    "privileges": {"container_config": {"securityContext": {"privileged": True}}},
    "other image": {"container_config": {"image": "somewhere.example.com/other:1"}},
    "mounted secret": {"container_config": {"volumeMounts": [{"name": "tmp", "mountPath": "/x"}]}},
    "labels of another domain": {"pod_template_spec_metadata": {"labels": {"dagster/code-location": "customer"}}},
}


def test_the_tags_of_a_run_cannot_leave_the_fence(plain_storage: Callable[..., Any], storage: dict[str, str], tmp_path: Path) -> None:
    release = plain_storage("prod")
    cluster = RecordedCluster()
    with instance_of(release, tmp_path / "home", cluster) as instance:
        for config in FORBIDDEN_TAGS.values():
            with pytest.raises(Exception, match="violated the allowed list"):
                launch(instance, release, "sales", {"dagster-k8s/config": json.dumps(config)})
        assert not cluster.jobs

        more_memory = {"container_config": {"resources": {"limits": {"memory": "8Gi"}}}}
        launch(instance, release, "sales", {"dagster-k8s/config": json.dumps(more_memory)})
        ((_, body),) = cluster.jobs
        assert plain(body)["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"memory": "8Gi"}

        # A run may name another account or secret, but stays in the namespace of its domain, where there is none of that name.
        borrowed = {
            "pod_spec_config": {"serviceAccountName": "mesh-customer"},
            "container_config": {"envFrom": [{"secretRef": {"name": "customer-database"}}]},
        }
        launch(instance, release, "sales", {"dagster-k8s/config": json.dumps(borrowed)})
        namespace, _ = cluster.jobs[1]
        assert namespace == "mesh-sales"
        assert ("ServiceAccount", namespace, "mesh-customer") not in release.by_key


def test_the_instance_queues_monitors_and_retries_lost_runs(
    plain_storage: Callable[..., Any], storage: dict[str, str], tmp_path: Path
) -> None:
    release = plain_storage("prod")
    with instance_of(release, tmp_path / "home", RecordedCluster()) as instance:
        assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
        assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
        assert type(instance.compute_log_manager).__name__ == "NoOpComputeLogManager"
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == release.values["runs"]["maxConcurrent"]
        assert instance.run_monitoring_enabled and instance.run_monitoring_max_resume_run_attempts == 0
        assert instance.run_retries_enabled and instance.get_settings("run_retries")["retry_on_asset_or_op_failure"] is False
        assert not instance.telemetry_enabled


STUB_LOCATION = """
import dagster as dg

@dg.asset
def orders() -> None: ...

defs = dg.Definitions(assets=[orders], jobs=[dg.define_asset_job("publish", [orders])])
"""


def test_the_rendered_server_tells_the_launcher_how_to_run_its_domain(
    plain_storage: Callable[..., Any], storage: dict[str, str], tmp_path: Path, free_port: int
) -> None:
    """The command and the variables of the sales pod, for real, with a stub in place of the domain's code."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._grpc.client import DagsterGrpcClient
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    release = plain_storage("prod")
    (container,) = release.location("sales")["spec"]["template"]["spec"]["containers"]
    stub = tmp_path / "code" / "sales"
    stub.mkdir(parents=True)
    (stub / "__init__.py").touch()
    (stub / "definitions.py").write_text(STUB_LOCATION)
    home = tmp_path / "home"
    cluster = RecordedCluster()
    arguments = [a.replace("=0.0.0.0", "=127.0.0.1").replace("=4000", f"={free_port}") for a in container["args"]]
    assert arguments[0] == "dagster"
    env = {v["name"]: v["value"] for v in container["env"] if "value" in v}
    with instance_of(release, home, cluster) as instance:
        environment = {
            **os.environ, **env, **storage, "DAGSTER_HOME": str(home), "HOME": str(tmp_path), "PYTHONPATH": str(stub.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        with running([sys.executable, "-m", *arguments], environment, tmp_path) as server:
            client = DagsterGrpcClient(port=free_port, host="127.0.0.1")
            wait_until(lambda: listens(free_port), server)
            wait_until(lambda: client.health_check_query() == "SERVING", server)
            probe = container["readinessProbe"]["grpc"]
            with client._channel() as channel:
                answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=probe["service"]))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

            workspace = yaml.safe_load(release.one("ConfigMap", "mesh-workspace")["data"]["workspace.yaml"])
            (own,) = [e["grpc_server"] for e in workspace["load_from"] if e["grpc_server"]["location_name"] == "sales"]
            file = tmp_path / "workspace.yaml"
            file.write_text(yaml.safe_dump({"load_from": [{"grpc_server": {**own, "host": "127.0.0.1", "port": free_port}}]}))
            with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(file)])) as process:
                location = process.create_request_context().get_code_location("sales")
                (repository,) = location.get_repositories().values()
                job = repository.get_full_job("publish")
                run = create_run_for_test(
                    instance, job_name="publish", remote_job_origin=job.get_remote_origin(), job_code_origin=job.get_python_origin()
                )
                instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    ((namespace, body),) = cluster.jobs
    template = plain(body)["spec"]["template"]
    assert namespace == "mesh-sales"
    assert template["metadata"]["labels"]["dagster/code-location"] == "sales"
    assert template["spec"]["serviceAccountName"] == "mesh-sales"
    assert template["spec"]["containers"][0]["image"] == container["image"]
    assert release.secrets_of(template) - SHARED_SECRETS == {"sales-database"}
    # DAGSTER_HOME is a read-only ConfigMap in the pod: nothing else may have been written into it.
    assert {path.name for path in home.iterdir()} <= {"dagster.yaml", "artifacts"}


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port of loopback that nothing uses, held for the test: only who shares ports, as gRPC's servers do, can listen on it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


@contextmanager
def running(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block; its output is in ``server.log``."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, text=True)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=120)


def listens(port: int) -> bool:
    """Whether something accepts connections on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 240) -> None:
    """Polls; fails at once when the process has ended."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.1)
