// A program written with the published SDK, as a process: node program.js
//
// TRIGGER_API_KEY is the environment's secret key, PROGRAM_ID the client's id, PROGRAM_VARIANT which
// jobs it holds first. The program behind /api/trigger is the SDK's own, untouched. Beside it:
//
//   POST /variant/<name>   holds other jobs from now on
//   GET /calls             what it was asked and what the SDK answered, in order
const express = require("express");
const { TriggerClient } = require("@trigger.dev/sdk");
const { createMiddleware } = require("@trigger.dev/express");
const { variants } = require("./variants");

const calls = [];

function hold(name) {
  const client = new TriggerClient({
    id: process.env.PROGRAM_ID,
    apiKey: process.env.TRIGGER_API_KEY,
    // Nothing listens there: what needs the server's HTTP API fails at once.
    apiUrl: "http://127.0.0.1:9",
  });
  variants[name](client);
  return createMiddleware(client);
}

let middleware = hold(process.env.PROGRAM_VARIANT ?? "first");

// What is answered is kept as it goes out.
function record(request, response, next) {
  const call = {
    action: request.get("x-trigger-action"),
    headers: request.headers,
    body: request.body,
    status: null,
    answer: null,
  };
  calls.push(call);
  const send = response.send.bind(response);
  response.send = (body) => {
    call.status = response.statusCode;
    call.answer = typeof body === "string" ? body : null;
    return send(body);
  };
  next();
}

const app = express();
app.get("/calls", (_, response) => response.json(calls));
app.post("/variant/:name", (request, response) => {
  if (!(request.params.name in variants)) return response.status(404).json({});
  middleware = hold(request.params.name);
  return response.json({});
});
app.use("/api/trigger", (request, response, next) =>
  express.json({ limit: "8mb" })(request, response, (error) => {
    if (error) return next(error);
    // Without a body the parser leaves {}, which would be sent on as one.
    if (!request.get("content-length")) request.body = undefined;
    return record(request, response, next);
  }),
);
app.use((request, response, next) => middleware(request, response, next));

const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
