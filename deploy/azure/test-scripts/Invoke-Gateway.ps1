# What the test scripts share: one call, its answer on the output as it comes. Dot-sourced by them.

function Invoke-Gateway {
    param(
        [string]$Gateway,
        [string]$Key,
        [string]$Deployment,
        [string]$ApiVersion,
        [string]$Path,
        [hashtable]$Body
    )

    if (-not $Gateway) { throw 'No gateway: give -Gateway https://NAME.azure-api.net, or set AZURE_GATEWAY_URL.' }
    if (-not $Key) { throw 'No key: set AZURE_GATEWAY_KEY, or give -Key.' }
    if (-not $Deployment) { throw 'No deployment: give -Deployment NAME, or set AOI_DEPLOYMENTID.' }
    if ($Gateway -notmatch '^https?://') { throw "The gateway $Gateway is no URL; it begins with https://." }

    $base = $Gateway.TrimEnd('/') -replace '/openai$', ''
    $url = "$base/openai/deployments/$Deployment/${Path}?api-version=$ApiVersion"
    $json = $Body | ConvertTo-Json -Depth 5 -Compress

    Add-Type -AssemblyName System.Net.Http
    $client = [System.Net.Http.HttpClient]::new()
    try {
        $request = [System.Net.Http.HttpRequestMessage]::new([System.Net.Http.HttpMethod]::Post, $url)
        # An API may be set to look at either.
        $request.Headers.Add('Ocp-Apim-Subscription-Key', $Key)
        $request.Headers.Add('api-key', $Key)
        $request.Headers.Add('Accept', 'application/json')
        $request.Content = [System.Net.Http.StringContent]::new($json, [Text.Encoding]::UTF8, 'application/json')

        # Only the headers are waited for: the lines of a stream are shown one by one.
        $headersOnly = [System.Net.Http.HttpCompletionOption]::ResponseHeadersRead
        $answer = $client.SendAsync($request, $headersOnly).GetAwaiter().GetResult()
        $lines = [System.IO.StreamReader]::new($answer.Content.ReadAsStreamAsync().GetAwaiter().GetResult())
        while ($null -ne ($line = $lines.ReadLine())) { Write-Output $line }

        foreach ($name in 'x-ms-region', 'x-ms-stream', 'x-tokenweir-call-id', 'retry-after') {
            if ($answer.Headers.Contains($name)) { Write-Host "${name}: $($answer.Headers.GetValues($name))" }
        }
        if (-not $answer.IsSuccessStatusCode) { throw "The gateway answered $([int]$answer.StatusCode)." }
    }
    finally {
        $client.Dispose()
    }
}
