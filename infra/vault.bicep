// The vault with the signing keys of capability URLs. With an identity in place of an account key the app has no other
// secret of which it could derive them.
//
// They are derived here, from the account's two keys, which open nothing: the account refuses them. So they are the same
// whoever provisions, and from wherever, and no person and no pipeline ever holds them. To replace the first one:
//   az storage account keys renew --key secondary ...    the second one is new, and not in use
//   azd env set SIGN_WITH 2; azd provision               it signs; URLs that the first one has signed stay valid
//   az storage account keys renew --key primary ...      later, and once more: azd provision
param name string
param location string
param tags object
param identityPrincipalId string

param storageName string
param signWith int
param isPrivate bool

var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var secretName = 'durable-signing-keys'
var primary = account.listKeys().keys[0].value
var secondary = account.listKeys().keys[1].value
var first = '${guid(primary, account.id)}${guid(account.id, primary)}'
var second = '${guid(secondary, account.id)}${guid(account.id, secondary)}'

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
    }
  }
}

// Written through the resource manager, which reaches a private vault as well.
resource keys 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: secretName
  properties: {
    contentType: 'text/plain'
    value: signWith == 1 ? '${first},${second}' : '${second},${first}'
  }
}

resource mayReadSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identityPrincipalId, keyVaultSecretsUser)
  scope: vault
  properties: {
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
  }
}

output id string = vault.id
output name string = vault.name
output signingKeysUri string = '${vault.properties.vaultUri}secrets/${secretName}'
