// The TypeScript SDK's second line: a client without a handshake (2026-07-28).
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { play, say, want, world } from "./campaign.mjs";

const client = new Client({ name: "typescript-sdk-2", version: "0" }, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
await client.connect(new StdioClientTransport({ command: world.server[0], args: world.server.slice(1), env: process.env, stderr: "ignore" }));
const { tools } = await client.listTools();
say(`${client.getServerVersion()?.name} ${client.getServerVersion()?.version}: ${tools.length} tools, protocol ${client.getNegotiatedProtocolVersion()}`);
want(client.getNegotiatedProtocolVersion() === "2026-07-28", "the newer era");
await client.listPrompts();
let progress = 0;
await play(async (name, args) => {
  const got = await client.callTool({ name, arguments: args }, { onprogress: () => progress++, resetTimeoutOnProgress: true });
  if (!got.isError) want(JSON.stringify(JSON.parse(got.content[0].text)) === JSON.stringify(got.structuredContent), "the same in both contents");
  return { refused: got.isError === true, answer: got.structuredContent ?? JSON.parse(got.content[0].text) };
});
await client.callTool({ name: "run_shell", arguments: {} }).then(
  (got) => { throw new Error(`an unknown tool was served: ${JSON.stringify(got)}`); },
  (error) => want(error.code === -32602, `-32602 for an unknown tool, got ${error}`),
);
want(progress > 0, "progress while jobs ran");
await client.close();
