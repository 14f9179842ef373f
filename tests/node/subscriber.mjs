// A subscriber that reports all that it receives: the same in a page and in Node.

/**
 * Subscribe to `channels` of the gateway at `url`, and `report` what becomes of it:
 * {subscribed: channel, position}, {message}, {status}, {closed: code}, {signedOut}, {error: code}, {drained: number}.
 */
export function subscribe({ MesaYA, url, channels, snapshot, token, options, report }) {
  const client = new MesaYA(url, { token, ...options });
  let known;
  client.on('status', ({ state, reason }) => {
    if (reason && reason !== known) report({ closed: reason.code });
    known = reason;
    report({ status: state });
  });
  client.on('signedOut', ({ reason }) => report({ signedOut: reason }));
  client.on('error', ({ code }) => report({ error: code }));

  async function follow(channel) {
    const subscription = client.subscribe(channel, { snapshot });
    subscription.ready.then(() => report({ subscribed: channel, position: subscription.position }));
    for await (const message of subscription) report({ message });
  }
  for (const channel of channels) follow(channel);

  return {
    reconnect: () => client.reconnect(),
    close: () => client.close(),
    /** Report when all that had been sent before has been received: the state of another channel comes after it. */
    drain(number) {
      const subscription = client.subscribe(`restaurant:echo-${number}:menu`, { snapshot: true });
      subscription.on('snapshot', () => {
        subscription.close();
        report({ drained: number });
      });
    },
  };
}
