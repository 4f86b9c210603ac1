// Event Hubs: `llm` takes what API Management logs, `tokenweir` the records that gateways ship. No keys.

param location string
param tags object
param name string
param endpointSubnetId string
param zoneIds array

@description('Who may write to and read from the hub of API Management\'s events.')
param eventSenders array
param eventReceivers array

@description('Who may write to and read from the hub of records.')
param recordSenders array
param recordReceivers array

@description('One function instance reads from one partition at a time, so this is also how far the meter scales.')
param partitions int = 8

@description('Throughput units: Event Hubs adds more by itself, up to this many, and never takes them back.')
param maximumThroughputUnits int = 8

var roles = loadJsonContent('roles.json')
var sender = roles['Azure Event Hubs Data Sender']
var receiver = roles['Azure Event Hubs Data Receiver']

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'Standard'
    tier: 'Standard'
    capacity: 1
  }
  properties: {
    disableLocalAuth: true
    isAutoInflateEnabled: true
    maximumThroughputUnits: maximumThroughputUnits
    minimumTlsVersion: '1.2'
    publicNetworkAccess: 'Disabled'
  }
}

resource rules 'Microsoft.EventHub/namespaces/networkRuleSets@2024-01-01' = {
  parent: namespace
  name: 'default'
  properties: {
    defaultAction: 'Deny'
    publicNetworkAccess: 'Disabled'
    // Stream Analytics has no place in the network. It still needs a role before it may read.
    trustedServiceAccessEnabled: true
  }
}

resource events 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: namespace
  name: 'llm'
  properties: {
    messageRetentionInDays: 7
    partitionCount: partitions
  }
}

resource records 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: namespace
  name: 'tokenweir'
  properties: {
    messageRetentionInDays: 7
    partitionCount: partitions
  }
}

// Readers with a group of their own do not take each other's place. The meter has the one that every hub is born with.
resource consumeGroup 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = {
  parent: records
  name: 'consume'
}

resource eventSenderRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in eventSenders: {
    scope: events
    name: guid(events.id, principalId, sender)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    }
  }
]

resource eventReceiverRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in eventReceivers: {
    scope: events
    name: guid(events.id, principalId, receiver)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
    }
  }
]

resource recordSenderRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in recordSenders: {
    scope: records
    name: guid(records.id, principalId, sender)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    }
  }
]

resource recordReceiverRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in recordReceivers: {
    scope: records
    name: guid(records.id, principalId, receiver)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
    }
  }
]

module endpoint 'private-endpoint.bicep' = {
  name: '${name}-endpoint'
  params: {
    location: location
    tags: tags
    name: '${name}-endpoint'
    subnetId: endpointSubnetId
    targetId: namespace.id
    groupId: 'namespace'
    zoneIds: zoneIds
  }
}

output namespaceName string = namespace.name
output fullyQualifiedNamespace string = '${namespace.name}.servicebus.windows.net'
output eventHubName string = events.name
output recordHubName string = records.name
output recordConsumerGroup string = consumeGroup.name
