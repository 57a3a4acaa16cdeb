#!/usr/bin/env node
// A model provider that lives on 127.0.0.1 and knows nothing: real runtimes talk to it in tests, so that a
// test can prove that a message reached "the model". Node >= 20, no dependencies, no network.
//
//   model-stub.mjs [--port 0] [--log FILE] [--first-delay 0.2] [--token-delay 0.02] [--tokens 8]
//                  [--die-with-stdin]
//
// Says `LISTENING <port>` on stdout once it accepts connections (port 0 = any free one). Ends on SIGTERM, and
// when its stdin closes if --die-with-stdin is given, so that it cannot outlive the test that started it.
//
// It answers (SSE or JSON, as the request asks; the leading /v1 may be missing)
//   POST /v1/messages          Anthropic            POST /v1/messages/count_tokens
//   POST /v1/responses         OpenAI Responses     POST /v1/chat/completions   OpenAI Chat Completions
//   POST /v1beta/models/MODEL:streamGenerateContent, :generateContent, :countTokens            Gemini
//   GET  /v1/models
// and 404 to everything else.
//
// THE LOG is what tests believe. NDJSON; every line is one append, written before the answer it belongs to:
//   {"t":EPOCH_SECONDS,"ev":"req","n":N,"api":"messages|responses|chat|gemini","aux":BOOL,"user_texts":[..],
//    "new_texts":[..],"tool_texts":[..],"after_tool":BOOL,"stream":BOOL,"status":200}
//   {"t":..,"ev":"first","n":N}    the first piece of the answer is about to go out
//   {"t":..,"ev":"done","n":N}     the answer is complete;  "aborted": the client hung up before that
//   {"t":..,"ev":"other",..}       anything else that was asked for, with the status it got
// aux         a request without tools: titles, summaries and the like, never a turn of the session
// user_texts  every text of the user in the request, whole, in order, also those the runtime itself put there
// new_texts   those of them that no earlier main (non-aux) request held; twice in one request is twice here
// tool_texts  what came back from tools; a runtime may fold a waiting message in there
// after_tool  the newest thing in the request is a tool's result
// Look for a message with `includes`, not equality: claude wraps pastes of several lines in <pasted_content> and
// what comes while a tool runs in a sentence of its own, and ends queued messages with a newline; opencode ends
// pastes with a blank. The message itself stays whole inside. The same text sent again is new only in a new
// process, so tests use a different one each time, or count in user_texts.
//
// DIRECTIVES in the newest text of the user (main requests only, so they also hold for a client's retries):
//   slow=SECONDS    let each answer take that long         first=SECONDS   delay before the first token
//   rows=A-B        answer with a list of rows with these numbers, one token each
//   fail=STATUS     answer with this HTTP status; `*N` after it: only the first N times
//                                                          tool=CMD        ask for one shell tool call,
//                                                          `_` stands for a blank: an approval dialog opens
//   call=NAME?KEY=VALUE&KEY=VALUE     ask for one call of the tool whose name ends in NAME (of an MCP server), with
//                                     these arguments, encoded as in a URL: `+` stands for a blank
// `tool=A,B+C` asks for A, after its result for B and C at once, and then ends the turn; `first=0.1,2,0.5` holds for
// the first, second and third answer of such a turn, the last number for all after it.

import http from "node:http";
import { createHash, randomBytes } from "node:crypto";
import { openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import zlib from "node:zlib";

const MAX_BODY = 64 << 20;
const MAX_SEEN = 100_000; // hashes of 16 bytes: a few MB at the very most

function usage(message) {
  process.stderr.write(`model-stub: ${message}\n`);
  process.exit(64);
}

function options() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        port: { type: "string", default: "0" },
        log: { type: "string" },
        "first-delay": { type: "string", default: "0.2" },
        "token-delay": { type: "string", default: "0.02" },
        tokens: { type: "string", default: "8" },
        "die-with-stdin": { type: "boolean", default: false },
      },
    }));
  } catch (e) {
    usage(e.message);
  }
  const number = (name) => {
    const n = Number(values[name]);
    return values[name].trim() && Number.isFinite(n) && n >= 0 ? n : usage(`--${name} wants a number`);
  };
  return {
    port: number("port"),
    firstDelay: number("first-delay"),
    tokenDelay: number("token-delay"),
    tokens: number("tokens"),
    log: values.log,
    dieWithStdin: values["die-with-stdin"],
  };
}

