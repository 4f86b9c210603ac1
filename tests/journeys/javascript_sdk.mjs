// openai for JavaScript through a gateway: node javascript_sdk.mjs NODE_MODULES GATEWAY KEY
// Prints a line of JSON for each call: what it was, and the usage that the SDK was told (null where it was told none).
import { createRequire } from "node:module";

const [modules, gateway, key] = process.argv.slice(2);
const { default: OpenAI, AzureOpenAI, toFile } = createRequire(`${modules}/`)("openai");

const openai = new OpenAI({ baseURL: `${gateway}/openai/v1`, apiKey: key, maxRetries: 0 });
const azure = new AzureOpenAI({ endpoint: gateway, apiKey: key, apiVersion: "2025-04-01-preview", maxRetries: 0 });
const messages = [{ role: "user", content: "Was fließt über das Wehr?" }];
const weather = {
  type: "function",
  name: "get_weather",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const script = (members) => ({ headers: { "x-simulate": JSON.stringify(members) } });
const say = (what, usage) => console.log(JSON.stringify({ what, usage: usage ?? null }));

say("chat", (await azure.chat.completions.create({ model: "gpt-4o", messages }, script({ output_tokens: 21 }))).usage);

const chat = azure.chat.completions.stream(
  { model: "gpt-4o", messages, stream_options: { include_usage: true } },
  script({ output_tokens: 33, reasoning_tokens: 4 }),
);
say("streamed chat", await chat.totalUsage());

const runner = openai.chat.completions.runTools({
  model: "gpt-4o",
  messages,
  tools: [{ type: "function", function: { ...weather, parse: JSON.parse, function: ({ city }) => `Sunny in ${city}.` } }],
  tool_choice: { type: "function", function: { name: "get_weather" } },
});
await runner.done();
say("tools", await runner.totalUsage());

say("response", (await openai.responses.create({ model: "gpt-4o", input: "Hello" }, script({ output_tokens: 17 }))).usage);

const response = openai.responses.stream(
  { model: "gpt-4o", input: "Weather?", tools: [weather] },
  script({ tool_calls: 2, cached_tokens: 3 }),
);
say("streamed response", (await response.finalResponse()).usage);

say("embeddings", (await openai.embeddings.create({ model: "text-embedding-3-small", input: ["Wehr", "weir"] })).usage);

const file = await toFile(Buffer.alloc(64_000), "sound.wav");
say("transcription", (await openai.audio.transcriptions.create({ model: "gpt-4o-transcribe", file })).usage);

const left = await openai.chat.completions.create(
  { model: "gpt-4o", messages, stream: true },
  script({ output_tokens: 500, hang_after: 5 }),
);
let seen = 0;
for await (const chunk of left) {
  seen += chunk.choices[0]?.delta?.content ? 1 : 0;
  if (seen === 5) break;
}
say("left", null);

try {
  await openai.responses.create({ model: "gpt-4o", input: "Hello" }, script({ status: 429, retry_after: 2 }));
} catch (error) {
  if (!(error instanceof OpenAI.RateLimitError) || error.headers.get("retry-after") !== "2") throw error;
  say("refused", null);
}
