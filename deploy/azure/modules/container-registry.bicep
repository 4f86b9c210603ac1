// A registry for the gateway's image. It has no keys; whoever builds an image into it signs in, and the gateway pulls it
// with its identity.

param location string
param tags object

@description('5 to 50 letters and digits, unique in all of Azure.')
param name string

@description('Who may pull.')
param pullerPrincipalIds array

var roles = loadJsonContent('roles.json')
var pull = roles['AcrPull']

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' = {
  // checkov:skip=CKV_AZURE_139: images are built and pulled with a sign-in; a private one needs SKU Premium
  // checkov:skip=CKV_AZURE_166: quarantine needs SKU Premium, and somebody who lifts it
  // checkov:skip=CKV_AZURE_163: scanning is a matter of Defender for Cloud, which is a matter of the subscription
  name: name
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { adminUserEnabled: false }
}

resource pullers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in pullerPrincipalIds: {
    scope: registry
    name: guid(registry.id, principalId, pull)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', pull)
    }
  }
]

output name string = registry.name
output loginServer string = registry.properties.loginServer
