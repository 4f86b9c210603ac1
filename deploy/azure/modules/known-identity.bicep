// A managed identity, known by its name: one that was made here or one that was there before.

param name string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: name
}

output clientId string = identity.properties.clientId
output principalId string = identity.properties.principalId
