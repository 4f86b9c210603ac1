// Who may call an Azure OpenAI account, ours or one that was there before.

param accountName string
param principalIds array

var roles = loadJsonContent('roles.json')
var user = roles['Cognitive Services OpenAI User']

resource account 'Microsoft.CognitiveServices/accounts@2024-10-01' existing = {
  name: accountName
}

resource callers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in principalIds: {
    scope: account
    name: guid(account.id, principalId, user)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', user)
    }
  }
]

output endpoint string = account.properties.endpoint
