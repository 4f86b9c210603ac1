// The workbook: usage, cost, latency and health of the calls that Application Insights knows of.
// Its content is made from queries/ by deploy/azure/reports/make_workbook.py.

@description('Where the workbook is kept. What it shows may come from anywhere.')
param location string

@description('Tags of the workbook.')
param tags object = {}

@description('The name people see in the portal.')
param name string = 'Tokenweir'

@description('Resource ID of the Application Insights component whose events the workbook shows.')
param applicationInsightsId string

var content = loadTextContent('../reports/workbook.json')

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // Azure wants a GUID here. The same one each time, so that a deployment updates the workbook instead of adding one.
  name: guid(resourceGroup().id, applicationInsightsId, 'tokenweir')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: name
    category: 'workbook'
    sourceId: applicationInsightsId
    serializedData: replace(content, 'APPLICATION_INSIGHTS_ID', applicationInsightsId)
    version: 'Notebook/1.0'
  }
}

@description('Resource ID of the workbook.')
output id string = workbook.id
