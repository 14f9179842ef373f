// A subscriber that tells all that it receives: the same in a page and in Node.

/**
 * Subscribe to `channels` of the gateway at `url`, and `tell` what becomes of it:
 * {subscribed: channel, position}, {message}, {status}, {closed: code}, {signedOut}, {error: code}, {drained: number}.
 */
export function subscribe({ MesaYA, url, channels, snapshot, token, options, tell }) {
  const client = new MesaYA(url, { token, ...options });
  let known;
  client.on('status', ({ state, reason }) => {
    if (reason && reason !== known) tell({ closed: reason.code });
    known = reason;
    tell({ status: state });
  });
  client.on('signedOut', ({ reason }) => tell({ signedOut: reason }));
  client.on('error', ({ code }) => tell({ error: code }));

  async function follow(channel) {
    const subscription = client.subscribe(channel, { snapshot });
    subscription.ready.then(() => tell({ subscribed: channel, position: subscription.position }));
    for await (const message of subscription) tell({ message });
  }
  for (const channel of channels) follow(channel);

  return {
    reconnect: () => client.reconnect(),
    close: () => client.close(),
    /** Tell when all that had been sent before has been received: the state of another channel comes after it. */
    drain(number) {
      const subscription = client.subscribe(`restaurant:echo-${number}:menu`, { snapshot: true });
      subscription.on('snapshot', () => {
        subscription.close();
        tell({ drained: number });
      });
    },
  };
}
