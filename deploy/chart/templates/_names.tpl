{{/* Names, labels and images. Everything a name is made of is in this file. */}}

{{- define "mesh.fullname" -}}
{{- .Release.Name | trunc 24 | trimSuffix "-" -}}
{{- end -}}

{{/* A domain is a Python package name; Kubernetes names have no underscore. The values schema keeps the mapping one to one. */}}
{{- define "mesh.objectName" -}}
{{- printf "%s-%s" (include "mesh.fullname" .root) (.name | replace "_" "-") -}}
{{- end -}}

{{/* Labels of every object. Arguments: root, component, and location for what belongs to one. */}}
{{- define "mesh.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
{{ include "mesh.selectorLabels" . }}
{{- end -}}

{{/* `dagster/code-location` is the label the run launcher itself puts on a run's pod: one selector reaches servers and runs. */}}
{{- define "mesh.selectorLabels" -}}
app.kubernetes.io/name: data-mesh
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- if .location }}
dagster/code-location: {{ .location | quote }}
{{- end }}
{{- end -}}

{{/* repository@digest when there is a digest, repository:tag otherwise. */}}
{{- define "mesh.image" -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}
{{- else -}}{{ .repository }}:{{ .tag }}
{{- end -}}
{{- end -}}

{{- define "mesh.instanceConfigMap" -}}{{ include "mesh.fullname" . }}-instance{{- end -}}
{{- define "mesh.environmentConfigMap" -}}{{ include "mesh.fullname" . }}-environment{{- end -}}
