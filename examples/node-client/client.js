// Sends an event to KongFlow and watches for what its runs come to.
//
//   node client.js order.created '{"amount": 250, "customer": "eve"}'
//
// Addresses and key come from KONGFLOW_EVENTS, KONGFLOW_RUNS and KONGFLOW_API_KEY, or from the
// dev.json of a system that `kongflow up` started here.
const { randomUUID } = require("node:crypto");
const { readFileSync } = require("node:fs");
const path = require("node:path");
const { setTimeout: pause } = require("node:timers/promises");
const grpc = require("@grpc/grpc-js");
const { loadSync } = require("@grpc/proto-loader");

const REPOSITORY = path.join(__dirname, "..", "..");
const CALL_MS = 10_000;
const WATCH_MS = 60_000;
const STEP_MS = 200;
const UNDER_WAY = new Set([
  "STATE_PENDING",
  "STATE_QUEUED",
  "STATE_WAITING_ON_CONNECTIONS",
  "STATE_PREPROCESSING",
  "STATE_STARTED",
  "STATE_EXECUTING",
  "STATE_WAITING_TO_CONTINUE",
  "STATE_WAITING_TO_EXECUTE",
]);

function settings() {
  const { KONGFLOW_EVENTS, KONGFLOW_RUNS, KONGFLOW_API_KEY } = process.env;
  if (KONGFLOW_EVENTS && KONGFLOW_RUNS && KONGFLOW_API_KEY) {
    return { events: KONGFLOW_EVENTS, runs: KONGFLOW_RUNS, key: KONGFLOW_API_KEY };
  }
  const file = path.join(process.env.KONGFLOW_STATE_DIR ?? `${REPOSITORY}/.kongflow`, "dev.json");
  const { grpc: addresses, api_key: key } = JSON.parse(readFileSync(file, "utf8"));
  return { events: addresses.events, runs: addresses.runs, key };
}

/** A context's service as a function: call("SendEvent", {...}) answers the response. */
function service(name, address, key) {
  const definition = loadSync(`kongflow/${name}/v1/${name}_service.proto`, {
    includeDirs: [
      path.join(REPOSITORY, "protos"),
      path.join(REPOSITORY, "third_party", "googleapis"),
      path.join(REPOSITORY, "third_party", "cloudevents"),
    ],
    enums: String,
    longs: Number,
    defaults: true,
    oneofs: true,
  });
  const services = grpc.loadPackageDefinition(definition).kongflow[name].v1;
  const Service = services[`${name[0].toUpperCase()}${name.slice(1)}Service`];
  const client = new Service(address, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${key}`);
  const call = (method, request) =>
    new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + CALL_MS };
      client[method](request, metadata, options, (error, response) =>
        error ? reject(error) : resolve(response),
      );
    });
  return { call, close: () => client.close() };
}

/** Asks until there is an answer; what is not there for a moment is asked again. */
async function until(ask, what) {
  const end = Date.now() + WATCH_MS;
  while (Date.now() < end) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      if (error.code !== grpc.status.UNAVAILABLE) throw error;
    }
    await pause(STEP_MS);
  }
  throw new Error(`not within ${WATCH_MS / 1000} s: ${what}`);
}

/** What a google.protobuf.Value stands for. */
function plain(value) {
  switch (value.kind) {
    case "nullValue":
      return null;
    case "listValue":
      return value.listValue.values.map(plain);
    case "structValue": {
      const members = Object.entries(value.structValue.fields);
      return Object.fromEntries(members.map(([key, member]) => [key, plain(member)]));
    }
    default:
      return value[value.kind];
  }
}

/** A document of a message: undefined for none, which null is not. */
function read(payload) {
  if (!payload?.kind) return undefined;
  return payload.kind === "json" ? JSON.parse(payload.json.toString()) : plain(payload.value);
}

async function send(events, name, payload) {
  // With an id of its own the call may be repeated: the event stays one.
  const event = { name, eventId: randomUUID(), payload: { json: Buffer.from(payload) } };
  const { eventRecord } = await until(() => events.call("SendEvent", { event }), "the answer");
  console.log(`sent      ${eventRecord.id}`);
  const delivered = await until(async () => {
    const answer = await events.call("GetEventRecord", { id: eventRecord.id });
    return answer.eventRecord.processedTime ? answer.eventRecord : undefined;
  }, "the event is processed");
  console.log(`matched   ${delivered.matchedCount} job(s)`);
  return delivered;
}

async function watch(runs, event) {
  const started = await until(async () => {
    const filter = `event_record_id = "${event.id}"`;
    const { runs: found } = await runs.call("ListRuns", { filter, pageSize: 1000 });
    return found.length === Math.min(event.matchedCount, 1000) ? found : undefined;
  }, "the event's runs");
  for (const { id } of started) {
    const run = await until(async () => {
      const answer = await runs.call("GetRun", { id });
      return UNDER_WAY.has(answer.run.state) ? undefined : answer.run;
    }, "the end of a run");
    const state = run.state.replace("STATE_", "").toLowerCase();
    console.log(`${state.padEnd(9)} ${run.jobSlug} ${JSON.stringify(read(run.output)) ?? ""}`);
  }
}

async function main() {
  const [name = "order.created", payload = '{"amount": 250, "customer": "eve"}'] =
    process.argv.slice(2);
  const { events: eventsAddress, runs: runsAddress, key } = settings();
  const events = service("events", eventsAddress, key);
  const runs = service("runs", runsAddress, key);
  try {
    await watch(runs, await send(events, name, payload));
  } finally {
    events.close();
    runs.close();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
