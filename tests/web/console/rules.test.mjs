// What the console's pages are computed from, without a browser: the floor plan, and the rows of Watch.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { EMPTY, boxOf, chairsOf, heldTables, layoutOf, neighbour, planAfter, roomsOf, stateOf } from '../../../mesaya_ws/web/console/plan.js';
import { History, digest, lags, parseMetrics, recordsByTopic } from '../../../mesaya_ws/web/console/metrics.js';
import { recordOf } from '../../../mesaya_ws/web/console/record.js';
import { WatchRows, lineOf } from '../../../mesaya_ws/web/console/watch-rows.js';
import { WatchedChannels } from '../../../mesaya_ws/web/console/watched-channels.js';

const message = (type, data, more = {}) => ({ type, data, timestamp: '2026-01-20T18:00:00.000Z', ...more });
const section = (id, more = {}) => ({ sectionId: id, name: id, width: 400, height: 300, posX: 0, posY: 0, ...more });
const table = (id, more = {}) => ({ tableId: id, sectionId: 's', number: 1, status: 'available', posX: 0, posY: 0, ...more });
const planOf = (...messages) => messages.reduce((plan, one) => planAfter(plan, one, 0), undefined);

describe('plan', () => {
  const whole = message('snapshot', { sections: [section('s')], tables: [table('t')], sectionObjects: [{ sectionObjectId: 'o', sectionId: 's', objectId: 'm' }] });

  test('a snapshot replaces all, and no table counts as changed', () => {
    const plan = planOf(message('table.created', table('old')), whole);
    assert.deepEqual([...plan.tables.keys()], ['t']);
    assert.deepEqual(plan.changes, []);
  });

  test('a change of status is noted with the status before, any other change is not', () => {
    const plan = planOf(whole, message('table.updated', table('t', { capacity: 9 })), message('table.updated', table('t', { status: 'occupied' })));
    assert.equal(plan.changes.length, 1);
    assert.deepEqual([plan.changes[0].was, plan.changes[0].status], ['available', 'occupied']);
  });

  test('a section goes with what stands in it, and comes with it', () => {
    const gone = planOf(whole, message('section.deleted', { sectionId: 's', tableIds: ['t'], sectionObjectIds: ['o'] }));
    assert.deepEqual([gone.sections.size, gone.tables.size, gone.objects.size], [0, 0, 0]);
    const come = planAfter(gone, message('section.created', { ...section('s'), tables: [table('u')] }), 0);
    assert.deepEqual([...come.tables.keys()], ['u']);
    assert.equal('tables' in come.sections.get('s'), false);
  });

  test('furniture is drawn once its model is known, and goes with it', () => {
    assert.equal(roomsOf(planOf(whole))[0].pieces.length, 0);
    const drawn = planOf(whole, message('object.updated', { objectId: 'm', posX: 5, posY: 6, width: 70, height: 8 }));
    assert.deepEqual(roomsOf(drawn)[0].pieces.map(({ x, y, width, height }) => [x, y, width, height]), [[5, 6, 70, 8]]);
    const gone = planAfter(drawn, message('object.deleted', { objectId: 'm', sectionObjectIds: ['o'] }), 0);
    assert.equal(gone.objects.size, 0);
  });

  test('a restaurant that is deleted has nothing, one that is created again has what it says', () => {
    assert.equal(planOf(whole, message('restaurant.deleted', {})).tables.size, 0);
    const again = planOf(whole, message('restaurant.created', { sections: [section('x')], tables: [], sectionObjects: [] }));
    assert.deepEqual([...again.sections.keys()], ['x']);
  });

  test('a hold shows on its tables until it ends, by a clock that nobody sets', () => {
    const slot = { from: '2026-01-20T19:00:00Z', to: '2026-01-20T20:30:00Z' };
    const selecting = message('table.selecting', { tableIds: ['t'], ...slot, expiresIn: 300 });
    const plan = planAfter(planOf(whole), selecting, 1000);
    const held = heldTables(plan, 61_000);
    assert.equal(Math.round(held.get('t').left), 240);
    assert.equal(stateOf(plan.tables.get('t'), held), 'held');
    assert.equal(heldTables(plan, 302_000).size, 0);
    const released = planAfter(plan, message('table.released', { tableIds: ['t'], ...slot, reason: 'released' }), 2000);
    assert.equal(heldTables(released, 2000).size, 0);
    const other = planAfter(plan, message('table.released', { tableIds: ['t'], from: null, to: null, reason: 'released' }), 2000);
    assert.equal(heldTables(other, 2000).size, 1);
  });

  test('holds of a snapshot are there', () => {
    const plan = planOf(message('snapshot', { ...whole.data, holds: [{ tableIds: ['t'], from: null, to: null, expiresIn: 20 }] }));
    assert.ok(heldTables(plan, 0).has('t'));
  });

  test('a status that nobody knows is drawn as another one', () => {
    assert.equal(stateOf(table('t', { status: 'on_fire' }), new Map()), 'other');
    assert.equal(stateOf(table('t', { status: 'OCCUPIED' }), new Map([['t', { left: 5 }]])), 'occupied');
  });

  test('what nobody knows passes through', () => {
    const plan = planOf(whole);
    assert.equal(planAfter(plan, message('something.new', {}), 0), plan);
  });
});

