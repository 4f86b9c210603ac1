// Where the numbers appear: Application Insights over a Log Analytics workspace. Data comes in through the network only;
// people may ask from anywhere, with their own sign-in, as they do today.

param location string
param tags object
param name string
param endpointSubnetId string
param zoneIds array

@description('Resource id of a workspace that is there already; empty: make one.')
param existingWorkspaceId string

@description('Identities that may write telemetry; there is no other way in.')
param writerPrincipalIds array

@description('Days that usage can be asked for.')
param retentionInDays int

var roles = loadJsonContent('roles.json')
var writer = roles['Monitoring Metrics Publisher']
var workspaceId = empty(existingWorkspaceId) ? workspace.id : existingWorkspaceId

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = if (empty(existingWorkspaceId)) {
  name: '${name}-logs'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionInDays
    publicNetworkAccessForIngestion: 'Disabled'
    publicNetworkAccessForQuery: 'Enabled'
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-insights'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspaceId
    // Chargeback is a sum over all events; a sample of them would not do.
    SamplingPercentage: 100
    // Whoever knows the connection string could otherwise write usage that never was.
    DisableLocalAuth: true
    publicNetworkAccessForIngestion: 'Disabled'
    publicNetworkAccessForQuery: 'Enabled'
  }
}

resource writers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in writerPrincipalIds: {
    scope: insights
    name: guid(insights.id, principalId, writer)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', writer)
    }
  }
]

// Azure Monitor is reached through a scope, not by each of its resources. Open, because a network's resolver leads all
// of Azure Monitor's names to the scope, and other resources of the same network are not in it.
resource scope 'Microsoft.Insights/privateLinkScopes@2021-07-01-preview' = {
  name: '${name}-monitor'
  location: 'global'
  tags: tags
  properties: {
    accessModeSettings: {
      ingestionAccessMode: 'Open'
      queryAccessMode: 'Open'
    }
  }
}

resource scopedInsights 'Microsoft.Insights/privateLinkScopes/scopedResources@2021-07-01-preview' = {
  parent: scope
  name: 'insights'
  properties: { linkedResourceId: insights.id }
}

resource scopedWorkspace 'Microsoft.Insights/privateLinkScopes/scopedResources@2021-07-01-preview' = {
  parent: scope
  name: 'logs'
  properties: { linkedResourceId: workspaceId }
}

module endpoint 'private-endpoint.bicep' = {
  name: '${name}-monitor-endpoint'
  params: {
    location: location
    tags: tags
    name: '${name}-monitor-endpoint'
    subnetId: endpointSubnetId
    targetId: scope.id
    groupId: 'azuremonitor'
    zoneIds: zoneIds
  }
  // The endpoint's addresses are those of the resources that are in the scope by then.
  dependsOn: [scopedInsights, scopedWorkspace]
}

output workspaceId string = workspaceId
output applicationInsightsId string = insights.id
output applicationInsightsName string = insights.name
output connectionString string = insights.properties.ConnectionString
