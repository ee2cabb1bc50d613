"use strict";

// What a measured queue's program does, whatever the queue: the commands of ../program.py.

const WARM_UP = 25;

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const now = () => performance.timeOrigin + performance.now();

function tally(expected) {
  let left = expected;
  let first = 0;
  const latencies = [];
  return (sent) => {
    const moment = now();
    first ||= moment;
    if (sent) latencies.push(moment - sent / 1000);
    left -= 1;
    if (left === 0) say({ first: first / 1000, last: moment / 1000, latencies });
  };
}

async function enqueue(queue, size, callers, seconds) {
  const caller = async (until) => {
    let requests = 0;
    while (now() < until) {
      await (size > 1 ? queue.addMany(size) : queue.add(0));
      requests += 1;
    }
    return requests;
  };
  const all = (until) => Promise.all(Array.from({ length: callers }, () => caller(until)));
  await all(now() + 500);
  const started = now();
  const requests = await all(started + seconds * 1000);
  const jobs = requests.reduce((sum, each) => sum + each, 0) * size;
  say({ jobs, seconds: (now() - started) / 1000 });
}

async function send(queue, rate, seconds) {
  for (let number = 0; number < WARM_UP; number += 1) {
    await queue.add(0);
    await sleep(1000 / rate);
  }
  const started = now();
  const sending = [];
  for (let number = 0; number < rate * seconds; number += 1) {
    await sleep(Math.max(0, started + (number * 1000) / rate - now()));
    sending.push(queue.add(Math.round(now() * 1000)));
  }
  await Promise.all(sending);
  say({ jobs: sending.length });
}

async function main(queue) {
  const [command, ...words] = process.argv.slice(2);
  const numbers = words.map(Number);
  await queue.open(command);
  if (command === "work") {
    await queue.work(tally(numbers[0]));
    return;
  }
  if (command === "prepare") {
    await queue.prepare();
    say({});
  } else if (command === "enqueue") {
    await enqueue(queue, ...numbers);
  } else if (command === "fill") {
    for (let stored = 0; stored < numbers[0]; stored += 100) await queue.addMany(100);
    say({ jobs: numbers[0] });
  } else if (command === "send") {
    await send(queue, ...numbers);
  } else {
    throw new Error(`no such command: ${command}`);
  }
  process.exit(0);
}

module.exports = { main };