describe('layout', () => {
  const rooms = (...sizes) => roomsOf(planOf(message('snapshot', { sections: sizes.map(([width, height], index) => section(`s${index}`, { width, height })), tables: [], sectionObjects: [] })));

  test('a room is as large as what stands in it needs', () => {
    const [room] = roomsOf(planOf(message('snapshot', { sections: [section('s')], tables: [table('t', { posX: 900, posY: 10, width: 80 })], sectionObjects: [] })));
    assert.ok(room.width >= 980);
  });

  test('fields that are no numbers are what tables usually have', () => {
    assert.deepEqual(boxOf({ posX: 'x', width: null, height: -3, rotation: 'y' }), { x: 0, y: 0, width: 80, height: 80, rotation: 0 });
  });

  test('rooms are beside each other where there is width, and below where there is not', () => {
    const wide = layoutOf(rooms([400, 300], [400, 300]), 1600, 500);
    assert.equal(wide.rooms[0].y, wide.rooms[1].y);
    const narrow = layoutOf(rooms([400, 300], [400, 300]), 400, 5000);
    assert.equal(narrow.rooms[0].x, narrow.rooms[1].x);
    assert.equal(layoutOf([], 100, 100).width, 0);
  });

  test('rooms that have places of their own stand there', () => {
    const plan = planOf(message('snapshot', { sections: [section('a', { posX: 100, posY: 50 }), section('b', { posX: 700, posY: 50 })], tables: [], sectionObjects: [] }));
    const layout = layoutOf(roomsOf(plan), 100, 5000);
    assert.deepEqual(layout.rooms.map(({ x, y }) => [x, y]), [[0, 0], [600, 0]]);
  });

  test('an arrow finds the next table by where it stands', () => {
    const at = (cx, cy) => ({ cx, cy });
    const all = [at(0, 0), at(100, 10), at(200, 0), at(10, 100)];
    assert.equal(neighbour(all, all[0], 1, 0), all[1]);
    assert.equal(neighbour(all, all[0], 0, 1), all[3]);
    assert.equal(neighbour(all, all[2], 1, 0), undefined);
  });

  test('a table has as many chairs as it says, within reason', () => {
    for (const seats of [0, 1, 2, 3, 4, 5, 6, 11]) assert.equal(chairsOf({ width: 80, height: 80 }, seats).length, seats);
    assert.equal(chairsOf({ width: 80, height: 80 }, 1e9).length, 20);
    assert.equal(chairsOf({ width: 80, height: 80 }, 'many').length, 0);
  });
});

