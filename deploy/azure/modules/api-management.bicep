// API Management inside the network. Its gateway has a public address only where `openToInternet` says so.

param location string
param tags object
param name string

@description('Only these two can be placed inside a network. Developer has no SLA.')
@allowed(['Developer', 'Premium'])
param sku string

param publisherEmail string
param publisherName string
param subnetId string
param networkId string
param openToInternet bool
param identityId string
param workspaceId string

var oldProtocols = 'Microsoft.WindowsAzure.ApiManagement.Gateway.Security'

resource service 'Microsoft.ApiManagement/service@2024-05-01' = {
  // checkov:skip=CKV_AZURE_174: that switch is for instances outside a network; here virtualNetworkType decides
  name: name
  location: location
  tags: tags
  sku: {
    name: sku
    capacity: 1
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    publisherEmail: publisherEmail
    publisherName: publisherName
    // Internal: the gateway answers on an address of the network. External: on a public one, too.
    virtualNetworkType: openToInternet ? 'External' : 'Internal'
    virtualNetworkConfiguration: { subnetResourceId: subnetId }
    customProperties: {
      '${oldProtocols}.Protocols.Tls10': 'false'
      '${oldProtocols}.Protocols.Tls11': 'false'
      '${oldProtocols}.Backend.Protocols.Tls10': 'false'
      '${oldProtocols}.Backend.Protocols.Tls11': 'false'
      '${oldProtocols}.Backend.Protocols.Ssl30': 'false'
      '${oldProtocols}.Ciphers.TripleDes168': 'false'
    }
  }
}

// An internal instance is in nobody's DNS. Each zone has a whole name, so that no other name of azure-api.net is hidden
// from the network. They are the names of the gateway, the developer portal, its editor, management and Git.
var names = [for part in ['', '.developer', '.portal', '.management', '.scm']: '${name}${part}.azure-api.net']

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zoneName in names: if (!openToInternet) {
    name: zoneName
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zoneName, i) in names: if (!openToInternet) {
    parent: zones[i]
    name: 'network'
    location: 'global'
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: networkId }
    }
  }
]

resource addresses 'Microsoft.Network/privateDnsZones/A@2024-06-01' = [
  for (zoneName, i) in names: if (!openToInternet) {
    parent: zones[i]
    name: '@'
    properties: {
      ttl: 300
      aRecords: [{ ipv4Address: first(service.properties.privateIPAddresses) }]
    }
  }
]

// Who called what when, without bodies: those are in the event hub, if anywhere.
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: service
  name: 'gateway-logs'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        category: 'GatewayLogs'
        enabled: true
      }
    ]
  }
}

output name string = service.name
output gatewayUrl string = service.properties.gatewayUrl
