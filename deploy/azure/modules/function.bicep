// The meter: a Function App that reads what API Management logged and writes usage. It has no HTTP trigger.
//
// Flex Consumption, because it reaches the private network, scales by the hub's lag and to zero, and needs no key: the
// Elastic Premium plan keeps its code on a file share that opens by a key only, and costs the same when nobody calls.

param location string
param tags object
param name string
param subnetId string
param endpointSubnetId string
param zoneIds array

param identityId string
param identityClientId string

param storageAccountName string

@description('Blob container that holds the package.')
param packageUrl string

@description('Blob container for events that can never be counted.')
param deadLettersUrl string

param eventHubNamespace string
param eventHubName string

@description('What AppKey is: the hash of the subscription key, or the key as it is.')
param subscriptionKeys string

@description('Hub that gets a record of each call.')
param recordHubName string

param applicationInsightsConnectionString string

@description('Addresses (CIDR) from which a package may be deployed; none: only from inside the network.')
param deployFrom array

param pythonVersion string = '3.12'

// Each record goes to both: events for queries, and records for everything that reads the hub (Azure SQL, Power BI, a ledger),
// where relayed streams are already.
var sinks = [
  {
    name: 'application-insights'
    kind: 'application_insights'
    connection: {
      managed_identity: true
      client_id: identityClientId
    }
  }
  {
    name: 'records'
    kind: 'event_hubs'
    on_too_large: 'shed'
    connection: {
      namespace: eventHubNamespace
      hub: recordHubName
      managed_identity: true
      client_id: identityClientId
    }
  }
]

var settings = {
  AzureWebJobsStorage__accountName: storageAccountName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  EventHubConnection__fullyQualifiedNamespace: eventHubNamespace
  EventHubConnection__credential: 'managedidentity'
  EventHubConnection__clientId: identityClientId
  EventHubName: eventHubName
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  TOKENWEIR_SINKS: string(sinks)
  TOKENWEIR_INTAKE__DEAD_LETTERS: deadLettersUrl
  TOKENWEIR_INTAKE__SUBSCRIPTION_KEYS: subscriptionKeys
  // The identity of Tokenweir's own connections: Application Insights and the dead letters.
  AZURE_CLIENT_ID: identityClientId
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  // checkov:skip=CKV_AZURE_225: what is logged waits in the hub for seven days; the meter may be away for a while
  name: '${name}-plan'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  // checkov:skip=CKV_AZURE_222: it is closed unless addresses are named that may deploy, and then to all others
  // checkov:skip=CKV_AZURE_17: it answers no HTTP
  // checkov:skip=CKV_AZURE_78: Flex Consumption refuses ftpsState; who may sign in there is switched off below
  // checkov:skip=CKV_AZURE_212: it starts when events come and stops when none do
  // checkov:skip=CKV_AZURE_213: it answers no HTTP
  name: name
  location: location
  // azd finds the app by this tag.
  tags: union(tags, { 'azd-service-name': 'meter' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: empty(deployFrom) ? 'Disabled' : 'Enabled'
    virtualNetworkSubnetId: subnetId
    siteConfig: {
      appSettings: [
        for setting in items(settings): {
          name: setting.key
          value: setting.value
        }
      ]
      minTlsVersion: '1.2'
      http20Enabled: true
      ipSecurityRestrictionsDefaultAction: 'Deny'
      scmIpSecurityRestrictionsUseMain: false
      scmIpSecurityRestrictionsDefaultAction: 'Deny'
      scmIpSecurityRestrictions: [
        for (address, i) in deployFrom: {
          action: 'Allow'
          ipAddress: address
          name: 'deploy-${i}'
          priority: 100 + i
        }
      ]
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
      }
    }
  }
}

// A user name and password for deployments would be a key; Entra's sign-in is what remains.
resource noFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource noBasicDeployment 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

module endpoint 'private-endpoint.bicep' = {
  name: '${name}-endpoint'
  params: {
    location: location
    tags: tags
    name: '${name}-endpoint'
    subnetId: endpointSubnetId
    targetId: app.id
    groupId: 'sites'
    zoneIds: zoneIds
  }
}

output name string = app.name
