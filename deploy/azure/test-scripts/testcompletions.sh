#!/bin/sh
# A completion of a text through the gateway, plain or streamed. `--help` lists the options.
set -eu

path=completions
limit=max_tokens
prompt='"prompt":"Once upon a time"'

. "$(dirname "$0")/call.sh"
