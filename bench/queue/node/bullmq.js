"use strict";

// BullMQ: Redis alone, finished jobs removed as its page on production recommends.

const { Queue, Worker } = require("bullmq");
const IORedis = require("ioredis");
const { main } = require("./program");

const CONCURRENCY = 100;
const REMOVED = { removeOnComplete: true };

const connection = new IORedis(process.env.BENCH_REDIS_URL, { maxRetriesPerRequest: null });

let queue;

main({
  open: async (command) => {
    if (command !== "work") queue = new Queue("bench", { connection });
  },
  prepare: async () => {},
  add: (sent) => queue.add("noop", { sent }, REMOVED),
  addMany: (count) =>
    queue.addBulk(
      Array.from({ length: count }, () => ({ name: "noop", data: { sent: 0 }, opts: REMOVED })),
    ),
  work: async (onJob) => {
    new Worker("bench", async (job) => onJob(job.data.sent), {
      connection,
      concurrency: CONCURRENCY,
    });
  },
});
