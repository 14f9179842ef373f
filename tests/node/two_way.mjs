// node two_way.mjs URL: people with the JavaScript client at the service at URL, who chat, hold tables and look on.
// Lines there: {"who": name, "token": text} lets somebody in; then {"who", "call": [name, ...arguments], "as": word}, of the client,
// or with "on": word of what an earlier call has returned. Reported are {"who", "as", "done"} or {"who", "as", "failed": code}; of a chat also
// {"who", "messages": [[from, text, status]]}, {"who", "unread"}, {"who", "typing"}; of a hold {"who", "held": {tables, remaining}}
// and {"who", "ended": reason}; {"who", "viewers"}; {"who", "state"}. It ends when its standard input does.

import readline from 'node:readline';
import WebSocket from 'ws';
import { MesaYA } from '../../mesaya_ws/web/client/mesaya-ws.js';

const people = new Map();

class Person {
  #results = new Map();

  constructor(name, token) {
    this.report = (what) => process.stdout.write(`${JSON.stringify({ who: name, ...what })}\n`);
    this.client = new MesaYA(process.argv[2], { WebSocket, token });
    this.client.on('status', ({ state }) => this.report({ state }));
  }

  async call([name, ...given], on, as) {
    const target = on === undefined ? this.client : this.#results.get(on);
    try {
      const result = await this.#watched(name, target[name](...given));
      this.#results.set(as, result);
      this.report({ as, done: true });
    } catch (error) {
      this.report({ as, failed: error.code ?? error.name });
    }
  }

  async #watched(name, result) {
    if (name === 'chat') {
      const shown = { messages: (all) => all.map((it) => [it.from, it.text, it.status]), unread: (it) => it, typing: (it) => it };
      for (const [store, of] of Object.entries(shown)) {
        result[store].subscribe(() => this.report({ [store]: of(result[store].get()) }));
      }
    } else if (name === 'send') {
      await result.done;
    } else if (name === 'subscribe') {
      result.on('presence', ({ viewers, guest, restaurant }) => this.report({ viewers: viewers ?? { guest, restaurant } }));
    } else if (name === 'hold') {
      const hold = await result;
      this.report({ held: { tables: hold.tables, remaining: hold.remaining() } });
      hold.ended.then((ended) => this.report({ ended }));
      return hold;
    }
    return result;
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { who, token, call, on, as } = JSON.parse(line);
  if (token) people.set(who, new Person(who, token));
  if (call) people.get(who).call(call, on, as);
}
process.exit(0);
