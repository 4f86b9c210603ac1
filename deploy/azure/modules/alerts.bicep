// Alerts by mail: money, throttling, calls that come late or uncounted, and what lies among the dead letters. Each is a query
// of deploy/azure/reports/alerts that says nothing while all is well. A log alert looks back two days at most, so the budget
// is one of a day; budgets of a month belong to the gateway's limits, or to a report.

param location string
param tags object

@description('Application Insights component whose events are asked.')
param applicationInsightsId string

@description('Who is written to.')
param email string

@description('What one caller may cost in a day, in the currency of the prices, as in 250 or 99.50.')
param budgetPerDay string

var rules = [
  {
    name: 'budget'
    title: 'Azure OpenAI: a caller costs more in a day than was meant'
    severity: 2
    frequency: 'PT1H'
    window: 'P1D'
    query: replace(loadTextContent('../reports/alerts/budget.kql'), 'most = 100.0;', 'most = todouble("${budgetPerDay}");')
  }
  {
    name: 'throttling'
    title: 'Azure OpenAI: a deployment is short of capacity'
    severity: 3
    frequency: 'PT15M'
    window: 'PT1H'
    query: loadTextContent('../reports/alerts/throttling.kql')
  }
  {
    name: 'lag'
    title: 'Azure OpenAI: usage arrives late'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    query: loadTextContent('../reports/alerts/lag.kql')
  }
  {
    name: 'unmetered'
    title: 'Azure OpenAI: usage is guessed, or not known'
    severity: 2
    frequency: 'PT1H'
    window: 'P1D'
    query: loadTextContent('../reports/alerts/unmetered.kql')
  }
  {
    name: 'dead-letters'
    title: 'Azure OpenAI: calls are counted nowhere'
    severity: 1
    frequency: 'PT15M'
    window: 'PT1H'
    query: loadTextContent('../reports/alerts/dead-letters.kql')
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'tokenweir'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'tokenweir'
    enabled: true
    emailReceivers: [
      {
        name: 'owner'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = [
  for rule in rules: {
    name: 'tokenweir-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: 'docs/guides/reports.md#alerts says what to do.'
      severity: rule.severity
      enabled: true
      scopes: [applicationInsightsId]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      autoMitigate: true
      actions: { actionGroups: [people.id] }
    }
  }
]
