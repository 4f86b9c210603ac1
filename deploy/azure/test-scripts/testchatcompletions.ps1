<#
.SYNOPSIS
A chat completion through the gateway, plain or streamed.
.EXAMPLE
./testchatcompletions.ps1 -Gateway https://NAME.azure-api.net -Deployment gpt-4o -Stream
.NOTES
Variables that are read where a parameter is missing: AZURE_GATEWAY_URL, AZURE_GATEWAY_KEY, AOI_DEPLOYMENTID.
#>
param(
    [string]$Gateway = $env:AZURE_GATEWAY_URL,
    [string]$Key = $env:AZURE_GATEWAY_KEY,
    [string]$Deployment = $env:AOI_DEPLOYMENTID,
    [string]$ApiVersion = '2024-10-21',
    [int]$MaxTokens = 500,
    [Nullable[double]]$Temperature = $null,
    [switch]$Stream
)

$ErrorActionPreference = 'Stop'
. "$PSScriptRoot/Invoke-Gateway.ps1"

$body = @{
    messages = @(
        @{ role = 'system'; content = 'You are a helpful assistant.' }
        @{ role = 'user'; content = 'Does Azure OpenAI support customer managed keys?' }
        @{ role = 'assistant'; content = 'Yes, customer managed keys are supported by Azure OpenAI.' }
        @{ role = 'user'; content = 'Do other Azure AI services support this too?' }
    )
    max_completion_tokens = $MaxTokens
    stream = [bool]$Stream
}
# Newer models refuse any but their own.
if ($null -ne $Temperature) { $body.temperature = $Temperature }
$gatewayCall = @{
    Gateway = $Gateway; Key = $Key; Deployment = $Deployment; ApiVersion = $ApiVersion
    Path = 'chat/completions'; Body = $body
}

try { Invoke-Gateway @gatewayCall }
catch {
    Write-Host "testchatcompletions.ps1: $($_.Exception.Message)"
    exit 1
}
