// Tokenweir as gateway on Container Apps, inside the network: an environment, the gateway's replicas and, where a ledger
// is kept, consumers that fill it from the hub of records. No keys of Azure's services.
//
// A replica keeps its journal on its own disk, which outlives its containers and goes with the replica; so an answer ends
// when the hub has its record. Or, with a share that all replicas see, in a place of its own on it: the first that is
// free, which is known by a lock. Whatever a replica leaves behind there is sent on by the next one that takes its place,
// or by the job that looks for left places every ten minutes. docs/guides/containers.md says more.

param location string
param tags object
param name string
param networkId string
param isZoneRedundant bool

@description('A subnet of the network, delegated to Microsoft.App/environments.')
param subnetId string

@description('Whether the gateway has a public address. Otherwise only the network reaches it.')
param openToInternet bool = false

@description('The user-assigned identity that calls the models, sends records and fetches the image.')
param identityId string
param identityClientId string

@description('The image of the Dockerfile, which has to be in its registry by then: REGISTRY/NAME:TAG.')
param image string

@description('A registry from which the identity fetches the image, such as NAME.azurecr.io. Empty: one that asks for no sign-in.')
param registry string = ''

@description('Azure OpenAI: objects with name, url (without /openai) and priority, lower first.')
param upstreams array

@description('OpenAI\'s own API, or another one like it, instead: https://api.openai.com/v1, and its key.')
param openAiUrl string = ''
@secure()
param openAiKey string = ''

@description('Names that callers ask for, each served by all upstreams: objects with name and model. Empty: every name is passed on to the first.')
param deployments array = []

@description('Who may call: objects with name, key_sha256 and, if you like, tags. Without one, here or in a keys file, the gateway does not start.')
param callers array = []

@secure()
@description('Text of a keys file, such as deploy/azure/apim/callers.sh makes. Empty: the one on the share, which `tokenweir keys` writes.')
param keysFile string = ''

@description('What AppKey is: the id of a caller\'s key, or the key as it is.')
param subscriptionKeys string = 'hashed'

@description('Where records go, in the shape that `tokenweir consume` reads. Empty: nowhere.')
param eventHubNamespace string = ''
param recordHubName string = ''
param recordConsumerGroup string = ''

@description('Where usage goes as customEvents. Empty: nowhere. One of the two destinations must be there.')
param applicationInsightsConnectionString string = ''

@description('Where the logs of all containers go. Empty: they are seen only while a container runs.')
param workspaceId string = ''

@description('The share from journal-share.bicep: server and path. Empty: journals are on the replicas\' own disks.')
param shareServer string = ''
param sharePath string = ''

@description('Replicas at least and at most. Two, so that one may go.')
@minValue(1)
param minReplicas int = 2
@maxValue(64)
param maxReplicas int = 10

@description('Calls under way, streams too, that one replica should have: beyond it there is another one.')
param concurrentCalls int = 200

@description('Seconds that open answers may take to end when a replica is to stop. Container Apps allows 600 in all.')
@maxValue(540)
param shutdownGrace int = 240

@description('vCPU and memory of a replica, in a pair that Container Apps offers.')
param cpu string = '1.0'
param memory string = '2Gi'

@description('Variables for further settings: objects with name and value, as docs/reference/settings.md names them.')
param settings array = []

@secure()
@description('The ledger that consumers fill, as [ledger] url. Empty: no consumers.')
param ledgerUrl string = ''

@secure()
@description('The password of the ledger\'s user.')
param ledgerPassword string = ''

@description('Consumers, no more than the hub has partitions; more than one needs a container for their positions.')
param consumers int = 1

@description('https://ACCOUNT.blob.core.windows.net, and a container where the identity may write.')
param checkpointsAccount string = ''
param checkpointsContainer string = ''

var data = '/var/lib/tokenweir'
var hasRecords = !empty(eventHubNamespace)
var hasInsights = !empty(applicationInsightsConnectionString)
var hasConsumers = !empty(ledgerUrl)
var hasShare = !empty(shareServer)
var hasOpenAi = !empty(openAiUrl)

// What lists of tables there are is JSON in one variable each. Nothing of it is secret: keys are given by their hashes.
var openAiTables = [
  {
    name: 'openai'
    kind: 'openai'
    endpoint: openAiUrl
    credential: { key_env: 'OPENAI_API_KEY' }
  }
]
var azureTables = [
  for upstream in upstreams: {
    name: upstream.name
    endpoint: upstream.url
    credential: {
      managed_identity: true
      client_id: identityClientId
    }
  }
]
var upstreamTables = hasOpenAi ? openAiTables : azureTables
var targets = [
  for upstream in upstreams: {
    upstream: upstream.name
    priority: upstream.priority
  }
]
var deploymentTables = [
  for deployment in deployments: {
    name: deployment.name
    targets: map(targets, target => union(target, { model: deployment.model }))
  }
]
var recordSinks = hasRecords
  ? [
      {
        name: 'records'
        kind: 'event_hubs'
        connection: {
          namespace: eventHubNamespace
          hub: recordHubName
          managed_identity: true
          client_id: identityClientId
        }
      }
    ]
  : []
