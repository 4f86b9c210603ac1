-- Lets the Stream Analytics job write into usage_events and nothing else. Bicep cannot make users within a database, so
-- the server's Entra administrator runs this once, after usage.sql:
--
--   sqlcmd -S SERVER.database.windows.net -d usage -G -i usage.sql
--   sqlcmd -S SERVER.database.windows.net -d usage -G -i usage-access.sql -v JobName="NAME OF THE JOB"
--
-- The user's name is the job's, as is the name of its managed identity.
IF DATABASE_PRINCIPAL_ID('$(JobName)') IS NULL
    CREATE USER [$(JobName)] FROM EXTERNAL PROVIDER;
GO

GRANT CONNECT TO [$(JobName)];
GRANT SELECT, INSERT ON OBJECT::dbo.usage_events TO [$(JobName)];
GO
