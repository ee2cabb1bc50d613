// A program whose jobs KongFlow runs, written with the SDK of trigger.dev v2.
//
//   TRIGGER_API_KEY=tr_dev_... PORT=3000 npm start
const express = require("express");
const { eventTrigger, invokeTrigger, TriggerClient } = require("@trigger.dev/sdk");
const { createMiddleware } = require("@trigger.dev/express");
const { z } = require("zod");

const client = new TriggerClient({
  id: "node-example",
  apiKey: process.env.TRIGGER_API_KEY,
});

client.defineJob({
  id: "charge-large-order",
  name: "Charge a large order",
  version: "1.0.0",
  trigger: eventTrigger({
    name: "order.created",
    filter: { amount: [{ $gte: 100 }] },
    schema: z.object({ amount: z.number(), customer: z.string() }),
  }),
  run: async (order) => ({ charged: order.amount, customer: order.customer }),
});

client.defineJob({
  id: "welcome-user",
  name: "Welcome a user",
  version: "1.0.0",
  trigger: eventTrigger({
    name: ["user.created", "user.invited"],
    filter: { email: [{ $endsWith: "@example.com" }], blocked: [{ $exists: false }] },
  }),
  run: async (user, io, ctx) => `Welcome, ${user.name ?? "stranger"}! (run ${ctx.run.id})`,
});

client.defineJob({
  id: "divide",
  name: "Divide two numbers",
  version: "1.0.0",
  trigger: invokeTrigger({ schema: z.object({ dividend: z.number(), divisor: z.number() }) }),
  run: async ({ dividend, divisor }) => {
    if (divisor === 0) throw new RangeError("Nothing can be divided by 0");
    return dividend / divisor;
  },
});

const app = express();
app.use(createMiddleware(client));
const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/api/trigger`);
});
