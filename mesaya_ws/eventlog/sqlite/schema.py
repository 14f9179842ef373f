"""The format of the embedded log's file: its tables, and the statements that read and write them."""

FIRST_EPOCH = 1 << 31
"""Kafka's epochs are below; positions check those above together with the topics' ids."""

APPLICATION_ID = 0x4D595753
FORMAT = 1
TABLES = (
    "CREATE TABLE topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, uuid TEXT NOT NULL, next INTEGER NOT NULL)",
    """CREATE TABLE record (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL REFERENCES topic, place INTEGER NOT NULL,
        timestamp INTEGER NOT NULL, key BLOB, value BLOB)""",
    "CREATE UNIQUE INDEX record_place ON record (topic, place)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)
# Files of older versions have no such table; records before the first epoch belong to none.
EPOCH_TABLE = """
    CREATE TABLE IF NOT EXISTS epoch (
        id INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL REFERENCES topic, place INTEGER NOT NULL,
        number INTEGER NOT NULL, UNIQUE (topic, place))"""
BEGIN_EPOCH = "INSERT OR REPLACE INTO epoch (topic, place, number) SELECT id, next, ? FROM topic WHERE name = ?"
FORGET_EPOCHS = """
    DELETE FROM epoch WHERE place < (
        SELECT place FROM epoch AS later WHERE later.topic = epoch.topic ORDER BY place DESC LIMIT 1 OFFSET ?)"""
EPOCHS = (
    "SELECT epoch.id, name, place, number FROM epoch JOIN topic ON topic.id = topic WHERE epoch.id > ? ORDER BY place"
)
HAS_EPOCHS = "SELECT count(*) FROM sqlite_master WHERE name = 'epoch'"
ADD_TOPIC = "INSERT INTO topic (name, uuid, next) VALUES (?, ?, 0) ON CONFLICT DO NOTHING"
TOPICS = """
    SELECT name, uuid, coalesce((SELECT min(place) FROM record WHERE record.topic = topic.id), next), next FROM topic"""
ADD_RECORD = "INSERT INTO record (topic, place, timestamp, key, value) VALUES (?, ?, ?, ?, ?)"
COMPACT = "DELETE FROM record WHERE topic = ? AND place < ? AND key = ?"
PAGE = """
    SELECT seq, name, 0, place, timestamp, key, value FROM record JOIN topic ON topic.id = record.topic
    WHERE seq > ? ORDER BY seq LIMIT ?"""
READ = """
    SELECT seq, name, 0, place, timestamp, key, value FROM record JOIN topic ON topic.id = record.topic
    WHERE record.topic = (SELECT id FROM topic WHERE name = ?) AND place >= ? ORDER BY place LIMIT ?"""

FIRST = """
    SELECT seq FROM record
    WHERE topic = (SELECT id FROM topic WHERE name = ?) AND place >= ? ORDER BY place LIMIT 1"""
LAST = "SELECT coalesce(max(seq), 0) FROM record"
