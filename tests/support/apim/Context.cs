// What policy expressions see of API Management: the members of `context` that its reference documents and our
// policies use. A body knows whether it was read, because reading an answer is what holds a stream back.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;

public class Context
{
    public Request Request;
    public Response Response;
    public Subscription Subscription;
    public Product Product;
    public Guid RequestId;
    public TimeSpan Elapsed;
    public Variables Variables = new Variables();
}

public class Request
{
    public string Method;
    public Url OriginalUrl;
    public Headers Headers = new Headers();
    public Body Body;
}

public class Response
{
    public int StatusCode;
    public string StatusReason;
    public Headers Headers = new Headers();
    public Body Body;
}

public class Subscription
{
    public string Id;
    public string Key;
}

public class Product
{
    public string Id;
}

public class Variables
{
    private readonly Dictionary<string, object> _values = new Dictionary<string, object>();

    public object this[string name]
    {
        get { return _values[name]; }
        set { _values[name] = value; }
    }

    public bool ContainsKey(string name) { return _values.ContainsKey(name); }

    public T GetValueOrDefault<T>(string name, T otherwise)
    {
        return _values.ContainsKey(name) ? (T)_values[name] : otherwise;
    }
}

public class Headers
{
    private readonly Dictionary<string, string> _values =
        new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);

    public Dictionary<string, string> Values { get { return _values; } }

    public string GetValueOrDefault(string name, string otherwise)
    {
        return _values.ContainsKey(name) ? _values[name] : otherwise;
    }
}

// What AsJwt makes of a text; its documentation says null of one that is no token.
public class Jwt
{
    public Claims Claims = new Claims();
}

public class Claims
{
    public Newtonsoft.Json.Linq.JObject Values;

    public string GetValueOrDefault(string name, string otherwise)
    {
        return Values[name] == null ? otherwise : string.Join(",", Values[name].ToString());
    }
}

public static class Conversions
{
    public static Jwt AsJwt(this string input)
    {
        var parts = input.Split('.');
        if (parts.Length != 3) { return null; }
        try
        {
            var text = parts[1].Replace('-', '+').Replace('_', '/');
            var payload = Convert.FromBase64String(text + new string('=', (4 - text.Length % 4) % 4));
            var jwt = new Jwt();
            jwt.Claims.Values = Newtonsoft.Json.Linq.JObject.Parse(Encoding.UTF8.GetString(payload));
            return jwt;
        }
        catch (Exception) { return null; }
    }
}

public class Url
{
    public string Path;
    public Headers Query = new Headers();

    public Url(string url)
    {
        var uri = new Uri(url);
        Path = uri.AbsolutePath;
        foreach (var part in uri.Query.TrimStart('?').Split('&').Where(part => part != ""))
        {
            var halves = part.Split(new[] { '=' }, 2);
            Query.Values[halves[0]] = halves.Length > 1 ? Uri.UnescapeDataString(halves[1]) : "";
        }
    }
}

public class Body
{
    private string _text;

    public bool WasRead;

    public Body(string text) { _text = text; }

    public T As<T>(bool preserveContent = false)
    {
        if (_text == null) { throw new InvalidOperationException("the body was read before, and not preserved"); }
        WasRead = true;
        var text = _text;
        if (!preserveContent) { _text = null; }
        return (T)(object)text;
    }

    public string Peek() { return _text; }
}
