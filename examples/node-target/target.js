// A warehouse whose gRPC methods run as queued jobs of KongFlow.
//
//   node target.js
//
// Who it is, where it listens and whom it trusts stands in KONGFLOW_TARGET_FILE, or in
// targets/warehouse.json of the folder of a system that `kongflow up` started here.
const grpc = require("@grpc/grpc-js");
const { answer, checkCaller, jobBehind, jobResult, load, plain, readIdentity } = require("./kongflow");

const identity = readIdentity("warehouse");
const definition = load("warehouse/tasks/v1/warehouse_tasks_service.proto");
const services = grpc.loadPackageDefinition(definition).warehouse.tasks.v1;

// A real warehouse keeps these in a database, and writes what it did together with the key under
// which it will know the job again.
const shelves = new Map([
  ["chair", { stock: 100_000 }],
  ["lamp", { stock: 0, arrivesAfterMs: 1_500 }],
  ["desk", { stock: 10, lockedAttempts: 2 }],
  ["sofa", { stock: 10, lockedAttempts: Infinity }],
]);
const reserved = new Map();

/** What becomes of one job: {}, {snooze} or {code, message, retryAfter?}. */
function reserve({ orderId, sku, quantity }, job) {
  // A job may be called more than once: what was done already is done.
  if (reserved.has(job.idempotencyKey)) return {};
  const shelf = shelves.get(sku);
  if (shelf === undefined) {
    // Asking again would not help: this code ends the job at once.
    return { code: grpc.status.INVALID_ARGUMENT, message: `There are no goods called ${sku}` };
  }
  if (job.attempt <= (shelf.lockedAttempts ?? 0)) {
    // An attempt is spent; when to try again is this service's wish, not the kind's policy.
    const message = `The shelf of ${sku} is locked`;
    return { code: grpc.status.ABORTED, message, retryAfter: 0.5 };
  }
  if (shelf.arrivesAfterMs !== undefined) {
    shelf.arrivesAt ??= Date.now() + shelf.arrivesAfterMs;
    // Nothing is wrong, it is only too early: no attempt is spent.
    if (Date.now() < shelf.arrivesAt) return { snooze: 0.5 };
    shelf.stock = 10;
  }
  const wanted = quantity || 1;
  if (shelf.stock < wanted) {
    const message = `There are ${shelf.stock} of ${sku}, not ${wanted}`;
    return { code: grpc.status.FAILED_PRECONDITION, message };
  }
  shelf.stock -= wanted;
  reserved.set(job.idempotencyKey, orderId);
  return {};
}

function say(what, { orderId, sku }, { attempt }, call) {
  console.log(`${what} ${sku} for ${orderId}, attempt ${attempt}, ${call}`);
}

function reserveAndSay(request, job, call) {
  const outcome = reserve(request, job);
  const what = outcome.code ? "refused" : outcome.snooze ? "snoozed" : "reserved";
  say(what, request, job, call);
  return outcome;
}

/** A handler that nobody but the worker queue reaches. */
const guarded = (handler) => (call, callback) => {
  try {
    checkCaller(identity, call.metadata);
    handler(call, callback);
  } catch (error) {
    // A mistake of the program's own spends an attempt; its text goes nowhere but the log.
    if (!error.code) console.error(error);
    callback(error.code ? error : { code: grpc.status.INTERNAL, details: "Internal error" });
  }
};

const handlers = {
  ReserveStock: guarded((call, callback) => {
    answer(callback, reserveAndSay(call.request, jobBehind(call.metadata), "alone"));
  }),
  BatchReserveStock: guarded((call, callback) => {
    const { requests, envelopes } = call.request;
    const of = `one of ${requests.length}`;
    const outcomes = requests.map((request, i) => reserveAndSay(request, envelopes[i], of));
    callback(null, { results: outcomes.map(jobResult) });
  }),
  CancelReservation: guarded((call, callback) => {
    const { request, discard } = call.request;
    const attempts = { attempt: discard.attempts };
    say("given up", request, attempts, discard.status.message);
    callback(null, {});
  }),
  NoteRun: guarded((call, callback) => {
    const { type, resourceId, data } = call.request.event;
    const { jobSlug, jobVersion } = plain(data);
    console.log(`${type} ${resourceId}, of ${jobSlug} ${jobVersion}`);
    callback(null, {});
  }),
};

const server = new grpc.Server();
server.addService(services.WarehouseTasksService.service, handlers);
server.bindAsync(identity.listen, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) {
    console.error(error.message);
    process.exit(1);
  }
  console.log(`listening on ${identity.listen}`);
});
for (const signal of ["SIGINT", "SIGTERM"]) {
  // What is being done is finished; what comes now waits in the queue.
  process.once(signal, () => server.tryShutdown(() => process.exit(0)));
}
