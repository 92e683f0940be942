"""What goes into a cluster: every overlay renders, is valid, is restricted, and names what the code has."""

import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1, v1alpha1
from conftest import need, running
from test_image import instructions

from bridge import __version__
from bridge.arguments import DEFAULT_ADDRESS, parser
from bridge.config import load
from bridge.ledger.database import read_url

ROOT = Path(__file__).parents[1]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
OVERLAYS = sorted(path.name for path in (KUSTOMIZE / "overlays").iterdir())
MODELS = {
    ("monitoring.coreos.com/v1", "Alertmanager"): v1.Alertmanager,
    ("monitoring.coreos.com/v1", "ServiceMonitor"): v1.ServiceMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): v1.PrometheusRule,
    ("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"): v1alpha1.AlertmanagerConfig,
}


def tool(name):
    """Give a program that `make` has put beside the virtual environment."""
    path = Path(sys.executable).parents[1] / "tools" / name / name
    return str(path) if path.exists() else need(name)


_rendered = {}


def render(folder):
    """Give the objects of a kustomization, rendered by the real kubectl."""
    if folder not in _rendered:
        done = subprocess.run([tool("kubectl"), "kustomize", folder], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        _rendered[folder] = list(yaml.safe_load_all(done.stdout))
    return _rendered[folder]


@pytest.fixture(params=OVERLAYS)
def objects(request):
    """The objects of each overlay."""
    return render(KUSTOMIZE / "overlays" / request.param)


def of_kind(objects, kind):
    """Give the objects of a kind."""
    return [one for one in objects if one["kind"] == kind]


def pod_specs(objects):
    """Give every pod's specification, and that of the operator's Alertmanager, which becomes one."""
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet"):
            yield one["spec"]["template"]["spec"]
        elif one["kind"] == "Alertmanager":
            yield one["spec"]


def bridges(objects):
    """Give the bridge's containers with the pods they are in."""
    found = [(c, pod) for pod in pod_specs(objects) for c in pod["containers"] if c["name"] == "aom-bridge"]
    assert found
    return found


def unknown(given, known, path=""):
    """Give the paths of what a model did not know: it leaves them out when it writes the object again."""
    if isinstance(given, dict) and isinstance(known, dict):
        lost = [f"{path}.{key}" for key in given if key not in known]
        return lost + [one for key in given if key in known for one in unknown(given[key], known[key], f"{path}.{key}")]
    if isinstance(given, list) and isinstance(known, list):
        return [
            one
            for index, pair in enumerate(zip(given, known, strict=True))
            for one in unknown(*pair, f"{path}[{index}]")
        ]
    return []


def check(one):
    """Validate an object strictly, by Kubernetes' schemas or by the operator's."""
    model = MODELS.get((one["apiVersion"], one["kind"]))
    if model is None:
        kubernetes_validate.validate(one, "1.34", strict=True)
    else:
        written = model.model_validate(one).model_dump(by_alias=True, exclude_unset=True, mode="json")
        assert unknown(one, written) == []


def test_every_object_is_valid(objects):
    """Kubernetes' own schemas and the operator's take every object, and know every field of it."""
    for one in objects:
        check(one)


@pytest.mark.parametrize("file", sorted((KUSTOMIZE / "components").rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_operators_resources_are_valid(file):
    """The Prometheus Operator's schemas take what the component brings."""
    one = yaml.safe_load(file.read_text())
    if one["kind"] != "Component":
        check(one)


def test_a_misspelt_field_is_found():
    """The checks above can fail: a field that nobody knows is found in both kinds of objects."""
    with pytest.raises(kubernetes_validate.ValidationError):
        check({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"portz": []}})
    monitor = {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "x"}}
    with pytest.raises(AssertionError, match="endpointz"):
        check({**monitor, "spec": {"selector": {}, "endpoints": [], "endpointz": []}})


def test_pods_keep_the_restricted_standard(objects):
    """Kubernetes' restricted Pod Security Standard: no root, no privileges, a read-only root file system."""
    for container, pod in bridges(objects):
        own, shared = container["securityContext"], pod.get("securityContext", {})
        assert own.get("runAsNonRoot", shared.get("runAsNonRoot")) is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        kinds = {key for volume in pod["volumes"] for key in volume if key != "name"}
        assert kinds <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}
        assert {"requests", "limits"} <= container["resources"].keys()
        assert "limits" not in container["resources"] or "cpu" not in container["resources"]["limits"]


def test_arguments_and_image_are_those_of_this_version(objects):
    """The command line is one that `serve` takes, the image's tag is this version, the user is the image's."""
    for container, pod in bridges(objects):
        assert container["image"] == f"aom-bridge:{__version__}"
        parser(dict.fromkeys(commands(), print)).parse_args(container["args"])
        user = pod.get("securityContext", {}).get("runAsUser")
        if of_kind(objects, "Deployment"):
            assert f"{user}:{user}" == dict(instructions()[-1])["USER"]


def commands():
    """Give the names of all commands."""
    from bridge.cli import _COMMANDS  # noqa: PLC0415 - only here

    return _COMMANDS


