"""What goes into a cluster: every overlay renders, is valid, is restricted, and names what the code has."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from bridge_rig import running
from cloudcoil.models.prometheus_operator import v1, v1alpha1
from dockerfile import instructions
from paths import ROOT
from process import parsed
from programs import need

from bridge import __version__
from bridge.cli.options import DEFAULT_ADDRESS
from bridge.config import load
from bridge.ledger.storage.database import read_url

pytestmark = pytest.mark.real

KUSTOMIZE = ROOT / "deploy" / "kustomize"
CHART = ROOT / "deploy" / "helm" / "aom-bridge"
OVERLAYS = sorted(path.name for path in (KUSTOMIZE / "overlays").iterdir())
VALUES = sorted(path.stem for path in (CHART / "ci").iterdir())
PLATFORMS = sorted(path.stem for path in (CHART / "platforms").iterdir())
RENDERINGS = [
    *(f"kustomize/{name}" for name in OVERLAYS),
    *(f"helm/{name}" for name in VALUES),
    *(f"platform/{name}" for name in PLATFORMS),
]
SIDECARS_OF_HELM = ("helm/sidecar", "platform/sidecar")
MODELS = {
    ("monitoring.coreos.com/v1", "Alertmanager"): v1.Alertmanager,
    ("monitoring.coreos.com/v1", "PodMonitor"): v1.PodMonitor,
    ("monitoring.coreos.com/v1", "ServiceMonitor"): v1.ServiceMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): v1.PrometheusRule,
    ("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"): v1alpha1.AlertmanagerConfig,
}


def tool(name):
    """Give a program that `make` has put beside the virtual environment."""
    path = Path(sys.executable).parents[1] / "tools" / name / name
    return str(path) if path.exists() else need(name)


_rendered = {}


def render(name):
    """Give the objects of an overlay, or of the chart with a file of values or a platform's, by the real programs."""
    if name not in _rendered:
        kind, _, what = name.partition("/")
        if kind == "kustomize":
            command = [tool("kubectl"), "kustomize", KUSTOMIZE / "overlays" / what]
        else:
            folder, namespace = ("ci", "default") if kind == "helm" else ("platforms", "monitoring")
            values = [f"--namespace={namespace}", f"--values={CHART}/{folder}/{what}.yaml"]
            command = [tool("helm"), "template", "aom-bridge", CHART, *values]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        _rendered[name] = [one for one in yaml.safe_load_all(done.stdout) if one]
    return _rendered[name]


@pytest.fixture(params=RENDERINGS)
def objects(request):
    """The objects of each overlay, and of the chart with each file of values."""
    return render(request.param)


@pytest.fixture(params=[name for name in RENDERINGS if name not in SIDECARS_OF_HELM])
def pods(request):
    """The same where they have pods: the chart's sidecar is somebody else's."""
    return render(request.param)


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


COMBINATIONS = {
    ("standalone", "prometheus-operator"): {"ServiceMonitor", "PrometheusRule", "AlertmanagerConfig"},
    ("ha", "prometheus-operator"): {"ServiceMonitor", "PrometheusRule", "AlertmanagerConfig"},
    ("sidecar", "prometheus-operator-sidecar"): {"PodMonitor", "PrometheusRule", "AlertmanagerConfig"},
    ("standalone", "web-configuration"): set(),
    ("ha", "web-configuration-tls"): set(),
    ("ha", "network-policy-egress"): set(),
    ("standalone", "alertmanagers-operator"): set(),
    ("ha", "alertmanagers-statefulset"): set(),
    ("standalone", "alertmanagers-mimir"): set(),
    ("sidecar", "network-policy-alertmanager"): {"NetworkPolicy"},
}


