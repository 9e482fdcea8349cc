// The stock JavaScript client in the line protocol of ../README.md: one device, commands in, sightings out.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const { io } = createRequire(process.cwd() + "/")("socket.io-client");
const see = (sighting) => process.stdout.write(JSON.stringify(sighting) + "\n");
let socket;

function connect({ url, transports, auth, authorization }) {
  const extraHeaders = authorization ? { authorization } : {};
  socket = io(url, { transports, auth: auth ?? undefined, extraHeaders, reconnection: false, forceNew: true });
  socket.on("connect", () => see({ saw: "connect" }));
  socket.on("connect_error", (error) => see({ saw: "refused", text: error.message }));
  socket.on("disconnect", (reason) => see({ saw: "disconnect", text: reason }));
  socket.onAny((event, payload) => see({ saw: "event", event, payload }));
}

const commands = {
  connect,
  emit({ event, payload, ack }) {
    if (ack) socket.emit(event, payload, (answer) => see({ saw: "ack", event, payload: answer }));
    else socket.emit(event, payload);
  },
  disconnect() {
    socket.disconnect();
    setTimeout(() => process.exit(0), 50);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  commands[command.do](command);
}
process.exit(0);
