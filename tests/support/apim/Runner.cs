// Runs policies as API Management does, as far as ours go: the sections in order, on-error when something throws.
// Reads one call a line from standard input, and writes one line about what came of it. `--members` lists instead what
// the expressions call.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;
using System.Xml.Linq;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

public class Refused : Exception
{
    public Refused(string reason) : base(reason) { }
}

public class Run
{
    private const string Expression = "expression:";
    private const string ManagedIdentity = "Bearer the managed identity's token";

    private readonly JObject _call;
    private readonly Context _context = new Context();
    private readonly Queue<JToken> _answers;
    private readonly JArray _logged = new JArray();
    private readonly JArray _sent = new JArray();
    private readonly HashSet<string> _removed = new HashSet<string>();
    private string _backend;
    private string _body;

    public Run(JObject call)
    {
        _call = call;
        _answers = new Queue<JToken>(call["answers"] ?? new JArray());
        _body = (string)call["body"];
        _context.RequestId = Guid.Parse((string)call["requestId"]);
        _context.Elapsed = TimeSpan.FromMilliseconds((double)call["elapsedMs"]);
        _context.Request = new Request { Method = "POST", OriginalUrl = new Url((string)call["url"]) };
        Fill(_context.Request.Headers, call["headers"]);
        _context.Request.Body = _body == null ? null : new Body(_body);
        var subscription = call["subscription"] as JObject;
        if (subscription != null)
        {
            _context.Subscription = new Subscription { Id = (string)subscription["id"], Key = (string)subscription["key"] };
        }
        if ((string)call["product"] != null) { _context.Product = new Product { Id = (string)call["product"] }; }
    }

    public JObject Through(XElement policies)
    {
        string error = null;
        try
        {
            if (_context.Subscription == null) { throw Failed(401, "SubscriptionKeyInvalid"); }
            foreach (var section in new[] { "inbound", "backend", "outbound" }) { Do(policies.Element(section)); }
        }
        catch (Exception reason)
        {
            error = reason.Message;
            Do(policies.Element("on-error"));
        }
        var answer = _context.Response;
        return new JObject(
            new JProperty("logged", _logged),
            new JProperty("sent", _sent),
            new JProperty("error", error),
            new JProperty("status", answer == null ? null : (int?)answer.StatusCode),
            new JProperty("headers", answer == null ? new JObject() : JObject.FromObject(answer.Headers.Values)),
            new JProperty("bodyWasRead", answer != null && answer.Body != null && answer.Body.WasRead),
            new JProperty("body", answer == null || answer.Body == null ? null : answer.Body.Peek()));
    }

    private void Do(XElement statements)
    {
        foreach (var statement in statements.Elements()) { DoOne(statement); }
    }

    private void DoOne(XElement statement)
    {
        var name = statement.Name.LocalName;
        if (name == "base") { return; }
        if (name == "fragment") { Do(statement); }
        else if (name == "set-variable")
        {
            _context.Variables[Attribute(statement, "name")] = Value((string)statement.Attribute("value"));
        }
        else if (name == "set-header") { SetHeader(statement); }
        else if (name == "set-query-parameter") { _removed.Add(Attribute(statement, "name")); }
        else if (name == "set-body") { _body = (string)Value(statement.Value); }
        else if (name == "set-backend-service") { _backend = Attribute(statement, "backend-id"); }
        else if (name == "authentication-managed-identity")
        {
            _context.Request.Headers.Values["Authorization"] = ManagedIdentity;
        }
        else if (name == "azure-openai-token-limit")
        {
            Attribute(statement, "counter-key");
            if ((bool?)_call["overLimit"] ?? false) { throw Failed(429, "TokenLimitExceeded"); }
        }
        else if (name == "choose") { Choose(statement); }
        else if (name == "retry") { Retry(statement); }
        else if (name == "forward-request") { Forward(statement); }
        else if (name == "log-to-eventhub") { _logged.Add((string)Value(statement.Value)); }
        else { throw new NotSupportedException("the runner does not know the policy " + name); }
    }