async def test_ports_and_probes_lead_to_the_bridge(objects, tmp_path):
    """Ports are those that the bridge listens on, probes' paths exist, Services lead to ports that have a name."""
    for container, _ in bridges(objects):
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        addresses = dict(arg.removeprefix("--").split("=", 1) for arg in container["args"] if "listen-address" in arg)
        listening = {
            int(address.rpartition(":")[2]) for address in addresses.values() if not address.startswith("127.")
        }
        assert set(ports.values()) == listening
        assert addresses["web.listen-address"].endswith(DEFAULT_ADDRESS)
        async with running(tmp_path / "l.db") as rig:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                get = container[probe]["httpGet"]
                assert get["port"] in ports
                assert (await rig.get(get["path"]))[0] == 200
        for service in of_kind(objects, "Service"):
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()


def test_what_is_mounted_is_what_the_configuration_names(objects, tmp_path):
    """The configuration loads; the secrets that it names are mounted, and the ledger's volume where it is a file."""
    (map_,) = of_kind(objects, "ConfigMap")
    file = tmp_path / "bridge.yaml"
    file.write_text(map_["data"]["bridge.yaml"])
    settings = load(str(file), {"AOM_BRIDGE_STORE_URL": "postgresql://bridge@postgres/aom_bridge"}, allow_unset=True)
    url = read_url(settings.store.url)
    for container, pod in bridges(objects):
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in mounts.values()} <= {volume["name"] for volume in pod["volumes"]} | claims(
            objects
        )
        config = next(arg for arg in container["args"] if arg.startswith("--config.file=")).partition("=")[2]
        assert str(Path(config).parent) in mounts
        assert str(settings.targets["default"].auth.password.password_file.parent) in mounts
        assert (str(Path(url.database).parent) in mounts) == (url.drivername == "sqlite")
        (reference,) = [v["configMap"]["name"] for v in pod["volumes"] if v["name"].endswith("config")]
        assert reference == map_["metadata"]["name"]


def claims(objects):
    """Give the names of volumes that come from claims' templates; the operator's are called after the Alertmanager."""
    sets = [one["spec"] for one in of_kind(objects, "StatefulSet")]
    names = {template["metadata"]["name"] for spec in sets for template in spec.get("volumeClaimTemplates", ())}
    return names | {f"alertmanager-{one['metadata']['name']}-db" for one in of_kind(objects, "Alertmanager")}


def test_a_stopping_pod_gets_the_time_it_needs(objects):
    """The grace period covers the wait for the endpoints, what is in flight, and room beside them."""
    for container, pod in bridges(objects):
        if "lifecycle" in container:
            wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert pod["terminationGracePeriodSeconds"] >= wait + 8 + 10


def test_one_file_has_one_process():
    """On SQLite one replica is replaced, not doubled; three replicas share PostgreSQL, and never stop accepting."""
    (alone,) = of_kind(render(KUSTOMIZE / "overlays" / "standalone"), "Deployment")
    assert (alone["spec"]["replicas"], alone["spec"]["strategy"]) == (1, {"type": "Recreate"})
    many = render(KUSTOMIZE / "overlays" / "ha")
    (deployment,) = of_kind(many, "Deployment")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert of_kind(many, "PersistentVolumeClaim") == []
    (budget,) = of_kind(many, "PodDisruptionBudget")
    assert (
        budget["spec"]["selector"]["matchLabels"].items()
        <= deployment["spec"]["template"]["metadata"]["labels"].items()
    )


@pytest.mark.parametrize("overlay", [name for name in OVERLAYS if name.startswith("sidecar")])
def test_a_sidecar_keeps_webhooks_on_loopback_and_reports_every_repeat(overlay, tmp_path):
    """Beside each Alertmanager: nobody else posts, each ledger learns each alarm, on Alertmanager's own claim."""
    objects = render(KUSTOMIZE / "overlays" / overlay)
    file = tmp_path / "bridge.yaml"
    file.write_text(of_kind(objects, "ConfigMap")[0]["data"]["bridge.yaml"])
    assert load(str(file), {}, allow_unset=True).targets["default"].reassert_after == 0
    for container, _ in bridges(objects):
        assert any(arg.startswith("--web.listen-address=127.0.0.1:") for arg in container["args"])
        (mount,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == "/var/lib/aom-bridge"]
        assert mount["name"] in claims(objects)
        assert mount["subPath"] == "aom-bridge"


def test_the_operators_rules_are_the_rules():
    """The PrometheusRule holds what deploy/prometheus/rules.yaml holds."""
    rule = yaml.safe_load((KUSTOMIZE / "components/prometheus-operator/prometheusrule.yaml").read_text())
    assert rule["spec"] == yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())


def test_the_example_for_alertmanager_says_what_matters():
    """Resolves are sent, nothing is cut off, and the address is the Service's."""
    config = yaml.safe_load((KUSTOMIZE / "components/prometheus-operator/alertmanagerconfig.yaml").read_text())
    (webhook,) = config["spec"]["receivers"][0]["webhookConfigs"]
    (service,) = of_kind(render(KUSTOMIZE / "overlays" / "standalone"), "Service")
    port = service["spec"]["ports"][0]["port"]
    assert webhook == {
        "url": f"http://{service['metadata']['name']}:{port}/webhook",
        "sendResolved": True,
        "maxAlerts": 0,
    }
    assert re.fullmatch(r"\d+[smh]", config["spec"]["route"]["groupInterval"])
