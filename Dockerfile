# The gateway's image, and with --target phone the same with the test phone (pyVoIP, GPL-3).
#
#   docker build -t retell-sip-gateway .
#
# It runs as an ordinary user on a read-only file system; what it keeps is in
# /var/lib/retell-sip-gateway, and its configuration is /etc/retell-sip-gateway/gateway.yaml.

FROM debian:trixie-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        python3 python3-pip python3-setuptools python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements.lock requirements-run.lock ./
RUN python3 -m venv /opt/gateway \
    && /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY build_backend build_backend
COPY config config
COPY gateway gateway
COPY retell_sip_gateway retell_sip_gateway
COPY sip sip
COPY testkit testkit
RUN python3 -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps \
        /wheels/*.whl

FROM build AS build-phone
RUN /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r requirements-run.lock

FROM debian:trixie-slim AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --shell /usr/sbin/nologin \
        --home-dir /var/lib/retell-sip-gateway --no-create-home gateway \
    && install -d -o gateway -g gateway /var/lib/retell-sip-gateway \
    && install -d /etc/retell-sip-gateway
ENV PATH=/opt/gateway/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER gateway
WORKDIR /var/lib/retell-sip-gateway
VOLUME /var/lib/retell-sip-gateway
# Alive, not ready: a gateway that drains must not be killed for it.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["retell-sip-gateway", "health"]
ENTRYPOINT ["retell-sip-gateway"]
CMD ["run"]

FROM base AS phone
COPY --from=build-phone /opt/gateway /opt/gateway

FROM base AS gateway
COPY --from=build /opt/gateway /opt/gateway
