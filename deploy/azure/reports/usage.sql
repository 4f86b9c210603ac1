-- Tokenweir's usage in Azure SQL: the table that Stream Analytics fills, and the views that Power BI reads.
-- Run it once as the server's Entra administrator, then usage-access.sql. It may be run again.

IF OBJECT_ID('dbo.usage_events', 'U') IS NULL
CREATE TABLE dbo.usage_events (
    call_id nvarchar(64) NOT NULL,
    started_at datetime2(7) NOT NULL,
    api nvarchar(64) NULL,
    operation nvarchar(64) NULL,
    deployment nvarchar(256) NULL,
    requested_model nvarchar(256) NULL,
    response_model nvarchar(256) NULL,
    is_stream bit NULL,
    caller nvarchar(256) NULL,
    key_id nvarchar(128) NULL,
    subject nvarchar(256) NULL,
    cost_centre nvarchar(256) NULL,
    backend nvarchar(128) NULL,
    region nvarchar(128) NULL,
    sku nvarchar(64) NULL,
    status bigint NULL,
    outcome nvarchar(32) NULL,
    error_code nvarchar(128) NULL,
    usage_source nvarchar(16) NULL,
    input_tokens bigint NULL,
    cached_input_tokens bigint NULL,
    output_tokens bigint NULL,
    reasoning_tokens bigint NULL,
    total_tokens bigint NULL,
    cost_text nvarchar(64) NULL,
    currency nvarchar(8) NULL,
    latency_ms double precision NULL,
    first_token_ms double precision NULL,
    -- The hub and Stream Analytics deliver at least once. The second row of a call is dropped without an error.
    CONSTRAINT usage_events_once PRIMARY KEY (call_id) WITH (IGNORE_DUP_KEY = ON)
);
GO

-- One row for each call, with its defaults.
CREATE OR ALTER VIEW dbo.fact_calls AS
SELECT
    call_id,
    started_at,
    CAST(started_at AS date) AS day,
    DATETRUNC(hour, started_at) AS hour,
    COALESCE(caller, '') AS caller,
    COALESCE(cost_centre, '') AS cost_centre,
    COALESCE(response_model, requested_model, '') AS model,
    COALESCE(deployment, '') AS deployment,
    COALESCE(region, '') AS region,
    COALESCE(backend, '') AS backend,
    COALESCE(api, 'other') AS api,
    COALESCE(operation, '') AS operation,
    -- A WebSocket's own record, and a job's, are no calls: what they used counts.
    CASE WHEN operation IN ('session', 'job') THEN 0 ELSE 1 END AS is_call,
    CASE WHEN is_stream = 1 THEN 1 ELSE 0 END AS is_stream,
    status,
    COALESCE(outcome, 'completed') AS outcome,
    error_code,
    CASE WHEN COALESCE(outcome, 'completed') = 'completed' THEN 1 ELSE 0 END AS is_completed,
    CASE WHEN status = 429 THEN 1 ELSE 0 END AS is_throttled,
    CASE WHEN usage_source = 'estimated' THEN 1 ELSE 0 END AS is_estimated,
    COALESCE(input_tokens, 0) AS input_tokens,
    COALESCE(cached_input_tokens, 0) AS cached_input_tokens,
    COALESCE(output_tokens, 0) AS output_tokens,
    COALESCE(reasoning_tokens, 0) AS reasoning_tokens,
    COALESCE(total_tokens, 0) AS total_tokens,
    -- A record writes a ten-millionth as 1E-7, which only a float can be made from.
    COALESCE(TRY_CAST(cost_text AS decimal(38, 12)), CAST(CAST(cost_text AS double precision) AS decimal(38, 12))) AS cost,
    COALESCE(currency, '') AS currency,
    COALESCE(latency_ms, 0) AS latency_ms,
    first_token_ms
FROM dbo.usage_events;
GO

-- One row for each hour, caller, cost centre, model, deployment, region and currency: what most reports need.
CREATE OR ALTER VIEW dbo.fact_usage_hourly AS
SELECT
    hour,
    day,
    caller,
    cost_centre,
    model,
    deployment,
    region,
    currency,
    SUM(CAST(is_call AS bigint)) AS calls,
    SUM(is_call * is_completed) AS completed_calls,
    SUM(is_throttled) AS throttled_calls,
    SUM(is_estimated) AS estimated_calls,
    SUM(input_tokens) AS input_tokens,
    SUM(cached_input_tokens) AS cached_input_tokens,
    SUM(output_tokens) AS output_tokens,
    SUM(reasoning_tokens) AS reasoning_tokens,
    SUM(total_tokens) AS total_tokens,
    SUM(cost) AS cost,
    SUM(is_call * latency_ms) AS latency_ms_sum
FROM dbo.fact_calls
GROUP BY hour, day, caller, cost_centre, model, deployment, region, currency;
GO

-- The sides of the star. Their keys are the columns of the same names in the facts.
CREATE OR ALTER VIEW dbo.dim_callers AS
SELECT caller, MAX(cost_centre) AS cost_centre, MIN(started_at) AS first_call, MAX(started_at) AS last_call
FROM dbo.fact_calls
GROUP BY caller;
GO

CREATE OR ALTER VIEW dbo.dim_models AS
SELECT DISTINCT model FROM dbo.fact_calls;
GO

CREATE OR ALTER VIEW dbo.dim_deployments AS
SELECT DISTINCT deployment FROM dbo.fact_calls;
GO

CREATE OR ALTER VIEW dbo.dim_days AS
SELECT DISTINCT
    day,
    YEAR(day) AS year,
    MONTH(day) AS month,
    DAY(day) AS day_of_month
FROM dbo.fact_calls;
GO
