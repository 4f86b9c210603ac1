-- The benchmark's one request, and its result as a line of JSON.
wrk.method = "POST"
wrk.path = "@PATH@"
wrk.headers["api-key"] = "@API_KEY@"
wrk.headers["content-type"] = "application/json"
wrk.body = [[@BODY@]]

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.6f, "errors": %d, "latency_us": {"p50": %.1f, "p99": %.1f}}',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
