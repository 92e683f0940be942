# The image of aom-bridge: only what runs, as a numeric user, on a read-only root file system.
#   docker build -t aom-bridge .
#   docker run --read-only -v $PWD/bridge.yaml:/etc/aom-bridge/config/bridge.yaml:ro -v aom-bridge:/var/lib/aom-bridge -p 9876:9876 aom-bridge
FROM python:3.13.9-slim-bookworm AS build
SHELL ["/bin/sh", "-eu", "-c"]
WORKDIR /src
RUN python -m venv /opt/aom-bridge
COPY requirements.lock ./
RUN /opt/aom-bridge/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY bridge ./bridge
COPY config ./config
COPY docs/man ./docs/man
# What only builds has no place in the image.
RUN /opt/aom-bridge/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
 && /opt/aom-bridge/bin/pip uninstall -q -y editables hatchling pathspec pluggy trove-classifiers pip

FROM python:3.13.9-slim-bookworm
LABEL org.opencontainers.image.title="aom-bridge" \
      org.opencontainers.image.description="Prometheus Alertmanager webhook bridge to Huawei Cloud AOM" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/aom-bridge /opt/aom-bridge
# The ledger's volume belongs to the user that writes it.
RUN install -d -o 65532 -g 65532 -m 0700 /var/lib/aom-bridge
ENV PATH=/opt/aom-bridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    AOM_BRIDGE_CONFIG_FILE=/etc/aom-bridge/config/bridge.yaml
USER 65532:65532
WORKDIR /var/lib/aom-bridge
VOLUME /var/lib/aom-bridge
EXPOSE 9876
HEALTHCHECK --interval=30s --timeout=6s --start-period=20s CMD ["aom-bridge", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["aom-bridge"]
CMD ["serve"]
