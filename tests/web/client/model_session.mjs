// What the gateway of a test says to one client, as docs/protocol.md has it.

/** Whose a channel is; undefined: everybody's. */
export const ownerOf = (channel) => /^user:([^:]+):/.exec(channel)?.[1];

/** What the gateway knows of a client; `line.show` is how it is told something. */
export class Session {
  identity;
  warnAt = Infinity;
  /** How many events of each channel the client has been sent. */
  places = new Map();

  constructor(gateway, line, identity) {
    Object.assign(this, { gateway, line });
    this.identify(identity);
    this.tell({ type: 'welcome', connection: 'c', ...gateway.freshness(), ...this.introduction() });
  }

  tell(message) {
    this.line.show(message);
  }

  introduction() {
    const { identity } = this;
    return identity ? { user: identity.user, roles: [], expiresIn: Math.floor((identity.endsAt - Date.now()) / 1000) } : {};
  }

  identify(identity) {
    this.identity = identity;
    if (identity) this.warnAt = identity.endsAt - this.gateway.random(30, 90) * 1000;
  }

  look() {
    const now = Date.now();
    if (!this.identity) return;
    if (now >= this.identity.endsAt) this.endIdentity('token_expired');
    else if (now >= this.warnAt) {
      this.warnAt = Infinity;
      this.tell({ type: 'token_expiring', expiresIn: Math.floor((this.identity.endsAt - now) / 1000) });
    }
  }

  endIdentity(reason) {
    this.identity = undefined;
    for (const [channel, place] of this.places) {
      if (!ownerOf(channel)) continue;
      this.places.delete(channel);
      this.tell({ type: 'unsubscribed', channel, reason, position: `p${place}` });
    }
  }

  onMessage(message) {
    const { type, channel, id, position, snapshot, token } = message;
    const fail = (code) => this.tell({ type: 'error', code, message: `It is ${code}.`, id, channel });
    if (type === 'ping') {
      const positions = Object.fromEntries([...this.places].map(([name, place]) => [name, `p${place}`]));
      this.tell({ type: 'pong', ...this.gateway.freshness(), positions });
    } else if (type === 'subscribe') {
      this.places.delete(channel);
      if (ownerOf(channel) && ownerOf(channel) !== this.identity?.user) fail('unauthorized');
      else if (this.gateway.isBusy()) fail('unavailable');
      else this.subscribe(channel, id, position, snapshot);
    } else if (type === 'unsubscribe') {
      if (this.places.delete(channel)) this.tell({ type: 'unsubscribed', channel });
      else fail('not_subscribed');
    } else if (type === 'auth') {
      this.authenticate(token, id, fail);
    } else if (type === 'reservation.ack') {
      this.gateway.onReceived(message, this.identity?.user);
      if (!this.identity) fail('unauthorized');
      else if (this.gateway.isBusy()) fail('unavailable');
      else this.tell({ type: 'acked', id });
    }
  }

  authenticate(token, id, fail) {
    const identity = this.gateway.identityOf(token);
    if (token === null) {
      this.tell({ type: 'authenticated', id, roles: [] });
      this.endIdentity('signed_out');
    } else if (this.gateway.isBusy()) fail('unavailable');
    else if (!identity) fail('bad_token');
    else if (this.identity && this.identity.user !== identity.user) fail('other_user');
    else {
      this.identify(identity);
      this.tell({ type: 'authenticated', id, ...this.introduction() });
    }
  }

  subscribe(channel, id, position, snapshot) {
    const { begin, end } = this.gateway.logOf(channel);
    const from = position === undefined ? end : Number(position.slice(1));
    const isRecovered = from >= begin && from <= end;
    this.places.set(channel, isRecovered ? from : end);
    const answer = { type: 'subscribed', channel, id, position: `p${isRecovered ? from : end}` };
    if (position === undefined) this.tell(answer);
    else if (isRecovered) this.tell({ ...answer, recovered: true, replayed: end - from });
    else this.tell({ ...answer, recovered: false, reason: 'expired' });
    if (!isRecovered || (position === undefined && snapshot)) this.show(channel);
    this.catchUp(channel);
  }

  show(channel, more = {}) {
    const { end } = this.gateway.logOf(channel);
    this.places.set(channel, end);
    this.tell({ type: 'snapshot', channel, position: `p${end}`, complete: true, data: { up: end }, ...more });
  }

  catchUp(channel) {
    const { end } = this.gateway.logOf(channel);
    for (let number = this.places.get(channel) + 1; number <= end; number++) {
      this.places.set(channel, number);
      this.tell({ type: 'table.updated', channel, position: `p${number}`, timestamp: 't', data: { number } });
    }
  }
}
