"""JSON schemas for kubeconform: Kubernetes from the wheel kubernetes-validate, custom resources from their modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.running import ok, run

#: The definitions of the kinds that the chart makes, by the module that has them.
MODULES = {
    "github.com/kedacore/keda/v2@v2.21.0": (
        "config/crd/bases/keda.sh_scaledobjects.yaml",
        "config/crd/bases/keda.sh_triggerauthentications.yaml",
    ),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
}


def write_kubernetes(folder: Path, source: Path) -> None:
    """Write the schemas of one version of Kubernetes; they find each other here, not on the server they name."""
    for file in source.glob("*.json"):
        schema = json.loads(file.read_text(encoding="utf-8").replace('"/api/_definitions.json', '"_definitions.json'))
        schema.pop("$id", None)
        (folder / file.name).write_text(json.dumps(schema), encoding="utf-8")


def write_custom(folder: Path) -> None:
    """Write one file for each version of each kind, named as kubeconform looks for them."""
    for module, files in MODULES.items():
        fetched = json.loads(ok(run("go", "mod", "download", "-json", module, seconds=300)))
        for file in files:
            _write(folder, yaml.safe_load(Path(fetched["Dir"], file).read_text(encoding="utf-8")))


def _write(folder: Path, definition: dict[str, Any]) -> None:
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = _strict(version["schema"]["openAPIV3Schema"], top=True)
        name = f"{spec['names']['kind'].lower()}-{spec['group']}-{version['name']}.json"
        (folder / name).write_text(json.dumps(schema), encoding="utf-8")


def _strict(schema: Any, *, top: bool = False) -> Any:
    """Return the schema with unknown fields refused, as the API server does where it is asked for strictness."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        strict["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            strict["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        strict.pop("type", None)
    if top:
        strict["properties"].setdefault("metadata", {"type": "object"})
        strict["properties"]["metadata"].pop("additionalProperties", None)
    return strict