var insightsSinks = hasInsights
  ? [
      {
        name: 'insights'
        kind: 'application_insights'
        // What it has not, the hub has: no answer waits for it.
        holds_ends: !hasRecords
        connection: {
          connection_string_env: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
          managed_identity: true
          client_id: identityClientId
        }
      }
    ]
  : []

var common = concat(
  [
    {
      name: 'AZURE_CLIENT_ID'
      value: identityClientId
    }
    {
      name: 'TOKENWEIR_LEDGER__URL'
      value: 'none'
    }
    {
      name: 'TOKENWEIR_SERVER__KEY_IDS'
      value: subscriptionKeys
    }
    {
      name: 'TOKENWEIR_SINKS'
      value: string(concat(recordSinks, insightsSinks))
    }
    {
      name: 'TOKENWEIR_UPSTREAMS'
      value: string(upstreamTables)
    }
    {
      name: 'TOKENWEIR_DEPLOYMENTS'
      value: string(deploymentTables)
    }
    {
      name: 'TOKENWEIR_CALLERS'
      value: string(callers)
    }
    // On the share `tokenweir keys` writes it from any replica, and all of them take it up.
    {
      name: 'TOKENWEIR_SERVER__KEYS'
      value: empty(keysFile) ? '${data}/keys.json' : '/mnt/keys/keys.json'
    }
  ],
  hasInsights
    ? [
        {
          name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
          value: applicationInsightsConnectionString
        }
      ]
    : [],
  hasShare
    ? []
    : [
        {
          name: 'TOKENWEIR_JOURNAL__DURABILITY'
          value: 'shipped'
        }
      ],
  hasOpenAi
    ? [
        {
          name: 'OPENAI_API_KEY'
          secretRef: 'openai-key'
        }
      ]
    : [],
  settings
)
var gatewayOnly = [
  {
    name: 'TOKENWEIR_SERVER__SHUTDOWN_GRACE'
    value: '${shutdownGrace}s'
  }
]
var consumerSettings = concat(
  [
    {
      name: 'AZURE_CLIENT_ID'
      value: identityClientId
    }
    {
      name: 'TOKENWEIR_LEDGER__URL'
      secretRef: 'ledger-url'
    }
    {
      name: 'TOKENWEIR_INTAKE__NAMESPACE'
      value: eventHubNamespace
    }
    {
      name: 'TOKENWEIR_INTAKE__HUB'
      value: recordHubName
    }
    {
      name: 'TOKENWEIR_INTAKE__GROUP'
      value: recordConsumerGroup
    }
    {
      name: 'TOKENWEIR_INTAKE__MANAGED_IDENTITY'
      value: 'true'
    }
    {
      name: 'TOKENWEIR_INTAKE__CLIENT_ID'
      value: identityClientId
    }
    {
      name: 'TOKENWEIR_INTAKE__CHECKPOINTS_ACCOUNT'
      value: checkpointsAccount
    }
    {
      name: 'TOKENWEIR_INTAKE__CHECKPOINTS_CONTAINER'
      value: checkpointsContainer
    }
    // Messages that cannot be read. Every consumer adds whole lines to it.
    {
      name: 'TOKENWEIR_INTAKE__DEAD_LETTERS'
      value: '${data}/dead-letters/intake.jsonl'
    }
  ],
  empty(ledgerPassword)
    ? []
    : [
        {
          name: startsWith(ledgerUrl, 'clickhouse') ? 'CLICKHOUSE_PASSWORD' : 'PGPASSWORD'
          secretRef: 'ledger-password'
        }
      ]
)

var registries = empty(registry)
  ? []
  : [
      {
        server: registry
        identity: identityId
      }
    ]
// NFS by a private endpoint is refused to some environments (microsoft/azure-container-apps#1782), hence the other one.
var volumes = hasShare
  ? [
      {
        name: 'shared'
        storageType: 'NfsAzureFile'
        storageName: share!.name
      }
    ]
  : [
      {
        name: 'shared'
        storageType: 'EmptyDir'
      }
    ]
var mounts = [
  {
    volumeName: 'shared'
    mountPath: data
  }
]
// The keys file, where it is given here: hashes of keys, in a secret all the same. Not by reference to a Key Vault, whose
// secrets end at 25 KB, about a hundred keys.
var keysSecret = {
  name: 'keys'
  value: keysFile
}
var keysVolume = {
  name: 'keys'
  storageType: 'Secret'
  secrets: [
    {
      secretRef: 'keys'
      path: 'keys.json'
    }
  ]
}
var keysMount = {
  volumeName: 'keys'
  mountPath: '/mnt/keys'
}
var openAiSecret = {
  name: 'openai-key'
  value: openAiKey
}
var gatewaySecrets = concat(empty(keysFile) ? [] : [keysSecret], hasOpenAi ? [openAiSecret] : [])
var relayVolumes = concat(volumes, empty(keysFile) ? [] : [keysVolume])
var relayMounts = concat(mounts, empty(keysFile) ? [] : [keysMount])

