// openai for Node, as its documentation uses it; workload.h, for Node.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

// The packages are in the folder in which the program is started.
const require = createRequire(`${process.cwd()}/`);
const { OpenAI } = require("openai");

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    model: { type: "string", default: "gpt-4o-mini" },
    prompt: { type: "string", default: "台積電(2330)分析，600 字以內" },
    concurrency: { type: "string", default: "64" },
    calls: { type: "string", default: "1000" },
    warmup: { type: "string", default: "64" },
    "max-tokens": { type: "string", default: "300" },
    "spread-ms": { type: "string", default: "0" },
    stream: { type: "boolean", default: false },
  },
});
const concurrency = Number(values.concurrency);

// Not maxRSS, which remembers the process that started this one.
const memoryKb = (line) =>
  Number(readFileSync("/proc/self/status", "utf8").match(new RegExp(`${line}:\\s+(\\d+)`))[1]);
const rssBeforeKb = memoryKb("VmRSS");
const client = new OpenAI({ baseURL: values.url, apiKey: "bench", maxRetries: 0 });
const messages = [{ role: "user", content: values.prompt }];
let deltas = 0;

async function whole(maxTokens) {
  const reply = await client.chat.completions.create({
    model: values.model,
    messages,
    max_tokens: maxTokens,
  });
  return Boolean(reply.choices[0].message.content);
}

async function streamed(maxTokens) {
  let finished = false;
  const stream = await client.chat.completions.create({
    model: values.model,
    messages,
    max_tokens: maxTokens,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    const choice = chunk.choices[0];
    if (!choice) continue;
    if (choice.delta.content) deltas += 1;
    finished ||= choice.finish_reason != null;
  }
  return finished;
}

const call = values.stream ? streamed : whole;
let failures = 0;
let callMs = [];

async function keepBusy(calls, maxTokens, start, spreadMs) {
  let left = calls;
  async function place(number) {
    let due = start + (spreadMs * number) / concurrency;
    await sleep(Math.max(0, due - performance.now()));
    while (left-- > 0) {
      const ok = await call(maxTokens).catch((error) => {
        console.error(String(error));
        return false;
      });
      callMs.push(performance.now() - due);
      if (!ok) failures += 1;
      due = performance.now();
    }
  }
  await Promise.all(Array.from({ length: concurrency }, (_, number) => place(number)));
}

await keepBusy(Number(values.warmup), 1, performance.now(), 0);
deltas = 0;
failures = 0;
callMs = [];
const cpuBefore = process.cpuUsage();
const start = performance.now();
await keepBusy(Number(values.calls), Number(values["max-tokens"]), start, Number(values["spread-ms"]));

const wallS = (performance.now() - start) / 1e3;
const cpu = process.cpuUsage(cpuBefore);
callMs.sort((a, b) => a - b);
const quantile = (share) => callMs[Math.floor(share * (callMs.length - 1))];
const manifest = `${process.cwd()}/node_modules/openai/package.json`;
const rssPeakKb = memoryKb("VmHWM");
console.log(
  JSON.stringify({
    driver: "openai for Node",
    version: JSON.parse(readFileSync(manifest, "utf8")).version,
    calls: callMs.length,
    failures,
    wall_s: wallS,
    cpu_user_s: cpu.user / 1e6,
    cpu_system_s: cpu.system / 1e6,
    deltas,
    rss_before_kb: rssBeforeKb,
    rss_peak_kb: rssPeakKb,
    kb_per_call: (rssPeakKb - rssBeforeKb) / concurrency,
    call_ms: { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: quantile(1) },
  }),
);
