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

@description('Form gateway: whose models. openai: OpenAI\'s own API, with openAiApiKey, instead of Azure OpenAI.')
@allowed(['azure', 'openai'])
param upstream string = 'azure'

@description('Another API like OpenAI\'s, and the key of either.')
param openAiUrl string = 'https://api.openai.com/v1'
@secure()
param openAiApiKey string = ''

@description('Where replicas of the gateway keep journals: on their own disks, from which records go to the hub before an answer ends, or on a share (NFS by private endpoint).')
@allowed(['replica', 'share'])
param journals string = 'replica'

@description('Form meter: whether streams are relayed by a Tokenweir gateway, or held back by API Management until they end.')
@allowed(['relayed', 'buffered'])
param streams string = 'relayed'

@description('Form gateway: whether API Management stands in front of it.')
@allowed(['no', 'yes'])
param apiManagementInFront string = 'no'

@description('Whether clients on the Internet may reach the gateway, which asks them for a key. Nothing else is ever opened.')
@allowed(['private', 'public'])
param front string = 'public'

@description('Whether the function and the container apps may reach the Internet.')
@allowed(['open', 'closed'])
param egress string = 'open'

@description('Whether copies are kept in three availability zones. Regions without zones refuse that (AvailabilityZonesNotSupported or the like).')
@allowed(['yes', 'no'])
param availabilityZones string = 'yes'

@description('Addresses (CIDR, separated by commas) from which azd may deploy the function; empty: only from inside the network.')
param deployFrom string = ''

@secure()
@description('Tokenweir\'s keys file in base64: which callers the gateway knows, by hashes of their keys. Empty: it lets nobody in.')
param keysFile string = ''

@description('Image of the Tokenweir gateway, in a registry: REGISTRY/NAME:TAG. Without one there is no gateway yet, and API Management holds streams back.')
param image string = ''

@description('Usage in Azure SQL, too, for Power BI: the Entra group that administers the server. Empty: none.')
param sqlAdministratorName string = ''
param sqlAdministratorObjectId string = ''

@description('And in Cosmos DB: an account in this resource group, with a database "usage" and a container "calls". Empty: none.')
param cosmosAccountName string = ''

@description('And in a Power BI dataset that is filled as calls come: its workspace, by id and name. Empty: none.')
param powerBiWorkspaceId string = ''
param powerBiWorkspaceName string = ''

@description('Who gets alerts by mail (budget, throttling, lag, unmetered calls, dead letters). Empty: nobody.')
param alertsEmail string = ''

@description('What one caller may cost in a day before there is one, in the currency of the prices.')
param budgetPerDay string = '100'

// Retirement dates of the defaults, from Microsoft's model retirement schedule of 26 August 2026. A test says when one is
// near; what a running gateway is configured with is `tokenweir doctor`'s to say.
//   gpt-5.4-mini 2026-03-17 retires 2027-03-18
//   text-embedding-3-small 1 retires 2027-04-15
@description('Models that a new Azure OpenAI account serves: NAME=MODEL:VERSION:SKU:CAPACITY, with commas between; capacity is in thousands of tokens a minute.')
param models string = 'gpt-5.4-mini=gpt-5.4-mini:2026-03-17:GlobalStandard:20,embedding=text-embedding-3-small:1:GlobalStandard:20'

@description('Tokens that one subscription of API Management may use in a minute, and in a month.')
param tokensPerMinute int = 100000
param tokensPerMonth int = 1000000000

@description('The header in which callers of API Management send their key.')
@allowed(['Ocp-Apim-Subscription-Key', 'api-key'])
param keyHeader string = 'Ocp-Apim-Subscription-Key'

@description('What AppKey is in events and records: an id that opens nothing, or the subscription key as it is, as the chargeback solution has it. Then whoever may read usage can use the keys.')
@allowed(['hashed', 'as-is'])
param subscriptionKeys string = 'hashed'

@allowed(['Developer', 'Premium'])
param apiManagementSku string = 'Developer'