// A new volume belongs to root, and Tokenweir runs as 10001. Containers run as their image says, hence this other one.
var owner = [
  {
    name: 'owner'
    image: 'mcr.microsoft.com/azurelinux/base/core:3.0'
    command: ['/bin/sh', '-c']
    args: ['chown 10001:10001 ${data} && chmod 0700 ${data}']
    resources: {
      cpu: json('0.25')
      memory: '0.5Gi'
    }
    volumeMounts: mounts
  }
]

resource appEnvironment 'Microsoft.App/managedEnvironments@2025-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    vnetConfiguration: {
      infrastructureSubnetId: subnetId
      internal: !openToInternet
    }
    // Sent to the workspace directly they would need its key.
    appLogsConfiguration: { destination: 'azure-monitor' }
    peerTrafficConfiguration: { encryption: { enabled: true } }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
    zoneRedundant: isZoneRedundant
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(workspaceId)) {
  scope: appEnvironment
  name: 'logs'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

// Whose address is private is not in the Internet's DNS.
module names 'container-apps-dns.bicep' = if (!openToInternet) {
  name: '${name}-dns'
  params: {
    tags: tags
    networkId: networkId
    domain: appEnvironment.properties.defaultDomain
    address: appEnvironment.properties.staticIp
  }
}

resource share 'Microsoft.App/managedEnvironments/storages@2025-01-01' = if (hasShare) {
  parent: appEnvironment
  name: 'shared'
  properties: {
    nfsAzureFile: {
      server: shareServer
      shareName: sharePath
      accessMode: 'ReadWrite'
    }
  }
}

resource gateway 'Microsoft.App/containerApps@2025-01-01' = {
  name: 'gateway'
  location: location
  // azd finds the app by this tag.
  tags: union(tags, { 'azd-service-name': 'gateway' })
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    environmentId: appEnvironment.id
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        // In an internal environment this means the network; without, only apps of the environment.
        external: true
        targetPort: 8080
        transport: 'http'
        allowInsecure: false
      }
      registries: registries
      secrets: gatewaySecrets
    }
    template: {
      // Journals and sinks are brought to their end after the last answer.
      terminationGracePeriodSeconds: shutdownGrace + 60
      initContainers: owner
      containers: [
        {
          name: 'gateway'
          image: image
          command: ['tokenweir-in-a-place']
          args: ['serve', '${data}/places']
          env: concat(common, gatewayOnly)
          resources: {
            cpu: json(cpu)
            memory: memory
          }
          volumeMounts: relayMounts
          // Of the data port, and not of what /readyz knows: a hub that is away must not take a gateway out. The admin
          // port stays on loopback, for `az containerapp exec`.
          probes: [
            {
              type: 'Startup'
              tcpSocket: { port: 8080 }
              periodSeconds: 2
              failureThreshold: 10
            }
            {
              type: 'Readiness'
              tcpSocket: { port: 8080 }
              periodSeconds: 5
            }
            {
              type: 'Liveness'
              tcpSocket: { port: 8080 }
              periodSeconds: 30
              timeoutSeconds: 10
              failureThreshold: 10
            }
          ]
        }
      ]
      scale: {
        minReplicas: minReplicas
        maxReplicas: maxReplicas
        rules: [
          {
            name: 'calls'
            http: { metadata: { concurrentRequests: string(concurrentCalls) } }
          }
        ]
      }
      volumes: relayVolumes
    }
  }
}

// On a replica's own disk nothing is left that another could reach.
resource leftovers 'Microsoft.App/jobs@2025-01-01' = if (hasShare) {
  name: 'leftovers'
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    environmentId: appEnvironment.id
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Schedule'
      scheduleTriggerConfig: { cronExpression: '*/10 * * * *' }
      // A place that is being emptied when time is up is taken up again the next time.
      replicaTimeout: 540
      replicaRetryLimit: 0
      registries: registries
      secrets: gatewaySecrets
    }
    template: {
      initContainers: owner
      containers: [
        {
          name: 'leftovers'
          image: image
          command: ['tokenweir-in-a-place']
          args: ['leftovers', '${data}/places']
          env: common
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          volumeMounts: relayMounts
        }
      ]
      volumes: relayVolumes
    }
  }
}

resource consumer 'Microsoft.App/containerApps@2025-01-01' = if (hasConsumers) {
  name: 'consume'
  location: location
  tags: union(tags, { 'azd-service-name': 'consume' })
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    environmentId: appEnvironment.id
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      registries: registries
      secrets: concat(
        [
          {
            name: 'ledger-url'
            value: ledgerUrl
          }
        ],
        empty(ledgerPassword)
          ? []
          : [
              {
                name: 'ledger-password'
                value: ledgerPassword
              }
            ]
      )
    }
    template: {
      initContainers: owner
      containers: [
        {
          name: 'consume'
          image: image
          command: ['tokenweir']
          args: ['consume']
          env: consumerSettings
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          volumeMounts: mounts
        }
      ]
      scale: {
        minReplicas: consumers
        maxReplicas: consumers
      }
      volumes: volumes
    }
  }
}

output gatewayUrl string = 'https://${gateway.properties.configuration.ingress.fqdn}'
