"""Users as authentik 2024.8.3's API shows them (schemas `User`, `UserGroup`, `Pagination` of its OpenAPI document)."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.executor.common.avatars import avatar
from services.executor.directory.stored import StoredUser
from shared.web.base import linked

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def user_json(user: StoredUser) -> dict[str, Any]:
    """The schema `User`."""
    facts = user.facts
    return {
        "pk": user.pk,
        "username": facts.username,
        "name": facts.name,
        "is_active": facts.is_active,
        "last_login": None if user.last_login_us is None else _time(user.last_login_us),
        "is_superuser": facts.is_superuser,
        "groups": [group.pk for group in user.groups],
        "groups_obj": [
            {
                "pk": group.pk,
                "num_pk": group.num,
                "name": group.name,
                "is_superuser": group.is_superuser,
                "parent": group.parent,
                "parent_name": group.parent_name,
                "attributes": dict(group.attributes),
            }
            for group in user.groups
        ],
        "email": facts.email,
        "avatar": linked(avatar(facts.name or facts.username)),
        "attributes": facts.attributes,
        "uid": facts.uid,
        "path": facts.path,
        "type": facts.type,
        "uuid": facts.uuid,
    }


def page_json(users: Sequence[StoredUser], count: int, number: int, size: int) -> dict[str, Any]:
    """A page of users with authentik's words about it; `next` and `previous` are 0 where there is none."""
    pages = max(1, math.ceil(count / size))
    start = (number - 1) * size
    return {
        "pagination": {
            "next": number + 1 if number < pages else 0,
            "previous": number - 1,
            "count": count,
            "current": number,
            "total_pages": pages,
            "start_index": start + 1 if count else 0,
            "end_index": min(start + size, count),
        },
        "results": [user_json(user) for user in users],
    }


def _time(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
