"""What older versions of messages say in the words of the next one. A body comes as it was written, before it is validated."""

from collections.abc import Iterator, Mapping
from typing import Any

Body = Mapping[str, Any]


def session_advanced_2(body: Body) -> Body:
    """Version 2: a log-out names its run (before, it followed what else that run did in the same transition); a refusal of
    the planner says what it answers; a guard's yes may be the plan's."""
    return {**body, "events": tuple(_events_2(body["events"]))}


def _events_2(events: Any) -> Iterator[Body]:
    run = ""
    for event in events:
        run = event.get("run", run)
        match event["event"]:
            case "session.logged_out":
                yield {**event, "run": run}
            case "run.refused":
                yield {**event, "refusal": planner_answer_2(event["refusal"])}
            case _:
                yield event


def session_state_2(body: Body) -> Body:
    """Version 2: a session may outlive its log-out. Before, it ended there, so what was answered is of its only rotation
    since; and no rotation but the newest was ever told to anybody again."""
    answered = tuple({**one, "rotation": body["rotation"]} for one in body["answered"])
    return {**body, "answered": answered, "logged_out": ""}


def planner_answer_2(body: Body) -> Body:
    """Version 2: an answer says what question it is to, by digest. Nobody knows that of an older one: it settles none."""
    return {**body, "digest": ""}
