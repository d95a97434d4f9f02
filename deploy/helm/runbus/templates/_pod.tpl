{{- /*
What a process or job talks to (`uses`), as environment, volumes and mounts. Passwords are files: never an argument, never
an environment variable. A later component that needs more adds it here.

Takes root, uses (list of kafka, clickhouse, registry, webhook, token), values (of the component, which may name secrets of its own).
*/}}
{{- define "runbus.secret" -}}
{{- $own := dig .what "existingSecret" "" .values }}
{{- default (index .root.Values .what).existingSecret $own }}
{{- end }}

{{- /* The Secret with the certificates for `what`; "" = none. */}}
{{- define "runbus.tlsSecret" -}}
{{- default (index .root.Values .what).tls.existingSecret (dig .what "tls" "existingSecret" "" .values) }}
{{- end }}

{{- define "runbus.tlsEnv" -}}
{{- if include "runbus.tlsSecret" . }}
- name: {{ .prefix }}_SSL_CA_LOCATION
  value: /run/secrets/{{ .what }}-tls/ca.crt
{{- if (index .root.Values .what).tls.clientCertificate }}
- name: {{ .prefix }}_SSL_CERTIFICATE_LOCATION
  value: /run/secrets/{{ .what }}-tls/tls.crt
- name: {{ .prefix }}_SSL_KEY_LOCATION
  value: /run/secrets/{{ .what }}-tls/tls.key
{{- end }}
{{- end }}
{{- end }}

{{- define "runbus.credentials" -}}
- name: {{ .user }}
  valueFrom: { secretKeyRef: { name: {{ .secret }}, key: username } }
- name: {{ .password }}_FILE
  value: /run/secrets/{{ .what }}/password
{{- end }}

{{- define "runbus.env" -}}
{{- $kafka := .root.Values.kafka }}
{{- $secret := dict }}
{{- range without .uses "webhook" "token" }}{{ $_ := set $secret . (include "runbus.secret" (dict "root" $.root "what" . "values" $.values)) }}{{ end }}
- name: RUNBUS_TOPIC_PREFIX
  value: {{ $kafka.topicPrefix | quote }}
{{- if has "kafka" .uses }}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ required "kafka.bootstrapServers: name the brokers, host:port[,host:port...]" $kafka.bootstrapServers | quote }}
- name: KAFKA_SECURITY_PROTOCOL
  value: {{ $kafka.securityProtocol }}
{{- if hasPrefix "SASL" $kafka.securityProtocol }}
- name: KAFKA_SASL_MECHANISM
  value: {{ $kafka.saslMechanism }}
{{- $name := required (printf "kafka.existingSecret: %s needs a Secret with username and password" $kafka.securityProtocol) $secret.kafka }}
{{ include "runbus.credentials" (dict "what" "kafka" "secret" $name "user" "KAFKA_SASL_USERNAME" "password" "KAFKA_SASL_PASSWORD") }}
{{- end }}
{{- include "runbus.tlsEnv" (dict "root" .root "values" .values "what" "kafka" "prefix" "KAFKA") }}
{{- end }}
{{- if has "clickhouse" .uses }}
- name: CLICKHOUSE_URL
  value: {{ required "clickhouse.url: name the HTTP interface, for example http://clickhouse:8123" .root.Values.clickhouse.url | quote }}
