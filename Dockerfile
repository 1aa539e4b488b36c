# One service in an image:   docker build --build-arg SERVICE=intake -t throughcare-intake .
# Keys, users and rules:     docker build --target keys …, --target kafka-users …, --target mongo-users …
#
# Written for the classic builder and BuildKit alike. PYTHON_IMAGE takes a mirror or a digest.

ARG PYTHON_IMAGE=python:3.11-slim

# What every service needs, exactly as locked: wheels only, each checked against its hash.
# REQUIREMENTS=service-otel.lock adds what CARE_OTEL needs.
FROM ${PYTHON_IMAGE} AS packages
ARG REQUIREMENTS=service.lock
COPY requirements/${REQUIREMENTS} /tmp/service.lock
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
      --only-binary :all: --require-hashes -r /tmp/service.lock

# Runs on a read-only file system, as nobody in particular.
FROM ${PYTHON_IMAGE} AS base
COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001

# Three one-shot containers of docker-compose.yml. A new volume takes over the directories and their owner.
FROM ${PYTHON_IMAGE} AS volumes
RUN mkdir -p /keys/authority /keys/broker /keys/store /keys/admin /keys/trusted

FROM base AS keys
COPY --from=volumes --chown=10001:10001 /keys /keys
COPY shared/__init__.py shared/
COPY shared/devtools/backends/certificates.py shared/devtools/backends/
COPY deploy/compose/keys.py /app/keys.py
CMD ["python", "/app/keys.py"]

FROM base AS kafka-users
COPY shared/*.py shared/
COPY shared/contracts/*.py shared/contracts/
COPY shared/kit shared/kit
COPY shared/runtime shared/runtime
COPY deploy/compose/kafka_users.py /app/kafka_users.py
CMD ["python", "/app/kafka_users.py"]

FROM base AS mongo-users
COPY deploy/compose/users.py /app/users.py
CMD ["python", "/app/users.py"]

# The code of one service and what it shares with the others; nothing of its neighbours.
FROM ${PYTHON_IMAGE} AS code
ARG SERVICE
WORKDIR /app
COPY shared/*.py shared/
COPY shared/contracts shared/contracts
COPY shared/kit shared/kit
COPY shared/programs/*.py shared/programs/
COPY shared/programs/profiles/*.toml shared/programs/profiles/
COPY shared/programs/directory.toml shared/programs/
COPY shared/runtime shared/runtime
COPY services/__init__.py services/
COPY services/${SERVICE} services/${SERVICE}
RUN test -f "services/${SERVICE:?--build-arg SERVICE=…}/app.py" \
 && python -m compileall -q --invalidation-mode unchecked-hash .

FROM base AS service
ENV CARE_HOST=0.0.0.0 CARE_PORT=8000
EXPOSE 8000
# An answer other than 200 raises, and so does none at all.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['CARE_PORT']}/readyz\", timeout=3)"]
CMD ["sh", "-c", "exec python -m services.$SERVICE.app"]
# All above is one for all services; what differs comes last.
ARG SERVICE
ENV SERVICE=${SERVICE}
COPY --from=code /app /app
