# One image for every process of ours; compose says which one runs.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/movers
COPY constraints-image.txt ./
RUN /opt/movers/bin/pip install --no-cache-dir --require-hashes -r constraints-image.txt
COPY pyproject.toml README.md LICENSE ./
COPY movers movers
COPY kernel kernel
COPY simulator simulator
COPY schemas schemas
COPY producers producers
COPY processors processors
COPY sinks sinks
COPY dashboard dashboard
# The build back-end comes without a hash, so it is kept out of the environment that runs.
RUN pip install --no-cache-dir hatchling \
 && pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && /opt/movers/bin/pip install --no-cache-dir --no-deps /tmp/wheel/*.whl

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 movers \
 && mkdir -p /var/lib/movers && chown movers: /var/lib/movers
COPY --from=build /opt/movers /opt/movers
ENV PATH=/opt/movers/bin:$PATH PYTHONUNBUFFERED=1 MOVERS_HOME=/var/lib/movers STATE_DIR=/var/lib/movers/state \
    SPILL_DIR=/var/lib/movers/spill
USER movers
WORKDIR /var/lib/movers
ENTRYPOINT ["movers"]
CMD ["--help"]
