// What API Management has to know to be the front of Azure OpenAI: the API and its operations, the product and a first
// subscription, where calls go, and the policy. Also for an instance that was there before.

param apiManagementName string

@description('Which policy: calls relayed by Tokenweir (gateway), or logged to the hub, with streams relayed by Tokenweir (relayed) or held back by API Management until they end (buffered).')
@allowed(['gateway', 'relayed', 'buffered'])
param way string

@description('Client id of API Management\'s identity.')
param identityClientId string

@description('name, url and priority of each Azure OpenAI account; lower priorities are asked first.')
param upstreams array

@description('Where a Tokenweir gateway answers; empty: nowhere.')
param tokenweirUrl string

@description('Event Hubs namespace as a host name, and the hub to log to; empty: nothing is logged.')
param eventHubNamespace string
param eventHubName string

@description('Tokens that one subscription may use in a minute, and in a month.')
param tokensPerMinute int
param tokensPerMonth int

@description('The header that carries the key: Ocp-Apim-Subscription-Key as today, or api-key as the SDKs send it.')
param keyHeader string

@description('How the hub\'s events name a subscription key: by its hash, or as it is.')
param subscriptionKeys string

var policies = {
  gateway: loadTextContent('../apim/policy-gateway.xml')
  relayed: loadTextContent('../apim/policy-meter.xml')
  buffered: loadTextContent('../apim/policy-meter-buffering-streams.xml')
}
var logs = way != 'gateway'
var allFragments = [
  {
    name: 'tokenweir-read-call'
    text: replace(loadTextContent('../apim/fragments/read-call.xml'), 'keys = "hashed";', 'keys = "${subscriptionKeys}";')
  }
  {
    name: 'tokenweir-log-call'
    text: loadTextContent('../apim/fragments/log-call.xml')
  }
]
var fragments = logs ? allFragments : []
var namedValues = {
  'apim-mi-clientId': identityClientId
  'tokens-per-minute': string(tokensPerMinute)
  'tokens-per-month': string(tokensPerMonth)
}

var deployment = [
  {
    name: 'deployment-id'
    type: 'string'
    required: true
  }
]
// The first three have the names of Azure OpenAI's own description, and so of the instances that imported it.
var operations = [
  {
    name: 'ChatCompletions_Create'
    title: 'Chat completions'
    path: '/deployments/{deployment-id}/chat/completions'
    parameters: deployment
  }
  {
    name: 'Completions_Create'
    title: 'Completions'
    path: '/deployments/{deployment-id}/completions'
    parameters: deployment
  }
  {
    name: 'embeddings_create'
    title: 'Embeddings'
    path: '/deployments/{deployment-id}/embeddings'
    parameters: deployment
  }
  {
    name: 'responses_create'
    title: 'Responses'
    path: '/responses'
    parameters: []
  }
  {
    name: 'v1_chat_completions_create'
    title: 'Chat completions (v1)'
    path: '/v1/chat/completions'
    parameters: []
  }
  {
    name: 'v1_embeddings_create'
    title: 'Embeddings (v1)'
    path: '/v1/embeddings'
    parameters: []
  }
  {
    name: 'v1_responses_create'
    title: 'Responses (v1)'
    path: '/v1/responses'
    parameters: []
  }
]

resource service 'Microsoft.ApiManagement/service@2024-05-01' existing = {
  name: apiManagementName
}

resource values 'Microsoft.ApiManagement/service/namedValues@2024-05-01' = [
  for value in items(namedValues): {
    parent: service
    name: value.key
    properties: {
      displayName: value.key
      value: value.value
    }
  }
]

resource logger 'Microsoft.ApiManagement/service/loggers@2024-05-01' = if (logs) {
  parent: service
  name: 'tokenweir-hub'
  properties: {
    loggerType: 'azureEventHub'
    credentials: {
      name: eventHubName
      endpointAddress: eventHubNamespace
      identityClientId: identityClientId
    }
  }
}

// An upstream that throttles or fails is left alone for as long as it asks, or for ten seconds.
resource backends 'Microsoft.ApiManagement/service/backends@2024-05-01' = [
  for upstream in upstreams: {
    parent: service
    name: upstream.name
    properties: {
      url: upstream.url
      protocol: 'http'
      tls: {
        validateCertificateChain: true
        validateCertificateName: true
      }
      circuitBreaker: {
        rules: [
          {
            name: 'throttled-or-failing'
            failureCondition: {
              count: 3
              interval: 'PT10S'
              statusCodeRanges: [
                {
                  min: 429
                  max: 429
                }
                {
                  min: 500
                  max: 599
                }
              ]
            }
            tripDuration: 'PT10S'
            acceptRetryAfter: true
          }
        ]
      }
    }
  }
]

// Behind a Tokenweir that asks OpenAI's own API there is no account, and a pool of none is refused.
resource pool 'Microsoft.ApiManagement/service/backends@2024-05-01' = if (!empty(upstreams)) {
  parent: service
  name: 'openai-pool'
  #disable-next-line BCP035 // the description asks for a url and a protocol, which a pool does not have
  properties: {
    type: 'Pool'
    pool: {
      services: [
        for (upstream, i) in upstreams: {
          id: backends[i].id
          priority: upstream.priority
          weight: 1
        }
      ]
    }
  }
}

resource tokenweir 'Microsoft.ApiManagement/service/backends@2024-05-01' = if (!empty(tokenweirUrl)) {
  parent: service
  name: 'tokenweir'
  properties: {
    url: '${tokenweirUrl}/openai'
    protocol: 'http'
    tls: {
      validateCertificateChain: true
      validateCertificateName: true
    }
  }
}

resource api 'Microsoft.ApiManagement/service/apis@2024-05-01' = {
  parent: service
  name: 'azure-openai-service-api'
  properties: {
    displayName: 'Azure OpenAI'
    path: 'openai'
    protocols: ['https']
    subscriptionRequired: true
    subscriptionKeyParameterNames: {
      header: keyHeader
      query: 'subscription-key'
    }
  }
}

resource apiOperations 'Microsoft.ApiManagement/service/apis/operations@2024-05-01' = [
  for operation in operations: {
    parent: api
    name: operation.name
    properties: {
      displayName: operation.title
      method: 'POST'
      urlTemplate: operation.path
      templateParameters: operation.parameters
    }
  }
]

resource policyFragments 'Microsoft.ApiManagement/service/policyFragments@2024-05-01' = [
  for fragment in fragments: {
    parent: service
    name: fragment.name
    properties: {
      format: 'xml'
      value: fragment.text
    }
    dependsOn: [logger, values]
  }
]

resource policy 'Microsoft.ApiManagement/service/apis/policies@2024-05-01' = {
  parent: api
  name: 'policy'
  properties: {
    format: 'xml'
    value: policies[way]
  }
  // The text names all of these.
  dependsOn: [policyFragments, pool, tokenweir, values]
}

resource product 'Microsoft.ApiManagement/service/products@2024-05-01' = {
  parent: service
  name: 'openai'
  properties: {
    displayName: 'OpenAI'
    subscriptionRequired: true
    approvalRequired: false
    state: 'published'
  }

  resource offered 'apis' = {
    name: 'azure-openai-service-api'
  }
}

// For the first call. Each team then gets a subscription of its own, which is what usage is summed up by.
resource subscription 'Microsoft.ApiManagement/service/subscriptions@2024-05-01' = {
  parent: service
  name: 'openai-subscription'
  properties: {
    displayName: 'openai-subscription'
    scope: product.id
    state: 'active'
  }
}

output gatewayUrl string = service.properties.gatewayUrl
output subscriptionName string = subscription.name
