{{- define "tokenweir.name" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "tokenweir.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "tokenweir.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* What never changes, by which Services and workloads find their pods. */}}
{{- define "tokenweir.selector" -}}
app.kubernetes.io/name: tokenweir
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tokenweir.labels" -}}
{{ include "tokenweir.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "tokenweir.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{/* Many replicas that each have a ledger of their own would each know a part of the calls. */}}
{{- define "tokenweir.scales" -}}
{{- if or (gt (int .Values.gateway.replicas) 1) (ne .Values.autoscaling.kind "none") -}}yes{{- end -}}
{{- end -}}

{{- define "tokenweir.checkLedger" -}}
{{- $ledger := dig "ledger" "url" "" (fromToml .Values.config) -}}
{{- if and (include "tokenweir.scales" .) (or (not $ledger) (hasPrefix "duckdb:" $ledger)) -}}
{{- fail "several gateways need a ledger that they share: in `config`, give [ledger] url = \"postgresql://…\" (or clickhouse://…), or url = \"none\" and a sink to Event Hubs or Kafka" -}}
{{- end -}}
{{- end -}}

{{/* What every pod of ours has. */}}
{{- define "tokenweir.pod" -}}
serviceAccountName: {{ include "tokenweir.serviceAccount" . }}
automountServiceAccountToken: false
{{- /* Or a Service called tokenweir-west would set TOKENWEIR_WEST_PORT, which is no setting and is refused. */}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  # A large volume would otherwise be walked through at every start.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What every container of ours has. */}}
{{- define "tokenweir.container" -}}
image: {{ include "tokenweir.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
envFrom:
  {{- range .Values.secrets }}
  - secretRef: {name: {{ . }}}
  {{- end }}
{{- end -}}
