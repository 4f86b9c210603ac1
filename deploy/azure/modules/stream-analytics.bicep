// Usage in Azure SQL, in Cosmos DB and in a Power BI dataset, each if it is named: a Stream Analytics job that reads the hub
// into which Tokenweir writes records, and the database that it writes to. Nothing is secret: the job has an identity, the SQL
// server knows Entra users only, and Cosmos DB gives the job a role.
//
// After the deployment the administrator runs deploy/azure/reports/usage.sql and usage-access.sql and starts the job.
//
// A job by itself belongs to no network. It reads the hub because the namespace trusts Microsoft services, and writes to
// the database because the server lets Azure's addresses in. Where that is too open, name a Stream Analytics cluster that
// has private endpoints to both; then the server is closed.

@description('Region of the job and of the database.')
param location string

@description('Tags of all that is made here.')
param tags object = {}

@description('Name of the Stream Analytics job, and so of its identity and of its user in the database.')
param name string

@description('Event Hubs namespace, in this resource group.')
param eventHubNamespaceName string

@description('Hub into which Tokenweir writes records (shape = "tokenweir"); not the one that API Management logs to.')
param eventHubName string

@description('Name of the SQL server; unique in all of Azure.')
param sqlServerName string = ''

@description('Name of the database.')
param sqlDatabaseName string = 'usage'

@description('Display name of the Entra user, group or application that administers the SQL server.')
param sqlAdministratorName string = ''

@description('Object ID of that administrator. Empty: no database.')
param sqlAdministratorObjectId string = ''

@description('What the administrator is.')
@allowed(['User', 'Group', 'Application'])
param sqlAdministratorType string = 'Group'

@description('Resource ID of the Log Analytics workspace for the logs of the job.')
param logAnalyticsWorkspaceId string

@description('Resource ID of a Stream Analytics cluster with private endpoints to namespace and SQL server; empty: none.')
param clusterId string = ''

@description('Cosmos DB account (API for NoSQL) in this resource group. Empty: no documents.')
param cosmosAccountName string = ''

@description('Its database and container, which are there already; the container\'s partition key is /partition.')
param cosmosDatabaseName string = 'usage'
param cosmosContainerName string = 'calls'

@description('Power BI workspace, by id and name, in which the job\'s identity is a contributor. Empty: no dataset.')
param powerBiWorkspaceId string = ''
param powerBiWorkspaceName string = ''

var roles = loadJsonContent('roles.json')
var receiver = roles['Azure Event Hubs Data Receiver']
var isPrivate = !empty(clusterId)
var inputName = 'calls'
var outputName = 'usage-events'
var hasSql = !empty(sqlAdministratorObjectId)
var hasCosmos = !empty(cosmosAccountName)
var hasPowerBi = !empty(powerBiWorkspaceId)
var queries = [
  hasSql ? loadTextContent('../reports/usage-to-sql.asaql') : ''
  hasCosmos ? loadTextContent('../reports/usage-to-cosmos.asaql') : ''
  hasPowerBi ? loadTextContent('../reports/usage-to-power-bi.asaql') : ''
]
var sqlOutputs = hasSql
  ? [
      {
        name: outputName
        properties: {
          datasource: {
            type: 'Microsoft.Sql/Server/Database'
            properties: {
              server: sqlServer!.properties.fullyQualifiedDomainName
              database: database.name
              table: 'usage_events'
              authenticationMode: 'Msi'
            }
          }
        }
      }
    ]
  : []
var cosmosOutputs = hasCosmos
  ? [
      {
        name: 'usage-documents'
        properties: {
          datasource: {
            type: 'Microsoft.Storage/DocumentDB'
            properties: {
              accountId: cosmosAccountName
              database: cosmosDatabaseName
              collectionNamePattern: cosmosContainerName
              documentId: 'id'
              authenticationMode: 'Msi'
            }
          }
        }
      }
    ]
  : []
var powerBiOutputs = hasPowerBi
  ? [
      {
        name: 'usage-rows'
        properties: {
          datasource: {
            type: 'PowerBI'
            properties: {
              groupId: powerBiWorkspaceId
              groupName: powerBiWorkspaceName
              dataset: 'Azure OpenAI usage'
              table: 'calls'
              authenticationMode: 'Msi'
            }
          }
        }
      }
    ]
  : []

resource eventHubNamespace 'Microsoft.EventHub/namespaces@2024-01-01' existing = {
  name: eventHubNamespaceName

  resource eventHub 'eventhubs' existing = {
    name: eventHubName
  }
}

