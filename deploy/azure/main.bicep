// Tokenweir in Azure, in one of two forms:
//
//   meter    API Management is the gateway and logs each call to an event hub; a function counts them exactly
//   gateway  Tokenweir is the gateway, on Container Apps, and counts them as they pass
//
// Both end in the same place, Application Insights, and both live in a private network without a single key.
// docs/guides/deploy-to-azure.md leads through it.

targetScope = 'subscription'

@minLength(1)
@maxLength(64)
@description('AZURE_ENV_NAME: names the resource group, and through a hash everything in it.')
param environmentName string

@description('AZURE_LOCATION: the models asked for must be offered there.')
param location string

@description('AZURE_RESOURCE_GROUP; empty: rg-tokenweir-ENVIRONMENT.')
param resourceGroupName string = ''

@allowed(['meter', 'gateway'])
param form string = 'meter'

@description('Form meter: whether streams are relayed by a Tokenweir gateway, or held back by API Management until they end.')
@allowed(['relayed', 'buffered'])
param streams string = 'relayed'

@description('Form gateway: whether API Management stands in front of it.')
@allowed(['no', 'yes'])
param apiManagementInFront string = 'no'

@description('Whether clients on the Internet may reach the gateway. Nothing else is ever opened.')
@allowed(['private', 'public'])
param front string = 'private'

@description('Whether the function and the container apps may reach the Internet.')
@allowed(['open', 'closed'])
param egress string = 'open'

@description('Addresses (CIDR, separated by commas) from which azd may deploy the function; empty: only from inside the network.')
param deployFrom string = ''

@description('Models that a new Azure OpenAI account serves; capacity is in thousands of tokens a minute.')
param deployments array = [
  {
    name: 'gpt-4o-mini'
    model: 'gpt-4o-mini'
    version: '2024-07-18'
    sku: 'GlobalStandard'
    capacity: 20
  }
  {
    name: 'embedding'
    model: 'text-embedding-3-small'
    version: '1'
    sku: 'GlobalStandard'
    capacity: 20
  }
]

@description('Tokens that one subscription of API Management may use in a minute, and in a month.')
param tokensPerMinute int = 100000
param tokensPerMonth int = 1000000000

@description('The header in which callers of API Management send their key.')
@allowed(['Ocp-Apim-Subscription-Key', 'api-key'])
param keyHeader string = 'Ocp-Apim-Subscription-Key'

@allowed(['Developer', 'Premium'])
param apiManagementSku string = 'Developer'

@description('API Management writes to this address when something concerns its owner.')
param publisherEmail string = 'nobody@example.com'
param publisherName string = 'Tokenweir'

@description('Days that usage can be asked for.')
@minValue(30)
@maxValue(730)
param retentionInDays int = 90

@description('At least a /20.')
param addressSpace string = '10.0.0.0/16'

// What is there already, by resource id. Empty: it is made.

@description('Azure OpenAI accounts, separated by commas; the first is asked first.')
param existingOpenAiIds string = ''

@description('An API Management instance that can reach the network, and the user-assigned identity that it has.')
param existingApiManagementId string = ''
param existingApiManagementIdentityId string = ''

@description('A network with the subnets api-management, private-endpoints, functions and container-apps.')
param existingNetworkId string = ''

@description('The resource group that holds the private DNS zones, linked to the network.')
param existingDnsZonesGroupId string = ''

param existingWorkspaceId string = ''

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }

var hasMeter = form == 'meter'
var hasGateway = form == 'gateway' || streams == 'relayed'
var hasApiManagement = form == 'meter' || apiManagementInFront == 'yes'
var makesApiManagement = hasApiManagement && empty(existingApiManagementId)
var openAiIds = empty(existingOpenAiIds) ? [] : split(existingOpenAiIds, ',')

// The names that private endpoints give their services.
var zones = {
  agents: 'privatelink.agentsvc.azure-automation.net'
  #disable-next-line no-hardcoded-env-urls // Bicep knows no suffix for this one
  apps: 'privatelink.azurewebsites.net'
  blobs: 'privatelink.blob.${environment().suffixes.storage}'
  hubs: 'privatelink.servicebus.windows.net'
  ingestion: 'privatelink.ods.opinsights.azure.com'
  monitor: 'privatelink.monitor.azure.com'
  openAi: 'privatelink.openai.azure.com'
  workspaces: 'privatelink.oms.opinsights.azure.com'
}

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: empty(resourceGroupName) ? 'rg-tokenweir-${environmentName}' : resourceGroupName
  location: location
  tags: tags
}

// The network

module network 'modules/network.bicep' = if (empty(existingNetworkId)) {
  scope: group
  name: 'network'
  params: {
    location: location
    tags: tags
    name: 'network-${token}'
    addressSpace: addressSpace
    openToInternet: front == 'public'
    internetEgress: egress == 'open'
  }
}

var networkId = empty(existingNetworkId) ? network!.outputs.id : existingNetworkId
var endpointSubnetId = '${networkId}/subnets/private-endpoints'

module dns 'modules/private-dns.bicep' = {
  scope: group
  name: 'private-dns'
  params: {
    tags: tags
    networkId: networkId
    names: map(items(zones), zone => zone.value)
    existingZonesGroupId: existingDnsZonesGroupId
  }
}

// Who is who

module apiManagementIdentity 'modules/identity.bicep' = if (makesApiManagement) {
  scope: group
  name: 'identity-api-management'
  params: {
    location: location
    tags: tags
    name: 'api-management-${token}'
  }
}

resource theirIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = if (!empty(existingApiManagementIdentityId)) {
  scope: resourceGroup(split(existingApiManagementIdentityId, '/')[?2] ?? '', split(existingApiManagementIdentityId, '/')[?4] ?? '')
  name: last(split(existingApiManagementIdentityId, '/'))
}

module meterIdentity 'modules/identity.bicep' = if (hasMeter) {
  scope: group
  name: 'identity-meter'
  params: {
    location: location
    tags: tags
    name: 'meter-${token}'
  }
}

module gatewayIdentity 'modules/identity.bicep' = if (hasGateway) {
  scope: group
  name: 'identity-gateway'
  params: {
    location: location
    tags: tags
    name: 'gateway-${token}'
  }
}
