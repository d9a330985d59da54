// Writes the types of the API, from its description on standard input, with paths below its prefix.
import { writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import openapi, { astToString } from "openapi-typescript";

const prefix = "/api/v1";
const description = JSON.parse(await text(process.stdin));
description.paths = Object.fromEntries(Object.entries(description.paths).map(([path, item]) => [path.replace(prefix, ""), item]));
await writeFile("src/api/schema.ts", astToString(await openapi(description)));