def combined(folder, overlay, component):
    """Give the objects of an overlay of a user's own, with a component."""
    base = os.path.relpath(KUSTOMIZE, folder)
    kustomization = {
        "namespace": "monitoring",
        "resources": [f"{base}/overlays/{overlay}"],
        "components": [f"{base}/components/{component}"],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    done = subprocess.run([tool("kubectl"), "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


@pytest.mark.parametrize(("overlay", "component"), COMBINATIONS)
def test_each_component_adds_what_it_says(overlay, component, tmp_path):
    """An overlay with a component is valid, and holds the resources that the component brings."""
    objects = combined(tmp_path, overlay, component)
    for one in objects:
        check(one)
        assert one["metadata"]["namespace"] == "monitoring"
    kinds = {one["kind"] for one in objects} - {one["kind"] for one in render(f"kustomize/{overlay}")}
    assert kinds == COMBINATIONS[overlay, component]


def test_every_component_is_tried():
    """No component stands in the folder that the test above does not put onto an overlay; prometheus-rule is in two."""
    tried = {component for _, component in COMBINATIONS} | {"prometheus-rule"}
    assert {path.name for path in (KUSTOMIZE / "components").iterdir()} == tried


@pytest.mark.parametrize("tls", ["", "-tls"])
def test_the_web_configuration_is_a_mounted_secret(tls, tmp_path):
    """The component gives serve its --web.config.file out of a Secret; with TLS the probes speak HTTPS."""
    ((container, pod),) = bridges(combined(tmp_path, "ha", f"web-configuration{tls}"))
    web_config_file = parsed(container["args"]).web_config_file
    (mount,) = [one for one in container["volumeMounts"] if str(Path(web_config_file).parent) == one["mountPath"]]
    (volume,) = [one for one in pod["volumes"] if one["name"] == mount["name"]]
    assert volume["secret"]["secretName"] == "aom-bridge-web"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"].get("scheme") == ("HTTPS" if tls else None)


@pytest.mark.parametrize("where", ["kustomize", "helm"])
def test_a_sidecar_is_scraped_on_its_own_port(where, tmp_path):
    """The PodMonitor scrapes the port that the sidecar has, as the job that the alerts know."""
    objects = combined(tmp_path, "sidecar", "prometheus-operator-sidecar")
    (container, _), *_ = bridges(objects)
    (monitor,) = of_kind(objects if where == "kustomize" else render("helm/sidecar"), "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
    assert {"targetLabel": "job", "replacement": "aom-bridge"} in endpoint["relabelings"]
    assert 'up{job="aom-bridge"}' in (ROOT / "deploy/prometheus/rules.yaml").read_text()


def test_a_misspelt_field_is_found():
    """The checks above can fail: an unknown field is found in both kinds of objects."""
    with pytest.raises(kubernetes_validate.ValidationError):
        check({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"portz": []}})
    monitor = {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "x"}}
    with pytest.raises(AssertionError, match="endpointz"):
        check({**monitor, "spec": {"selector": {}, "endpoints": [], "endpointz": []}})


def test_pods_keep_the_restricted_standard(pods):
    """Kubernetes' restricted Pod Security Standard: no root, no privileges, a read-only root file system."""
    for container, pod in bridges(pods):
        own, shared = container["securityContext"], pod.get("securityContext", {})
        assert own.get("runAsNonRoot", shared.get("runAsNonRoot")) is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        kinds = {key for volume in pod["volumes"] for key in volume if key != "name"}
        assert kinds <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}
        assert {"requests", "limits"} <= container["resources"].keys()
        assert "limits" not in container["resources"] or "cpu" not in container["resources"]["limits"]


def test_arguments_and_image_are_those_of_this_version(pods):
    """The command line is one that `serve` takes, the image's tag is this version, the user is the image's."""
    for container, pod in bridges(pods):
        assert container["image"] == f"aom-bridge:{__version__}"
        parsed(container["args"])
        user = pod.get("securityContext", {}).get("runAsUser")
        if of_kind(pods, "Deployment"):
            assert f"{user}:{user}" == dict(instructions()[-1])["USER"]


async def test_ports_and_probes_lead_to_the_bridge(pods, tmp_path):
    """Ports are those that the bridge listens on, probes' paths exist, Services lead to ports that have a name."""
    for container, _ in bridges(pods):
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        addresses = dict(arg.removeprefix("--").split("=", 1) for arg in container["args"] if "listen-address" in arg)
        listening = {
            int(address.rpartition(":")[2]) for address in addresses.values() if not address.startswith("127.")
        }
        assert set(ports.values()) == listening
        assert addresses["web.listen-address"].endswith(DEFAULT_ADDRESS)
        async with running(tmp_path / "l.db") as rig:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                get = container[probe].get("httpGet") or container[probe]["tcpSocket"]
                assert get["port"] in ports
                assert (await rig.get(get.get("path", "/-/healthy")))[0] == 200
        for service in of_kind(pods, "Service"):
            if service["metadata"]["name"] == "alertmanager":
                continue  # not the bridge's
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()


def test_what_is_mounted_is_what_the_configuration_names(pods, tmp_path):
    """The configuration loads; the secrets that it names are mounted, and the ledger's volume where it is a file."""
    (map_,) = of_kind(pods, "ConfigMap")
    file = tmp_path / "bridge.yaml"
    file.write_text(map_["data"]["bridge.yaml"])
    settings = load(
        str(file), {"AOM_BRIDGE_STORE_URL": "postgresql://bridge@postgres/aom_bridge"}, allow_unset=True
    ).settings
    url = read_url(settings.store.url)
    for container, pod in bridges(pods):
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in mounts.values()} <= {volume["name"] for volume in pod["volumes"]} | claims(
            pods
        )
        config = next(arg for arg in container["args"] if arg.startswith("--config.file=")).partition("=")[2]
        assert str(Path(config).parent) in mounts
        assert str(settings.targets["default"].auth.password.password_file.parent) in mounts
        assert (str(Path(url.database).parent) in mounts) == (url.drivername == "sqlite")
        (reference,) = [v["configMap"]["name"] for v in pod["volumes"] if v["name"].endswith("config")]
        assert reference == map_["metadata"]["name"]


