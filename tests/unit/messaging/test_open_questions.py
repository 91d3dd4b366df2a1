"""A reply counts only for a question still open, with its digest, once."""

import asyncio

import pytest

from shared.messaging.open_questions import NoReply, OpenQuestions, TooMany


async def test_a_reply_settles_its_question_once() -> None:
    questions: OpenQuestions[str] = OpenQuestions()
    future = questions.open("q", "d")
    assert questions.settle("q", "d", "first")
    assert not questions.settle("q", "d", "second")
    assert await questions.reply(future, 60) == "first"
    assert questions.refused == {"late": 1}
    assert len(questions) == 0


async def test_a_reply_to_another_input_is_refused_and_the_question_stays_open() -> None:
    questions: OpenQuestions[str] = OpenQuestions()
    future = questions.open("q", "d")
    assert not questions.settle("q", "other", "no")
    assert not questions.settle("unknown", "d", "no")
    assert questions.refused == {"foreign": 1, "late": 1}
    assert questions.settle("q", "d", "yes")
    assert await questions.reply(future, 60) == "yes"


async def test_no_reply_is_unavailable_and_leaves_nothing() -> None:
    questions: OpenQuestions[str] = OpenQuestions()
    with pytest.raises(NoReply):
        await questions.reply(questions.open("q", "d"), 0.01)
    await asyncio.sleep(0)
    assert len(questions) == 0
    assert not questions.settle("q", "d", "late")


async def test_an_asker_that_goes_away_leaves_nothing() -> None:
    questions: OpenQuestions[str] = OpenQuestions()
    task = asyncio.create_task(questions.reply(questions.open("q", "d"), 60))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert len(questions) == 0


async def test_asked_again_the_newer_asker_gets_the_reply() -> None:
    questions: OpenQuestions[str] = OpenQuestions()
    earlier, newer = questions.open("q", "d"), questions.open("q", "d2")
    with pytest.raises(NoReply):
        await earlier
    assert questions.settle("q", "d2", "x")
    assert await newer == "x"


async def test_open_questions_are_bounded() -> None:
    questions: OpenQuestions[str] = OpenQuestions(limit=2)
    held = [questions.open("a", ""), questions.open("b", "")]
    with pytest.raises(TooMany):
        questions.open("c", "")
    assert len(questions) == 2
    held[0].cancel()
    await asyncio.sleep(0)
    questions.open("c", "")
