"use strict";

// graphile-worker, with the batching that its manual recommends to start with: as many jobs at
// once as its page on performance has, one more in the local queue, completions without delay.

const { Logger, makeWorkerUtils, run } = require("graphile-worker");
const { main } = require("./program");

const CONCURRENT_JOBS = 24;
const LOCAL_QUEUE = Number(process.env.BENCH_LOCAL_QUEUE ?? CONCURRENT_JOBS + 1);
const BATCH_DELAY = Number(process.env.BENCH_BATCH_DELAY ?? 0);

const connection = {
  connectionString: process.env.BENCH_DATABASE_URL,
  maxPoolSize: CONCURRENT_JOBS + 2,
  // A line for each job would be its largest cost.
  logger: new Logger(() => () => {}),
};

let utils;

main({
  open: async (command) => {
    if (command !== "work") utils = await makeWorkerUtils(connection);
  },
  prepare: () => utils.migrate(),
  add: (sent) => utils.addJob("noop", { sent }),
  addMany: (count) =>
    utils.addJobs(
      Array.from({ length: count }, () => ({ identifier: "noop", payload: { sent: 0 } })),
    ),
  work: (onJob) =>
    run({
      ...connection,
      noHandleSignals: true,
      taskList: { noop: async (payload) => onJob(payload.sent) },
      preset: {
        worker: {
          concurrentJobs: CONCURRENT_JOBS,
          localQueue: { size: LOCAL_QUEUE },
          completeJobBatchDelay: BATCH_DELAY,
          failJobBatchDelay: BATCH_DELAY,
        },
      },
    }),
});
