// The plan and the function app. The settings are a resource of their own, because one of them holds the app's address.
param name string
param planName string
param location string
param tags object
param pythonVersion string
param hub string
param partitions int
param alwaysReady int
param maximumInstances int
param openTelemetry bool
param identityId string
param identityClientId string
param storageName string
param packageContainerUrl string
param signingKeysUri string
param insightsConnectionString string
param subnetId string

// On Flex Consumption each queue function has instances of its own; orchestrators stay warm on those of control.
var controlFunctions = [for index in range(0, partitions): {
  name: index == 0 ? 'function:durable_control' : 'function:durable_control_${index}'
  instanceCount: alwaysReady
}]

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, {
    'azd-service-name': 'app'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstances
        instanceMemoryMB: 2048
        alwaysReady: alwaysReady == 0 ? [] : controlFunctions
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: {
    AzureWebJobsStorage__accountName: storageName
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: string(openTelemetry)
    PIP_CONSTRAINT: 'constraints/python${pythonVersion}.txt'
    DURABLE_HUB: hub
    DURABLE_PARTITIONS: string(partitions)
    DURABLE_BASE_URL: 'https://${app.properties.defaultHostName}'
    DURABLE_SIGNING_KEYS: '@Microsoft.KeyVault(SecretUri=${signingKeysUri})'
  }
}

output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
