#!/bin/sh
# A chat completion through the gateway, plain or streamed. `--help` lists the options.
set -eu

path=chat/completions
limit=max_completion_tokens
prompt='"messages":[
  {"role":"system","content":"You are a helpful assistant."},
  {"role":"user","content":"Does Azure OpenAI support customer managed keys?"},
  {"role":"assistant","content":"Yes, customer managed keys are supported by Azure OpenAI."},
  {"role":"user","content":"Do other Azure AI services support this too?"}
]'

. "$(dirname "$0")/call.sh"