const opt = options();

// ---- the log ---------------------------------------------------------------------------------------------

const logFd = opt.log === undefined ? undefined : openSync(opt.log, "a", 0o600);

function log(entry) {
  if (logFd === undefined) return;
  // O_APPEND and one write: a reader never sees two lines mixed.
  writeSync(logFd, JSON.stringify({ t: Date.now() / 1000, ...entry }) + "\n");
}

const seen = new Set();

function takeNew(texts) {
  const keyed = texts.map((text) => [createHash("sha256").update(text).digest("base64url").slice(0, 22), text]);
  const fresh = keyed.filter(([key]) => !seen.has(key)).map(([, text]) => text);
  for (const [key] of keyed) {
    seen.delete(key); // moves it to the young end: what is forgotten first has not been sent for longest
    seen.add(key);
  }
  for (const key of seen) {
    if (seen.size <= MAX_SEEN) break;
    seen.delete(key);
  }
  return fresh;
}

// ---- reading a request -----------------------------------------------------------------------------------

/** All plain texts in a content field: a string, or a list of typed parts. */
function textsIn(content) {
  if (typeof content === "string") return [content];
  if (!Array.isArray(content)) return [];
  return content.flatMap((part) => (typeof part === "string" ? part : typeof part?.text === "string" ? part.text : []));
}

/** The request's history without what the model said: `{ tool: BOOL, texts: [..] }` in order. */
function userSide(api, body) {
  const list = { responses: body.input, gemini: body.contents }[api] ?? body.messages;
  if (typeof list === "string") return [{ tool: false, texts: [list] }];
  const entries = [];
  for (const item of Array.isArray(list) ? list : []) {
    if (item?.role === "tool" || /_call_output$/.test(item?.type ?? "")) {
      entries.push({ tool: true, texts: textsIn(item.content ?? item.output) });
    } else if (item?.role === "user") {
      // Anthropic and Gemini put tool results into messages of the user, between or before their texts.
      const content = item.content ?? item.parts;
      for (const part of Array.isArray(content) ? content : [content]) {
        const result = part?.functionResponse ?? (part?.type === "tool_result" ? part : undefined);
        const texts = part?.functionResponse ? [JSON.stringify(result.response)] : textsIn(result?.content ?? [part]);
        entries.push({ tool: result !== undefined, texts });
      }
    }
  }
  return entries;
}

/** Runtimes send notes of their own in the user's name; all of them start with a tag. A paste is no such note. */
function isNote(text) {
  const trimmed = text.trim();
  return trimmed === "" || (/^<[a-z][\w-]*(\s[^<>]*)?>/i.test(trimmed) && !trimmed.startsWith("<pasted_content"));
}

function newest(entries) {
  const real = entries.map((e) => (e.tool ? e : { ...e, texts: e.texts.filter((t) => !isNote(t)) }))
    .filter((e) => e.tool || e.texts.length > 0);
  const last = real.findLastIndex((e) => !e.tool);
  return {
    text: real[last]?.texts.at(-1) ?? "",
    results: real.length - 1 - last, // of tools, since that text
  };
}

function directives(text) {
  const get = (name, shape) => text.match(new RegExp(`(?:^|[^\\w-])${name}=(${shape})`))?.[1];
  const number = "\\d+(?:\\.\\d+)?";
  const slow = get("slow", number);
  const call = get("call", "[\\w.-]+\\?[^\\s<>]*");
  return {
    slow: slow === undefined ? undefined : Number(slow),
    rows: get("rows", "\\d{1,4}-\\d{1,4}")?.split("-").map(Number),
    first: get("first", `${number}(?:,${number})*`)?.split(",").map(Number) ?? [],
    fail: get("fail", "[1-5]\\d\\d(?:\\*\\d+)?")?.split("*").map(Number) ?? [200],
    steps: get("tool", "[^\\s<>]+")?.replaceAll("_", " ").split(",").map((step) => step.split("+"))
      ?? (call === undefined ? [] : [[{ call }]]),
  };
}