describe('rows', () => {
  const add = (rows, title, type = 'a.b') => rows.add('message', 'c', { type, position: 'p', data: { title } }, 0);
  const titles = (rows) => rows.selected.map((row) => row.line);

  test('the oldest give way, by number and by size', () => {
    const few = new WatchRows({ rows: 3, characters: 1e6 });
    for (const title of ['1', '2', '3', '4', '5']) add(few, title);
    assert.deepEqual(titles(few), ['3', '4', '5']);
    const small = new WatchRows({ rows: 100, characters: 1000 });
    for (let index = 0; index < 50; index++) add(small, 'x'.repeat(300));
    assert.ok(small.total <= 3);
    add(small, 'y'.repeat(5000)); // what is too large by itself is shown alone
    assert.equal(small.total, 1);
  });

  test('a pause keeps what is shown, and counts what has no room', () => {
    const rows = new WatchRows({ rows: 3, characters: 1e6 });
    for (const title of ['1', '2']) add(rows, title);
    rows.pause();
    for (const title of ['3', '4', '5', '6']) add(rows, title);
    assert.deepEqual(titles(rows), ['1', '2']);
    assert.deepEqual(rows.waiting, { rows: 3, dropped: 1 });
    rows.resume();
    assert.deepEqual(titles(rows), ['4', '5', '6']);
    assert.deepEqual(rows.waiting, { rows: 0, dropped: 0 });
  });

  test('a filter selects, also of what comes later, and gaps always', () => {
    const rows = new WatchRows();
    add(rows, 'hay', 'table.updated');
    rows.filter('NEEDLE', '');
    add(rows, 'a needle', 'dish.created');
    rows.add('gap', 'c', { type: 'gap', reason: 'expired' }, 0);
    assert.deepEqual(rows.selected.map((row) => row.type), ['dish.created', 'gap']);
    rows.filter('', 'Table');
    assert.deepEqual(rows.selected.map((row) => row.type), ['table.updated', 'gap']);
    rows.clear();
    assert.equal(rows.total, 0);
  });

  test('what is selected goes with what is kept', () => {
    const rows = new WatchRows({ rows: 2, characters: 1e6 });
    for (const title of ['1', '2', '3']) add(rows, title);
    assert.equal(rows.selected.length, rows.total);
  });

  test('a line says what matters first, and is short', () => {
    assert.equal(lineOf({ status: 'occupied', number: 4, tableId: 'x' }), '#4 · occupied');
    assert.equal(lineOf({ tables: [1, 2], name: 'Salón' }), 'Salón · tables: 2');
    assert.ok(lineOf({ text: 'x'.repeat(9999) }).length <= 160);
    assert.equal(lineOf(null), '');
  });
});

describe('watched channels', () => {
  let names, begun, left, watched;
  const follow = () => watched.follow(names, (name, position) => (begun.push([name, position]), () => left.push(name)));

  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
    [names, begun, left, watched] = [['a', 'b'], [], [], new WatchedChannels()];
    follow();
  });
  afterEach(() => mock.timers.reset());

  test('one that goes is left, and one that is followed already goes on', () => {
    names = ['b', 'c'];
    follow();
    assert.deepEqual([begun, left], [[['a', undefined], ['b', undefined], ['c', undefined]], ['a']]);
    watched.leaveAll();
    assert.deepEqual(left, ['a', 'b', 'c']);
  });

  test('one that is resumed twice is left and followed again once, from the last position', () => {
    assert.equal(watched.resume('a', 'p1', follow), true);
    mock.timers.tick(100);
    assert.equal(watched.resume('a', 'p2', follow), true);
    follow();
    assert.deepEqual([begun.length, left], [2, ['a']], 'it cannot be followed yet');
    mock.timers.tick(1000);
    assert.deepEqual([begun.slice(2), left], [[['a', 'p2']], ['a']]);
  });

  test('one that goes while it is to be resumed is forgotten, and begins without a position when it comes back', () => {
    watched.resume('a', 'p1', follow);
    names = ['b'];
    follow();
    names = ['a', 'b'];
    follow();
    mock.timers.tick(1000);
    assert.deepEqual(begun.slice(2), [['a', undefined]]);
    assert.equal(watched.resume('c', 'p1', follow), false, 'nobody follows that');
  });
});

