// Socket.IO as a target of the bench: forwards each message to the partner and acks it, nothing else.
// The partner of user n is n XOR 1. WebSocket only and no compression: its fastest configuration.
//
//   node server.mjs [ADDRESS [REDIS_URL]]
//
// With Redis it is one of several nodes: each user has a Socket.IO room, which the Redis adapter
// reaches on any node.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [address = "127.0.0.1", redisUrl] = process.argv.slice(2);
const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });

if (redisUrl) {
  const publisher = createClient({ url: redisUrl });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  io.adapter(createAdapter(publisher, subscriber));
  forwardBetweenNodes();
} else {
  forwardHere();
}

function forwardBetweenNodes() {
  io.on("connection", (socket) => {
    const { user } = socket.handshake.auth;
    socket.join(`user ${user}`);
    socket.on("m", (text, ack) => {
      io.to(`user ${user ^ 1}`).emit("m", text);
      ack();
    });
  });
}

function forwardHere() {
  const members = new Map();
  io.on("connection", (socket) => {
    const { user } = socket.handshake.auth;
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
}

http.listen(0, address, () => {
  console.log(`ready address=${address}:${http.address().port}`);
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => process.exit(0));
}
