// Tells the mosaic-agent sidecar of this session which prompts opencode takes. Outside a fleet it does nothing.
export const MosaicAgent = async () => {
  const path = process.env.MOSAIC_AGENT_SOCK;
  if (!path) return {};
  const net = await import("node:net");
  const busy = new Set();

  function tell(event, text) {
    try {
      let line = JSON.stringify({ op: "hook", event, text }) + "\n";
      // The sidecar takes no longer line. Without its text it still is an event.
      if (Buffer.byteLength(line) > 500000) line = JSON.stringify({ op: "hook", event }) + "\n";
      const socket = net.connect(path);
      let answers = 0;
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        for (const byte of bytes) if (byte === 10) answers += 1;
        if (answers > 1) socket.destroy();
      });
      socket.setTimeout(1000, () => socket.destroy());
      socket.unref();
      socket.write(line);
    } catch {}
  }

  return {
    // A message of the user was made; while a turn runs, opencode queues it.
    "chat.message": async (input, output) => {
      try {
        const parts = output.parts.filter((part) => part.type === "text" && !part.synthetic);
        const event = busy.has(input.sessionID) ? "chat.message.queued" : "chat.message";
        tell(event, parts.map((part) => part.text).join("\n"));
      } catch {}
    },
    event: async ({ event }) => {
      try {
        const { sessionID, status } = event.properties;
        if (event.type === "session.status" && status.type !== "idle") busy.add(sessionID);
        if (event.type === "session.idle") {
          busy.delete(sessionID);
          tell("session.idle");
        }
      } catch {}
    },
  };
};