test('an empty plan is a plan', () => assert.deepEqual(roomsOf(EMPTY), []));

describe('metrics', () => {
  const text = (records, sent, slow) => `# HELP mesaya_records_total Records.
# TYPE mesaya_records_total counter
mesaya_records_total{topic="mesa-ya.tables.events",outcome="published"} ${records}
mesaya_records_total{topic="a \\"b\\"",outcome="orphan"} 3
mesaya_messages_sent_total ${sent}
mesaya_connections 7
mesaya_consumer_lag_records{topic="x",partition="10"} 1
mesaya_consumer_lag_records{topic="x",partition="2"} 1
mesaya_consumer_lag_records{topic="y",partition="0"} 9
mesaya_loop_lag_seconds_bucket{le="0.001"} ${records}
mesaya_loop_lag_seconds_bucket{le="0.01"} ${records + slow}
mesaya_loop_lag_seconds_bucket{le="+Inf"} ${records + slow}
process_resident_memory_bytes 6.4e+07
not a sample at all
`;
  const look = (...values) => digest(parseMetrics(text(...values)));

  test('samples have labels and values, whatever is between them', () => {
    const samples = parseMetrics(text(10, 20, 0));
    assert.equal(samples.get('mesaya_records_total')[1].labels.topic, 'a "b"');
    assert.equal(samples.get('process_resident_memory_bytes')[0].value, 64e6);
    assert.equal(samples.has('not'), false);
    assert.deepEqual(lags(samples).map(({ topic, partition }) => topic + partition), ['y0', 'x2', 'x10']);
    assert.deepEqual(recordsByTopic(samples)[0], { topic: 'mesa-ya.tables.events', total: 10, outcomes: [['published', 10]] });
  });

  test('rates are between two looks, levels are those of the last', () => {
    const history = new History();
    history.add(look(10, 100, 0), 0);
    history.add(look(30, 100, 0), 2000);
    const [first, point] = history.points;
    assert.equal(first.records, undefined);
    assert.deepEqual([point.records, point.sent, point.connections, point.lag], [10, 0, 7, 11]);
    assert.equal(point.loop, 0.001);
  });

  test('the value below which a share lies is that of what was counted in between', () => {
    const history = new History();
    history.add(look(100_000, 0, 0), 0);
    history.add(look(100_010, 0, 10), 2000);
    assert.equal(history.points[1].loop, 0.01);
    history.add(look(100_010, 0, 10), 4000);
    assert.equal(history.points[2].loop, undefined);
  });

  test('what is older than the history is forgotten, and a restart begins anew', () => {
    const history = new History(1);
    for (let second = 0; second <= 100; second += 10) history.add(look(second, 0, 0), second * 1000);
    assert.equal(history.points[0].at, 40_000);
    history.add(look(0, 0, 0), 110_000);
    assert.equal(history.points.length, 1);
  });
});

describe('records', () => {
  const form = (text, topic = 'a') => ({ topic, key: '', text });

  test('what is written becomes a record', () => {
    assert.deepEqual(recordOf({ topic: ' a ', key: ' k ', text: '{"x":1}' }), { topic: 'a', key: 'k', value: { x: 1 } });
    assert.deepEqual(recordOf(form('  ')), { topic: 'a', value: null });
    assert.deepEqual(recordOf(form('{')), { topic: 'a', value: '{', isText: true });
    assert.deepEqual(recordOf(form('{"topic":"b","key":null,"value":{"y":2}}')), { topic: 'b', value: { y: 2 } });
  });
});
