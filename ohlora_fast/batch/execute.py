"""Doing tasks: photos one by one, and containers from begin to end, with the photos in them side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import Any, Protocol

from ohlora_fast.batch.containers import Container, Sample, open_container
from ohlora_fast.batch.dyer import Dyer, Finished, Made, checksums, file_digest, open_source, reason, store
from ohlora_fast.batch.outbox import Outbox, StopError
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.batch.task import Result, Task
from ohlora_fast.errors import InputError


class Spread(Protocol):
    """Yields store(function(item)) for each item, in the items' order; it may work on several at once."""

    def __call__(
        self, function: Callable[[Any], Any], items: Iterable[Any], store: Callable[[Any], Any], /
    ) -> Iterable[Any]: ...


def one_by_one(function: Callable[[Any], Any], items: Iterable[Any], store: Callable[[Any], Any]) -> Iterable[Any]:
    """The plain `Spread`.

    Example:
        >>> list(one_by_one(str.upper, "abc", ord))
        [65, 66, 67]
    """
    return (store(function(item)) for item in items)


@dataclass(frozen=True)
class Begin:
    """A container begins."""

    task: Task
    container: Container


@dataclass(frozen=True)
class Member:
    """A photo in it; `made` and `result` are what became of it. Where there is no photo they stay None."""

    task: Task
    sample: Sample
    made: Made | None = None
    result: Result | None = None


@dataclass(frozen=True)
class End:
    """A container ends, or cannot be read further."""

    task: Task
    error: str | None = None


def execute(tasks: Iterable[Task], dyer: Dyer, outbox: Outbox, spread: Spread) -> Iterator[Result]:
    """Do tasks and yield their results, those of a container's photos before that of the container itself.

    When a container's own result comes, it has taken its place in the outbox.

    Args:
        tasks: taken as they are needed.
        dyer: does the work.
        outbox: where outputs go.
        spread: `one_by_one`, or one that works on several items at once.

    Raises:
        StopError: nothing more can be done; the results that came before it hold.
    """
    steps = iter(spread(partial(_work, dyer), _steps(tasks, dyer.recipe), partial(_store, outbox)))
    for step in steps:
        if isinstance(step, Result):
            yield step
        elif isinstance(step, Begin):
            yield from _write(step, steps, dyer, outbox)
        else:  # the end of a container that could not be opened
            yield Result(step.task.source, error=step.error, container=True, images=0)


def _steps(tasks: Iterable[Task], recipe: Recipe) -> Iterator[Task | Begin | Member | End]:
    """Take containers apart."""
    for task in tasks:
        if task.kind == "photo":
            yield task
            continue
        try:
            with open_source(task.source) as file:
                container = open_container(file, task.kind, task.source, recipe)
                yield Begin(task, container)
                for sample in container.samples():
                    yield Member(task, sample)
        except StopError:
            raise
        except Exception as error:  # whatever one container brings up, the others go on
            yield End(task, reason(error, task.source))
        else:
            yield End(task)


def _work(dyer: Dyer, step: Task | Begin | Member | End) -> Finished | Begin | Member | End:
    """What workers do."""
    if isinstance(step, Task):
        return dyer.photo(step)
    return _member(step, dyer) if isinstance(step, Member) else step


def _store(outbox: Outbox, step: Finished | Begin | Member | End) -> Result | Begin | Member | End:
    """Threads that wait for disks."""
    return store(step, outbox) if isinstance(step, Finished) else step


def _member(member: Member, dyer: Dyer) -> Member:
    task, sample = member.task, member.sample
    if not sample.has_photo:
        return member
    start = time.perf_counter()
    drawn = dyer.recipe.settings(f"{task.below}/{sample.name}")
    settings = (drawn.color, drawn.ombre_height, drawn.ombre_grad_height)
    result = Result(task.source, sample.name, settings)
    made = None
    if sample.data is None:
        result = replace(result, error=sample.error)
    else:
        try:
            made = dyer.make(BytesIO(sample.data), sample.name, None, settings, (task.source, sample.name))
        except StopError:
            raise
        except Exception as error:  # whatever one photo brings up, the others go on
            result = replace(result, error=reason(error, sample.name))
        else:
            size = sum(map(len, made.files))
            result = replace(
                result,
                checksums=checksums(made.files),
                size=size,
                without_hair=made.without_hair,
                notes=(*sample.notes, *made.notes),
            )
    return replace(member, made=made, result=replace(result, seconds=time.perf_counter() - start))


def _write(begin: Begin, steps: Iterator[Any], dyer: Dyer, outbox: Outbox) -> Iterator[Result]:
    """Write the container that begins, from the steps up to its end."""
    task, recipe = begin.task, dyer.recipe
    whole = Result(task.source, container=True, images=0)
    ended = False
    try:
        with outbox.writing(task.outputs[0]) as path:
            with begin.container.writer(path) as writer:
                for step in steps:
                    if isinstance(step, End):
                        ended = True
                        if step.error is not None:
                            raise InputError(step.error)
                        break
                    made = None if step.made is None else dict(zip(recipe.save, step.made.files, strict=True))
                    writer.add(step.sample, made)
                    if step.result is not None:
                        whole = replace(whole, images=whole.images + 1, seconds=whole.seconds + step.result.seconds)
                        yield step.result
            with open(path, "rb") as file:
                checksum = file_digest(file)
            whole = replace(whole, checksums=(checksum,), size=path.stat().st_size)
        for name, data in begin.container.beside(task.outputs[0]).items():
            outbox.put(name, data)
    except StopError:
        raise
    except Exception as error:
        whole = replace(whole, error=reason(error, task.source))
    while not ended:  # after an error in the writer
        ended = isinstance(next(steps), End)
    yield whole