// A consumer group of its own: other readers of the hub are not disturbed.
resource consumerGroup 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = {
  parent: eventHubNamespace::eventHub
  name: 'stream-analytics'
}

resource sqlServer 'Microsoft.Sql/servers@2021-11-01' = if (hasSql) {
  // checkov:skip=CKV_AZURE_113: with a cluster it is closed; without one a job can reach it in no other way, see above
  name: sqlServerName
  location: location
  tags: tags
  properties: {
    minimalTlsVersion: '1.2'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    administrators: {
      administratorType: 'ActiveDirectory'
      azureADOnlyAuthentication: true
      login: sqlAdministratorName
      sid: sqlAdministratorObjectId
      principalType: sqlAdministratorType
      tenantId: tenant().tenantId
    }
  }
}

// 0.0.0.0 stands for services of Azure, of any subscription; who gets in still needs an Entra user in the database.
resource azureServices 'Microsoft.Sql/servers/firewallRules@2021-11-01' = if (hasSql && !isPrivate) {
  parent: sqlServer
  name: 'AllowAllWindowsAzureIps'
  properties: {
    startIpAddress: '0.0.0.0'
    endIpAddress: '0.0.0.0'
  }
}

resource database 'Microsoft.Sql/servers/databases@2021-11-01' = if (hasSql) {
  // checkov:skip=CKV_AZURE_229: what it holds can be written again from the records; zones need a dearer tier
  // checkov:skip=CKV_AZURE_26: alerts come from Defender for Cloud, which is a matter of the subscription
  // checkov:skip=CKV_AZURE_27: alerts come from Defender for Cloud, which is a matter of the subscription
  parent: sqlServer
  name: sqlDatabaseName
  location: location
  tags: tags
  sku: {
    name: 'S0'
    tier: 'Standard'
  }
}

// The first version in which a job signs in to Cosmos DB by its identity.
resource job 'Microsoft.StreamAnalytics/streamingjobs@2021-10-01-preview' = {
  name: name
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    sku: {
      name: 'Standard'
    }
    jobType: 'Cloud'
    cluster: isPrivate ? { id: clusterId } : null
    // The first level that knows bit, and that reads numbers as they are.
    compatibilityLevel: '1.2'
    // An event that cannot be written is tried again until somebody looks. Dropping it would lose a charge.
    outputErrorPolicy: 'Stop'
    inputs: [
      {
        name: inputName
        properties: {
          type: 'Stream'
          serialization: {
            type: 'Json'
            properties: {
              encoding: 'UTF8'
            }
          }
          datasource: {
            type: 'Microsoft.EventHub/EventHub'
            properties: {
              serviceBusNamespace: eventHubNamespaceName
              eventHubName: eventHubName
              consumerGroupName: consumerGroup.name
              authenticationMode: 'Msi'
            }
          }
        }
      }
    ]
    outputs: concat(sqlOutputs, cosmosOutputs, powerBiOutputs)
    transformation: {
      name: 'usage'
      properties: {
        streamingUnits: 1
        query: join(filter(queries, query => !empty(query)), '\n')
      }
    }
  }
}

// Reads events, and may neither send nor manage.
resource jobReceives 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: eventHubNamespace::eventHub
  name: guid(eventHubNamespace::eventHub.id, job.id, receiver)
  properties: {
    principalId: job.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
  }
}

resource cosmos 'Microsoft.DocumentDB/databaseAccounts@2024-05-15' existing = if (hasCosmos) {
  name: cosmosAccountName
}

// Reads and writes documents of this account: "Cosmos DB Built-in Data Contributor", a role of Cosmos DB's own.
resource jobWritesDocuments 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2024-05-15' = if (hasCosmos) {
  parent: cosmos
  name: guid(cosmos.id, job.id, 'contributor')
  properties: {
    principalId: job.identity.principalId
    roleDefinitionId: '${cosmos.id}/sqlRoleDefinitions/00000000-0000-0000-0000-000000000002'
    scope: cosmos.id
  }
}

resource jobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: job
  name: 'to-log-analytics'
  properties: {
    workspaceId: logAnalyticsWorkspaceId
    logs: [
      {
        // Input events that are no JSON, and rows that could not be written.
        category: 'Execution'
        enabled: true
      }
      {
        category: 'Authoring'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

@description('Name of the job: what usage-access.sql wants as JobName.')
output jobName string = job.name

@description('Object ID of the job\'s identity.')
output jobPrincipalId string = job.identity.principalId

@description('Address of the SQL server, for sqlcmd and Power BI.')
output sqlServerFullyQualifiedDomainName string = hasSql ? sqlServer!.properties.fullyQualifiedDomainName : ''
