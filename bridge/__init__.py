"""aom-bridge: the Prometheus Alertmanager webhook bridge to Huawei Cloud AOM."""

__version__ = "0.1.0"
