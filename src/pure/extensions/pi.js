// Tells the mosaic-agent sidecar of this session which prompts pi takes. Outside a fleet it does nothing.
import net from "node:net";

export default function (pi) {
  const path = process.env.MOSAIC_AGENT_SOCK;
  if (!path) return;

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

  function words(content) {
    if (typeof content === "string") return content;
    return content.filter((part) => part.type === "text").map((part) => part.text).join("\n");
  }

  // Taken into the conversation.
  pi.on("message_start", (event) => {
    try {
      if (event.message.role === "user") tell("message_start", words(event.message.content));
    } catch {}
  });
  // Submitted while a turn runs: pi queues it.
  pi.on("input", (event, context) => {
    try {
      if (!context.isIdle()) tell("input", event.text);
    } catch {}
  });
  pi.on("agent_end", () => tell("agent_end"));
}
