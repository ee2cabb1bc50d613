// Puts reservations into KongFlow's worker queue, in the name of the warehouse.
//
//   node enqueue.js chair       one job
//   node enqueue.js chair 100   a hundred, in one request
const grpc = require("@grpc/grpc-js");
const { load, newId, readIdentity, signToken } = require("./kongflow");

const CALL_MS = 10_000;
const CALLS = 5;

const identity = readIdentity("warehouse");
const definition = load("kongflow/workerqueue/internal/v1/enqueue_service.proto");
const { EnqueueService } = grpc.loadPackageDefinition(definition).kongflow.workerqueue.internal.v1;

/** The command that stores one job. A service keeps it, in its own transaction, until it is taken. */
function reservation(orderId, sku) {
  const args = { orderId, sku, quantity: 1 };
  return {
    // Known when it is sent again: whatever happens to the answer, the job stays one.
    outboxId: newId(),
    operation: "OPERATION_ENQUEUE",
    kind: "warehouse.reserveStock",
    args: Buffer.from(JSON.stringify(args)),
    tags: [sku],
  };
}

function send(client, commands) {
  const metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${signToken(identity, "workerqueue")}`);
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + CALL_MS };
    client.EnqueueJobs({ commands }, metadata, options, (error, response) =>
      error ? reject(error) : resolve(response.results),
    );
  });
}

/** Sends the same commands until there is an answer. */
async function sendUntilAnswered(client, commands) {
  for (let call = 1; ; call += 1) {
    try {
      return await send(client, commands);
    } catch (error) {
      const again = [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED].includes(error.code);
      if (!again || call === CALLS) throw error;
    }
  }
}

async function main() {
  const [sku = "chair", count = "1"] = process.argv.slice(2);
  const orders = Array.from({ length: Number(count) }, (_, i) => `order-${i + 1}`);
  const commands = orders.map((order) => reservation(order, sku));
  const client = new EnqueueService(identity.workerqueue, grpc.credentials.createInsecure());
  try {
    for (const { status, queuedJobId } of await sendUntilAnswered(client, commands)) {
      // A refused command does not hold up the others, and is refused for good.
      if (status?.code) throw new Error(status.message);
      console.log(queuedJobId);
    }
  } finally {
    client.close();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
