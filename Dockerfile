# One image for every process of ours; docker-compose.yml says which one runs.
#   docker build --build-arg BASE_IMAGE=… --build-arg PIP_INDEX_URL=… .
# BASE_IMAGE needs python3 (3.11 to 3.13) with venv, and apt-get or a C compiler with Python's headers. HTTP_PROXY and its
# like are taken from the builder; behind a proxy with an authority of its own, use a base image that trusts it and name its
# bundle in PIP_CERT.
ARG BASE_IMAGE=python:3.12-slim

FROM ${BASE_IMAGE} AS build
ARG PIP_INDEX_URL
ARG PIP_CERT
# For `movers compile`; the last stage has none of it.
RUN headers=; test -f "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || headers=python3-dev; \
    if [ -n "$headers" ] || ! command -v gcc; then \
      apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev $headers; \
    fi
# pip, the build back-end and mypyc stay in places of their own: what runs has none of them.
RUN python3 -m venv /opt/tools && python3 -m venv --without-pip /opt/movers
COPY constraints-image.txt constraints.txt /src/
RUN /opt/tools/bin/pip --python /opt/movers/bin/python install --no-cache-dir --require-hashes \
      -r /src/constraints-image.txt \
 && sed -e 's/ \\$//' -e '/^    --hash/d' /src/constraints.txt > /tmp/pins.txt \
 && /opt/tools/bin/pip install --no-cache-dir --constraint /tmp/pins.txt hatchling \
 && /opt/tools/bin/pip install --no-cache-dir --constraint /tmp/pins.txt --target /opt/compile mypy setuptools
COPY . /src
RUN cd /src \
 && /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && /opt/tools/bin/pip --python /opt/movers/bin/python install --no-cache-dir --no-deps /tmp/wheel/*.whl \
 && PYTHONPATH=/opt/compile /opt/movers/bin/movers compile

FROM ${BASE_IMAGE}
RUN groupadd --gid 10001 movers && useradd --uid 10001 --gid movers --no-create-home --home-dir /tmp movers \
 && install -d -o movers -g movers /var/lib/movers
COPY --from=build /opt/movers /opt/movers
ENV PATH=/opt/movers/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MOVERS_HOME=/var/lib/movers \
    STATE_DIR=/var/lib/movers/state \
    SPILL_DIR=/var/lib/movers/spill
USER 10001:10001
WORKDIR /var/lib/movers
ENTRYPOINT ["movers"]
CMD ["--help"]
