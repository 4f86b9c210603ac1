# What the test scripts share: their options, and the call. Sourced by them, not run: `path`,
# `prompt` and `limit`, the name that the API has for the most tokens of an answer, are set there.
# shellcheck shell=sh

usage() {
  cat <<END
usage: $(basename "$0") [options]

Sends one ${path:?} call through the gateway, and prints the answer; a stream is printed as it comes.

  --gateway URL         https://NAME.azure-api.net, or where Tokenweir listens   [AZURE_GATEWAY_URL]
  --key KEY             a subscription key, or a key of Tokenweir                [AZURE_GATEWAY_KEY]
  --deployment NAME     the deployment to ask                                    [AOI_DEPLOYMENTID]
  --api-version VERSION Azure OpenAI's, default 2024-10-21
  --stream              ask for a stream
  --max-tokens N        of the answer, its reasoning included; default 500
  --temperature T       default the model's; newer models refuse any other
  --help                this text

In brackets: the variable that is read where the option is missing. After \`azd up\`, two of them come from
  export \$(azd env get-values | grep -E '^(AZURE_GATEWAY_URL|AOI_DEPLOYMENTID)=' | tr -d '"')

Exit status: 0 answered, 1 an HTTP error, 2 called wrongly, otherwise curl's (7 unreachable, 28 too slow).
END
}

wrong() {
  printf '%s: %s\n' "$(basename "$0")" "$1" >&2
  exit 2
}

gateway=${AZURE_GATEWAY_URL-}
key=${AZURE_GATEWAY_KEY-}
deployment=${AOI_DEPLOYMENTID-}
api_version=2024-10-21
max_tokens=500
temperature=
stream=false

while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage && exit 0 ;;
    --stream) stream=true && shift && continue ;;
    --gateway | --key | --deployment | --api-version | --max-tokens | --temperature)
      [ $# -gt 1 ] || wrong "$1 needs a value"
      ;;
    *) wrong "there is no option $1; --help lists them" ;;
  esac
  case $1 in
    --gateway) gateway=$2 ;;
    --key) key=$2 ;;
    --deployment) deployment=$2 ;;
    --api-version) api_version=$2 ;;
    --max-tokens) max_tokens=$2 ;;
    --temperature) temperature=$2 ;;
  esac
  shift 2
done

[ -n "$gateway" ] || wrong "no gateway: give --gateway https://NAME.azure-api.net, or set AZURE_GATEWAY_URL"
[ -n "$key" ] || wrong "no key: set AZURE_GATEWAY_KEY, or give --key"
[ -n "$deployment" ] || wrong "no deployment: give --deployment NAME, or set AOI_DEPLOYMENTID"
case $gateway in
  http://* | https://*) ;;
  *) wrong "the gateway $gateway is no URL; it begins with https:// (or http:// on this machine)" ;;
esac
command -v curl >/dev/null || wrong "there is no curl on this machine"

gateway=${gateway%/}
url="${gateway%/openai}/openai/deployments/$deployment/$path?api-version=$api_version"
body="{${prompt:?},\"${limit:?}\":$max_tokens${temperature:+,\"temperature\":$temperature},\"stream\":$stream}"

head=$(mktemp)
trap 'rm -f "$head"' EXIT

# The key goes in by standard input: arguments of a program can be read by everybody on the machine. It stands in both
# headers that an API may be set to look at.
printf 'Ocp-Apim-Subscription-Key: %s\napi-key: %s\n' "$key" "$key" |
  curl --silent --show-error --no-buffer --dump-header "$head" --header @- --data "$body" \
    --header 'Content-Type: application/json' --header 'Accept: application/json' "$url" || {
  failed=$?
  printf '%s: no whole answer from %s\n' "$(basename "$0")" "$gateway" >&2
  exit "$failed"
}
echo

# What the gateway says about the call, without getting into the way of the answer.
grep -i -E '^(HTTP/|x-ms-region|x-ms-stream|x-tokenweir-call-id|retry-after)' "$head" | tr -d '\r' >&2
status=$(awk '/^HTTP\// { status = $2 } END { print status + 0 }' "$head")
case $status in
  2??) ;;
  *)
    printf '%s: the gateway answered %s\n' "$(basename "$0")" "$status" >&2
    exit 1
    ;;
esac
