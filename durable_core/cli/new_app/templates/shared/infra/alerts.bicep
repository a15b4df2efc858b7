// Alerts on what the recovery function logs every five minutes: "hub 'durable': open=3 stuck=0 ...". They need every
// such line: host.json excludes traces from sampling.
param suffix string
param location string
param tags object
param insightsId string
param email string

var rounds = 'traces | where message startswith "hub \'" and message has "oldest_seconds="'
var alerts = [
  {
    name: 'stuck-instances'
    description: 'Instances cannot go on: durable_core list --stuck, and durable_core explain ID'
    query: '${rounds} | parse message with * "stuck=" value:long " " *'
    threshold: 0
    rounds: 3
  }
  {
    name: 'poison-queues'
    description: 'Messages stay in a poison queue for longer than recovery needs to empty it: durable_core queues'
    query: '${rounds} | parse message with * "poisoned=" value:long " " *'
    threshold: 0
    rounds: 3
  }
  {
    name: 'oldest-message'
    description: 'A message has waited for more than five minutes: no host takes it, or they are too few'
    query: '${rounds} | parse message with * "oldest_seconds=" value:double'
    threshold: 300
    rounds: 2
  }
]

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: 'ag-${suffix}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'durable'
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for alert in alerts: {
  name: '${alert.name}-${suffix}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    description: alert.description
    severity: 2
    enabled: true
    scopes: [
      insightsId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: alert.query
          metricMeasureColumn: 'value'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: alert.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: alert.rounds
            minFailingPeriodsToAlert: alert.rounds
          }
        }
      ]
    }
    actions: {
      actionGroups: empty(email) ? [] : [
        mail.id
      ]
    }
  }
}]

resource silence 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'no-recovery-${suffix}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    description: 'The recovery function has not run for 30 minutes: no host runs, or the app does not start'
    severity: 1
    enabled: true
    scopes: [
      insightsId
    ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: 'requests | where name == "durable_recovery"'
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: empty(email) ? [] : [
        mail.id
      ]
    }
  }
}
