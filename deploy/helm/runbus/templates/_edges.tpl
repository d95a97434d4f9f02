{{- /* The egress rules of what a component uses, and of names. Takes root, uses, values (of the component). */}}
{{- define "runbus.edges" -}}
{{- $policy := .root.Values.networkPolicy }}
- to:
    {{- toYaml $policy.dns | nindent 4 }}
  ports: [{ port: 53, protocol: UDP }, { port: 53, protocol: TCP }]
{{- range without .uses "token" }}
{{- $ports := list }}
{{- if eq . "kafka" }}
{{- range splitList "," $.root.Values.kafka.bootstrapServers }}{{ $ports = append $ports (splitList ":" . | last | int) }}{{ end }}
{{- $ports = concat $ports $policy.kafka.ports | uniq }}
{{- else if eq . "webhook" }}
{{- if $.values.webhook.existingSecret }}{{ $ports = $policy.webhook.ports }}{{ end }}
{{- else if (index $.root.Values .).url }}
{{- $ports = list (include "runbus.portOf" (index $.root.Values .).url | int) }}
{{- end }}
{{- if $ports }}
- ports:
    {{- range $ports }}
    - { port: {{ . }}, protocol: TCP }
    {{- end }}
  {{- with (index $policy .).to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "runbus.portOf" -}}
{{- $url := urlParse . }}
{{- if contains ":" $url.host }}{{ splitList ":" $url.host | last }}
{{- else }}{{ ternary "443" "80" (eq $url.scheme "https") }}{{ end }}
{{- end }}
