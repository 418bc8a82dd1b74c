// The TypeScript SDK's first line: a client that begins with a handshake (2025-11-25).
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { play, say, want, world } from "./campaign.mjs";

const client = new Client({ name: "typescript-sdk-1", version: "0" });
const transport = new StdioClientTransport({ command: world.server[0], args: world.server.slice(1), env: process.env, stderr: "ignore" });
await client.connect(transport);
const { tools } = await client.listTools(); // compiles every output schema, which answers are held to from here on
say(`${client.getServerVersion().name} ${client.getServerVersion().version}: ${tools.length} tools`);
await client.listPrompts();
let progress = 0;
await play(async (name, args) => {
  const got = await client.callTool({ name, arguments: args }, undefined, { onprogress: () => progress++, resetTimeoutOnProgress: true });
  if (!got.isError) want(JSON.stringify(JSON.parse(got.content[0].text)) === JSON.stringify(got.structuredContent), "the same in both contents");
  return { refused: got.isError === true, answer: got.structuredContent ?? JSON.parse(got.content[0].text) };
});
await client.callTool({ name: "run_shell", arguments: {} }).then(
  (got) => { throw new Error(`an unknown tool was served: ${JSON.stringify(got)}`); },
  (error) => want(error.code === -32602, `-32602 for an unknown tool, got ${error}`),
);
want(progress > 0, "progress while jobs ran");
await client.close();