const failures = new Map(); // by text: how often it was answered with an error

/** The HTTP status for this text, this time. */
function statusFor(text, [status, times = Infinity]) {
  if (status === 200) return 200;
  const before = failures.get(text) ?? 0;
  failures.set(text, before + 1);
  return before < times ? status : 200;
}

/** Which of a turn's steps comes next, after so many results of tools. */
function stepAfter(steps, results) {
  let step = 0;
  for (let left = results; left > 0 && step < steps.length; step++) left -= steps[step].length;
  return step;
}

/** A call of whatever this runtime's shell tool is, filled in as its schema wants it. */
function shellCall(body, command) {
  const offered = (Array.isArray(body.tools) ? body.tools : []).flatMap((tool) => tool.functionDeclarations ?? [tool]);
  const tools = new Map(offered.map((tool) => {
    const f = tool.function ?? tool;
    return [f.name ?? tool.type, (f.parameters ?? f.input_schema ?? f.parametersJsonSchema)?.properties ?? {}];
  }));
  const name = ["Bash", "bash", "exec_command", "shell_command", "shell", "run_shell_command"].find((n) => tools.has(n));
  if (name === undefined) {
    log({ ev: "other", what: "no shell tool", tools: [...tools.keys()] });
    return undefined;
  }
  const fields = tools.get(name);
  const field = "cmd" in fields ? "cmd" : "command";
  const args = { [field]: fields[field]?.type === "array" ? ["sh", "-c", command] : command };
  if ("description" in fields) args.description = "asked for by the model stub";
  // codex runs what its sandbox allows without a question, so ask to leave the sandbox.
  if ("sandbox_permissions" in fields) args.sandbox_permissions = "require_escalated";
  if ("justification" in fields) args.justification = "asked for by the model stub";
  return { id: id("tool"), name, args, json: JSON.stringify(args) };
}

/** A call of the tool whose name ends so, as `NAME?KEY=VALUE&…` says. */
function namedCall(body, wanted) {
  const [end, query] = wanted.split("?");
  // Tools of a server may come bundled under its name.
  const offered = (Array.isArray(body.tools) ? body.tools : []).flatMap((tool) =>
    tool.type === "namespace" ? tool.tools.map((inner) => ({ ...inner, namespace: tool.name })) : [tool]);
  const tool = offered.find((t) => (t.function ?? t).name?.endsWith(end));
  if (tool === undefined) {
    log({ ev: "other", what: `no tool ${end}`, tools: offered.map((t) => (t.function ?? t).name ?? t.type) });
    return undefined;
  }
  const args = Object.fromEntries(new URLSearchParams(query));
  return {
    id: id("tool"), name: (tool.function ?? tool).name, namespace: tool.namespace, args, json: JSON.stringify(args),
  };
}

// ---- writing an answer -----------------------------------------------------------------------------------

const id = (prefix) => `${prefix}_${randomBytes(10).toString("hex")}`;

/**
 * One dialect per API. `begin`, `token` and `end` yield the events of a stream, as [event name, data];
 * `whole` is the answer in one piece. `turn` is { body, words, text, calls, id, item, seq }.
 */