    private void Choose(XElement statement)
    {
        foreach (var when in statement.Elements("when"))
        {
            if ((bool)Value((string)when.Attribute("condition"))) { Do(when); return; }
        }
        if (statement.Element("otherwise") != null) { Do(statement.Element("otherwise")); }
    }

    private void Retry(XElement statement)
    {
        for (var left = (int)statement.Attribute("count"); ; left--)
        {
            Do(statement);
            if (left == 0 || !(bool)Value((string)statement.Attribute("condition"))) { return; }
        }
    }

    private void Forward(XElement statement)
    {
        var query = _context.Request.OriginalUrl.Query.Values.Where(one => !_removed.Contains(one.Key));
        _sent.Add(new JObject(
            new JProperty("backend", _backend),
            new JProperty("headers", JObject.FromObject(_context.Request.Headers.Values)),
            new JProperty("query", new JArray(query.Select(one => one.Key + "=" + one.Value))),
            new JProperty("body", _body),
            new JProperty("buffersResponse", (bool?)statement.Attribute("buffer-response") ?? true)));
        var answer = _answers.Dequeue();
        if (answer["error"] != null) { throw Failed((int?)answer["status"], (string)answer["error"]); }
        _context.Response = new Response
        {
            StatusCode = (int)answer["status"],
            StatusReason = (string)answer["reason"],
            Body = new Body((string)answer["body"] ?? "")
        };
        Fill(_context.Response.Headers, answer["headers"]);
    }

    private Exception Failed(int? status, string reason)
    {
        _context.Response = status == null ? null : new Response { StatusCode = status.Value };
        return new Refused(reason);
    }

    private void SetHeader(XElement statement)
    {
        // Before there is an answer, a header is the request's.
        var headers = _context.Response == null ? _context.Request.Headers : _context.Response.Headers;
        var name = Attribute(statement, "name");
        headers.Values.Remove(name);
        if (Attribute(statement, "exists-action") != "delete")
        {
            headers.Values[name] = (string)Value(statement.Element("value").Value);
        }
    }

    private string Attribute(XElement statement, string name)
    {
        return (string)Value((string)statement.Attribute(name));
    }

    private object Value(string written)
    {
        if (!written.StartsWith(Expression)) { return written; }
        return typeof(Expressions).GetMethod("E" + written.Substring(Expression.Length)).Invoke(null, new[] { _context });
    }

    private static void Fill(Headers headers, JToken written)
    {
        foreach (var one in ((written as JObject) ?? new JObject()).Properties())
        {
            headers.Values[one.Name] = (string)one.Value;
        }
    }
}

public static class Program
{
    private const int FirstMemberReference = 0x0A000001;

    public static void Main(string[] arguments)
    {
        Console.InputEncoding = Console.OutputEncoding = new UTF8Encoding(false);
        if (arguments.Contains("--members")) { ListMembers(); return; }
        var policies = new Dictionary<string, XElement>();
        for (var line = Console.In.ReadLine(); line != null; line = Console.In.ReadLine())
        {
            var reader = new JsonTextReader(new StringReader(line)) { DateParseHandling = DateParseHandling.None };
            var call = JObject.Load(reader);
            var file = (string)call["policy"];
            if (!policies.ContainsKey(file)) { policies[file] = XElement.Load(file); }
            Console.Out.WriteLine(new Run(call).Through(policies[file]).ToString(Formatting.None));
        }
    }

    // The expressions are an assembly of their own, so what it refers to is what they use.
    private static void ListMembers()
    {
        var module = typeof(Expressions).Assembly.ManifestModule;
        for (var token = FirstMemberReference; ; token++)
        {
            MemberInfo member;
            try { member = module.ResolveMember(token); }
            catch (ArgumentException) { return; }
            var type = member.DeclaringType.IsGenericType
                ? member.DeclaringType.GetGenericTypeDefinition() : member.DeclaringType;
            Console.Out.WriteLine(type.FullName + " " + member.Name);
        }
    }
}
