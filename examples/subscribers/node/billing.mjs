// Credits the minutes of attended sessions, each once and in order: node billing.mjs JOURNAL
// The journal is effect and position in one line, so that a crash leaves both or neither.
import { existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { Kafka } from "kafkajs";

const { KAFKA_BOOTSTRAP, KAFKA_USERNAME, KAFKA_PASSWORD_FILE, KAFKA_CA_FILE, KAFKA_GROUP } = process.env;
const WANTED = "care.attendance.session-attended.v1";
const path = process.argv[2];

const last = new Map(); // the last number of each stream: source and subject
if (existsSync(path)) {
  const text = readFileSync(path, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1); // a line that a crash cut short never happened
  truncateSync(path, Buffer.byteLength(whole));
  for (const line of whole.split("\n").filter(Boolean)) {
    const entry = JSON.parse(line);
    last.set(entry.stream, entry.number);
  }
}
const journal = openSync(path, "a");

function take(headers, value) {
  const stream = `${headers.ce_source} ${headers.ce_subject}`;
  const number = Number(headers.ce_sequence.toString());
  const before = last.get(stream) ?? 0;
  if (number <= before) return; // it came again
  if (number > before + 1) console.error(`gap in ${stream}: ${before + 1} to ${number - 1}; tell the operators`);
  const entry = { stream, number };
  if (headers.ce_type.toString() === WANTED) {
    const data = JSON.parse(value);
    if (!data.family_only) entry.minutes = data.minutes_credited; // else the patient was not there
  }
  writeSync(journal, JSON.stringify(entry) + "\n"); // events of other types are noted too: their numbers count
  last.set(stream, number);
}

const security = KAFKA_USERNAME && {
  ssl: { ca: [readFileSync(KAFKA_CA_FILE, "utf8")] },
  sasl: { mechanism: "scram-sha-512", username: KAFKA_USERNAME, password: readFileSync(KAFKA_PASSWORD_FILE, "utf8").trim() },
};
const consumer = new Kafka({ brokers: KAFKA_BOOTSTRAP.split(","), ...security }).consumer({
  groupId: KAFKA_GROUP ?? KAFKA_USERNAME ?? "billing",
  sessionTimeout: 10_000,
});
process.once("SIGTERM", () => consumer.disconnect());

await consumer.connect();
await consumer.subscribe({ topic: "care.attendance", fromBeginning: true });
await consumer.run({
  eachBatch: async ({ batch, resolveOffset }) => {
    for (const message of batch.messages) take(message.headers, message.value);
    fsyncSync(journal); // before the offset is committed
    if (batch.messages.length) resolveOffset(batch.lastOffset());
  },
});
