"""The shipped Prometheus rules: the alerts about the bridge."""

import yaml
from paths import ROOT

RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
