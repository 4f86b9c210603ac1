#!/bin/sh
# Makes a keys file for Tokenweir of the subscriptions of an API Management instance: one entry for each key.
#
#   callers.sh /subscriptions/…/providers/Microsoft.ApiManagement/service/NAME > keys.json
#
# A caller has the id of its subscription, and the id of a key is its hash, as in the events that policy-meter.xml logs. So
# a team's streams, which Tokenweir meters, and its other calls, which the hub gets, are charged to one name. The keys
# themselves are neither written nor shown. Run it again after a subscription or a key has changed.
set -eu

[ $# -eq 1 ] || {
  echo "usage: callers.sh RESOURCE_ID_OF_API_MANAGEMENT > keys.json" >&2
  exit 2
}
version='api-version=2024-05-01'
digest=$(command -v sha256sum || echo 'shasum -a 256')
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)

# One page after another: the answer names the next.
names() {
  page="$1/subscriptions?$version"
  while [ -n "$page" ]; do
    az rest --method get --url "$page" --query "value[?properties.state=='active'].name" --output tsv
    page=$(az rest --method get --url "$page" --query nextLink --output tsv)
  done
}

entry() {
  hash=$(printf %s "$3" | $digest | cut -d ' ' -f 1)
  printf '%s\n{"key_id":"%s","caller":"%s","sha256":"%s","created_at":"%s"}' "$1" "$hash" "$2" "$hash" "$now"
}

found=$(names "$1")
[ -n "$found" ] || {
  echo "callers.sh: no active subscription in $1" >&2
  exit 1
}
comma=''
printf '{"keys":['
for name in $found; do
  secrets=$(az rest --method post --url "$1/subscriptions/$name/listSecrets?$version" \
    --query '[primaryKey, secondaryKey]' --output tsv)
  for key in $secrets; do
    entry "$comma" "$name" "$key"
    comma=','
  done
done
printf '\n]}\n'
