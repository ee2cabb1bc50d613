// Jobs that events start: every family of filters, and every kind of end.
const { eventTrigger } = require("@trigger.dev/sdk");
const { z } = require("zod");

const echo = async (payload) => ({ payload });

function addFilterJobs(client, deployment) {
  const filters = {
    text: { sku: [{ $startsWith: "A-" }], mail: [{ $endsWith: "@example.com" }] },
    case: { city: [{ $ignoreCaseEquals: "Málaga" }] },
    presence: { coupon: [{ $exists: true }], cancelled: [{ $isNull: true }] },
    absence: { coupon: [{ $exists: false }], cancelled: [{ $isNull: false }] },
    range: { total: [{ $gt: 10 }, { $lt: 1000 }], weight: [{ $between: [1, 10] }] },
    lists: {
      tags: [{ $includes: "vip" }],
      state: [{ $not: "draft" }],
      channel: [{ $anythingBut: ["mail", "fax"] }],
    },
    nested: { customer: { country: ["DE", "AT"] }, lines: { sku: ["A-1"], count: [1, 2] } },
  };
  for (const [name, filter] of Object.entries(filters)) {
    client.defineJob({
      id: `order-${name}`,
      name: `Orders by ${name}`,
      version: "1.0.0",
      trigger: eventTrigger({ name: "order.placed", filter }),
      run: echo,
    });
  }
  client.defineJob({
    id: "order-numbers",
    name: "Orders by numbers",
    version: deployment.numbers.version,
    trigger: eventTrigger({
      name: "order.placed",
      filter: { total: [{ $gte: deployment.numbers.least }], weight: [{ $lte: 20 }] },
    }),
    run: async (payload, io, ctx) => ({ payload, version: ctx.job.version }),
  });
  if (!deployment.everyFilter) return;
  client.defineJob({
    id: "order-any",
    name: "All orders",
    version: "1.0.0",
    trigger: eventTrigger({ name: "order.placed" }),
    run: echo,
  });
}

function addNameJobs(client, deployment) {
  client.defineJob({
    id: "many-names",
    name: "Several names",
    version: "1.0.0",
    enabled: deployment.everyName,
    trigger: eventTrigger({ name: ["user.created", "user.updated"] }),
    run: echo,
  });
  client.defineJob({
    id: "other-source",
    name: "Another source",
    version: "1.0.0",
    trigger: eventTrigger({ name: "user.created", source: "shop" }),
    run: echo,
  });
  client.defineJob({
    id: "switched-off",
    name: "Switched off at first",
    version: "1.0.0",
    enabled: deployment.switchedOff,
    trigger: eventTrigger({ name: "user.created" }),
    run: echo,
  });
}

class PaymentRefused extends Error {
  name = "PaymentRefused";
}

const returned = {
  undefined: undefined,
  null: null,
  zero: 0,
  number: 12.5,
  large: 1e21,
  string: "straße 😀",
  empty: "",
  boolean: false,
  list: [1, null, "x", { y: [] }],
  object: { a: { b: null }, "c.d": true, gone: undefined },
  date: new Date("2026-01-02T03:04:05.678Z"),
  nothing: NaN,
  half: "\ud83d",
  nul: "a\u0000b",
};

const thrown = {
  error: () => new Error("boom"),
  named: () => new PaymentRefused("The card was refused"),
  empty: () => new Error(""),
  text: () => "just words",
};

function addEndJobs(client) {
  client.defineJob({
    id: "returns",
    name: "Returns what it is told to",
    version: "1.0.0",
    trigger: eventTrigger({ name: "return.this" }),
    run: async (payload) => returned[payload.what],
  });
  client.defineJob({
    id: "throws",
    name: "Throws what it is told to",
    version: "1.0.0",
    trigger: eventTrigger({ name: "throw.this" }),
    run: async (payload) => {
      throw thrown[payload.what]();
    },
  });
  client.defineJob({
    id: "checked",
    name: "Takes what its schema says",
    version: "1.0.0",
    trigger: eventTrigger({
      name: "check.this",
      schema: z.object({ id: z.string(), count: z.number().int().default(1) }),
    }),
    run: echo,
  });
  client.defineJob({
    id: "context",
    name: "Returns its context",
    version: "1.2.3",
    trigger: eventTrigger({ name: "context.this" }),
    run: async (payload, io, ctx) => ctx,
  });
}

function addEventJobs(client, deployment) {
  addFilterJobs(client, deployment);
  addNameJobs(client, deployment);
  addEndJobs(client);
}

module.exports = { addEventJobs };