def settings_of(objects, folder, **variables):
    """Give the settings of the configuration among objects; nothing in it may be doubtful."""
    (map_,) = of_kind(objects, "ConfigMap")
    file = folder / "bridge.yaml"
    file.write_text(map_["data"]["bridge.yaml"])
    loaded = load(str(file), variables, allow_unset=True)
    assert loaded.doubts == []
    return loaded.settings


PEERS = {
    "kustomize/sidecar": ("alertmanager-operated:9093", "monitoring/aom-bridge/aom"),
    "kustomize/sidecar-statefulset": ("alertmanager:9093", "aom"),
    "platform/cce": ("alertmanager-operated.monitoring.svc:9093", "monitoring/aom-bridge/aom"),
    "platform/kube-prometheus-stack": ("alertmanager-operated:9093", "monitoring/aom-bridge/aom"),
    "platform/prometheus-operator": ("alertmanager-operated:9093", "monitoring/aom-bridge/aom"),
    "platform/sidecar": ("alertmanager-operated:9093", "monitoring/aom-bridge/aom"),
    "platform/statefulset": ("alertmanager-headless:9093", "aom"),
}


@pytest.mark.parametrize("name", PEERS)
def test_each_platform_is_held_in_step_with_every_peer(name, tmp_path):
    """A headless Service names each peer once, and the receiver is the one that sends to the bridge."""
    objects = render(name)
    (alertmanager,) = settings_of(objects, tmp_path).alertmanagers
    assert (alertmanager.dns, alertmanager.receivers) == (PEERS[name][0], (PEERS[name][1],))
    assert (alertmanager.kind, alertmanager.urls) == ("alertmanager", ())
    for config in of_kind(objects, "AlertmanagerConfig"):
        assert PEERS[name][1] == f"monitoring/{config['metadata']['name']}/{config['spec']['route']['receiver']}"


WATCHDOGS = [
    name for name in PEERS if name.split("/")[1] in ("sidecar", "prometheus-operator", "kube-prometheus-stack")
]


def are_watchdog(heartbeats):
    """Say whether these are one heartbeat that an alert called Watchdog is a sign of, and no other is."""
    (heartbeat,) = heartbeats
    return [
        all(matcher.matches({"alertname": name}) for each in heartbeat.match for matcher in each.each)
        for name in ("Watchdog", "InfoInhibitor", "")
    ] == [True, False, False]


@pytest.mark.parametrize("name", WATCHDOGS)
def test_a_platform_that_has_the_rule_watchdog_has_a_heartbeat(name, tmp_path):
    """Where kube-prometheus' rules are, Prometheus' silence raises an alarm without another setting."""
    assert are_watchdog(settings_of(render(name), tmp_path).heartbeats)


@pytest.mark.parametrize("name", [name for name in (*PEERS, "platform/mimir") if name not in WATCHDOGS])
def test_a_platform_that_may_lack_the_rule_has_the_heartbeat_as_a_comment(name, tmp_path):
    """It would raise an alarm where nothing is wrong; without its comment signs it is a good one."""
    assert settings_of(render(name), tmp_path).heartbeats == ()
    kind, _, what = name.partition("/")
    file = KUSTOMIZE / "overlays" / what / "bridge.yaml" if kind == "kustomize" else CHART / f"platforms/{what}.yaml"
    (comment,) = re.findall(r"(?m)^ *# (heartbeats:).*\n *# ( *- .*)$", file.read_text())
    text = "targets: {default: {region: cn-north-4, project_id: p, auth: {token: {file: /t}}}}\n" + "\n".join(comment)
    assert are_watchdog(load("x", {}, allow_unset=True, raw=text.encode()).settings.heartbeats)


