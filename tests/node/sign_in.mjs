// node sign_in.mjs URL: a client of the service at URL, with the JavaScript client; its token source is standard input.
// Lines there: {"token": text or null} is what the source returns from now on, {"subscribe": channel}, {"call": "authenticate"}
// and the like, {"publish": [channel, text]}. Reported are {"asked": why}, {"state", "user": name or null}, {"live": channel, "recovered"}, {"ended": {channel, reason,
// again}}, {"received": [channel, type]}, {"signedOut": reason}, {"done": "authenticate"}, {"published": position}, {"rejected": code}. It ends when its
// standard input does.

import readline from 'node:readline';
import WebSocket from 'ws';
import { MesaYA } from '../../mesaya_ws/web/client/mesaya-ws.js';

const report = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

let token = null;
const client = new MesaYA(process.argv[2], {
  WebSocket,
  token: async (why) => {
    report({ asked: why });
    return token;
  },
});

client.on('status', ({ state, user }) => report({ state, user: user ?? null }));
client.on('signedOut', ({ reason }) => report({ signedOut: reason }));
client.on('message', (message) => {
  if (message.type === 'subscribed') report({ live: message.channel, recovered: message.recovered ?? null });
});

const acts = {
  token: (value) => (token = value),
  subscribe(channel) {
    const subscription = client.subscribe(channel);
    subscription.on('message', ({ type, position }) => report({ received: [channel, type], position }));
    subscription.on('ended', (why) => report({ ended: { channel, ...why } }));
  },
  publish: async ([channel, text]) => report({ published: (await client.publish(channel, { text })).position }),
  call: async (name) => {
    try {
      await client[name]();
      report({ done: name });
    } catch (error) {
      report({ rejected: error.code });
    }
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  for (const [act, value] of Object.entries(JSON.parse(line))) acts[act](value);
}
process.exit(0);
