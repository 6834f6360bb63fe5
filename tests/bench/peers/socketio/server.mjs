// Socket.IO as a target of the bench: forwards each message to the partner and acks it, nothing else.
// The partner of user n is n XOR 1. WebSocket only and no compression: its fastest configuration.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
const members = new Map();

io.on("connection", (socket) => {
  const user = socket.handshake.auth.user;
  members.set(user, socket);
  socket.on("m", (text, ack) => {
    members.get(user ^ 1)?.emit("m", text);
    ack();
  });
  socket.on("disconnect", () => {
    if (members.get(user) === socket) {
      members.delete(user);
    }
  });
});

http.listen(0, process.argv[2] ?? "127.0.0.1", () => {
  const { address, port } = http.address();
  console.log(`ready address=${address}:${port}`);
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => process.exit(0));
}