def test_every_platform_is_tried():
    """No platform's values stand in the folder without a test of what they name."""
    assert {f"platform/{name}" for name in PLATFORMS} == {one for one in PEERS if "platform" in one} | {
        "platform/mimir"
    }


@pytest.mark.parametrize("where", ["kustomize", "helm"])
def test_mimir_is_asked_at_one_address_for_one_tenant(where, tmp_path):
    """Its gateway answers for every replica, and its status is not asked."""
    objects = render("platform/mimir") if where == "helm" else combined(tmp_path, "standalone", "alertmanagers-mimir")
    (mimir,) = settings_of(objects, tmp_path, MIMIR_TENANT="team-a").alertmanagers
    assert (mimir.kind, len(mimir.urls), mimir.receivers) == ("mimir", 1, ("aom",))
    assert mimir.urls[0].endswith("/alertmanager")
    assert mimir.headers["X-Scope-OrgID"].reveal() == "team-a"


@pytest.mark.parametrize("overlay", ["standalone", "ha"])
@pytest.mark.parametrize("component", ["alertmanagers-operator", "alertmanagers-statefulset"])
def test_a_component_holds_either_overlay_in_step(component, overlay, tmp_path):
    """Its configuration takes the place of the overlay's, with the ledger that the overlay has."""
    variables = {"AOM_BRIDGE_STORE_URL": "postgresql://bridge@postgres/aom_bridge"} if overlay == "ha" else {}
    settings = settings_of(combined(tmp_path, overlay, component), tmp_path, **variables)
    before = settings_of(render(f"kustomize/{overlay}"), tmp_path, **variables)
    (alertmanager,) = settings.alertmanagers
    assert alertmanager.dns.endswith(":9093")
    assert alertmanager.receivers
    assert (settings.store, settings.targets) == (before.store, before.targets)
    assert component != "alertmanagers-operator" or are_watchdog(settings.heartbeats)


def test_the_example_stateful_set_is_one_cluster_behind_a_headless_service():
    """Its Service names every pod at the API's port, ready or not, and each pod knows every other as a peer."""
    objects = render("kustomize/sidecar-statefulset")
    ((service,), (stateful,)) = of_kind(objects, "Service"), of_kind(objects, "StatefulSet")
    assert service["metadata"]["name"] == stateful["spec"]["serviceName"]
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    assert service["spec"]["selector"].items() <= stateful["spec"]["template"]["metadata"]["labels"].items()
    (alertmanager,) = [
        one for one in stateful["spec"]["template"]["spec"]["containers"] if one["name"] == "alertmanager"
    ]
    ports = {port["name"]: port["containerPort"] for port in alertmanager["ports"]}
    assert {(port["port"], ports[port["targetPort"]]) for port in service["spec"]["ports"]} == {
        (9093, 9093),
        (9094, 9094),
    }
    peers = {arg.partition("=")[2] for arg in alertmanager["args"] if arg.startswith("--cluster.peer=")}
    assert peers == {f"alertmanager-{index}.alertmanager:9094" for index in range(stateful["spec"]["replicas"])}


def test_secrets_of_alertmanagers_are_files_of_the_credentials(tmp_path):
    """What `alertmanagers` names lies in the folder where the chart mounts the Secret with the credentials."""
    objects = render("helm/alertmanagers")
    basic, _, mimir = settings_of(objects, tmp_path).alertmanagers
    files = basic.basic_auth.password_file, basic.tls_config.ca_file, mimir.authorization.credentials_file
    ((container, _),) = bridges(objects)
    folders = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {str(file.parent) for file in files} == {folders["credentials"]}


def test_receivers_that_the_values_name_stay_as_they_are(tmp_path):
    """The receiver of alertmanagerConfig is filled in only for an Alertmanager whose receivers are not named."""
    first, second, mimir = settings_of(render("helm/alertmanagers"), tmp_path).alertmanagers
    assert first.receivers == ("default/aom-bridge/aom",)
    assert (second.receivers, mimir.receivers) == (("own",), ())


def claims(objects):
    """Give the names of volumes that come from claims' templates; the operator's are called after the Alertmanager."""
    sets = [one["spec"] for one in of_kind(objects, "StatefulSet")]
    names = {template["metadata"]["name"] for spec in sets for template in spec.get("volumeClaimTemplates", ())}
    return names | {f"alertmanager-{one['metadata']['name']}-db" for one in of_kind(objects, "Alertmanager")}


