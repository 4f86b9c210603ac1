// The same queries as the workbook's, on a dashboard of the portal: for people who look at one page with other services' tiles.
// Its content is made from queries/ by deploy/azure/reports/make_workbook.py.

@description('Where the dashboard is kept. What it shows may come from anywhere.')
param location string

@description('Tags of the dashboard.')
param tags object = {}

@description('The name people see in the portal.')
param title string = 'Tokenweir'

@description('Resource ID of the Application Insights component whose events the dashboard shows.')
param applicationInsightsId string

resource dashboard 'Microsoft.Portal/dashboards@2020-09-01-preview' = {
  name: 'tokenweir-${uniqueString(resourceGroup().id, applicationInsightsId)}'
  location: location
  tags: union(tags, { 'hidden-title': title })
  properties: json(replace(loadTextContent('../reports/dashboard.json'), 'APPLICATION_INSIGHTS_ID', applicationInsightsId))
}

@description('Resource ID of the dashboard.')
output id string = dashboard.id
