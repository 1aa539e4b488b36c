// Types of all events, from their published schemas: `node generate.mjs SCHEMAS OUT` writes OUT/ts/<type>.ts and
// OUT/events/events.go. docs/subscribing.md has the commands; tests/integration/test_generated_types.py compiles both.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile } from "json-schema-to-typescript";
import { FetchingJSONSchemaStore, InputData, JSONSchemaInput, quicktype } from "quicktype-core";

const [schemas, out] = process.argv.slice(2);
const files = readdirSync(schemas).filter((name) => name.endsWith(".json")).sort();
const texts = files.map((name) => readFileSync(join(schemas, name), "utf8"));

mkdirSync(join(out, "ts"), { recursive: true });
mkdirSync(join(out, "events"), { recursive: true });

for (const [at, text] of texts.entries()) {
  const { $id, ...schema } = JSON.parse(text); // the type's name is the title
  const code = await compile(schema, schema.title, { bannerComment: `// ${$id}`, format: false });
  writeFileSync(join(out, "ts", files[at].replace(/json$/, "ts")), code);
}

const input = new JSONSchemaInput(new FetchingJSONSchemaStore());
for (const schema of texts) {
  await input.addSource({ name: JSON.parse(schema).title, schema });
}
const inputData = new InputData();
inputData.addInput(input);
const { lines } = await quicktype({ inputData, lang: "go", rendererOptions: { package: "events" } });
writeFileSync(join(out, "events", "events.go"), lines.join("\n"));