def selects(selector, labels):
    """Say whether a label selector takes these labels."""
    held = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    expressions = selector.get("matchExpressions", [])
    assert all(one["operator"] == "In" for one in expressions)
    return held and all(labels.get(one["key"]) in one["values"] for one in expressions)


@pytest.mark.parametrize("name", ["kustomize/standalone", "kustomize/ha", "helm/standalone", "helm/ha"])
def test_the_network_policy_is_about_the_bridge_alone(name):
    """It selects only the bridge's pods, and lets only Alertmanager and Prometheus in."""
    objects = render(name)
    (policy,) = of_kind(objects, "NetworkPolicy")
    (deployment,) = of_kind(objects, "Deployment")
    spec, ours = policy["spec"], deployment["spec"]["template"]["metadata"]["labels"]
    assert selects(spec["podSelector"], ours)
    assert not selects(spec["podSelector"], {"app.kubernetes.io/name": "grafana"})
    (rule,) = spec["ingress"]
    for who, expected in (("alertmanager", True), ("prometheus", True), ("grafana", False), ("aom-bridge", False)):
        labels = {"app.kubernetes.io/name": who}
        assert any(selects(peer["podSelector"], labels) for peer in rule["from"]) is expected, who


def lets(rules, peers, app, port, protocol="TCP"):
    """Say whether rules of a policy let through what goes to, or comes from, an app's pods at a port."""
    return any(
        {"port": port, "protocol": protocol} in [{"protocol": "TCP"} | one for one in rule["ports"]]
        and (
            peers not in rule
            or any(selects(one["podSelector"], {"app.kubernetes.io/name": app}) for one in rule[peers])
        )
        for rule in rules
    )


def policies(where, folder, component, **values):
    """Give the network policies of a component, or of the chart with values."""
    if where == "kustomize":
        return of_kind(combined(folder, values.pop("mode", "standalone"), component), "NetworkPolicy")
    settings = ",".join(f"{key}={value}" for key, value in values.items())
    code, text = helm("template", "aom-bridge", str(CHART), "--namespace=monitoring", f"--set={settings}")
    assert code == 0, text
    return of_kind([one for one in yaml.safe_load_all(text) if one], "NetworkPolicy")


@pytest.mark.parametrize("where", ["kustomize", "helm"])
def test_the_bridge_reaches_names_peers_aom_and_postgresql_where_all_else_is_denied(where, tmp_path):
    """With the egress policy: DNS, Alertmanager's API, HTTPS and PostgreSQL, and nothing else."""
    found = policies(where, tmp_path, "network-policy-egress", mode="ha", **{"networkPolicy.egress.enabled": "true"})
    (policy,) = [one for one in found if "Egress" in one["spec"]["policyTypes"]]
    check(policy)
    assert policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "aom-bridge"
    rules = policy["spec"]["egress"]
    assert lets(rules, "to", "alertmanager", 9093)
    for port in (53, 5353):
        assert lets(rules, "to", "coredns", port, "UDP")
        assert lets(rules, "to", "coredns", port)
    assert lets(rules, "to", "anything", 443)
    assert lets(rules, "to", "postgresql", 5432)
    assert not lets(rules, "to", "grafana", 9093)
    assert not lets(rules, "to", "alertmanager", 80)


def test_without_ha_helm_lets_nobody_to_postgresql():
    """The egress policy of one bridge names what that bridge reaches, and what the values add."""
    more = {"networkPolicy.egress.enabled": "true", "networkPolicy.egress.more[0].ports[0].port": "3128"}
    (policy,) = policies("helm", None, "", **more)
    rules = policy["spec"]["egress"]
    assert not lets(rules, "to", "postgresql", 5432)
    assert lets(rules, "to", "proxy", 3128)


@pytest.mark.parametrize("mode", ["standalone", "sidecar"])
@pytest.mark.parametrize("where", ["kustomize", "helm"])
def test_alertmanagers_policy_lets_the_bridge_in_and_shuts_out_nobody_that_kube_prometheus_lets_in(
    where, mode, tmp_path
):
    """The policy on Alertmanager's pods: the bridge asks the API, Prometheus posts and scrapes, peers gossip."""
    values = {"networkPolicy.alertmanager.enabled": "true"}
    found = policies(where, tmp_path, "network-policy-alertmanager", mode=mode, **values)
    (policy,) = [
        one for one in found if selects(one["spec"]["podSelector"], {"app.kubernetes.io/name": "alertmanager"})
    ]
    check(policy)
    assert policy["metadata"]["namespace"] == "monitoring"
    rules = policy["spec"]["ingress"]
    for rule in rules:  # a release's own bridge alone
        for peer in rule["from"]:
            peer["podSelector"].get("matchLabels", {}).pop("app.kubernetes.io/instance", None)
    assert lets(rules, "from", "alertmanager" if mode == "sidecar" else "aom-bridge", 9093)
    assert all(lets(rules, "from", "prometheus", port) for port in (9093, 8080, 9878))
    assert lets(rules, "from", "alertmanager", 9094)
    assert lets(rules, "from", "alertmanager", 9094, "UDP")
    assert not lets(rules, "from", "grafana", 9093)


