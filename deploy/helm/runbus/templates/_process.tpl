{{- /*
Everything of one process: workload, Service, PodDisruptionBudget, NetworkPolicy. Takes

  root       the chart's context
  component  the command, which is also the label and the end of every name
  args       the command, if it is another one
  values     its entry in values.yaml
  kind       Deployment, or StatefulSet where workers have stable names in their group
  uses       what it talks to: kafka, clickhouse, registry, webhook; token = it has one to ask of others
  grace      the variable that values.graceSeconds sets; none = it has nothing to drain
  instance   the variable that takes the pod's name (StatefulSet)
  settings   more than values.settings: of another process, which it has to know
  page       the port of its page
*/}}
{{- define "runbus.process" -}}
{{- if .values.enabled }}
{{- $scaled := dig "autoscaling" "enabled" false .values }}
{{- if and (not $scaled) (gt (int .values.replicas) (int .root.Values.kafka.partitions)) }}
{{- fail (printf "%s.replicas is %d, but kafka.partitions is %d: the rest would be idle" .component (int .values.replicas) (int .root.Values.kafka.partitions)) }}
{{- end }}
{{- $name := printf "%s-%s" (include "runbus.name" .root) .component }}
{{- $env := include "runbus.processEnv" . }}
---
apiVersion: apps/v1
kind: {{ .kind }}
metadata:
  name: {{ $name }}
  labels:
    {{- include "runbus.labels" . | nindent 4 }}
spec:
  {{- if not $scaled }}
  replicas: {{ .values.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "runbus.selector" . | nindent 6 }}
  {{- if eq .kind "StatefulSet" }}
  serviceName: {{ $name }}
  # Workers share no order: each takes partitions of its own.
  podManagementPolicy: Parallel
  updateStrategy: { type: RollingUpdate }
  {{- else }}
  strategy:
    rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }
  {{- end }}
  template:
    metadata:
      labels:
        {{- include "runbus.labels" . | nindent 8 }}
      {{- with .values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "runbus.serviceAccount" .root }}
      # Longer than the drain, which the process ends by itself: SIGKILL is for one that does not.
      terminationGracePeriodSeconds: {{ add (dig "graceSeconds" 8 .values) 22 }}
      {{- include "runbus.podSpec" (merge (dict "args" (default (list .component) .args) "env" $env "resources" .values.resources) .) | trim | nindent 6 }}
          ports:
            - { name: probes, containerPort: 9464 }
            {{- with .page }}
            - { name: page, containerPort: {{ . }} }
            {{- end }}
          # None of the first two depends on the broker or ClickHouse: starting anew mends neither.
          startupProbe:
            httpGet: { path: /live, port: probes }
            periodSeconds: 5
            failureThreshold: 36
          livenessProbe:
            httpGet: { path: /live, port: probes }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet: { path: /ready, port: probes }
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 2
      topologySpreadConstraints:
        {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "runbus.selector" $ | nindent 14 }}
        {{- end }}
      {{- with .values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
---
# Headless: for the metrics of each worker, also of one that is not ready; nothing is balanced.
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels:
    {{- include "runbus.labels" . | nindent 4 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "runbus.selector" . | nindent 4 }}
  ports:
    - { name: probes, port: 9464, targetPort: probes }
{{- if .values.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels:
    {{- include "runbus.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "runbus.selector" . | nindent 6 }}
{{- end }}
{{- if .root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $name }}
  labels:
    {{- include "runbus.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "runbus.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              {{- include "runbus.selector" (dict "root" .root "component" "test") | nindent 14 }}
        {{- with .root.Values.networkPolicy.monitoring }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports: [{ port: probes, protocol: TCP }]
    {{- if .page }}
    - from:
        {{- toYaml .root.Values.networkPolicy.dashboard | nindent 8 }}
      ports: [{ port: page, protocol: TCP }]
    {{- end }}
  egress:
    {{- include "runbus.edges" . | trim | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "runbus.processEnv" -}}
- name: RUNBUS_PROBES_ADDRESS
  value: 0.0.0.0:9464
{{- with .grace }}
- name: {{ . }}
  value: {{ $.values.graceSeconds | quote }}
{{- end }}
{{- with .instance }}
- name: {{ . }}
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{- end }}
{{- range $variable, $value := merge (dict) .values.settings (default dict .settings) }}
- name: {{ $variable }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
