{{/* dagster.yaml, workspace.yaml and the plain variables, as text, so that a checksum of them can be taken. */}}

{{- define "mesh.dagsterYaml" -}}
storage:
  postgres:
    postgres_db:
      hostname: { env: DAGSTER_PG_HOST }
      port: { env: DAGSTER_PG_PORT }
      db_name: { env: DAGSTER_PG_DB }
      username: { env: DAGSTER_PG_USERNAME }
      password: { env: DAGSTER_PG_PASSWORD }
      {{- with .Values.dagsterStorage.params }}
      params: {{ toJson . }}
      {{- end }}

run_launcher:
  module: dagster_k8s
  class: K8sRunLauncher
  config:
    load_incluster_config: true
    job_namespace: {{ .Release.Namespace | quote }}
    # A run without a location's container context has no rights and no secrets.
    service_account_name: {{ include "mesh.fullname" . }}-unassigned
    instance_config_map: {{ include "mesh.instanceConfigMap" . }}
    dagster_home: /opt/dagster/home
    image_pull_policy: {{ .Values.images.pullPolicy }}
    image_pull_secrets: [{{ range $i, $name := .Values.images.pullSecrets }}{{ if $i }}, {{ end }}{ name: {{ $name | quote }} }{{ end }}]
    env_config_maps: [{{ include "mesh.environmentConfigMap" . }}]
    labels:
      data-mesh/instance: {{ .Release.Name | quote }}
      data-mesh/component: run
    fail_pod_on_run_failure: false
    run_k8s_config:
      container_config:
        env:
          {{- include "mesh.commonEnv" . | nindent 10 }}
        volumeMounts:
          {{- include "mesh.volumeMounts" . | nindent 10 }}
        securityContext:
          {{- include "mesh.containerSecurityContext" . | nindent 10 }}
      pod_spec_config:
        volumes:
          {{- include "mesh.volumes" . | nindent 10 }}
        securityContext:
          {{- include "mesh.podSecurityContext" . | nindent 10 }}
      job_spec_config:
        ttl_seconds_after_finished: {{ int .Values.runs.secondsKept }}
    # What a location's container context or a run's tags may set. Not: image, volumes, labels, security context, host anything.
    only_allow_user_defined_k8s_config_fields:
      namespace: true
      container_config: { env: true, env_from: true, resources: true }
      pod_spec_config:
        service_account_name: true
        automount_service_account_token: true
        node_selector: true
        tolerations: true

run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator

concurrency:
  runs:
    max_concurrent_runs: {{ int .Values.runs.maxConcurrent }}

run_monitoring:
  enabled: true
  start_timeout_seconds: {{ int .Values.runs.startTimeoutSeconds }}
  max_runtime_seconds: {{ int .Values.runs.maxRuntimeSeconds }}
  max_resume_run_attempts: {{ int .Values.runs.maxResumeAttempts }}
  poll_interval_seconds: 30

run_retries:
  enabled: true
  max_retries: {{ int .Values.runs.maxRetries }}
  retry_on_asset_or_op_failure: false

sensors:
  use_threads: true
  num_workers: 8
schedules:
  use_threads: true
  num_workers: 4

compute_logs:
  module: {{ .Values.computeLogs.module }}
  class: {{ .Values.computeLogs.class }}
  config: {{ toJson .Values.computeLogs.config }}

# DAGSTER_HOME is a read-only ConfigMap.
local_artifact_storage:
  module: dagster.core.storage.root
  class: LocalArtifactStorage
  config: { base_dir: /tmp/dagster }

telemetry:
  enabled: false
{{- end -}}

{{- define "mesh.workspaceYaml" -}}
load_from:
{{- range (include "mesh.locations" . | fromJson).locations }}
  - grpc_server:
      host: {{ printf "%s.%s.svc" .objectName .namespace | quote }}
      port: 4000
      location_name: {{ .name | quote }}
{{- end }}
{{- end -}}

{{- define "mesh.environment" -}}
DAGSTER_HOME: /opt/dagster/home
DAGSTER_PG_HOST: {{ .Values.dagsterStorage.host | quote }}
DAGSTER_PG_PORT: {{ .Values.dagsterStorage.port | int | quote }}
DAGSTER_PG_DB: {{ .Values.dagsterStorage.database | quote }}
DAGSTER_PG_USERNAME: {{ .Values.dagsterStorage.username | quote }}
# The root file system is read-only; tools that write to the home folder find /tmp.
HOME: /tmp
MESH_REPO: /opt/mesh
MESH_HOME: /opt/mesh/home
MESH_WAREHOUSE_DSN: {{ .Values.warehouse.dsn | quote }}
MESH_LAKE_URL: {{ .Values.lake.url | quote }}
{{- with .Values.datahub.url }}
MESH_DATAHUB_URL: {{ . | quote }}
{{- end }}
{{- range $name, $value := .Values.environment }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}
