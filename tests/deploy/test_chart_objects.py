"""What the chart renders: valid for Kubernetes, whole in itself, and no more rights than needed."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from helm_python import HelmError

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def pods(release: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for deployment in release.of_kind("Deployment"):
        yield deployment["metadata"]["name"], deployment["metadata"]["namespace"], deployment["spec"]["template"]


@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_every_object_is_valid_for_kubernetes(release: Any, version: str) -> None:
    assert len(release.objects) > 30
    for item in release.objects:
        kubernetes_validate.validate(item, version, strict=True)


def test_the_offline_validation_refuses_an_unknown_field(prod: Any) -> None:
    deployment = prod.location("sales")
    broken = {**deployment, "spec": {**deployment["spec"], "replicaCount": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replicaCount"):
        kubernetes_validate.validate(broken, "1.37", strict=True)


def test_no_object_is_rendered_twice_and_names_fit(release: Any) -> None:
    assert len(release.by_key) == len(release.objects)
    assert all(NAME.fullmatch(name) for _, _, name in release.by_key)


def test_every_reference_leads_to_an_object_of_the_release(release: Any) -> None:
    for name, namespace, template in pods(release):
        spec = template["spec"]
        assert ("ServiceAccount", namespace, spec["serviceAccountName"]) in release.by_key, name
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", namespace, volume["configMap"]["name"]) in release.by_key, name
        (container,) = spec["containers"]
        for source in container["envFrom"]:
            if "configMapRef" in source:
                assert ("ConfigMap", namespace, source["configMapRef"]["name"]) in release.by_key, name
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


def test_every_service_and_budget_selects_the_pods_of_exactly_one_deployment(release: Any) -> None:
    selectors = [(o, o["spec"]["selector"]) for o in release.of_kind("Service")]
    selectors += [(o, o["spec"]["selector"]["matchLabels"]) for o in release.of_kind("PodDisruptionBudget")]
    for item, selector in selectors:
        selected = [
            name
            for name, namespace, template in pods(release)
            if namespace == item["metadata"]["namespace"] and selector.items() <= template["metadata"]["labels"].items()
        ]
        assert selected == [item["metadata"]["name"]]


def test_the_workspace_names_one_reachable_server_per_location(release: Any) -> None:
    workspace = yaml.safe_load(release.one("ConfigMap", "mesh-workspace")["data"]["workspace.yaml"])
    servers = [entry["grpc_server"] for entry in workspace["load_from"]]
    assert [server["location_name"] for server in servers] == ["platform", *sorted(release.values["domains"])]
    for server in servers:
        service, namespace, _ = server["host"].split(".")
        (port,) = release.by_key["Service", namespace, service]["spec"]["ports"]
        assert port["port"] == server["port"]
        (container,) = release.location(server["location_name"])["spec"]["template"]["spec"]["containers"]
        assert f"--location-name={server['location_name']}" in container["args"]
        assert {"name": port["targetPort"], "containerPort": server["port"]} in container["ports"]


def test_no_secret_value_is_in_the_release(release: Any) -> None:
    assert not release.of_kind("Secret")
    for name, _, template in pods(release):
        for variable in template["spec"]["containers"][0]["env"]:
            if re.search("PASSWORD|TOKEN|WEBHOOK", variable["name"]):
                assert "value" not in variable, name
    assert not [key for c in release.of_kind("ConfigMap") for key in c["data"] if re.search("PASSWORD|TOKEN|WEBHOOK", key)]
    instance = yaml.safe_load(release.dagster_yaml())
    assert instance["storage"]["postgres"]["postgres_db"]["password"] == {"env": "DAGSTER_PG_PASSWORD"}
    for variable in instance["run_launcher"]["config"]["run_k8s_config"]["container_config"]["env"]:
        assert set(variable) == {"name", "valueFrom"}


def test_each_location_uses_its_own_database_secret_and_no_other_location_does(release: Any) -> None:
    shared = {release.values["dagsterStorage"]["existingSecret"]} | {
        release.values[plane][key]["name"]
        for plane, key in (("datahub", "tokenSecret"), ("alerts", "webhookSecret"))
        if plane in release.values
    }
    domains = {**release.values["domains"], "platform": release.values["platformLocation"]}
    for name, values in domains.items():
        spec = release.location(name)["spec"]["template"]["spec"]
        assert release.secrets_of(spec) - shared == {values["databaseSecret"]["existingSecret"]}
        variables = {v["name"]: v.get("valueFrom", {}).get("secretKeyRef") for v in spec["containers"][0]["env"]}
        assert variables["PGUSER"] == {"name": values["databaseSecret"]["existingSecret"], "key": "username"}
        assert variables["PGPASSWORD"] == {"name": values["databaseSecret"]["existingSecret"], "key": "password"}
    for plain in ("mesh-webserver", "mesh-daemon"):
        assert release.secrets_of(release.one("Deployment", plain)) == {release.values["dagsterStorage"]["existingSecret"]}


def test_every_pod_is_unprivileged_with_a_read_only_root(release: Any) -> None:
    for name, _, template in pods(release):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] >= 10000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]
        assert "livenessProbe" in container
        writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
        assert writable == {"/tmp", "/opt/mesh/home"}


def test_only_webserver_and_daemon_have_rights_and_none_can_read_secrets(release: Any) -> None:
    for role in release.of_kind("Role"):
        for rule in role["rules"]:
            assert not {"secrets", "*"} & {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}
    for binding in release.of_kind("RoleBinding"):
        assert ("Role", binding["metadata"]["namespace"], binding["roleRef"]["name"]) in release.by_key
        assert {s["name"] for s in binding["subjects"]} == {"mesh-daemon", "mesh-webserver"}
    granted = {b["metadata"]["namespace"] for b in release.of_kind("RoleBinding")}
    assert granted == {o["metadata"]["namespace"] for o in release.of_kind("Deployment")}, "runs can be launched where they live"
    for name, _, template in pods(release):
        if "dagster/code-location" in template["metadata"]["labels"]:
            assert template["spec"]["automountServiceAccountToken"] is False, name


def test_a_code_location_is_reached_by_webserver_and_daemon_only(release: Any) -> None:
    for name in ("platform", *release.values["domains"]):
        deployment = release.location(name)
        policy = release.by_key["NetworkPolicy", deployment["metadata"]["namespace"], deployment["metadata"]["name"]]["spec"]
        assert policy["podSelector"]["matchLabels"] == {"dagster/code-location": name}
        (rule,) = policy["ingress"]
        (peer,) = rule["from"]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "mesh"}
        allowed = [
            o["metadata"]["name"]
            for o in release.of_kind("Deployment")
            if o["metadata"]["namespace"] == "mesh"
            and peer["podSelector"]["matchLabels"].items() <= o["spec"]["template"]["metadata"]["labels"].items()
            and all(
                o["spec"]["template"]["metadata"]["labels"].get(e["key"]) in e["values"] for e in peer["podSelector"]["matchExpressions"]
            )
        ]
        assert sorted(allowed) == ["mesh-daemon", "mesh-webserver"]
        assert rule["ports"] == [{"protocol": "TCP", "port": 4000}]


def test_webserver_and_daemon_understand_their_commands(prod: Any, tmp_path: Any) -> None:
    from dagster._daemon.cli import create_dagster_daemon_cli
    from dagster_webserver.cli import dagster_webserver

    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(prod.one("ConfigMap", "mesh-workspace")["data"]["workspace.yaml"])

    def command(name: str) -> tuple[dict[str, Any], list[str]]:
        (container,) = prod.one("Deployment", name)["spec"]["template"]["spec"]["containers"]
        return container, [argument.replace("/etc/dagster/workspace.yaml", str(workspace)) for argument in container["args"]]

    container, (program, *arguments) = command("mesh-webserver")
    understood = dagster_webserver.make_context(program, arguments).params
    assert (program, understood["host"], understood["port"]) == ("dagster-webserver", "0.0.0.0", container["ports"][0]["containerPort"])

    container, (program, subcommand, *arguments) = command("mesh-daemon")
    daemon = create_dagster_daemon_cli()
    assert (program, subcommand) == ("dagster-daemon", "run")
    daemon.commands["run"].make_context("run", arguments)
    program, subcommand = container["livenessProbe"]["exec"]["command"]
    assert program == "dagster-daemon" and subcommand in daemon.commands


def test_every_location_names_a_module_of_this_repository(prod: Any) -> None:
    modules = [prod.values.get("platformLocation", {}).get("module", "platform_core.location")]
    modules += [domain["module"] for domain in prod.values["domains"].values()]
    for module in modules:
        assert importlib.util.find_spec(module) is not None, module


def test_production_gives_each_domain_a_namespace_of_its_own(prod: Any) -> None:
    homes = {name: prod.location(name)["metadata"]["namespace"] for name in prod.values["domains"]}
    assert len(set(homes.values())) == len(homes)
    made = {o["metadata"]["name"]: o["metadata"]["labels"] for o in prod.of_kind("Namespace")}
    assert set(made) == set(homes.values())
    assert {labels["pod-security.kubernetes.io/enforce"] for labels in made.values()} == {"restricted"}


def test_a_fifth_domain_adds_exactly_its_objects(render: Callable[..., Any]) -> None:
    before = render("dev")
    fifth = {"supply_chain": {"module": "supply_chain.definitions", "databaseSecret": {"existingSecret": "supply-chain-database"}}}
    after = render("dev", {"domains": fifth})
    own = {"Deployment": "", "Service": "", "ServiceAccount": "", "NetworkPolicy": "", "Role": "-runs", "RoleBinding": "-runs"}
    expected = {(kind, "mesh", f"mesh-supply-chain{end}") for kind, end in own.items()}
    assert set(after.by_key) - set(before.by_key) == expected
    assert not set(before.by_key) - set(after.by_key)
    changed = {key for key, item in before.by_key.items() if _unversioned(after.by_key[key]) != _unversioned(item)}
    assert changed == {("ConfigMap", "mesh", "mesh-workspace")}
    for key in expected:
        kubernetes_validate.validate(after.by_key[key], "1.37", strict=True)
    assert after.location("supply_chain")["spec"]["template"]["spec"]["containers"][0]["image"].endswith("/supply-chain:dev")


def _unversioned(item: dict[str, Any]) -> dict[str, Any]:
    """Without the annotation that rolls pods when the configuration changes."""
    if item["kind"] != "Deployment":
        return item
    template = item["spec"]["template"]
    plain = {**template, "metadata": {**template["metadata"], "annotations": {}}}
    return {**item, "spec": {**item["spec"], "template": plain}}


def test_a_changed_configuration_rolls_the_pods(render: Callable[..., Any]) -> None:
    def mark(release: Any) -> str:
        return release.location("sales")["spec"]["template"]["metadata"]["annotations"]["data-mesh/configuration"]

    assert mark(render("dev")) == mark(render("dev"))
    assert mark(render("dev")) != mark(render("dev", {"runs": {"maxConcurrent": 5}}))


def test_step_jobs_give_the_domain_rights_in_its_own_namespace_only(render: Callable[..., Any]) -> None:
    over = {"domains": {"sales": {"stepJobs": True}}}
    binding = render("prod", over).one("RoleBinding", "mesh-sales-runs")
    assert {"kind": "ServiceAccount", "name": "mesh-sales", "namespace": "mesh-sales"} in binding["subjects"]
    with pytest.raises(HelmError, match=r"domains\.sales\.stepJobs needs domains\.sales\.namespace"):
        render("dev", over)


_DOMAIN = {"module": "new.definitions", "databaseSecret": {"existingSecret": "new-database"}}
WRONG_VALUES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"domain": {}}, "domain"),
    "unknown key of a domain": ({"domains": {"sales": {"secret": "x"}}}, "secret"),
    "domain without a database secret": ({"domains": {"new": {"module": "new.definitions"}}}, "databaseSecret"),
    "domain without a module": ({"domains": {"new": {"databaseSecret": {"existingSecret": "x"}}}}, "module"),
    "domain name that is no package": ({"domains": {"Sales-EU": _DOMAIN}}, "Sales-EU"),
    "domain named as a part of the platform": ({"domains": {"webserver": _DOMAIN}}, "webserver"),
    "module with a slash": ({"domains": {"sales": {"module": "sales/definitions.py"}}}, "module"),
    "no domain": ({"domains": None}, "domains"),
    "secret name in capitals": ({"domains": {"sales": {"databaseSecret": {"existingSecret": "Sales_DB"}}}}, "existingSecret"),
    "password in the warehouse address": ({"warehouse": {"dsn": "postgresql://u:p@db/mesh"}}, "warehouse"),
    "password as a parameter": ({"warehouse": {"dsn": "host=db password=p"}}, "warehouse"),
    "empty warehouse address": ({"warehouse": {"dsn": ""}}, "warehouse"),
    "lake on a pod's disk": ({"lake": {"url": "/var/lake"}}, "lake"),
    "lake as a file address": ({"lake": {"url": "file://host/lake"}}, "lake"),
    "image tag latest": ({"images": {"platform": {"tag": "latest"}}}, "tag"),
    "image tag empty": ({"images": {"domains": {"tag": ""}}}, "tag"),
    "digest cut short": ({"images": {"platform": {"digest": "sha256:abc"}}}, "digest"),
    "port out of range": ({"dagsterStorage": {"port": 70000}}, "port"),
    "no storage secret": ({"dagsterStorage": {"existingSecret": ""}}, "existingSecret"),
    "token as a plain variable": ({"environment": {"SHOP_TOKEN": "abc"}}, "SHOP_TOKEN"),
    "password as a domain's plain variable": ({"domains": {"sales": {"env": {"API_PASSWORD": "abc"}}}}, "API_PASSWORD"),
    "memory without a unit that exists": ({"locationDefaults": {"runResources": {"limits": {"memory": "2Gigs"}}}}, "memory"),
    "unknown resource": ({"daemon": {"resources": {"limits": {"ram": "1Gi"}}}}, "ram"),
    "no webserver": ({"webserver": {"replicas": 0}}, "replicas"),
    "root user": ({"securityContext": {"runAsUser": 0}}, "runAsUser"),
    "runs as text": ({"runs": {"maxConcurrent": "many"}}, "maxConcurrent"),
}


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_the_schema_refuses(case: str, render: Callable[..., Any]) -> None:
    over, named = WRONG_VALUES[case]
    with pytest.raises(HelmError, match=re.escape(named)):
        render("dev", over)


def test_the_chart_alone_asks_for_what_has_no_default(deploy: Any) -> None:
    from helm_python import Chart

    with pytest.raises(HelmError) as refused:
        Chart.load(deploy / "chart").render({}, name="mesh", namespace="mesh")
    for named in ("/warehouse/dsn", "/lake/url", "/images/platform", "/domains", "/dagsterStorage/host"):
        assert named in str(refused.value)
