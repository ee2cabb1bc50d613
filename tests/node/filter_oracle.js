// What the published SDK says of payloads and filters.
//
// Reads lines {"payload": ..., "filter": ...} and answers each by two words: what the filter says of
// the payload itself, and what a dispatcher with this payload filter says of an event with this
// payload. A word is true, false, invalid (the schema refuses the filter) or throws.
const readline = require("node:readline");
const { EventFilterSchema, eventFilterMatches } = require("@trigger.dev/core");

function verdict(value, filter) {
  const parsed = EventFilterSchema.safeParse(filter);
  if (!parsed.success) return "invalid";
  try {
    return String(eventFilterMatches(value, parsed.data));
  } catch (error) {
    return "throws";
  }
}

const answers = [];
readline
  .createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on("line", (line) => {
    const { payload, filter } = JSON.parse(line);
    const event = { payload: payload ?? {}, context: {} };
    const declared = filter ?? {};
    // A dispatcher is registered with a filter of its own before it is ever asked.
    const registered = EventFilterSchema.safeParse(declared).success;
    const taken = registered ? verdict(event, { payload: declared, context: {} }) : "invalid";
    answers.push(`${verdict(payload, filter)} ${taken}\n`);
  })
  .on("close", () => process.stdout.write(answers.join("")));
