// The virtual network: one subnet for each kind of resident, each behind rules of its own.

param location string
param tags object
param name string

@description('Address ranges: all, apiManagement, privateEndpoints, functions, containerApps.')
param ranges object

@description('Whether clients on the Internet may reach API Management.')
param openToInternet bool

@description('Whether the function and the container apps may reach the Internet.')
param internetEgress bool

var closedEgress = [
  {
    name: 'AllowEntraOutbound'
    properties: {
      description: 'Tokens of the managed identities.'
      access: 'Allow'
      direction: 'Outbound'
      priority: 100
      protocol: 'Tcp'
      sourceAddressPrefix: 'VirtualNetwork'
      sourcePortRange: '*'
      destinationAddressPrefix: 'AzureActiveDirectory'
      destinationPortRange: '443'
    }
  }
  {
    name: 'AllowPlatformImagesOutbound'
    properties: {
      description: 'Container Apps starts its own helpers from here.'
      access: 'Allow'
      direction: 'Outbound'
      priority: 110
      protocol: 'Tcp'
      sourceAddressPrefix: 'VirtualNetwork'
      sourcePortRange: '*'
      destinationAddressPrefix: 'MicrosoftContainerRegistry'
      destinationPortRange: '443'
    }
  }
  {
    name: 'AllowPlatformImageLayersOutbound'
    properties: {
      description: 'The layers of those images.'
      access: 'Allow'
      direction: 'Outbound'
      priority: 120
      protocol: 'Tcp'
      sourceAddressPrefix: 'VirtualNetwork'
      sourcePortRange: '*'
      destinationAddressPrefix: 'AzureFrontDoor.FirstParty'
      destinationPortRange: '443'
    }
  }
  {
    name: 'DenyInternetOutbound'
    properties: {
      access: 'Deny'
      direction: 'Outbound'
      priority: 4096
      protocol: '*'
      sourceAddressPrefix: '*'
      sourcePortRange: '*'
      destinationAddressPrefix: 'Internet'
      destinationPortRange: '*'
    }
  }
]

resource apiManagementRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-api-management'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'AllowClientsInbound'
        properties: {
          access: 'Allow'
          direction: 'Inbound'
          priority: 100
          protocol: 'Tcp'
          sourceAddressPrefix: openToInternet ? 'Internet' : 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRange: '443'
        }
      }
      {
        name: 'AllowManagementInbound'
        properties: {
          description: 'The control plane of API Management; without it the service cannot be changed.'
          access: 'Allow'
          direction: 'Inbound'
          priority: 110
          protocol: 'Tcp'
          sourceAddressPrefix: 'ApiManagement'
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRange: '3443'
        }
      }
      {
        name: 'AllowLoadBalancerInbound'
        properties: {
          access: 'Allow'
          direction: 'Inbound'
          priority: 120
          protocol: 'Tcp'
          sourceAddressPrefix: 'AzureLoadBalancer'
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRange: '6390'
        }
      }
      {
        name: 'DenyInternetInbound'
        properties: {
          access: 'Deny'
          direction: 'Inbound'
          priority: 4096
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource endpointRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-private-endpoints'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'AllowServicesInbound'
        properties: {
          description: 'HTTPS, AMQP for Event Hubs, NFS for the journals.'
          access: 'Allow'
          direction: 'Inbound'
          priority: 100
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRanges: ['443', '2049', '5671', '5672']
        }
      }
      {
        name: 'DenyAllElseInbound'
        properties: {
          access: 'Deny'
          direction: 'Inbound'
          priority: 4096
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource functionRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-functions'
  location: location
  tags: tags
  properties: {
    securityRules: internetEgress ? [] : closedEgress
  }
}

resource containerAppRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-container-apps'
  location: location
  tags: tags
  properties: {
    securityRules: internetEgress ? [] : closedEgress
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [ranges.all] }
    subnets: [
      {
        name: 'api-management'
        properties: {
          addressPrefix: ranges.apiManagement
          networkSecurityGroup: { id: apiManagementRules.id }
        }
      }
      {
        name: 'private-endpoints'
        properties: {
          addressPrefix: ranges.privateEndpoints
          networkSecurityGroup: { id: endpointRules.id }
          // Without this the rules above do not apply to private endpoints.
          privateEndpointNetworkPolicies: 'Enabled'
        }
      }
      {
        name: 'functions'
        properties: {
          addressPrefix: ranges.functions
          networkSecurityGroup: { id: functionRules.id }
          // Flex Consumption lives where Container Apps do; the older plans need Microsoft.Web/serverFarms.
          delegations: [
            {
              name: 'flex-consumption'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'container-apps'
        properties: {
          addressPrefix: ranges.containerApps
          networkSecurityGroup: { id: containerAppRules.id }
          delegations: [
            {
              name: 'container-apps'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
    ]
  }
}

output id string = network.id
