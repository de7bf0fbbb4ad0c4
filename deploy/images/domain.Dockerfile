# syntax=docker/dockerfile:1.7
# One domain's code location: its gRPC server and its runs. From the root of the repository:
#   docker build -f deploy/images/domain.Dockerfile --build-arg DOMAIN=sales --build-arg REVISION=$(git rev-parse HEAD) -t mesh/sales .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG DOMAIN
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

# What of the repository goes in. Its output is copied by content: another domain's new code changes no layer here.
FROM base AS selected
ARG DOMAIN
COPY pyproject.toml uv.lock workspace.yaml /repository/
COPY platform_core /repository/platform_core
COPY domains /repository/domains
COPY dbt_projects /repository/dbt_projects
COPY airbyte /repository/airbyte
COPY deploy/images/select_sources.sh /usr/local/bin/select_sources
RUN select_sources "${DOMAIN}" /repository /selected

FROM base AS build
ARG DOMAIN
ARG UV_VERSION=0.13.8
# Hash-based bytecode: the same sources give the same files, whatever their times.
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    PYC_INVALIDATION_MODE=unchecked-hash
RUN pip install --no-cache-dir "uv==${UV_VERSION}"
WORKDIR /opt/mesh
COPY --from=selected /selected/projects /opt/mesh
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-dev --package "${DOMAIN}" --no-install-workspace
COPY --from=selected /selected/sources /opt/mesh
# Editable: load_from_defs_folder looks for the domain's pyproject.toml above its module, so the sources stay where they are.
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-dev --package "${DOMAIN}"
RUN python -m compileall -q --invalidation-mode unchecked-hash platform_core/src "domains/${DOMAIN}/src"
# What needs no database is made now (dbt manifests). The address is never asked; it keeps an embedded server from starting.
RUN mkdir -p "${MESH_HOME}" \
    && if [ -d "dbt_projects/${DOMAIN}_dbt" ]; then \
        MESH_WAREHOUSE_DSN=postgresql://not-asked-at-build.invalid/mesh mesh prepare --domain "${DOMAIN}"; \
    fi \
    && mv "${MESH_HOME}" "${MESH_BAKED}" \
    && (cd "${MESH_BAKED}" && find . -type f -print0 | sort -z | xargs -0r sha256sum | sha256sum > /tmp/baked && mv /tmp/baked .baked) \
    && chmod -R a+rX /opt/mesh /opt/venv

FROM base AS final
ARG DOMAIN
ARG REVISION
ARG VERSION
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="mesh ${DOMAIN}" \
      org.opencontainers.image.description="Code location of the ${DOMAIN} domain of the data mesh" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 mesh && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin mesh \
    && install -d -o 10001 -g 10001 /opt/dagster/home
# uv makes the environment of a connector that is not there yet.
COPY --from=build /usr/local/bin/uv /usr/local/bin/uv
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/mesh /opt/mesh
RUN install -d -o 10001 -g 10001 "${MESH_HOME}"
COPY deploy/images/entrypoint.sh /usr/local/bin/mesh-entrypoint
ENV MESH_DOMAIN=${DOMAIN} \
    HOME=/tmp
WORKDIR /opt/mesh
USER 10001:10001
EXPOSE 4000
# For plain container engines; Kubernetes ignores it and asks the same health service by its own gRPC probe.
HEALTHCHECK --interval=60s --timeout=20s --start-period=120s CMD ["dagster", "api", "grpc-health-check", "--port", "4000"]
ENTRYPOINT ["mesh-entrypoint"]
CMD ["sh", "-c", "exec dagster api grpc --host 0.0.0.0 --port 4000 --module-name ${MESH_DOMAIN}.definitions --location-name ${MESH_DOMAIN}"]