@description('API Management writes to this address when something concerns its owner.')
param publisherEmail string = 'nobody@example.com'
param publisherName string = 'Tokenweir'

@description('Days that usage can be asked for.')
@minValue(30)
@maxValue(730)
param retentionInDays int = 90

@description('Address ranges of the network and of its four subnets.')
param ranges object = {
  all: '10.0.0.0/16'
  apiManagement: '10.0.1.0/24'
  privateEndpoints: '10.0.2.0/24'
  functions: '10.0.3.0/24'
  containerApps: '10.0.4.0/23'
}

// What is there already, by resource id. Empty: it is made.

@description('Azure OpenAI accounts, separated by commas; the first is asked first. And a deployment of them, for the test scripts.')
param existingOpenAiIds string = ''
param existingDeployment string = ''

@description('An API Management instance that can reach the network, and the user-assigned identity that it has.')
param existingApiManagementId string = ''
param existingApiManagementIdentityId string = ''

@description('A network with the subnets api-management, private-endpoints, functions and container-apps.')
param existingNetworkId string = ''

@description('The resource group that holds the private DNS zones, linked to the network.')
param existingDnsZonesGroupId string = ''

param existingWorkspaceId string = ''

var deployments = [
  for deployment in split(models, ','): {
    name: split(deployment, '=')[0]
    model: split(split(deployment, '=')[1], ':')[0]
    version: split(deployment, ':')[1]
    sku: split(deployment, ':')[2]
    capacity: int(split(deployment, ':')[3])
  }
]

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var groupName = empty(resourceGroupName) ? 'rg-tokenweir-${environmentName}' : resourceGroupName
var groupId = '${subscription().id}/resourceGroups/${groupName}'

// A gateway whose port is open needs a key. This one is revoked, so the gateway starts and lets nobody in.
var nobodyHash = '0000000000000000000000000000000000000000000000000000000000000000'
var aDay = '2026-01-01T00:00:00Z'
var nobody = '{"keys":[{"key_id":"none","caller":"nobody","sha256":"${nobodyHash}","created_at":"${aDay}","revoked_at":"${aDay}"}]}'

var hasShare = hasGateway && journals == 'share'
var isZoneRedundant = availabilityZones == 'yes'
var hasMeter = form == 'meter'
var wantsGateway = form == 'gateway' || streams == 'relayed'
var hasGateway = wantsGateway && !empty(image)
var hasApiManagement = form == 'meter' || (apiManagementInFront == 'yes' && hasGateway)
var makesApiManagement = hasApiManagement && empty(existingApiManagementId)

// By id, whether they are made here or were there before.
var openAiId = '${groupId}/providers/Microsoft.CognitiveServices/accounts/openai-${token}'
var hasAzure = upstream == 'azure' || form == 'meter'
var makesOpenAi = hasAzure && empty(existingOpenAiIds)
var openAiIds = hasAzure ? split(makesOpenAi ? openAiId : existingOpenAiIds, ',') : []
var ourApiManagementId = '${groupId}/providers/Microsoft.ApiManagement/service/api-${token}'
var apiManagementId = empty(existingApiManagementId) ? ourApiManagementId : existingApiManagementId
var ourIdentityId = '${groupId}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/api-management-${token}'
var frontIdentityId = empty(existingApiManagementIdentityId) ? ourIdentityId : existingApiManagementIdentityId

// The names that private endpoints give their services. Modules that need zones get their ids, and wait for them.
var zones = {
  agents: 'privatelink.agentsvc.azure-automation.net'
  #disable-next-line no-hardcoded-env-urls // Bicep knows no suffix for this one
  apps: 'privatelink.azurewebsites.net'
  blobs: 'privatelink.blob.${environment().suffixes.storage}'
  files: 'privatelink.file.${environment().suffixes.storage}'
  hubs: 'privatelink.servicebus.windows.net'
  ingestion: 'privatelink.ods.opinsights.azure.com'
  monitor: 'privatelink.monitor.azure.com'
  openAi: 'privatelink.openai.azure.com'
  workspaces: 'privatelink.oms.opinsights.azure.com'
}

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: groupName
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
    ranges: ranges
    openToInternet: front == 'public'
    internetEgress: egress == 'open'
  }
}

