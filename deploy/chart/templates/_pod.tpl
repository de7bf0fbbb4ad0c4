{{/* What every pod of the release has, servers and runs alike. Keys are camelCase: dagster-k8s takes them as they are. */}}

{{- define "mesh.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ .Values.securityContext.runAsUser }}
runAsGroup: {{ .Values.securityContext.runAsGroup }}
fsGroup: {{ .Values.securityContext.runAsGroup }}
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "mesh.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* The image is read-only: /tmp and MESH_HOME are emptyDirs; the image's entrypoint fills MESH_HOME from what was baked. */}}
{{- define "mesh.volumes" -}}
- name: dagster-instance
  configMap: { name: {{ include "mesh.instanceConfigMap" . }} }
- name: tmp
  emptyDir: { sizeLimit: {{ .Values.runs.homeSizeLimit | quote }} }
- name: mesh-home
  emptyDir: { sizeLimit: {{ .Values.runs.homeSizeLimit | quote }} }
{{- end -}}

{{- define "mesh.volumeMounts" -}}
- { name: dagster-instance, mountPath: /opt/dagster/home, readOnly: true }
- { name: tmp, mountPath: /tmp }
- { name: mesh-home, mountPath: /opt/mesh/home }
{{- end -}}

{{/* Password of Dagster's storage: every Dagster process needs it, also a run. */}}
{{- define "mesh.storageEnv" -}}
- name: DAGSTER_PG_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ .Values.dagsterStorage.existingSecret | quote }}, key: {{ .Values.dagsterStorage.passwordKey | quote }} } }
{{- end -}}

{{/* What servers and runs of every location share: Dagster's storage, the catalog's token, the address of the alerts. */}}
{{- define "mesh.commonEnv" -}}
{{ include "mesh.storageEnv" . }}
{{- with .Values.datahub.tokenSecret }}{{ if .name }}
- name: MESH_DATAHUB_TOKEN
  valueFrom: { secretKeyRef: { name: {{ .name | quote }}, key: {{ .key | quote }} } }
{{- end }}{{ end }}
{{- with .Values.alerts.webhookSecret }}{{ if .name }}
- name: MESH_ALERT_WEBHOOK
  valueFrom: { secretKeyRef: { name: {{ .name | quote }}, key: {{ .key | quote }} } }
{{- end }}{{ end }}
{{- end -}}

{{- define "mesh.pullSecrets" -}}
{{- range $index, $name := .Values.images.pullSecrets }}
{{- if $index }}{{ print "\n" }}{{ end -}}
- name: {{ $name | quote }}
{{- end }}
{{- end -}}

{{/* A changed configuration rolls the pods that read it. */}}
{{- define "mesh.configurationChecksum" -}}
{{- print (include "mesh.dagsterYaml" .) (include "mesh.workspaceYaml" .) (include "mesh.environment" .) | sha256sum -}}
{{- end -}}
