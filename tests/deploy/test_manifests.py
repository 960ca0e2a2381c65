"""The container files name settings that exist, and Kubernetes' schema knows what the manifests say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from parley.configuration import load
from parley.settings import Settings

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes" / "parley.yaml"
COMPOSE = (ROOT / "compose.yaml", ROOT / "deploy" / "compose" / "cluster.yaml")


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(MANIFESTS.read_text(encoding="utf-8")))


def kind(name: str) -> dict[str, Any]:
    [found] = [document for document in documents() if document["kind"] == name]
    return found


def exists(variable: str) -> bool:
    section, _, name = variable.removeprefix("PARLEY_").lower().partition("__")
    part = Settings.model_fields.get(section)
    return part is not None and name in getattr(part.annotation, "model_fields", {})


@pytest.mark.parametrize("file", [ROOT / "Dockerfile", *COMPOSE, MANIFESTS], ids=lambda file: file.name)
def test_every_variable_is_a_setting(file: Path) -> None:
    named = set(re.findall(r"\bPARLEY_[A-Z]+__[A-Z_]+", file.read_text(encoding="utf-8")))

    assert [name for name in sorted(named) if not exists(name)] == []


def test_the_mounted_settings_are_good(tmp_path: Path) -> None:
    file = tmp_path / "parley.toml"
    file.write_text(kind("ConfigMap")["data"]["parley.toml"], encoding="utf-8")

    settings = load({}, file)

    assert settings.server.host == "0.0.0.0"
    assert settings.redis.url


@pytest.mark.parametrize("document", documents(), ids=lambda document: document["kind"])
def test_kubernetes_knows_every_field(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.37", strict=True)


def test_a_misspelt_field_would_be_seen() -> None:
    document = kind("Deployment")
    document["spec"]["template"]["spec"]["terminationGracePeriod"] = 60

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_nobody_is_root_and_a_node_goes_when_its_successor_is_ready() -> None:
    spec = kind("Deployment")["spec"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert kind("PodDisruptionBudget")["spec"]["selector"] == spec["selector"]


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_containers_have_no_more_rights_than_they_need(file: Path) -> None:
    services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
    ours = [service for service in services.values() if service.get("image") == "parley"]

    assert ours
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in ours)


def test_the_image_runs_as_somebody_else_than_root() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]

    assert users == ["10001:10001"]
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
