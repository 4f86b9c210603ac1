// The share on which gateways keep their journals until their records are sent on, and their keys file. NFS, because it
// has the locks that journals need and opens to the network instead of to whoever has a key.

param location string
param tags object

@minLength(3)
@maxLength(24)
param name string
param endpointSubnetId string
param isZoneRedundant bool

@description('The zone privatelink.file.core.windows.net.')
param zoneIds array

@description('GiB, for all replicas together; 100 is the least, and what the price is for.')
@minValue(100)
param size int = 100

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  // checkov:skip=CKV_AZURE_3: NFS has no HTTPS; it is open to the network's private endpoint only
  // checkov:skip=CKV_AZURE_36: none of Azure's services has business here except by the private endpoint
  // checkov:skip=CKV_AZURE_206: Premium_ZRS keeps three copies in three zones, which is replication enough for this; LRS, where there are no zones, three in one
  name: name
  location: location
  tags: tags
  kind: 'FileStorage'
  sku: { name: isZoneRedundant ? 'Premium_ZRS' : 'Premium_LRS' }
  properties: {
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Disabled'
    supportsHttpsTrafficOnly: false
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Deny'
    }
  }
}

resource files 'Microsoft.Storage/storageAccounts/fileServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource share 'Microsoft.Storage/storageAccounts/fileServices/shares@2024-01-01' = {
  parent: files
  name: 'tokenweir'
  properties: {
    enabledProtocols: 'NFS'
    // Root gives the directory to Tokenweir's user, once.
    rootSquash: 'NoRootSquash'
    shareQuota: size
  }
}

module endpoint 'private-endpoint.bicep' = {
  name: '${name}-file-endpoint'
  params: {
    location: location
    tags: tags
    name: '${name}-file-endpoint'
    subnetId: endpointSubnetId
    targetId: account.id
    groupId: 'file'
    zoneIds: zoneIds
  }
}

output server string = '${account.name}.file.${az.environment().suffixes.storage}'
output path string = '/${account.name}/${share.name}'
