// Blob storage for the meter: its package, its checkpoints, and the events that can never be counted. No keys.

param location string
param tags object
param name string
param endpointSubnetId string
param isZoneRedundant bool
param zoneIds array

@description('The identity of the meter.')
param ownerPrincipalId string

var roles = loadJsonContent('roles.json')
var owner = roles['Storage Blob Data Owner']

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  // checkov:skip=CKV_AZURE_36: none of Azure's services has business here except by the private endpoint
  // checkov:skip=CKV_AZURE_206: Standard_ZRS keeps three copies in three zones, which is replication enough for this; LRS, where there are no zones, three in one
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: isZoneRedundant ? 'Standard_ZRS' : 'Standard_LRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Disabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Deny'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: 'package'
  properties: { publicAccess: 'None' }
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: 'dead-letters'
  properties: { publicAccess: 'None' }
}

// The Functions host keeps its checkpoints and leases in containers that it makes itself, for which it asks to own them.
resource ownerRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, ownerPrincipalId, owner)
  properties: {
    principalId: ownerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', owner)
  }
}

module endpoint 'private-endpoint.bicep' = {
  name: '${name}-blob-endpoint'
  params: {
    location: location
    tags: tags
    name: '${name}-blob-endpoint'
    subnetId: endpointSubnetId
    targetId: account.id
    groupId: 'blob'
    zoneIds: zoneIds
  }
}

output accountName string = account.name
output packageUrl string = '${account.properties.primaryEndpoints.blob}${package.name}'
output deadLettersUrl string = '${account.properties.primaryEndpoints.blob}${deadLetters.name}'
