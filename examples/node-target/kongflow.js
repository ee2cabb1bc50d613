// What a service needs to be a target of KongFlow's worker queue: its identity, the queue's
// identity, the job behind a call, and the words for "later". Nothing in here is of the warehouse.
const crypto = require("node:crypto");
const { readFileSync } = require("node:fs");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const { loadSync } = require("@grpc/proto-loader");

const REPOSITORY = path.join(__dirname, "..", "..");
const TOKEN_SECONDS = 600;
const CLOCK_DIFFERENCE_SECONDS = 600;

/** The definitions of .proto files, named as they import each other. */
function load(...files) {
  return loadSync(files, {
    includeDirs: [
      path.join(__dirname, "protos"),
      path.join(REPOSITORY, "protos"),
      path.join(REPOSITORY, "third_party", "googleapis"),
    ],
    enums: String,
    longs: Number,
    defaults: true,
    oneofs: true,
  });
}

const google = load("google/rpc/status.proto", "google/rpc/error_details.proto");

/** Who this service is and whom it trusts: the file that `kongflow up` writes for it. */
function readIdentity(name) {
  const state = process.env.KONGFLOW_STATE_DIR ?? path.join(REPOSITORY, ".kongflow");
  const file = process.env.KONGFLOW_TARGET_FILE ?? path.join(state, "targets", `${name}.json`);
  return JSON.parse(readFileSync(file, "utf8"));
}

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const decode = (text) => JSON.parse(Buffer.from(text, "base64url").toString());

/** A token with which this service calls another one: a JWT signed with its Ed25519 key. */
function signToken(identity, audience, now = Date.now() / 1000) {
  const issued = Math.floor(now);
  const claims = { iss: identity.service, aud: audience, iat: issued, exp: issued + TOKEN_SECONDS };
  const signed = `${encode({ alg: "EdDSA", typ: "JWT" })}.${encode(claims)}`;
  const signature = crypto.sign(null, Buffer.from(signed), identity.service_key);
  return `${signed}.${signature.toString("base64url")}`;
}

/** Throws unless a call was made by the worker queue, for this service, a short time ago. */
function checkCaller(identity, metadata, now = Date.now() / 1000) {
  const refused = (why) => ({ code: grpc.status.UNAUTHENTICATED, details: why });
  const [authorization = ""] = metadata.get("authorization");
  const parts = String(authorization).replace(/^bearer /i, "").split(".");
  if (parts.length !== 3) throw refused("The call has no service token");
  let header, claims, good;
  try {
    [header, claims] = [decode(parts[0]), decode(parts[1])];
    const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
    const signature = Buffer.from(parts[2], "base64url");
    good = crypto.verify(null, signed, identity.workerqueue_public_key, signature);
  } catch {
    throw refused("The service token cannot be read");
  }
  if (header.alg !== "EdDSA" || !good) throw refused("The service token is not signed as it says");
  const { iss, aud, iat, exp } = claims;
  if (iss !== "workerqueue") throw refused("The service token is not the worker queue's");
  if (aud !== identity.service) throw refused("The service token is for another audience");
  const life = exp - iat;
  if (!Number.isInteger(iat) || !Number.isInteger(exp) || life <= 0 || life > TOKEN_SECONDS) {
    throw refused("The service token does not say when it ends");
  }
  if (iat > now + CLOCK_DIFFERENCE_SECONDS || exp <= now - CLOCK_DIFFERENCE_SECONDS) {
    throw refused("The service token is not valid at this time");
  }
}

/** The job behind a single call, as its metadata tell; a batch has `envelopes` instead. */
function jobBehind(metadata) {
  const text = (name) => String(metadata.get(name)[0] ?? "");
  return {
    queuedJobId: text("kongflow-queued-job-id"),
    attempt: Number(text("kongflow-attempt")),
    fencingToken: Number(text("kongflow-fencing-token")),
    environmentId: text("kongflow-environment"),
    idempotencyKey: text("kongflow-idempotency-key"),
  };
}

/** An id that sorts by the time at which it was made: a UUID of version 7. */
function newId() {
  const bytes = crypto.randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const duration = (seconds) => {
  const whole = Math.floor(seconds);
  return { seconds: whole, nanos: Math.round((seconds - whole) * 1e9) };
};

/** A google.rpc.Status; with `retryAfter` (seconds) it says when the job is to be tried again. */
function status({ code, message, retryAfter }) {
  const details = [];
  if (retryAfter !== undefined) {
    const value = google["google.rpc.RetryInfo"].serialize({ retryDelay: duration(retryAfter) });
    // Named as in the .proto: protobufjs knows this message by itself.
    details.push({ type_url: "type.googleapis.com/google.rpc.RetryInfo", value });
  }
  return { code, message, details };
}

/**
 * Answers a single call for one job. `outcome` is {} (done), {snooze: seconds} (call again then;
 * no attempt is spent), or {code, message, retryAfter?} (it failed).
 */
function answer(callback, outcome) {
  const metadata = new grpc.Metadata();
  if (outcome.code) {
    const details = google["google.rpc.Status"].serialize(status(outcome));
    metadata.set("grpc-status-details-bin", details);
    return callback({ code: outcome.code, details: outcome.message, metadata });
  }
  if (outcome.snooze !== undefined) metadata.set("kongflow-snooze", `${outcome.snooze}s`);
  return callback(null, {}, metadata);
}

/** The same outcome as an item of a batch: a kongflow.workerqueue.v1.JobResult. */
function jobResult(outcome) {
  if (outcome.code) return { status: status(outcome) };
  const snooze = outcome.snooze === undefined ? undefined : duration(outcome.snooze);
  return { status: { code: grpc.status.OK }, snooze };
}

/** What a google.protobuf.Value stands for. */
function plain(value) {
  switch (value?.kind) {
    case undefined:
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

module.exports = {
  answer,
  checkCaller,
  jobBehind,
  jobResult,
  load,
  newId,
  plain,
  readIdentity,
  signToken,
};
