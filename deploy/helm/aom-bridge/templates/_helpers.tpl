{{- define "aom-bridge.fullname" -}}
{{- if contains "aom-bridge" .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-aom-bridge" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "aom-bridge.selector" -}}
app.kubernetes.io/name: aom-bridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "aom-bridge.labels" -}}
{{ include "aom-bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "aom-bridge.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The configuration: the user's, with the store that the mode needs and the receiver that alertmanagerConfig makes, unless
     the user names others. */}}
{{- define "aom-bridge.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if not $config.targets -}}
{{- $_ := set $config "targets" (.Files.Get "files/targets.yaml" | fromYaml) -}}
{{- end -}}
{{- $store := $config.store | default dict -}}
{{- if not $store.url -}}
{{- if eq .Values.mode "ha" -}}
{{- $_ := set $store "url" (printf "${%s}" .Values.postgresql.urlVariable) -}}
{{- else -}}
{{- $_ := set $store "url" "sqlite:////var/lib/aom-bridge/ledger.db" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config "store" $store -}}
{{- if eq .Values.mode "sidecar" -}}
{{- range $name, $target := $config.targets -}}
{{- if not (hasKey $target "reassert_after") -}}{{- $_ := set $target "reassert_after" "0s" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.alertmanagerConfig.enabled -}}
{{- $receiver := printf "%s/%s/aom" .Release.Namespace (include "aom-bridge.fullname" .) -}}
{{- range $one := $config.alertmanagers -}}
{{- if and (not $one.receivers) (ne ($one.kind | default "alertmanager") "mimir") -}}{{- $_ := set $one "receivers" (list $receiver) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{- define "aom-bridge.containerSecurityContext" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "aom-bridge.probe" -}}
{{- if .root.Values.web.clientCertificates -}}
tcpSocket: {port: http}
{{- else -}}
httpGet: {path: {{ .path }}, port: http{{ if .root.Values.web.tls }}, scheme: HTTPS{{ end }}}
{{- end -}}
{{- end }}

{{- define "aom-bridge.sidecarProbe" -}}
{{- include "aom-bridge.probe" . | replace "port: http" "port: bridge-metrics" -}}
{{- end }}
