# syntax=docker/dockerfile:1.7
# The platform's own processes: webserver, daemon, and the code location platform_core.location. From the root of the repository:
#   docker build -f deploy/images/platform.Dockerfile --build-arg REVISION=$(git rev-parse HEAD) -t mesh/platform .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG REVISION=unknown
ARG VERSION=0.1.0

FROM ${PYTHON_IMAGE} AS base
ENV LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONHASHSEED=0 \
    PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    MESH_REPO=/opt/mesh \
    MESH_HOME=/opt/mesh/home \
    MESH_BAKED=/opt/mesh/baked \
    DAGSTER_HOME=/opt/dagster/home

# platform_core and what all domains declare (standard files, connections), none of their code.
FROM base AS selected
COPY pyproject.toml uv.lock workspace.yaml /repository/
COPY platform_core /repository/platform_core
COPY domains /repository/domains
COPY airbyte /repository/airbyte
COPY deploy/images/select_sources.sh /usr/local/bin/select_sources
RUN select_sources platform /repository /selected

FROM base AS build
ARG UV_VERSION=0.13.8
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    PYC_INVALIDATION_MODE=unchecked-hash
RUN pip install --no-cache-dir "uv==${UV_VERSION}"
WORKDIR /opt/mesh
COPY --from=selected /selected/projects /opt/mesh
# dagster-webserver is a development dependency of the workspace (domains do not need it): added at exactly the lock's versions.
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-dev --package platform-core --no-install-workspace \
    && uv export --frozen --quiet --all-groups --no-emit-workspace --no-hashes --output-file /tmp/locked.txt \
    && uv pip install --python /opt/venv/bin/python --constraint /tmp/locked.txt dagster-webserver
COPY --from=selected /selected/sources /opt/mesh
# --inexact keeps the webserver, which is not among platform-core's own dependencies.
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-dev --package platform-core --inexact
RUN python -m compileall -q --invalidation-mode unchecked-hash platform_core/src \
    && chmod -R a+rX /opt/mesh /opt/venv

FROM base AS final
ARG REVISION
ARG VERSION
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="mesh platform" \
      org.opencontainers.image.description="Dagster webserver, daemon and the platform's code location of the data mesh" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 mesh && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin mesh \
    && install -d -o 10001 -g 10001 /opt/dagster/home
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/mesh /opt/mesh
RUN install -d -o 10001 -g 10001 "${MESH_HOME}"
COPY deploy/images/entrypoint.sh /usr/local/bin/mesh-entrypoint
ENV HOME=/tmp
WORKDIR /opt/mesh
USER 10001:10001
EXPOSE 3000
# For plain container engines and the default command; Kubernetes ignores it and has a probe per process.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/server_info', timeout=5)"]
ENTRYPOINT ["mesh-entrypoint"]
CMD ["dagster-webserver", "--host", "0.0.0.0", "--port", "3000", "--workspace", "/etc/dagster/workspace.yaml"]
