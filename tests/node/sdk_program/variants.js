// What the program holds: `first`, and what a later deployment made of it. `empty` holds nothing.
const { addEventJobs } = require("./event_jobs");
const { addOtherJobs } = require("./other_jobs");

const FIRST = {
  numbers: { version: "1.0.0", least: 100 },
  greeting: "Good day",
  everyName: true,
  everyFilter: true,
  switchedOff: false,
};

const SECOND = {
  numbers: { version: "1.1.0", least: 500 },
  greeting: "Good evening",
  everyName: false,
  everyFilter: false,
  switchedOff: true,
};

function holding(deployment) {
  return (client) => {
    addEventJobs(client, deployment);
    addOtherJobs(client, deployment);
  };
}

const variants = {
  first: holding(FIRST),
  second: holding(SECOND),
  // Changed once more, but the version of the job with numbers is an old one again.
  third: holding({ ...SECOND, numbers: { version: "1.0.0", least: 10 }, greeting: "Good night" }),
  empty: () => {},
};

module.exports = { variants };
