// Reads an AsyncAPI document with the official parser; exit 1 on any error.
//
//   node validate.mjs path/to/asyncapi.yaml
//
// Warnings and hints are printed, but only errors fail: a newer parser may hint at something new.

import { Parser, fromFile } from '@asyncapi/parser';

const ERROR = 0;
const path = process.argv[2];
if (!path) {
  console.error('usage: node validate.mjs <asyncapi.yaml>');
  process.exit(2);
}

// A parser that accepts everything would make this check worthless, so it has to refuse this first.
const broken = `
asyncapi: 3.0.0
info: { title: broken, version: 1.0.0 }
channels: { intake: { address: care.intake } }
operations: { intakeSends: { action: shout, channel: { $ref: '#/channels/nowhere' } } }
`;
const refused = await new Parser().parse(broken);
if (!refused.diagnostics.some(({ severity }) => severity === ERROR)) {
  console.error('the parser accepts a broken document: this check proves nothing');
  process.exit(1);
}

const { document, diagnostics } = await fromFile(new Parser(), path).parse();

const errors = diagnostics.filter(({ severity }) => severity === ERROR);
for (const { severity, code, message, path: where, range } of diagnostics) {
  const kind = severity === ERROR ? 'error' : 'note';
  console.error(`${kind} ${code} line ${range.start.line + 1} ${where.join('.')}: ${message}`);
}

if (!document || errors.length > 0) {
  console.error(`${path}: ${errors.length} errors`);
  process.exit(1);
}

const channels = document.channels().all().length;
const messages = document.messages().all().length;
if (channels === 0 || messages === 0) {
  console.error(`${path}: says nothing (${channels} channels, ${messages} messages)`);
  process.exit(1);
}
console.log(`${path}: ${channels} channels, ${messages} messages, no errors`);
