"""What older versions of messages say in the words of the next one. A body comes as it was written, before it is validated."""

from collections.abc import Iterator, Mapping
from typing import Any

Body = Mapping[str, Any]


def session_advanced_2(body: Body) -> Body:
    """Version 2: a log-out names its run. Before, it followed what else that run did in the same transition."""
    return {**body, "events": tuple(_with_run_of_log_out(body["events"]))}


def _with_run_of_log_out(events: Any) -> Iterator[Body]:
    run = ""
    for event in events:
        run = event.get("run", run)
        yield {**event, "run": run} if event["event"] == "session.logged_out" else event


def session_state_2(body: Body) -> Body:
    """Version 2: a session may outlive its log-out. Before, it ended there, so what was answered is of its only rotation
    since; and no rotation but the newest was ever told to anybody again."""
    answered = tuple({**one, "rotation": body["rotation"]} for one in body["answered"])
    return {**body, "answered": answered, "logged_out": ""}
