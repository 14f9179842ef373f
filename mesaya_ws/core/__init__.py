"""The rules of the gateway: no I/O, no Trio, no clock; whatever is needed of the world comes in as an argument.

To find the way, in the order in which a record goes through:

- the log: `event_log` (its interface), `ordering` (its records as one sequence), `position` (places in it);
- what a record means: `records`, `entity`, `entities`, `fields`, `found`, then `projections` (all that is known);
- whom it concerns: `channels`, `routing` with `floor_plan` and `reservations`, and what comes of it, `outcome`;
- publishing: `feed`, which has the log come in and keeps the place, `window`, `hub`, `frames`, `freshness`;
- one client: `session` and `protocol`, with `permissions`; what it is told, `delivery`; what it starts from,
  `snapshots`; what it missed, `resume`, `past` and `replay`; when it is slow, `folding`;
- saying no: `closing` (WebSocket), `http_errors`, `head` (a request's), `structuring` (a message's fields);
- the instance itself: `status`, `checkpoint` (what is known, as records), `restarts` (of workers).
"""