@pytest.mark.parametrize("name", [one for one in RENDERINGS if one != "helm/alertmanagers"])
def test_no_policy_on_alertmanagers_pods_comes_uncalled(name):
    """Where no policy is about a pod everybody reaches it: a first one would cut Prometheus off."""
    for policy in of_kind(render(name), "NetworkPolicy"):
        assert not selects(policy["spec"]["podSelector"], {"app.kubernetes.io/name": "alertmanager"})


def test_the_bridge_needs_no_rights_in_the_cluster(objects):
    """It asks Alertmanager, not Kubernetes: no role comes with it, and no token is mounted."""
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} & {one["kind"] for one in objects}
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", ["helm/standalone", "helm/ha"])
def test_helms_test_passes_the_network_policy_and_is_no_peer_of_alertmanager(name):
    """Its pod may reach the bridge, and has no label by which a Service takes Alertmanager's pods, or the bridge's."""
    (pod,) = of_kind(render(name), "Pod")
    labels = pod["metadata"]["labels"]
    (policy,) = of_kind(render(name), "NetworkPolicy")
    (rule,) = policy["spec"]["ingress"]
    assert any(selects(peer["podSelector"], labels) for peer in rule["from"])
    assert labels["app.kubernetes.io/name"] not in ("alertmanager", "aom-bridge")


