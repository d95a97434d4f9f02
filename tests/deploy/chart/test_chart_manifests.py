"""What the chart renders is valid: helm's lint, schemas of Kubernetes and of the operators, Pod Security restricted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.chart.conftest import VALUES, Rendered
from tests.deploy.chart.schemas import write_custom, write_kubernetes
from tests.deploy.conftest import CHART
from tests.deploy.running import Ran, ok, run

NEWEST, OLDEST = "1.37.0", "1.29.0"


@pytest.fixture(scope="module")
def conform(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Ran]:
    """Return a function that checks manifests against the schemas of a version of Kubernetes, and of the operators."""
    (wheel,) = (tools.parent / "lib").glob("python3*/site-packages/kubernetes_validate/kubernetes-json-schema")
    custom = tmp_path_factory.mktemp("custom")
    write_custom(custom)
    folders = {version: tmp_path_factory.mktemp(version) for version in (OLDEST, NEWEST)}
    for version, folder in folders.items():
        write_kubernetes(folder, wheel / f"v{version}-local-strict")

    def conform_(manifests: str, version: str) -> Ran:
        return run(
            tools / "kubeconform",
            *("-strict", "-summary", "-kubernetes-version", version),
            *("-schema-location", f"{folders[version]}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"),
            *("-schema-location", f"{custom}/{{{{.ResourceKind}}}}-{{{{.Group}}}}-{{{{.ResourceAPIVersion}}}}.json"),
            stdin=manifests,
        )

    return conform_


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_helm_lints_it(helm: Callable[..., Ran], values: Path) -> None:
    """`helm lint --strict` has nothing to say."""
    ok(helm("lint", "--strict", CHART, "--values", values))


def test_helm_lint_finds_a_mistake(helm: Callable[..., Ran]) -> None:
    """The same lint refuses a value that the schema does not have."""
    ran = helm("lint", "--strict", CHART, "--values", VALUES[0], "--set", "sink.replica=3")
    assert ran.code != 0
    assert "replica" in ran.said


def test_the_package_is_the_chart(helm: Callable[..., Ran], render: Callable[..., Rendered], tmp_path: Path) -> None:
    """`helm package` carries the alerts and dashboards along, which the chart only links to."""
    ok(helm("package", CHART, "--destination", tmp_path))
    (package,) = tmp_path.glob("runbus-*.tgz")
    (values,) = [v for v in VALUES if v.stem == "production"]
    assert ok(helm("template", "rb", package, "--namespace", "runbus", "--values", values)) == render("production").text


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_and_the_operators_know_every_field(
    render: Callable[..., Rendered], conform: Callable[[str, str], Ran], version: str
) -> None:
    """Each object passes the strict schema of its kind, of the oldest and the newest Kubernetes; none is skipped."""
    every = [render(values.stem) for values in VALUES]
    said = ok(conform("\n---\n".join(r.text for r in every), version))
    count = sum(len(r.objects) for r in every)
    assert f"Valid: {count}, Invalid: 0, Errors: 0, Skipped: 0" in said


def test_a_field_that_is_not_there_is_found(
    render: Callable[..., Rendered], conform: Callable[[str, str], Ran]
) -> None:
    """One misspelt field of Kubernetes, KEDA or the Prometheus Operator is found, and so is an unknown version."""
    text = render("production").text
    for before, after in (
        ("readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"),
        ("minReplicaCount: 4", "minReplicas: 4"),
        ("interval: 15s", "intervall: 15s"),
        ("apiVersion: policy/v1", "apiVersion: policy/v9"),
    ):
        assert before in text
        text = text.replace(before, after)
    ran = conform(text, NEWEST)
    assert ran.code != 0
    for field in ("readOnlyRootFileSystem", "minReplicas", "intervall"):
        assert f"'{field}' not allowed" in ran.out
    assert "could not find schema for PodDisruptionBudget" in ran.out


def test_every_pod_is_restricted(rendered: Rendered, tools: Path) -> None:
    """The API server's own code admits each pod to a namespace of the Pod Security standard `restricted`."""
    assert ok(run(tools / "psslevel", stdin=rendered.text)).endswith("0 forbidden\n")


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation != false"),
        ("runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot != true"),
        ("drop: [ALL]", "drop: [NET_RAW]", "unrestricted capabilities"),
        ("seccompProfile: { type: RuntimeDefault }", "seccompProfile: { type: Unconfined }", "seccompProfile"),
        ("enableServiceLinks: false", "hostNetwork: true", "host namespaces"),
    ],
)
def test_a_pod_that_may_more_is_found(
    render: Callable[..., Rendered], tools: Path, before: str, after: str, reason: str
) -> None:
    """One loosened line is forbidden, for its own reason."""
    text = render("minimal").text
    assert before in text
    ran = run(tools / "psslevel", stdin=text.replace(before, after))
    assert ran.code == 1
    assert reason in ran.out
