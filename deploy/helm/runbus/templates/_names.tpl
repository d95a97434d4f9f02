{{- define "runbus.name" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}{{ $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end }}{{ end }}
{{- end }}

{{- /* What a selector may hold: never changes in the life of an object. Takes root, component. */}}
{{- define "runbus.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "runbus.labels" -}}
{{ include "runbus.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The image of a component: of its own (values.image.repository), else the chart's. Takes root, values. */}}
{{- define "runbus.image" -}}
{{- $image := .root.Values.image }}
{{- if dig "image" "repository" "" .values }}
{{- $image = .values.image }}
{{- end }}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}
{{- else }}{{ $image.repository }}:{{ default .root.Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{- define "runbus.serviceAccount" -}}
{{- default (ternary (include "runbus.name" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}
