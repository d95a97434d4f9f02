"""How the chart wires the processes: probes, drains, edges, secrets, scaling, hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runbus.config.catalogue import SETTINGS
from tests.deploy.chart.conftest import VALUES, Rendered, pods
from tests.deploy.conftest import CHART
from tests.deploy.running import Ran

PROCESSES = ("sink", "episodes", "live-metrics", "watchdog", "dashboard")


def workloads(rendered: Rendered) -> dict[str, dict[str, Any]]:
    """Return Deployments and StatefulSets by component."""
    found = rendered.of("Deployment") + rendered.of("StatefulSet")
    return {o["metadata"]["labels"]["app.kubernetes.io/component"]: o for o in found}


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    """Return a pod's variables: their value, or where it comes from."""
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in pod["containers"][0].get("env", [])}


def _secret(pod: dict[str, Any], volume: str) -> str | None:
    """Return the name of the Secret of one of a pod's volumes."""
    return next((v["secret"]["secretName"] for v in pod["volumes"] if v["name"] == volume), None)


def test_every_process_is_there(render: Callable[..., Rendered]) -> None:
    """The sink is a Deployment; the stream apps have stable names, which are their instance ids."""
    found = workloads(render("minimal"))
    assert {name: o["kind"] for name, o in found.items()} == {
        "sink": "Deployment",
        "episodes": "StatefulSet",
        "live-metrics": "StatefulSet",
        "watchdog": "Deployment",
        "dashboard": "Deployment",
    }
    for name in ("episodes", "live-metrics"):
        pod = found[name]["spec"]["template"]["spec"]
        assert environment(pod)["RUNBUS_STREAMS_INSTANCE_ID"] == {"fieldRef": {"fieldPath": "metadata.name"}}
        assert pod["containers"][0]["args"] == [name]


