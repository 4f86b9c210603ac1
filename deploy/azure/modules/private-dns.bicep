// Private DNS zones, so that the names of Azure's services lead to the private endpoints, inside this network only.

param tags object
param networkId string
param names array

@description('Resource id of the resource group that has these zones already; empty: make them.')
param existingZonesGroupId string

var made = empty(existingZonesGroupId) ? names : []
var groupId = empty(existingZonesGroupId) ? resourceGroup().id : existingZonesGroupId

resource zones 'Microsoft.Network/privateDnsZones@2020-06-01' = [
  for name in made: {
    name: name
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [
  for (name, i) in made: {
    parent: zones[i]
    name: 'link-${uniqueString(networkId)}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: networkId }
    }
  }
]

output ids object = toObject(names, name => name, name => '${groupId}/providers/Microsoft.Network/privateDnsZones/${name}')