const dialects = {
  messages: {
    envelope: (turn, content, reason) => ({
      id: turn.id, type: "message", role: "assistant", model: turn.body.model, content, stop_reason: reason,
      stop_sequence: null, usage: { input_tokens: 10, output_tokens: turn.words.length },
    }),
    *begin(turn) {
      yield this.event({ type: "message_start", message: this.envelope(turn, [], null) });
      yield this.event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } });
    },
    *token(turn, word) {
      yield this.event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: word } });
    },
    *end(turn) {
      yield this.event({ type: "content_block_stop", index: 0 });
      for (const [i, call] of turn.calls.entries()) {
        const block = { type: "tool_use", id: call.id, name: call.name, input: {} };
        const delta = { type: "input_json_delta", partial_json: call.json };
        yield this.event({ type: "content_block_start", index: i + 1, content_block: block });
        yield this.event({ type: "content_block_delta", index: i + 1, delta });
        yield this.event({ type: "content_block_stop", index: i + 1 });
      }
      const delta = { stop_reason: turn.calls.length > 0 ? "tool_use" : "end_turn", stop_sequence: null };
      yield this.event({ type: "message_delta", delta, usage: { output_tokens: turn.words.length } });
      yield this.event({ type: "message_stop" });
    },
    whole(turn) {
      const content = [{ type: "text", text: turn.text }];
      for (const call of turn.calls) content.push({ type: "tool_use", id: call.id, name: call.name, input: call.args });
      return this.envelope(turn, content, turn.calls.length > 0 ? "tool_use" : "end_turn");
    },
    event: (data) => [data.type, data],
  },

  responses: {
    envelope: (turn, status, output) => ({
      id: turn.id, object: "response", status, model: turn.body.model, output,
      usage: { input_tokens: 10, output_tokens: turn.words.length, total_tokens: 10 + turn.words.length },
    }),
    message: (turn, status, text) => ({
      id: turn.item, type: "message", role: "assistant", status,
      content: text ? [{ type: "output_text", text, annotations: [] }] : [],
    }),
    output(turn) {
      const items = [this.message(turn, "completed", turn.text)];
      for (const call of turn.calls) {
        items.push({
          id: `fc_${call.id}`, type: "function_call", status: "completed", call_id: `call_${call.id}`,
          name: call.name, namespace: call.namespace, arguments: call.json,
        });
      }
      return items;
    },
    *begin(turn) {
      yield this.event(turn, { type: "response.created", response: this.envelope(turn, "in_progress", []) });
      yield this.event(turn, { type: "response.output_item.added", output_index: 0, item: this.message(turn, "in_progress") });
    },
    *token(turn, word) {
      const place = { item_id: turn.item, output_index: 0, content_index: 0 };
      yield this.event(turn, { type: "response.output_text.delta", ...place, delta: word });
    },
    *end(turn) {
      const items = this.output(turn);
      for (const [i, item] of items.entries()) {
        if (i > 0) yield this.event(turn, { type: "response.output_item.added", output_index: i, item });
        yield this.event(turn, { type: "response.output_item.done", output_index: i, item });
      }
      yield this.event(turn, { type: "response.completed", response: this.envelope(turn, "completed", items) });
    },
    whole(turn) {
      return this.envelope(turn, "completed", this.output(turn));
    },
    event: (turn, data) => [data.type, { ...data, sequence_number: turn.seq++ }],
  },

  chat: {
    envelope: (turn, object, choice) => ({
      id: turn.id, object, created: Math.floor(Date.now() / 1000), model: turn.body.model,
      choices: [{ index: 0, ...choice }],
      usage: { prompt_tokens: 10, completion_tokens: turn.words.length, total_tokens: 10 + turn.words.length },
    }),
    calls: (turn) => turn.calls.map((call, index) => (
      { index, id: `call_${call.id}`, type: "function", function: { name: call.name, arguments: call.json } }
    )),
    *begin(turn) {
      yield this.delta(turn, { role: "assistant", content: "" });
    },
    *token(turn, word) {
      yield this.delta(turn, { content: word });
    },
    *end(turn) {
      const called = turn.calls.length > 0;
      if (called) yield this.delta(turn, { tool_calls: this.calls(turn) });
      yield this.delta(turn, {}, called ? "tool_calls" : "stop");
      yield [undefined, "[DONE]"];
    },
    whole(turn) {
      const message = { role: "assistant", content: turn.text };
      const called = turn.calls.length > 0;
      if (called) message.tool_calls = this.calls(turn);
      return this.envelope(turn, "chat.completion", { message, finish_reason: called ? "tool_calls" : "stop" });
    },
    delta(turn, delta, reason = null) {
      return [undefined, this.envelope(turn, "chat.completion.chunk", { delta, finish_reason: reason })];
    },
  },
};

