'use strict';

// node produce.js BROKER TOPIC…: produces to Kafka as the platform's backend does: kafkajs under NestJS's ClientKafka.emit,
// whose messages have no key and a JSON text for a value, and its legacy partitioner. As at the backend's start, topics
// that do not exist are created first, with one partition.
// Standard input holds lines {"topic", "key"?, "value"}; a value that is a string stands for itself, null is a tombstone.
// Each is acknowledged before the next is sent, and then reported: {"acknowledged": offset}. It ends when its standard input does.

const readline = require('node:readline');
const { Kafka, Partitioners, logLevel } = require('kafkajs');
const { report } = require('./blocks.js');

const [broker, ...topics] = process.argv.slice(2);

// What NestJS's KafkaRequestSerializer makes of what is emitted.
const encode = (value) => (value !== null && typeof value === 'object' ? JSON.stringify(value) : value);

async function main() {
  const kafka = new Kafka({ clientId: 'mesa-ya-client', brokers: [broker], logLevel: logLevel.ERROR });
  const admin = kafka.admin();
  const producer = kafka.producer({ createPartitioner: Partitioners.LegacyPartitioner });
  await Promise.all([admin.connect(), producer.connect()]);

  const there = new Set(await admin.listTopics());
  await admin.createTopics({
    topics: topics
      .filter((topic) => !there.has(topic))
      .map((topic) => ({
        topic,
        numPartitions: 1,
        replicationFactor: 1,
        configEntries: [{ name: 'retention.ms', value: '-1' }],
      })),
  });

  let latest = 0;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { topic, key = null, value } = JSON.parse(line);
    // The order of the lines is one of time, too, even where a millisecond sees two of them.
    latest = Math.max(Date.now(), latest + 1);
    const message = { key, value: encode(value), headers: {}, timestamp: String(latest) };
    const [{ baseOffset }] = await producer.send({ topic, messages: [message] });
    report({ acknowledged: Number(baseOffset) });
  }
  await Promise.all([admin.disconnect(), producer.disconnect()]);
}

main();
