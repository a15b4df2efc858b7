// A function app of durable_core on Flex Consumption, with everything that it needs, in a resource group of its own.
targetScope = 'subscription'

@minLength(2)
@maxLength(32)
@description('Name of the azd environment: part of the names of all resources.')
param environmentName string

@description('Region of all resources.')
param location string

@allowed([
  '3.11'
  '3.12'
  '3.13'
])
@description('Version of Python, which also chooses the file of constraints for the remote build.')
param pythonVersion string = '3.12'

@minLength(3)
@maxLength(40)
@description('Name of the task hub.')
param hub string = 'durable'

@minValue(1)
@maxValue(64)
@description('Partitions of the task hub. They cannot be changed once the hub exists.')
param partitions int = 1

@allowed([
  1
  2
])
@description('Which of the two signing keys signs. Both are accepted, so that one can be replaced while URLs are out.')
param signWith int = 1

@minValue(0)
@description('Instances per control queue that are always ready, so that the first step has no cold start.')
param alwaysReady int = 1

@minValue(1)
@maxValue(1000)
@description('Highest number of instances, which bounds what scaling out can cost.')
param maximumInstances int = 100

@description('Whether storage and Key Vault are reachable through private endpoints only.')
param privateNetwork bool = false

@description('Whether the Python worker sends OpenTelemetry. It needs the package azure-monitor-opentelemetry.')
param openTelemetry bool = false

@description('Who gets a mail of each alert. Empty: alerts are only shown in the portal.')
param alertEmail string = ''

@description('Object id of the identity that deploys; it may read the task hub, for check-deploy. Empty: nobody.')
param principalId string = ''

var tags = {
  'azd-env-name': environmentName
}
var suffix = uniqueString(subscription().id, environmentName, location)

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-${suffix}'
    location: location
    tags: tags
  }
}

module monitoring 'monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    suffix: suffix
    location: location
    tags: tags
    identityPrincipalId: identity.outputs.principalId
  }
}

module storage 'storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'st${suffix}'
    location: location
    tags: tags
    identityPrincipalId: identity.outputs.principalId
    readerPrincipalId: principalId
    isPrivate: privateNetwork
  }
}

module vault 'vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: 'kv-${suffix}'
    location: location
    tags: tags
    identityPrincipalId: identity.outputs.principalId
    storageName: storage.outputs.name
    signWith: signWith
    isPrivate: privateNetwork
  }
}

module network 'network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    suffix: suffix
    location: location
    tags: tags
    storageId: storage.outputs.id
    vaultId: vault.outputs.id
  }
}

module app 'function_app.bicep' = {
  name: 'function_app'
  scope: group
  params: {
    name: 'func-${suffix}'
    planName: 'plan-${suffix}'
    location: location
    tags: tags
    pythonVersion: pythonVersion
    hub: hub
    partitions: partitions
    alwaysReady: alwaysReady
    maximumInstances: maximumInstances
    openTelemetry: openTelemetry
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageName: storage.outputs.name
    packageContainerUrl: storage.outputs.packageContainerUrl
    signingKeysUri: vault.outputs.signingKeysUri
    insightsConnectionString: monitoring.outputs.insightsConnectionString
    subnetId: privateNetwork ? network.outputs.appSubnetId : ''
  }
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    suffix: suffix
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
    email: alertEmail
  }
}

output AZURE_LOCATION string = location
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_APP string = app.outputs.name
output AZURE_FUNCTION_APP_URL string = app.outputs.url
output AZURE_STORAGE_ACCOUNT string = storage.outputs.name
output AZURE_KEY_VAULT string = vault.outputs.name
output DURABLE_HUB string = hub