def test_a_users_stream_app_is_a_process_like_ours(render: Callable[..., Rendered]) -> None:
    """Its module in its image, with a stable name, the defaults of all apps and what it has of its own."""
    rendered = render("stream-apps")
    found = workloads(rendered)
    own, plain, ours = (found[name]["spec"] for name in ("success-rate", "crash-counts", "episodes"))
    container = own["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example/lab-apps:7"
    assert container["args"] == ["stream-app", "my_lab.success_rate:app"]
    assert (own["replicas"], plain["replicas"]) == (1, 3)
    variables = environment(own["template"]["spec"])
    assert variables["RUNBUS_STREAMS_INSTANCE_ID"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert (variables["RUNBUS_STREAMS_COMMIT_SECONDS"], variables["TZ"]) == ("1", "UTC")
    likewise = plain["template"]["spec"]["containers"][0] | {"args": ["episodes"]}
    assert likewise == ours["template"]["spec"]["containers"][0]
    for kind in ("StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"):
        assert rendered.one(kind, "-success-rate")
    command = rendered.one("Pod")["spec"]["containers"][0]["command"]
    assert "http://rb-runbus-success-rate:9464/ready" in command


def test_topics_and_rights_of_users_apps_are_made_by_the_job(render: Callable[..., Rendered]) -> None:
    """By the names of the apps; but for them only what shows their groups needs to know these."""
    found = {where.rpartition("rb-runbus-")[2]: environment(pod) for where, pod in pods(render("stream-apps"))}
    assert found["topics"]["RUNBUS_STREAM_APPS"] == "crash-counts;success-rate"
    assert found["topics"]["RUNBUS_PRINCIPALS"] == "success-rate=User:CN=success-rate,O=lab"
    assert {name for name, variables in found.items() if "RUNBUS_STREAM_APPS" in variables} == {
        "topics",
        "watchdog",
        "dashboard",
    }


def test_probes_ask_the_process_only(rendered: Rendered) -> None:
    """Start and life are /live, which depends on no broker; /ready is for readiness."""
    for o in workloads(rendered).values():
        container = o["spec"]["template"]["spec"]["containers"][0]
        paths = {p: container[p]["httpGet"]["path"] for p in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert paths == {"startupProbe": "/live", "livenessProbe": "/live", "readinessProbe": "/ready"}


@pytest.mark.parametrize(("name", "key"), [("sink", "sink"), ("episodes", "episodes"), ("live-metrics", "liveMetrics")])
def test_the_end_outlasts_the_drain(render: Callable[..., Rendered], name: str, key: str) -> None:
    """The pod's grace period is longer than what the process is told, whatever that is."""
    pod = workloads(render("minimal", f"{key}.graceSeconds=45"))[name]["spec"]["template"]["spec"]
    variable = "RUNBUS_SINK_GRACE_SECONDS" if name == "sink" else "RUNBUS_STREAMS_GRACE_SECONDS"
    assert environment(pod)[variable] == "45"
    assert pod["terminationGracePeriodSeconds"] == 67


def test_the_watchdog_drains_nothing_and_reads_its_webhook_from_a_file(render: Callable[..., Rendered]) -> None:
    """It has the time of any process to end; without a Secret there is no webhook."""
    pod = workloads(render("production"))["watchdog"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 30
    assert environment(pod)["RUNBUS_WATCHDOG_WEBHOOK_URL_FILE"] == "/run/secrets/webhook/url"
    assert _secret(pod, "webhook") == "watchdog-webhook"
    pod = workloads(render("minimal"))["watchdog"]["spec"]["template"]["spec"]
    assert "RUNBUS_WATCHDOG_WEBHOOK_URL_FILE" not in environment(pod)


def test_the_page_asks_for_a_token_and_has_a_service_for_people(render: Callable[..., Rendered]) -> None:
    """It listens at all addresses of its pod, so it is not rendered without a Secret; who may reach it is named."""
    rendered = render("production")
    pod = workloads(rendered)["dashboard"]["spec"]["template"]["spec"]
    variables = environment(pod)
    assert variables["RUNBUS_DASHBOARD_ADDRESS"] == "0.0.0.0:8600"
    assert variables["RUNBUS_DASHBOARD_TOKEN_FILE"] == "/run/secrets/token/token"
    assert _secret(pod, "token") == "page-token"
    assert {"rb-runbus-page", "runs.example.org"} <= set(variables["RUNBUS_DASHBOARD_HOSTS"].split(","))
    service = rendered.one("Service", "-page")["spec"]
    assert service["selector"]["app.kubernetes.io/component"] == "dashboard"
    assert service["ports"] == [{"name": "page", "port": 80, "targetPort": "page"}]
    assert {"name": "page", "containerPort": 8600} in pod["containers"][0]["ports"]
    rules = rendered.one("NetworkPolicy", "-dashboard")["spec"]["ingress"]
    assert [rule["ports"][0]["port"] for rule in rules] == ["probes", "page"]
    assert "ingress-nginx" in str(rules[1]["from"])
    assert len(rendered.one("NetworkPolicy", "-sink")["spec"]["ingress"]) == 1


def test_no_secret_is_in_an_argument_or_a_variable(rendered: Rendered) -> None:
    """Passwords are files out of Secrets; the chart makes none, and a variable takes no more than a user's name."""
    assert not rendered.of("Secret")
    secret = {s.env for s in SETTINGS if s.secret}
    for where, pod in pods(rendered):
        variables = environment(pod)
        assert not secret & set(variables), where
        for name, value in variables.items():
            if isinstance(value, dict) and "secretKeyRef" in value:
                assert value["secretKeyRef"]["key"] == "username", (where, name)
        mounts = {m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
        for name, value in variables.items():
            if name.endswith("_FILE"):
                assert str(value).rpartition("/")[0] in mounts, (where, name)


def test_each_component_has_its_own_principal(render: Callable[..., Rendered]) -> None:
    """A Secret that a component names is the one that it gets, and no other."""
    kafka, clickhouse = {}, {}
    for where, pod in pods(render("production")):
        names = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
        component = where.rpartition("rb-runbus-")[2]
        kafka[component], clickhouse[component] = names.get("kafka"), names.get("clickhouse")
    assert kafka == {
        "sink": "kafka-sink",
        "episodes": "kafka-episodes",
        "live-metrics": "kafka-live-metrics",
        "watchdog": "kafka-watchdog",
        "dashboard": "kafka-dashboard",
        "topics": "kafka-admin",
        "schemas": None,
        "migrate": None,
        "test": None,
    }
    assert {c: s for c, s in clickhouse.items() if s} == {
        "sink": "clickhouse-writer",
        "watchdog": "clickhouse-reader",
        "dashboard": "clickhouse-dashboard",
        "migrate": "clickhouse-migrator",
    }


def test_client_certificates_are_files(render: Callable[..., Rendered]) -> None:
    """With mTLS each client finds CA, certificate and key where the variables say."""
    rendered = render("mtls-hpa")
    pod = workloads(rendered)["sink"]["spec"]["template"]["spec"]
    variables, volumes = environment(pod), {v["name"]: v["secret"] for v in pod["volumes"] if "secret" in v}
    for what, secret in (("kafka", "kafka-sink"), ("clickhouse", "clickhouse-client")):
        files = {variables[f"{what.upper()}_SSL_{n}_LOCATION"] for n in ("CA", "CERTIFICATE", "KEY")}
        assert files == {f"/run/secrets/{what}-tls/{name}" for name in ("ca.crt", "tls.crt", "tls.key")}
        assert volumes[f"{what}-tls"]["secretName"] == secret
        assert {f"/run/secrets/{what}-tls/{item['path']}" for item in volumes[f"{what}-tls"]["items"]} == files
    assert variables["CLICKHOUSE_USER"] == "runbus-writer"
    names = {where.rpartition("rb-runbus-")[2]: _secret(found, "kafka-tls") for where, found in pods(rendered)}
    assert names == {
        "sink": "kafka-sink",
        "episodes": "kafka-episodes",
        "watchdog": "kafka-watchdog",
        "topics": "kafka-admin",
        "test": None,
    }


def test_authorities_are_files(render: Callable[..., Rendered]) -> None:
    """Without client certificates a process has the CA of each server that it talks to, and no key."""
    pod = workloads(render("production"))["sink"]["spec"]["template"]["spec"]
    variables = environment(pod)
    for prefix, what in (("KAFKA", "kafka"), ("CLICKHOUSE", "clickhouse"), ("SCHEMA_REGISTRY", "registry")):
        assert variables[f"{prefix}_SSL_CA_LOCATION"] == f"/run/secrets/{what}-tls/ca.crt"
        assert f"{prefix}_SSL_KEY_LOCATION" not in variables
        assert _secret(pod, f"{what}-tls") == f"{what}-ca"


def test_rights_and_users_are_given_by_the_jobs(render: Callable[..., Rendered]) -> None:
    """The principals by the broker's names, the users of ClickHouse with passwords out of one Secret."""
    found = {where.rpartition("rb-runbus-")[2]: pod for where, pod in pods(render("production"))}
    assert "RUNBUS_PRINCIPALS" not in environment(found["topics"])
    variables = environment(found["migrate"])
    assert variables["RUNBUS_WRITER_PASSWORD_FILE"] == "/run/secrets/users/writer"
    assert variables["RUNBUS_READER_PASSWORD_FILE"] == "/run/secrets/users/reader"
    assert "RUNBUS_DASHBOARD_PASSWORD_FILE" not in variables
    assert variables["RUNBUS_TEAMS"] == "llm=llm-;vision=vision-"
    assert _secret(found["migrate"], "users") == "clickhouse-passwords"
    named = render("mtls-hpa", "sink.settings.RUNBUS_SINK_GROUP=loader")
    topics = next(pod for where, pod in pods(named) if where.endswith("rb-runbus-topics"))
    assert environment(topics)["RUNBUS_PRINCIPALS"] == "admin=User:CN=admin,O=lab;sink=User:CN=sink,O=lab"
    assert environment(topics)["RUNBUS_SINK_GROUP"] == "loader"
    watchdog = workloads(named)["watchdog"]["spec"]["template"]["spec"]
    assert environment(watchdog)["RUNBUS_SINK_GROUP"] == "loader"  # it looks at that group


def test_every_variable_is_a_setting(rendered: Rendered) -> None:
    """A process reads every variable that the chart gives it, as a setting or as an option of its command."""
    options = {"RUNBUS_PRINCIPALS", "RUNBUS_TEAMS", "TZ"}
    known = {s.env for s in SETTINGS} | {f"{s.env}_FILE" for s in SETTINGS if s.secret} | options
    for where, pod in pods(rendered):
        assert set(environment(pod)) <= known, where


def test_the_rest_is_denied(render: Callable[..., Rendered]) -> None:
    """One policy denies everything to every pod; each component has the edges to what it uses, and no other."""
    rendered = render("production")
    deny = rendered.one("NetworkPolicy", "-deny")["spec"]
    assert deny == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "runbus", "app.kubernetes.io/instance": "rb"}},
        "policyTypes": ["Ingress", "Egress"],
    }
    ports = {
        o["metadata"]["labels"]["app.kubernetes.io/component"]: sorted(
            {p["port"] for rule in o["spec"]["egress"] for p in rule["ports"]}
        )
        for o in rendered.of("NetworkPolicy")
        if not o["metadata"]["name"].endswith("-deny")
    }
    kafka = [9094, 9095]
    assert ports == {
        "sink": [53, 443, 8443, *kafka],
        "episodes": [53, 443, *kafka],
        "live-metrics": [53, 443, *kafka],
        "watchdog": [53, 443, 8443, *kafka],
        "dashboard": [53, 443, 8443, *kafka],
        "topics": [53, *kafka],
        "schemas": [53, 443],
        "migrate": [53, 8443],
        "test": [53, 9464],
    }


def test_only_the_sink_is_scaled(render: Callable[..., Rendered]) -> None:
    """KEDA asks for the sink's group and topic, within bounds, and goes down slowly; the Deployment has no count."""
    rendered = render("production", "kafka.topicPrefix=team.")
    spec = rendered.one("ScaledObject")["spec"]
    trigger = spec["triggers"][0]["metadata"]
    assert (trigger["consumerGroup"], trigger["topic"]) == ("team.sink", "team.steps")
    assert (trigger["sasl"], trigger["tls"], trigger["allowIdleConsumers"]) == ("scram_sha512", "enable", "false")
    assert spec["maxReplicaCount"] == 64
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == 600
    assert "replicas" not in workloads(rendered)["sink"]["spec"]
    assert workloads(rendered)["episodes"]["spec"]["replicas"] == 16


def test_the_other_scaler_asks_the_same(render: Callable[..., Rendered]) -> None:
    """Without KEDA the autoscaler of Kubernetes aims at the lag that the sink shows."""
    spec = render("mtls-hpa").one("HorizontalPodAutoscaler")["spec"]
    assert spec["metrics"][0]["pods"]["metric"]["name"] == "runbus_lag_events"
    assert spec["scaleTargetRef"]["name"] == "rb-runbus-sink"
    assert not render("mtls-hpa").of("ScaledObject")


def test_jobs_come_first_and_delete_nothing(render: Callable[..., Rendered]) -> None:
    """Topics, schemas and tables come before each install and upgrade, in this order; no hook runs at an uninstall."""
    rendered = render("production")
    jobs = {o["metadata"]["annotations"]["helm.sh/hook-weight"]: o for o in rendered.of("Job")}
    commands = [jobs[w]["spec"]["template"]["spec"]["containers"][0]["args"] for w in sorted(jobs)]
    assert commands == [
        ["topics", "apply", "--partitions", "64", "--replication", "3", "--acls"],
        ["schema", "push"],
        ["migrate", "--users"],
    ]
    hooks = {o["metadata"].get("annotations", {}).get("helm.sh/hook") for o in rendered.objects}
    assert hooks == {None, "pre-install,pre-upgrade", "test"}


def test_the_helm_test_asks_every_process(render: Callable[..., Rendered]) -> None:
    """`helm test` asks /ready of each process that is enabled, through its Service."""
    command = render("production").one("Pod")["spec"]["containers"][0]["command"]
    assert [u for u in command if u.startswith("http")] == [
        f"http://rb-runbus-{name}:9464/ready" for name in sorted(PROCESSES)
    ]
    assert "http://rb-runbus-live-metrics:9464/ready" not in render("mtls-hpa").text


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        (["kafka.bootstrapServers="], "kafka.bootstrapServers: name the brokers"),
        (["clickhouse.url="], "clickhouse.url: name the HTTP interface"),
        (["kafka.bootstrapServers=broker"], "does not match pattern"),
        (["clickhouse.url=http://user:secret@ch:8123"], "does not match pattern"),
        (["kafka.securityProtocol=SASL_SSL"], "needs a Secret with username and password"),
        (["dashboard.token.existingSecret="], "dashboard.token.existingSecret: name a Secret with the key `token`"),
        (["dashboard.hosts={https://runs}"], "does not match pattern"),
        (["kafka.securityProtocol=TLS"], "value must be one of"),
        (["sink.replicas=9"], "kafka.partitions is 8: the rest would be idle"),
        (["episodes.replicas=9"], "kafka.partitions is 8: the rest would be idle"),
        (["sink.autoscaling.enabled=true", "sink.autoscaling.maxReplicas=9"], "the rest would be idle"),
        (["sink.settings.RUNBUS_SINK_RANGE_MIB=1"], "RUNBUS_SINK_RANGE_MIB"),
        (["liveMetrics.settings.RUNBUS_SINK_RANGE_MB=1"], "RUNBUS_SINK_RANGE_MB"),
        (["image.digest=latest"], "does not match pattern"),
        (["jobs.topics.acls.principals.sinks=User:loader"], "value must be one of 'recorder'"),
        (["jobs.migrate.users.roles={admin}"], "value must be one of"),
        (["sinks.enabled=true"], "sinks"),
        (["streamApps.rates.replicas=1"], "streamApps.rates.app: name it, MODULE:APP"),
        (["streamApps.rates.app=rates"], "does not match pattern"),
        (["streamApps.rates.app=a:b", "streamApps.rates.replicas=9"], "the rest would be idle"),
        (["streamApps.rates.app=a:b", "streamApps.rates.image.repository=r"], "give its tag or its digest"),
        (["streamApps.sink.app=a:b"], "streamApps.sink: the chart has something of that name"),
        (["streamApps.Rates.app=a:b"], "does not match pattern"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-1],
)
def test_a_value_that_cannot_work_is_refused(helm: Callable[..., Ran], sets: list[str], reason: str) -> None:
    """Nothing is rendered, and the message names the value."""
    (minimal,) = [v for v in VALUES if v.stem == "minimal"]
    ran = helm("template", CHART, "--values", minimal, *(part for text in sets for part in ("--set", text)))
    assert ran.code != 0
    assert reason in ran.said
