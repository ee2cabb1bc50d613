// Jobs that are started otherwise: by schedules, sources, webhooks, HTTP endpoints, or by name.
const {
  cronTrigger,
  DynamicTrigger,
  eventTrigger,
  ExternalSource,
  ExternalSourceTrigger,
  intervalTrigger,
  invokeTrigger,
  WebhookSource,
  WebhookTrigger,
} = require("@trigger.dev/sdk");
const { z } = require("zod");

const echo = async (payload) => ({ payload });

const toy = {
  id: "toy",
  metadata: { id: "toy", name: "Toy" },
  authSource: "LOCAL",
  cloneForRun() {
    return this;
  },
};

const happened = {
  name: "toy.happened",
  title: "Something happened",
  source: "toy",
  icon: "toy",
  parsePayload: (payload) => payload,
  properties: [],
};

function addSchedules(client) {
  client.defineJob({
    id: "every-hour",
    name: "Every hour",
    version: "1.0.0",
    trigger: intervalTrigger({ seconds: 3600 }),
    run: async (payload) => ({ ts: payload.ts }),
  });
  client.defineJob({
    id: "nightly",
    name: "Every night",
    version: "1.0.0",
    trigger: cronTrigger({ cron: "0 3 * * *" }),
    run: async (payload) => ({ ts: payload.ts }),
  });
  client.defineJob({
    id: "on-dynamic-schedule",
    name: "On schedules made later",
    version: "1.0.0",
    trigger: client.defineDynamicSchedule({ id: "reminders" }),
    run: async (payload) => ({ ts: payload.ts }),
  });
}

function addSources(client) {
  const source = new ExternalSource("HTTP", {
    id: "toy.source",
    version: "0.1.0",
    schema: z.object({ room: z.string() }),
    integration: toy,
    key: (params) => `room:${params.room}`,
    filter: (params) => ({ room: [params.room] }),
    register: async () => undefined,
    handler: async () => ({ events: [] }),
    properties: (params) => [{ label: "Room", text: params.room }],
  });
  client.defineJob({
    id: "on-dynamic-trigger",
    name: "On triggers made later",
    version: "1.0.0",
    trigger: new DynamicTrigger(client, { id: "rooms", event: happened, source }),
    run: echo,
  });
  client.defineJob({
    id: "on-source",
    name: "On a source",
    version: "1.0.0",
    trigger: new ExternalSourceTrigger({
      event: happened,
      source,
      params: { room: "cellar" },
      options: {},
    }),
    run: echo,
  });
}

function addHooks(client) {
  const endpoint = client.defineHttpEndpoint(
    { id: "hooks", source: "hooks.example.com", verify: async () => ({ success: true }) },
    true,
  );
  client.defineJob({
    id: "on-hook",
    name: "On requests",
    version: "1.0.0",
    trigger: endpoint.onRequest({ filter: { method: ["POST"] } }),
    run: async (request) => ({ method: request.method, body: await request.json() }),
  });
  const webhook = new WebhookSource({
    id: "toy.webhook",
    version: "0.1.0",
    integration: toy,
    schemas: { params: z.object({ room: z.string() }) },
    key: (params) => `room:${params.room}`,
    crud: { create: async () => undefined, delete: async () => undefined },
    verify: async () => ({ success: true }),
    generateEvents: async () => undefined,
  });
  client.defineJob({
    id: "on-webhook",
    name: "On webhooks",
    version: "1.0.0",
    trigger: new WebhookTrigger({
      event: happened,
      source: webhook,
      params: { room: "kitchen" },
      config: { actions: ["opened"] },
    }),
    run: echo,
  });
}

function addNamedJobs(client, deployment) {
  client.defineJob({
    id: "greet",
    name: deployment.greeting,
    version: "1.0.0",
    trigger: invokeTrigger({ schema: z.object({ name: z.string() }) }),
    run: async (payload) => `${deployment.greeting}, ${payload.name}!`,
  });
  client.defineJob({
    id: "with-examples",
    name: "With examples",
    version: "1.0.0",
    concurrencyLimit: 3,
    trigger: eventTrigger({
      name: "example.this",
      examples: [
        { id: "small", name: "A small one", icon: "account", payload: { size: 1 } },
        { id: "large", name: deployment.greeting, payload: { size: 100 } },
      ],
    }),
    run: echo,
  });
  client.defineJob({
    id: "waits",
    name: "Waits",
    version: "1.0.0",
    trigger: invokeTrigger(),
    run: async (payload, io) => io.wait("a while", 5),
  });
  const shared = client.defineConcurrencyLimit({ id: "printers", limit: 2 });
  for (const id of ["print-left", "print-right"]) {
    client.defineJob({
      id,
      name: id,
      version: "1.0.0",
      concurrencyLimit: shared,
      trigger: invokeTrigger(),
      run: echo,
    });
  }
}

function addOtherJobs(client, deployment) {
  addSchedules(client);
  addSources(client);
  addHooks(client);
  addNamedJobs(client, deployment);
}

module.exports = { addOtherJobs };