dialects.gemini = {
  envelope: (turn, parts, reason) => ({
    candidates: [{ index: 0, content: { role: "model", parts }, ...(reason && { finishReason: reason }) }],
    usageMetadata: { promptTokenCount: 10, candidatesTokenCount: turn.words.length, totalTokenCount: 10 + turn.words.length },
    modelVersion: "stub-model", responseId: turn.id,
  }),
  *begin() {},
  *token(turn, word) {
    yield [undefined, this.envelope(turn, [{ text: word }])];
  },
  *end(turn) {
    yield [undefined, this.envelope(turn, this.calls(turn), "STOP")];
  },
  whole(turn) {
    return this.envelope(turn, [{ text: turn.text }, ...this.calls(turn)], "STOP");
  },
  calls: (turn) => turn.calls.map(({ name, args }) => ({ functionCall: { name, args } })),
};

const FILLER = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "islet", "jetty"];

function wordsFor(text, count) {
  // Control characters would end up on the screen of the runtime: blanks instead.
  const head = [...text.replace(/[\p{Cc}\p{Cf}]+/gu, " ").trim()].slice(0, 40).join("");
  return [`You said: ${head} -`, ...Array.from({ length: count }, (_, i) => FILLER[i % FILLER.length])];
}

function sendJson(res, status, value) {
  const data = Buffer.from(JSON.stringify(value));
  res.writeHead(status, { "content-type": "application/json", "content-length": data.length });
  res.end(data);
}

