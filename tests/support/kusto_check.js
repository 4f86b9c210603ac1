// Reads a JSON array of KQL queries from standard input and writes, for each, what Kusto's language service finds
// wrong with it: { message, at } with the text that it points to. Takes the folder of the language service.

const path = require("path");
const folder = process.argv[2];
for (const file of ["bridge.min.js", "Kusto.Language.Bridge.min.js"]) require(path.join(folder, file));

const { KustoCode, GlobalState, Symbols } = Kusto.Language;

// The table as Application Insights has it. The ledger's view has the first three of these columns.
const customEvents = Symbols.TableSymbol.From(
  "(timestamp: datetime, name: string, customDimensions: dynamic, itemType: string, customMeasurements: dynamic," +
    " operation_Name: string, operation_Id: string, cloud_RoleName: string, cloud_RoleInstance: string," +
    " appId: string, appName: string, iKey: string, sdkVersion: string, itemId: string, itemCount: int)",
).WithName("customEvents");
// Where the logs of a Function App are.
const traces = Symbols.TableSymbol.From(
  "(timestamp: datetime, message: string, severityLevel: int, customDimensions: dynamic, cloud_RoleName: string)",
).WithName("traces");
const database = new Symbols.DatabaseSymbol.$ctor2("insights", null, [customEvents, traces]);
const globals = GlobalState.Default.WithDatabase(database);

function faults(query) {
  const diagnostics = KustoCode.ParseAndAnalyze(query, globals).GetDiagnostics();
  return Array.from({ length: diagnostics.Count }, (_, n) => {
    const { Message, Start, Length } = diagnostics.getItem(n);
    return { message: Message, at: query.slice(Start, Start + Length) };
  });
}

const queries = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(queries.map(faults)));