var networkId = empty(existingNetworkId) ? network!.outputs.id : existingNetworkId
var zonesPath = '${empty(existingDnsZonesGroupId) ? groupId : existingDnsZonesGroupId}/providers/Microsoft.Network/privateDnsZones'
var endpointSubnetId = '${networkId}/subnets/private-endpoints'

module dns 'modules/private-dns.bicep' = if (empty(existingDnsZonesGroupId)) {
  scope: group
  name: 'private-dns'
  params: {
    tags: tags
    networkId: networkId
    names: [
      zones.agents
      zones.apps
      zones.blobs
      zones.files
      zones.hubs
      zones.ingestion
      zones.monitor
      zones.openAi
      zones.workspaces
    ]
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

module frontIdentity 'modules/known-identity.bicep' = if (hasApiManagement) {
  scope: resourceGroup(split(frontIdentityId, '/')[2], split(frontIdentityId, '/')[4])
  name: 'front-identity-${token}'
  params: { name: last(split(frontIdentityId, '/')) }
  dependsOn: [apiManagementIdentity]
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

module gatewayIdentity 'modules/identity.bicep' = if (wantsGateway) {
  scope: group
  name: 'identity-gateway'
  params: {
    location: location
    tags: tags
    name: 'gateway-${token}'
  }
}

var frontPrincipals = hasApiManagement ? [frontIdentity!.outputs.principalId] : []
var meterPrincipals = hasMeter ? [meterIdentity!.outputs.principalId] : []
var gatewayPrincipals = wantsGateway ? [gatewayIdentity!.outputs.principalId] : []

// The models

module openAi 'modules/openai.bicep' = if (makesOpenAi) {
  scope: group
  name: 'openai'
  params: {
    location: location
    tags: tags
    name: last(split(openAiId, '/'))
    deployments: deployments
  }
}

module openAiAccess 'modules/openai-access.bicep' = [
  for (id, i) in openAiIds: {
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    name: 'openai-access-${token}-${i}'
    params: {
      accountName: last(split(id, '/'))
      principalIds: concat(frontPrincipals, gatewayPrincipals)
    }
    dependsOn: [openAi]
  }
]

// Private endpoints are made one after another: two at a time in one subnet fail now and then, with
// ReferencedResourceNotProvisioned (Azure/bicep-ptn-aiml-landing-zone#41). Hence the chain: openAiEndpoints, hubs,
// monitoring, journalShare, storage, meter.
@batchSize(1)
module openAiEndpoints 'modules/private-endpoint.bicep' = [
  for (id, i) in openAiIds: {
    scope: group
    name: 'openai-endpoint-${i}'
    params: {
      location: location
      tags: tags
      name: 'openai-${token}-endpoint-${i}'
      subnetId: endpointSubnetId
      targetId: id
      groupId: 'account'
      zoneIds: ['${zonesPath}/${zones.openAi}']
    }
    // Known by their ids only. An account that is still being given a model refuses an endpoint, hence openAi.
    dependsOn: [dns, openAi]
  }
]

// The way of the events

module hubs 'modules/event-hubs.bicep' = {
  scope: group
  name: 'event-hubs'
  params: {
    location: location
    tags: tags
    name: 'hubs-${token}'
    endpointSubnetId: endpointSubnetId
    zoneIds: ['${zonesPath}/${zones.hubs}']
    eventSenders: frontPrincipals
    eventReceivers: meterPrincipals
    recordSenders: concat(meterPrincipals, gatewayPrincipals)
    recordReceivers: gatewayPrincipals
  }
  dependsOn: [dns, openAiEndpoints]
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  name: 'monitoring'
  params: {
    location: location
    tags: tags
    name: 'tokenweir-${token}'
    endpointSubnetId: endpointSubnetId
    zoneIds: [
      '${zonesPath}/${zones.monitor}'
      '${zonesPath}/${zones.workspaces}'
      '${zonesPath}/${zones.ingestion}'
      '${zonesPath}/${zones.agents}'
      '${zonesPath}/${zones.blobs}'
    ]
    existingWorkspaceId: existingWorkspaceId
    writerPrincipalIds: concat(meterPrincipals, gatewayPrincipals)
    retentionInDays: retentionInDays
  }
  dependsOn: [dns, hubs]
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  name: 'workbook'
  params: {
    location: location
    tags: tags
    applicationInsightsId: monitoring.outputs.applicationInsightsId
  }
}

var hasReports = !empty('${sqlAdministratorObjectId}${cosmosAccountName}${powerBiWorkspaceId}')

module dashboard 'modules/dashboard.bicep' = {
  scope: group
  name: 'dashboard'
  params: {
    location: location
    tags: tags
    applicationInsightsId: monitoring.outputs.applicationInsightsId
  }
}

module alerts 'modules/alerts.bicep' = if (!empty(alertsEmail)) {
  scope: group
  name: 'alerts'
  params: {
    location: location
    tags: tags
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    email: alertsEmail
    budgetPerDay: budgetPerDay
  }
}

module sqlReports 'modules/stream-analytics.bicep' = if (hasReports) {
  scope: group
  name: 'sql-reports'
  params: {
    location: location
    tags: tags
    name: 'usage-${token}'
    eventHubNamespaceName: hubs.outputs.namespaceName
    eventHubName: hubs.outputs.recordHubName
    sqlServerName: 'usage-${token}'
    sqlAdministratorName: sqlAdministratorName
    sqlAdministratorObjectId: sqlAdministratorObjectId
    cosmosAccountName: cosmosAccountName
    powerBiWorkspaceId: powerBiWorkspaceId
    powerBiWorkspaceName: powerBiWorkspaceName
    logAnalyticsWorkspaceId: monitoring.outputs.workspaceId
  }
}

// The Tokenweir gateway: all calls of form gateway, the streams of form meter

module registry 'modules/container-registry.bicep' = if (wantsGateway) {
  scope: group
  name: 'container-registry'
  params: {
    location: location
    tags: tags
    name: 'tokenweir${token}'
    pullerPrincipalIds: gatewayPrincipals
  }
}

module journalShare 'modules/journal-share.bicep' = if (hasShare) {
  scope: group
  name: 'journal-share'
  params: {
    location: location
    tags: tags
    name: 'journals${token}'
    isZoneRedundant: isZoneRedundant
    endpointSubnetId: endpointSubnetId
    zoneIds: ['${zonesPath}/${zones.files}']
  }
  dependsOn: [dns, monitoring]
}

module gateway 'modules/container-apps.bicep' = if (hasGateway) {
  scope: group
  name: 'gateway'
  params: {
    location: location
    tags: tags
    name: 'gateway-${token}'
    isZoneRedundant: isZoneRedundant
    networkId: networkId
    subnetId: '${networkId}/subnets/container-apps'
    openToInternet: front == 'public' && !hasApiManagement
    identityId: gatewayIdentity!.outputs.id
    identityClientId: gatewayIdentity!.outputs.clientId
    image: image
    registry: startsWith(image, registry!.outputs.loginServer) ? registry!.outputs.loginServer : ''
    upstreams: [
      for (id, i) in openAiIds: {
        name: 'openai-${i + 1}'
        url: openAiAccess[i].outputs.endpoint
        priority: i + 1
      }
    ]
    keysFile: empty(keysFile) ? nobody : base64ToString(keysFile)
    eventHubNamespace: hubs.outputs.fullyQualifiedNamespace
    recordHubName: hubs.outputs.recordHubName
    recordConsumerGroup: hubs.outputs.recordConsumerGroup
    subscriptionKeys: subscriptionKeys
    applicationInsightsConnectionString: monitoring.outputs.connectionString
    workspaceId: monitoring.outputs.workspaceId
    openAiUrl: hasAzure ? '' : openAiUrl
    openAiKey: hasAzure ? '' : openAiApiKey
    shareServer: hasShare ? journalShare!.outputs.server : ''
    sharePath: hasShare ? journalShare!.outputs.path : ''
  }
}

var tokenweirUrl = hasGateway ? gateway!.outputs.gatewayUrl : ''

// Form meter: the function and its storage

module storage 'modules/storage.bicep' = if (hasMeter) {
  scope: group
  name: 'storage'
  params: {
    location: location
    tags: tags
    name: 'meter${token}'
    isZoneRedundant: isZoneRedundant
    endpointSubnetId: endpointSubnetId
    zoneIds: ['${zonesPath}/${zones.blobs}']
    ownerPrincipalId: meterIdentity!.outputs.principalId
  }
  dependsOn: [dns, monitoring, journalShare]
}

module meter 'modules/function.bicep' = if (hasMeter) {
  scope: group
  name: 'meter'
  params: {
    location: location
    tags: tags
    name: 'meter-${token}'
    subnetId: '${networkId}/subnets/functions'
    endpointSubnetId: endpointSubnetId
    zoneIds: ['${zonesPath}/${zones.apps}']
    identityId: meterIdentity!.outputs.id
    identityClientId: meterIdentity!.outputs.clientId
    storageAccountName: storage!.outputs.accountName
    packageUrl: storage!.outputs.packageUrl
    deadLettersUrl: storage!.outputs.deadLettersUrl
    eventHubNamespace: hubs.outputs.fullyQualifiedNamespace
    eventHubName: hubs.outputs.eventHubName
    recordHubName: hubs.outputs.recordHubName
    subscriptionKeys: subscriptionKeys
    applicationInsightsConnectionString: monitoring.outputs.connectionString
    deployFrom: empty(deployFrom) || deployFrom == 'here' ? [] : split(deployFrom, ',')
  }
  dependsOn: [dns]
}

// API Management

module apiManagement 'modules/api-management.bicep' = if (makesApiManagement) {
  scope: group
  name: 'api-management'
  params: {
    location: location
    tags: tags
    name: last(split(apiManagementId, '/'))
    sku: apiManagementSku
    publisherEmail: publisherEmail
    publisherName: publisherName
    subnetId: '${networkId}/subnets/api-management'
    networkId: networkId
    openToInternet: front == 'public'
    identityId: frontIdentityId
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [frontIdentity]
}

module api 'modules/api-management-api.bicep' = if (hasApiManagement) {
  scope: resourceGroup(split(apiManagementId, '/')[2], split(apiManagementId, '/')[4])
  name: 'api-${token}'
  params: {
    apiManagementName: last(split(apiManagementId, '/'))
    way: form == 'gateway' ? 'gateway' : hasGateway ? 'relayed' : 'buffered'
    identityClientId: frontIdentity!.outputs.clientId
    upstreams: [
      for (id, i) in openAiIds: {
        name: 'openai-${i + 1}'
        url: '${openAiAccess[i].outputs.endpoint}openai'
        priority: i + 1
      }
    ]
    tokenweirUrl: tokenweirUrl
    eventHubNamespace: hubs.outputs.fullyQualifiedNamespace
    eventHubName: hubs.outputs.eventHubName
    tokensPerMinute: tokensPerMinute
    tokensPerMonth: tokensPerMonth
    keyHeader: keyHeader
    subscriptionKeys: subscriptionKeys
  }
  dependsOn: [apiManagement]
}

// azd keeps these as variables of the environment; scripts and guides name them.
output TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_GATEWAY_URL string = hasApiManagement ? api!.outputs.gatewayUrl : tokenweirUrl
output AOI_DEPLOYMENTID string = makesOpenAi ? deployments[0].name : existingDeployment
output AZURE_CONTAINER_REGISTRY_NAME string = wantsGateway ? registry!.outputs.name : ''
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = wantsGateway ? registry!.outputs.loginServer : ''
output APPLICATIONINSIGHTS_NAME string = monitoring.outputs.applicationInsightsName
output TOKENWEIR_HAS_METER string = string(hasMeter)
