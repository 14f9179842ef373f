import attrs

from mesaya_ws.core.interactions.topics import ACKS, CHAT, HOLDS
from mesaya_ws.core.platform.topics import PARENTS_TOPIC
from mesaya_ws.settings import GROUPS, Settings, followed


def test_what_is_followed():
    assert followed(Settings(kafka_topics=("a", "b"))) == ("a", "b", CHAT, ACKS, HOLDS)
    asking = Settings(kafka_topics=("a", "b"), platform_api_url="http://backend:3000/api/v1")
    assert followed(asking) == ("a", "b", CHAT, ACKS, HOLDS, PARENTS_TOPIC)


def test_no_topic_is_followed_twice():
    assert followed(Settings(kafka_topics=("a", PARENTS_TOPIC, "a"), platform_api_url="http://backend")) == (
        "a",
        PARENTS_TOPIC,
        CHAT,
        ACKS,
        HOLDS,
    )


def test_groups_hold_every_setting_once_in_the_order_of_the_documentation():
    of_groups = [field.name for group in GROUPS.values() for field in attrs.fields(group)]
    assert of_groups == [field.name for field in attrs.fields(Settings)]
    assert len(set(of_groups)) == len(of_groups)
