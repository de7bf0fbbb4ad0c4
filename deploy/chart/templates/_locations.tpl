{{/*
All code locations of the release as JSON: {"locations": [...]}: the platform's own, then the domains by name.
Each is `locationDefaults` under the entry's own values, plus name, objectName, namespace and image.
*/}}
{{- define "mesh.locations" -}}
{{- $root := . -}}
{{- $locations := list -}}
{{- $given := merge (dict "platform" .Values.platformLocation) .Values.domains -}}
{{- range $name := concat (list "platform") (keys .Values.domains | sortAlpha) -}}
  {{- $location := mergeOverwrite (deepCopy $root.Values.locationDefaults) (deepCopy (get $given $name)) -}}
  {{- $image := dict -}}
  {{- if eq $name "platform" -}}
    {{- $image = $root.Values.images.platform -}}
  {{- else -}}
    {{- $prefix := $root.Values.images.domains.repositoryPrefix -}}
    {{- $image = dict "repository" (print $prefix (replace "_" "-" $name)) "tag" $root.Values.images.domains.tag -}}
  {{- end -}}
  {{- $image = mergeOverwrite (deepCopy $image) (deepCopy ($location.image | default dict)) -}}
  {{- $_ := set $location "name" $name -}}
  {{- $_ := set $location "objectName" (include "mesh.objectName" (dict "root" $root "name" $name)) -}}
  {{- $_ := set $location "namespace" ($location.namespace | default $root.Release.Namespace) -}}
  {{- $_ := set $location "image" (include "mesh.image" $image) -}}
  {{- if and $location.stepJobs (eq $location.namespace $root.Release.Namespace) -}}
    {{- fail (printf "domains.%s.stepJobs needs domains.%s.namespace: the right to make Jobs in a shared namespace is the right to use every secret in it" $name $name) -}}
  {{- end -}}
  {{- $locations = append $locations $location -}}
{{- end -}}
{{- dict "locations" $locations | toJson -}}
{{- end -}}

{{/* The namespaces the release uses as JSON {"namespaces": [...]}: its own first. */}}
{{- define "mesh.namespaces" -}}
{{- $names := list .Release.Namespace -}}
{{- range (include "mesh.locations" . | fromJson).locations -}}
  {{- $names = append $names .namespace -}}
{{- end -}}
{{- dict "namespaces" (uniq $names) | toJson -}}
{{- end -}}

{{/*
DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT of one location: what the run launcher gives to this location's Jobs and to no other's.
Only fields of the launcher's allow-list (templates/instance.yaml) may appear. Arguments: root, location.
*/}}
{{- define "mesh.containerContext" -}}
{{- $pod := dict "automountServiceAccountToken" .location.stepJobs -}}
{{- if .location.nodeSelector -}}{{- $_ := set $pod "nodeSelector" .location.nodeSelector -}}{{- end -}}
{{- if .location.tolerations -}}{{- $_ := set $pod "tolerations" .location.tolerations -}}{{- end -}}
{{- $k8s := dict
    "namespace" .location.namespace
    "service_account_name" .location.objectName
    "env_secrets" .location.envSecrets
    "env" (include "mesh.locationEnv" .location | fromYamlArray)
    "resources" .location.runResources
    "run_k8s_config" (dict "pod_spec_config" $pod) -}}
{{- dict "k8s" $k8s | toJson -}}
{{- end -}}

{{/* Variables of one location, the same for its server and its runs: its database login, its own plain variables. */}}
{{- define "mesh.locationEnv" -}}
- name: PGUSER
  valueFrom: { secretKeyRef: { name: {{ .databaseSecret.existingSecret | quote }}, key: {{ .databaseSecret.usernameKey | default "username" | quote }} } }
- name: PGPASSWORD
  valueFrom: { secretKeyRef: { name: {{ .databaseSecret.existingSecret | quote }}, key: {{ .databaseSecret.passwordKey | default "password" | quote }} } }
{{- range $name, $value := .env }}
- name: {{ $name | quote }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}