def test_the_sidecar_leaves_what_the_alertmanager_has(tmp_path):
    """On a user's own Alertmanager the patch adds: its containers and volumes stay."""
    alertmanager = yaml.safe_load((KUSTOMIZE / "overlays/sidecar/alertmanager.yaml").read_text())
    alertmanager["spec"] |= {
        "containers": [{"name": "proxy", "image": "p"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    (tmp_path / "alertmanager.yaml").write_text(yaml.safe_dump(alertmanager))
    (tmp_path / "patch.yaml").write_text((KUSTOMIZE / "overlays/sidecar/patch.yaml").read_text())
    patches = [{"path": "patch.yaml", "target": {"kind": "Alertmanager"}}]
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["alertmanager.yaml"], "patches": patches})
    )
    done = subprocess.run([tool("kubectl"), "kustomize", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spec = yaml.safe_load(done.stdout)["spec"]
    assert [one["name"] for one in spec["containers"]] == ["proxy", "aom-bridge"]
    assert spec["volumes"][0]["name"] == "v"


def test_commands_in_a_pod_find_the_configuration(pods):
    """`kubectl exec … aom-bridge alarms list` needs no option: the image names the file that the pods mount."""
    environment = dict(re.findall(r"^\s+(AOM_BRIDGE_\w+)=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    for container, _ in bridges(pods):
        assert f"--config.file={environment['AOM_BRIDGE_CONFIG_FILE']}" in container["args"]


def test_the_notes_of_the_sidecar_are_the_overlay():
    """What the chart's notes tell to add to Alertmanager is what the sidecar overlay adds."""
    code, text = helm("install", "x", str(CHART), "--dry-run=client", "--set=mode=sidecar,web.existingSecret=w")
    assert code == 0, text
    notes = text.partition("NOTES:")[2]
    assert "create secret generic aom-bridge-credentials" in notes
    spec = yaml.safe_load(re.search(r"^  containers:\n.*?(?=^\S)", notes, re.MULTILINE | re.DOTALL)[0])
    ((told, _),) = bridges([{"kind": "Alertmanager", "spec": spec}])
    ((known, pod),) = bridges(render("kustomize/sidecar"))
    assert told["args"].pop() == "--web.config.file=/etc/aom-bridge/web/web.yml"
    mounts, volumes = told["volumeMounts"], spec["volumes"]
    assert mounts.pop(2) == {"name": "aom-bridge-web", "mountPath": "/etc/aom-bridge/web", "readOnly": True}
    assert volumes.pop(2) == {"name": "aom-bridge-web", "secret": {"secretName": "w", "defaultMode": 0o440}}
    text = json.dumps([told, volumes]).replace("alertmanager-NAME-db", "alertmanager-main-db").replace("x-aom-", "aom-")
    assert json.loads(text) == [known, pod["volumes"]]


def test_the_job_of_the_operations_page_is_valid():
    """The Job that moves a ledger: valid, restricted, on the standalone overlay's claim, a command that there is."""
    page = (ROOT / "docs" / "operations.md").read_text()
    job = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    check(job)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (deployed,) = [pod for _, pod in bridges(render("kustomize/standalone"))]
    assert pod["securityContext"].items() <= deployed["securityContext"].items()
    assert container["securityContext"] == deployed["containers"][0]["securityContext"]
    assert [one for one in pod["volumes"] if "persistentVolumeClaim" in one] == [
        one for one in deployed["volumes"] if "persistentVolumeClaim" in one
    ]
    parsed(container["args"])


def test_a_stopping_pod_gets_the_time_it_needs(pods):
    """The grace period covers the wait for the endpoints, what is in flight, and room beside them."""
    for container, pod in bridges(pods):
        if "lifecycle" in container:
            wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert pod["terminationGracePeriodSeconds"] >= wait + 8 + 10


@pytest.mark.parametrize("by", ["kustomize", "helm"])
def test_one_file_has_one_process(by):
    """On SQLite one replica is replaced, not doubled; three replicas share PostgreSQL, and never stop accepting."""
    (alone,) = of_kind(render(f"{by}/standalone"), "Deployment")
    assert (alone["spec"]["replicas"], alone["spec"]["strategy"]) == (1, {"type": "Recreate"})
    many = render(f"{by}/ha")
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
    """Beside each Alertmanager: no other client posts, each ledger learns each alarm, on Alertmanager's own claim."""
    objects = render(f"kustomize/{overlay}")
    file = tmp_path / "bridge.yaml"
    file.write_text(of_kind(objects, "ConfigMap")[0]["data"]["bridge.yaml"])
    assert load(str(file), {}, allow_unset=True).settings.targets["default"].reassert_after == 0
    for container, _ in bridges(objects):
        assert any(arg.startswith("--web.listen-address=127.0.0.1:") for arg in container["args"])
        (mount,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == "/var/lib/aom-bridge"]
        assert mount["name"] in claims(objects)
        assert mount["subPath"] == "aom-bridge"


def test_the_operators_rules_are_the_rules():
    """The PrometheusRule holds what deploy/prometheus/rules.yaml holds."""
    rule = yaml.safe_load((KUSTOMIZE / "components/prometheus-rule/prometheusrule.yaml").read_text())
    assert rule["spec"] == yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())


@pytest.mark.parametrize(
    ("objects_of", "url"),
    [
        (lambda folder: combined(folder, "standalone", "prometheus-operator"), "http://aom-bridge:9876/webhook"),
        (lambda folder: combined(folder, "sidecar", "prometheus-operator-sidecar"), "http://127.0.0.1:9876/webhook"),
        (lambda _: render("helm/standalone"), "http://aom-bridge.default.svc:9876/webhook"),
        (lambda _: render("helm/tls"), "https://aom-bridge.default.svc:9876/webhook"),
        (lambda _: render("helm/sidecar"), "http://127.0.0.1:9876/webhook"),
    ],
    ids=["kustomize", "kustomize-sidecar", "helm", "helm-tls", "helm-sidecar"],
)
def test_the_example_for_alertmanager_says_what_matters(objects_of, url, tmp_path):
    """Resolves are sent, nothing is cut off, and the address is the Service's, or the sidecar's own."""
    objects = objects_of(tmp_path)
    (config,) = of_kind(objects, "AlertmanagerConfig")
    (webhook,) = config["spec"]["receivers"][0]["webhookConfigs"]
    webhook.pop("httpConfig", None)
    assert webhook == {"url": url, "sendResolved": True, "maxAlerts": 0}
    assert config["spec"]["route"]["receiver"] == config["spec"]["receivers"][0]["name"]
    assert re.fullmatch(r"\d+[smh]", config["spec"]["route"]["groupInterval"])
    for service in of_kind(objects, "Service"):
        assert re.fullmatch(rf"https?://{service['metadata']['name']}(\.default\.svc)?:(\d+)/webhook", url)[2] == str(
            service["spec"]["ports"][0]["port"]
        )


STRATEGY = "alertmanagerConfigMatcherStrategy: {type: None}"


@pytest.mark.parametrize(
    "file",
    [
        *sorted((ROOT / "deploy").glob("kustomize/components/*/alertmanagerconfig.yaml")),
        *(CHART / name for name in ("values.yaml", "templates/NOTES.txt")),
        KUSTOMIZE / "overlays/sidecar/alertmanager.yaml",
        ROOT / "deploy" / "README.md",
    ],
    ids=lambda file: file.relative_to(ROOT).as_posix(),
)
def test_each_place_that_switches_an_alertmanagerconfig_on_names_the_namespace_matcher(file):
    """The operator gives an AlertmanagerConfig its own namespace's alerts only; each place says so, with the fix."""
    assert STRATEGY in file.read_text()
    assert "namespace" in file.read_text()


def test_the_example_alertmanager_gives_the_bridge_all_namespaces():
    """The operator's Alertmanager of the sidecar overlay puts no namespace matcher before the bridge."""
    (alertmanager,) = of_kind(render("kustomize/sidecar"), "Alertmanager")
    assert alertmanager["spec"]["alertmanagerConfigMatcherStrategy"] == {"type": "None"}


def helm(*arguments):
    """Run the real Helm; give its exit code and all that it says."""
    done = subprocess.run([tool("helm"), *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_helm_finds_nothing_wrong_with_the_chart():
    """The linter takes the chart with every file of values, strictly."""
    files = [*(CHART / "ci").iterdir(), *(CHART / "platforms").iterdir()]
    assert len(files) == len(VALUES) + len(PLATFORMS)
    for values in files:
        code, text = helm("lint", "--strict", str(CHART), f"--values={values}")
        assert code == 0, text


@pytest.mark.parametrize(
    "value",
    [
        "mode=both",
        "replica=2",
        "networkPolicy.egress.enabeld=true",
        "web.tsl=true",
        "log.level=loud",
        "terminationGracePeriodSeconds=5",
        "replicas=0",
    ],
)
def test_values_are_checked_before_anything_is_rendered(value):
    """A misspelt or impossible value is refused with its name: the schema knows every value."""
    code, text = helm("template", "aom-bridge", str(CHART), "--set", value)
    assert code != 0
    assert re.split(r"[=.]", value)[-2] in text


def test_the_schema_knows_every_value():
    """Each default has its place in values.schema.json, and the schema has no other."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    assert values.keys() == schema.keys() - {"global"}
    for name, section in values.items():
        if "properties" in schema[name] and schema[name].get("additionalProperties") is False:
            assert section.keys() == schema[name]["properties"].keys(), name


def test_the_chart_is_of_this_version_and_has_the_rules():
    """Chart, image and code have one version; the chart's rules are deploy/prometheus/rules.yaml."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    assert (CHART / "files/rules.yaml").read_text() == (ROOT / "deploy/prometheus/rules.yaml").read_text()
    (rule,) = of_kind(render("helm/standalone"), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())


def test_runbooks_may_lie_elsewhere():
    """A value says where the runbooks are kept, and every alert leads there."""
    code, text = helm(
        "template", "x", str(CHART), "--set=prometheusRule.enabled=true,prometheusRule.runbooks=https://w/r"
    )
    assert code == 0, text
    urls = re.findall(r"runbook_url: (\S+)", text)
    assert urls
    assert all(re.fullmatch(r"https://w/r/AomBridge\w+\.md", url) for url in urls)


def test_a_users_own_targets_take_the_place_of_the_default():
    """Values that name targets are the whole of them: nothing of the default is merged in."""
    (map_,) = of_kind(render("helm/ha"), "ConfigMap")
    config = yaml.safe_load(map_["data"]["bridge.yaml"])
    assert config["targets"]["default"]["region"] == "cn-north-4"
    assert config["store"] == {"url": "${AOM_BRIDGE_STORE_URL}"}


def test_a_changed_configuration_rolls_the_pods():
    """The pods carry a checksum of their configuration."""
    sums = set()
    for level in ("x", "y"):
        code, text = helm("template", "aom-bridge", str(CHART), "--set", f"config.source={level}")
        assert code == 0, text
        sums |= set(re.findall(r"checksum/config: (\w{64})", text))
    assert len(sums) == 2


def test_a_password_is_a_file_and_no_variable(pods):
    """The Secret whose keys become variables is not the one whose keys are files: a variable shows in the process."""
    for container, pod in bridges(pods):
        variables = {source["secretRef"]["name"] for source in container["envFrom"]}
        files = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        assert variables
        assert files
        assert not variables & files