- name: CLICKHOUSE_DATABASE
  value: {{ .root.Values.clickhouse.database }}
{{- with .root.Values.clickhouse.cluster }}
- name: CLICKHOUSE_CLUSTER
  value: {{ . | quote }}
{{- end }}
{{- if $secret.clickhouse }}
{{ include "runbus.credentials" (dict "what" "clickhouse" "secret" $secret.clickhouse "user" "CLICKHOUSE_USER" "password" "CLICKHOUSE_PASSWORD") }}
{{- else }}
{{- with default .root.Values.clickhouse.user (dig "clickhouse" "user" "" .values) }}
- name: CLICKHOUSE_USER
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- include "runbus.tlsEnv" (dict "root" .root "values" .values "what" "clickhouse" "prefix" "CLICKHOUSE") }}
{{- end }}
{{- if and (has "registry" .uses) .root.Values.registry.url }}
- name: SCHEMA_REGISTRY_URL
  value: {{ .root.Values.registry.url | quote }}
{{- with $secret.registry }}
{{ include "runbus.credentials" (dict "what" "registry" "secret" . "user" "SCHEMA_REGISTRY_USER" "password" "SCHEMA_REGISTRY_PASSWORD") }}
{{- end }}
{{- include "runbus.tlsEnv" (dict "root" .root "values" .values "what" "registry" "prefix" "SCHEMA_REGISTRY") }}
{{- end }}
{{- if and (has "webhook" .uses) .values.webhook.existingSecret }}
- name: RUNBUS_WATCHDOG_WEBHOOK_URL_FILE
  value: /run/secrets/webhook/url
{{- end }}
{{- if has "token" .uses }}
- name: RUNBUS_DASHBOARD_TOKEN_FILE
  value: /run/secrets/token/token
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "runbus.secretVolumes" -}}
{{- $kafka := .root.Values.kafka }}
{{- if and (has "webhook" .uses) .values.webhook.existingSecret }}
- name: webhook
  secret:
    secretName: {{ .values.webhook.existingSecret }}
    defaultMode: 0440
    items: [{ key: url, path: url }]
{{- end }}
{{- if has "token" .uses }}
- name: token
  secret:
    secretName: {{ required "dashboard.token.existingSecret: name a Secret with the key `token`, which whoever opens the page has to know, or set dashboard.enabled=false" .values.token.existingSecret }}
    defaultMode: 0440
    items: [{ key: token, path: token }]
{{- end }}
{{- range without .uses "webhook" "token" }}
{{- $secret := include "runbus.secret" (dict "root" $.root "what" . "values" $.values) }}
{{- $asked := or (eq . "clickhouse") (and (eq . "kafka") (hasPrefix "SASL" $kafka.securityProtocol)) (and (eq . "registry") $.root.Values.registry.url) }}
{{- if and $secret $asked }}
- name: {{ . }}
  secret:
    secretName: {{ $secret }}
    defaultMode: 0440
    items: [{ key: password, path: password }]
{{- end }}
{{- $tls := include "runbus.tlsSecret" (dict "root" $.root "what" . "values" $.values) }}
{{- if and $tls (or (ne . "registry") $.root.Values.registry.url) }}
- name: {{ . }}-tls
  secret:
    secretName: {{ $tls }}
    defaultMode: 0440
    items:
      - { key: ca.crt, path: ca.crt }
      {{- if (index $.root.Values .).tls.clientCertificate }}
      - { key: tls.crt, path: tls.crt }
      - { key: tls.key, path: tls.key }
      {{- end }}
{{- end }}
{{- end }}
{{- with dig "users" "existingSecret" "" .values }}
- name: users
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{- /* A pod's spec up to its containers' own lines. Takes root, uses, values, plus args (the command) and probes (bool). */}}
{{- define "runbus.podSpec" -}}
{{- $volumes := include "runbus.secretVolumes" . }}
automountServiceAccountToken: false
# Variables of Services would stand beside ours: RUNBUS_SINK_PORT is one.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: { sizeLimit: 64Mi }
  {{- with $volumes }}{{ trim . | nindent 2 }}{{ end }}
  {{- with .root.Values.extraVolumes }}{{ toYaml . | nindent 2 }}{{ end }}
containers:
  - name: runbus
    image: {{ include "runbus.image" . }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    {{- with .command }}
    command: {{ toJson . }}
    {{- end }}
    args: {{ toJson .args }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: { drop: [ALL] }
    volumeMounts:
      - { name: tmp, mountPath: /tmp }
      {{- range (fromYamlArray $volumes) }}
      - { name: {{ .name }}, mountPath: /run/secrets/{{ .name }}, readOnly: true }
      {{- end }}
      {{- with .root.Values.extraVolumeMounts }}{{ toYaml . | nindent 6 }}{{ end }}
    resources:
      {{- toYaml .resources | nindent 6 }}
    env:
      {{- with .env }}{{ trim . | nindent 6 }}{{ end }}
      {{- include "runbus.env" . | trim | nindent 6 }}
{{- end }}