function sendError(res, status, message) {
  const type = { 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error" }[status] ?? "api_error";
  sendJson(res, status, { type: "error", error: { type, code: type, message: `model stub: ${message}` } });
}

async function answerTurn(res, api, body, stream, n) {
  const aux = !(Array.isArray(body.tools) && body.tools.length > 0);
  const entries = userSide(api, body);
  const userTexts = entries.filter((e) => !e.tool).flatMap((e) => e.texts);
  const { text, results } = newest(entries);
  const wish = directives(aux ? "" : text);
  const status = statusFor(text, wish.fail);
  log({
    ev: "req", n, api, aux,
    user_texts: userTexts, new_texts: aux ? [] : takeNew(userTexts),
    tool_texts: entries.filter((e) => e.tool).flatMap((e) => e.texts),
    after_tool: results > 0, stream, status,
  });
  if (status !== 200) {
    log({ ev: "done", n });
    return sendError(res, status, `failure ${status} as asked for`);
  }

  const step = stepAfter(wish.steps, results);
  const first = aux ? 0 : (wish.first[step] ?? wish.first.at(-1) ?? opt.firstDelay);
  let words = aux ? ["A", "short", "title"] : wordsFor(text, opt.tokens);
  let gap = aux ? 0 : opt.tokenDelay;
  if (wish.slow !== undefined) {
    // Four tokens a second, however long it takes: a live but slow model, not a stalled one.
    words = wordsFor(text, Math.max(4, Math.round(wish.slow * 4)));
    gap = Math.max(0, wish.slow - first) / words.length;
  }
  if (wish.rows !== undefined) {
    const [from, to] = wish.rows;
    const row = (n) => `- row ${String(n).padStart(4, "0")} ${FILLER[n % FILLER.length]}\n`;
    words = ["Here they are:\n\n", ...Array.from({ length: to - from + 1 }, (_, i) => row(from + i))];
    gap = Math.max(opt.tokenDelay, (wish.slow ?? 0) / words.length);
  }
  const calls = (wish.steps[step] ?? [])
    .map((wanted) => (wanted.call ? namedCall(body, wanted.call) : shellCall(body, wanted)))
    .filter((c) => c !== undefined);
  const turn = { body, words, text: words.join(" "), calls, id: id("stub"), item: id("item"), seq: 0 };
  const dialect = dialects[api];

  // `close` before the end means that the client hung up; it also cuts short the sleeps.
  const gone = new AbortController();
  res.on("close", () => gone.abort());
  const pause = (seconds) => sleep(seconds * 1000, undefined, { signal: gone.signal });
  const send = (events) => {
    for (const [name, data] of events) {
      const payload = typeof data === "string" ? data : JSON.stringify(data);
      res.write(`${name === undefined ? "" : `event: ${name}\n`}data: ${payload}\n\n`);
    }
  };
  try {
    if (stream) {
      res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
      send(dialect.begin(turn));
    }
    await pause(first);
    log({ ev: "first", n });
    for (const [i, word] of words.entries()) {
      if (stream) send(dialect.token(turn, i < words.length - 1 ? `${word} ` : word));
      await pause(gap);
    }
    log({ ev: "done", n });
    if (stream) {
      send(dialect.end(turn));
      res.end();
    } else {
      sendJson(res, 200, dialect.whole(turn));
    }
  } catch (e) {
    if (!gone.signal.aborted) throw e;
    log({ ev: "aborted", n });
  }
}

const INFLATE = { gzip: zlib.gunzipSync, deflate: zlib.inflateSync, br: zlib.brotliDecompressSync };

async function readBody(req) {
  const chunks = [];
  let size = 0;
  for await (const chunk of req) {
    size += chunk.length;
    if (size > MAX_BODY) throw new Error("body too big");
    chunks.push(chunk);
  }
  const data = Buffer.concat(chunks);
  const encoding = req.headers["content-encoding"]?.toLowerCase() ?? "identity";
  if (encoding === "identity") return JSON.parse(data);
  if (!(encoding in INFLATE)) throw new Error(`content-encoding ${encoding}`);
  return JSON.parse(INFLATE[encoding](data, { maxOutputLength: MAX_BODY }));
}

let requests = 0;

async function serve(req, res) {
  const path = req.url.split("?")[0].replace(/^\/v1(?=\/)/, "");
  const other = (status, more) => log({ ev: "other", method: req.method, path: req.url, status, ...more });
  const gemini = path.match(/^\/v1beta\/models\/[^/:]+:(generateContent|streamGenerateContent|countTokens)$/)?.[1];
  const counts = path === "/messages/count_tokens" || gemini === "countTokens";
  const paths = { "/messages": "messages", "/responses": "responses", "/chat/completions": "chat" };
  const api = gemini === undefined ? paths[path] : "gemini";
  if (req.method === "GET" && path === "/models") {
    other(200);
    const model = { id: "stub-model", object: "model", type: "model", display_name: "stub-model", created: 0, owned_by: "stub" };
    return sendJson(res, 200, { object: "list", data: [model], has_more: false });
  }
  if (req.method === "POST" && counts) {
    req.resume();
    other(200);
    return sendJson(res, 200, gemini ? { totalTokens: 10 } : { input_tokens: 10 });
  }
  if (req.method !== "POST" || api === undefined) {
    req.resume();
    other(404);
    return sendError(res, 404, "no such path");
  }
  let body;
  try {
    body = await readBody(req);
    if (body === null || typeof body !== "object") throw new Error("no JSON object");
  } catch (e) {
    // Logged, since a message that could not be read must not look like one that never came.
    other(400, { what: String(e.message ?? e) });
    res.setHeader("connection", "close");
    return sendError(res, 400, "cannot read this body");
  }
  const stream = gemini ? gemini === "streamGenerateContent" : body.stream === true;
  return answerTurn(res, api, body, stream, ++requests);
}

const server = http.createServer((req, res) => {
  serve(req, res).catch((e) => {
    process.stderr.write(`model-stub: ${e.stack ?? e}\n`);
    log({ ev: "other", method: req.method, path: req.url, status: 500, what: String(e.message ?? e) });
    res.destroy();
  });
});
server.keepAliveTimeout = 0; // never hang up first: a client that reuses the connection just then would see an error
server.on("error", (e) => {
  process.stderr.write(`model-stub: ${e.message}\n`);
  process.exit(1);
});
process.on("SIGTERM", () => process.exit(0));
process.stdout.on("error", () => {}); // nobody has to listen for `LISTENING`
if (opt.dieWithStdin) process.stdin.on("error", () => process.exit(0)).on("end", () => process.exit(0)).resume();
server.listen(opt.port, "127.0.0.1", () => process.stdout.write(`LISTENING ${server.address().port}\n`));
