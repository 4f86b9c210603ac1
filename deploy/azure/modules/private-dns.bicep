// Private DNS zones, so that the names of Azure's services lead to the private endpoints, inside this network only.

param tags object
param networkId string
@description('Names of zones; the keys do not matter.')
param names object

var list = items(names)

resource zones 'Microsoft.Network/privateDnsZones@2020-06-01' = [
  for zone in list: {
    name: zone.value
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [
  for (zone, i) in list: {
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
