<#
.SYNOPSIS
A completion of a text through the gateway, plain or streamed.
.EXAMPLE
./testcompletions.ps1 -Gateway https://NAME.azure-api.net -Deployment gpt-4o -Stream
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
    prompt = 'Once upon a time'
    max_tokens = $MaxTokens
    stream = [bool]$Stream
}
# Newer models refuse any but their own.
if ($null -ne $Temperature) { $body.temperature = $Temperature }
$gatewayCall = @{
    Gateway = $Gateway; Key = $Key; Deployment = $Deployment; ApiVersion = $ApiVersion
    Path = 'completions'; Body = $body
}

try { Invoke-Gateway @gatewayCall }
catch {
    Write-Host "testcompletions.ps1: $($_.Exception.Message)"
    exit 1
}
