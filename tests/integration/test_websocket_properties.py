"""Random clients of the WebSocket protocol, and what must hold for every one of them.

Each client plays a random script against one server on the fake backend: it speaks, interrupts,
cancels, takes much or little, says things in the wrong order or malformed, stops reading, or
vanishes. What it heard is checked afterwards against what docs/protocol.md promises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings, strategies

from fakes import CHUNK, ScriptedBackend, settle
from qwen3_tts_live import SAMPLE_RATE, wire
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions
from raw_client import Audio, Heard, RawClient

LEAD = 6 * CHUNK / SAMPLE_RATE
SESSIONS = 2
MALFORMED = ["{", "[]", '{"type": "sing"}', '{"type": "end"}', '{"type": "text", "utterance": 1}']

SESSION = strategies.integers(1, SESSIONS)
WHICH = strategies.integers(0, 5)  # of the utterances made so far
STEP = strategies.one_of(
    strategies.tuples(
        strategies.just("utter"),
        SESSION,
        strategies.sampled_from(["", "…", "abc", "One. Two.", "x" * 30]),
    ),
    strategies.tuples(
        strategies.just("begin"), SESSION, strategies.sampled_from(["", "ab", "Hi. "])
    ),
    strategies.tuples(strategies.just("text"), WHICH, strategies.sampled_from(["xyz", "Bye! So "])),
    strategies.tuples(strategies.just("end"), WHICH, strategies.just("")),
    strategies.tuples(strategies.just("cancel"), WHICH, strategies.just("")),
    strategies.tuples(strategies.just("interrupt"), SESSION, strategies.just("")),
    strategies.tuples(
        strategies.just("taken"), WHICH, strategies.sampled_from(["all", "some", "too much"])
    ),
    strategies.tuples(strategies.just("wait"), strategies.integers(1, 40), strategies.just("")),
    strategies.tuples(strategies.just("malformed"), strategies.integers(0, 4), strategies.just("")),
    strategies.tuples(
        strategies.just("out of order"), SESSION, strategies.sampled_from(["text", "end"])
    ),
)
SCRIPT = strategies.tuples(
    strategies.lists(STEP, max_size=25), strategies.sampled_from(["stay", "vanish", "stop reading"])
)


@dataclass
class Said:
    """An utterance as its client knows it."""

    number: int
    session: int
    text: str
    ended: bool
    spoilt: bool = False  # cancelled, interrupted or misused: it need not be spoken to its end
    taken: int = 0


@dataclass
class Client:
    """One client and what it did."""

    raw: RawClient
    said: list[Said] = field(default_factory=list)
    interrupts: dict[int, list[int]] = field(default_factory=dict)  # request -> made before it

    async def play(self, steps: list[tuple[str, int, str]]) -> None:
        for session in range(1, SESSIONS + 1):
            options = wire.Options(max_lead=LEAD)
            request = next(self.raw.numbers)
            await self.raw.say(wire.Open(request=request, session=session, options=options))
        for kind, number, detail in steps:
            await self.act(kind, number, detail)

    async def act(self, kind: str, number: int, detail: str) -> None:
        say, numbers = self.raw.say, self.raw.numbers
        mine = self.said[-1 - number % len(self.said)] if self.said else None
        match kind, mine:
            case (("utter" | "begin"), _):
                ended = kind == "utter"
                made = await self.raw.utter(number, detail, end=ended)
                self.said.append(Said(made, number, detail, ended))
            case "out of order", _:
                made = next(numbers)
                early = (
                    wire.Text(utterance=made, text="lost")
                    if detail == "text"
                    else wire.End(utterance=made)
                )
                await say(
                    early, wire.Utter(session=number, utterance=made), wire.End(utterance=made)
                )
                self.said.append(Said(made, number, "", ended=True))
            case "interrupt", _:
                request = next(numbers)
                made_before = [one for one in self.said if one.session == number]
                for one in made_before:
                    one.spoilt = one.ended = True
                self.interrupts[request] = [one.number for one in made_before]
                await say(wire.Interrupt(request=request, session=number))
            case "malformed", _:
                await say(MALFORMED[number])
            case "wait", _:
                await settle(number)
            case _, Said():
                await self.touch(mine, kind, detail)

    async def touch(self, mine: Said, kind: str, detail: str) -> None:
        """Do something to an utterance."""
        say = self.raw.say
        match kind:
            case "text":
                mine.spoilt |= mine.ended  # text after the end is a fault
                mine.text += detail
                await say(wire.Text(utterance=mine.number, text=detail))
            case "end":
                mine.ended = True
                await say(wire.End(utterance=mine.number))
            case "cancel":
                mine.spoilt = mine.ended = True
                await say(wire.Cancel(utterance=mine.number))
            case "taken":
                await self.take(mine, {"all": 1.0, "some": 0.5, "too much": 9.0}[detail])

    async def take(self, one: Said, part: float) -> None:
        samples = int(self.raw.samples(one.number) * part)
        one.taken = max(one.taken, min(samples, self.raw.samples(one.number)))
        await self.raw.say(wire.Taken(utterance=one.number, samples=samples))

    async def finish(self) -> None:
        """End all texts, and take all that comes, until every utterance has ended."""
        for one in self.said:
            if not one.ended:
                await self.raw.say(wire.End(utterance=one.number))
        while len(self.ends()) < len(self.said) or len(self.answered()) < len(self.interrupts):
            assert self.raw.closed_with is None
            for one in self.said:
                await self.take(one, 1.0)
            await asyncio.sleep(0)

    def ends(self) -> set[int | None]:
        numbers = {one.number for one in self.said}
        over = (x for x in self.raw.heard if isinstance(x, wire.Done | wire.Error))
        return {x.utterance for x in over} & numbers

    def answered(self) -> list[wire.Interrupted]:
        return [x for x in self.raw.heard if isinstance(x, wire.Interrupted)]

    # ------------------------------------------------------------ what must hold

    def check(self, *, to_the_end: bool) -> None:
        for one in self.said:
            self.check_utterance(one, to_the_end=to_the_end)
        for request, made_before in self.interrupts.items():
            self.check_interrupt(request, made_before)
        for session in range(1, SESSIONS + 1):
            self.check_order([one.number for one in self.said if one.session == session])

    def of(self, number: int) -> list[Heard]:
        return [x for x in self.raw.heard if getattr(x, "utterance", None) == number]

    def check_utterance(self, one: Said, *, to_the_end: bool) -> None:
        events = self.of(one.number)
        position, ends = 0, [x for x in events if isinstance(x, wire.Done | wire.Error)]
        assert len(ends) <= 1
        assert not ends or events[-1] is ends[0], "something follows the end"
        for event in events:
            if isinstance(event, Audio):
                assert event.offset == position
                position = event.end
            elif isinstance(event, wire.Mark):
                assert event.start >= position or event.start == event.end
            elif isinstance(event, wire.Done):
                assert event.samples == position
        if to_the_end and not one.spoilt:
            assert isinstance(ends[0], wire.Done)
            assert ends[0].reason == "completed"
            assert self.raw.text(one.number) == one.text
            assert position == sum(CHUNK * len(part) for part in spoken(one.text))

    def check_interrupt(self, request: int, made_before: list[int]) -> None:
        heard = self.raw.heard
        found = (
            i
            for i, x in enumerate(heard)
            if isinstance(x, wire.Interrupted) and x.request == request
        )
        if (at := next(found, None)) is None:
            return
        late = [x for x in heard[at:] if isinstance(x, Audio | wire.Mark | wire.Done)]
        assert not [x for x in late if x.utterance in made_before], "heard after the interrupt"
        answer = heard[at]
        assert isinstance(answer, wire.Interrupted)
        assert {*answer.stopped, *answer.flushed} <= set(made_before)
        assert len(answer.stopped) <= 1

    def check_order(self, numbers: list[int]) -> None:
        """Audio of an utterance comes when all before it in its session have ended."""
        over: set[int] = set()
        for event in self.raw.heard:
            if isinstance(event, Audio) and event.utterance in numbers:
                assert {n for n in numbers if n < event.utterance} <= over
            elif isinstance(event, wire.Done | wire.Error) and event.utterance is not None:
                over.add(event.utterance)


def spoken(text: str) -> list[str]:
    from qwen3_tts_live.text.front_end import TextFrontEnd

    front_end = TextFrontEnd()
    return [part.spoken for part in (*front_end.push(text), *front_end.end()) if part.spoken]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def one_client(address: str, script: tuple[list[tuple[str, int, str]], str]) -> None:
    steps, ending = script
    async with RawClient(address) as raw:
        client = Client(raw)
        if ending == "stop reading":
            await raw.hear(wire.Hello)
            raw.reading.cancel()
        await client.play(steps)
        if ending == "stay":
            await client.finish()
        elif ending == "vanish":
            await settle(20)
            raw.vanish()
        client.check(to_the_end=ending == "stay")


@settings(max_examples=100)
@given(strategies.lists(SCRIPT, min_size=1, max_size=3))
def test_every_client_hears_what_is_promised_and_leaves_nothing_behind(
    scripts: list[tuple[list[tuple[str, int, str]], str]],
) -> None:
    async def run() -> None:
        backend = ScriptedBackend()
        async with LiveSynthesizer(backend) as synthesizer:
            server = Server(ServerOptions(host="127.0.0.1", port=0))
            address = f"ws://127.0.0.1:{await server.start()}"
            server.open(synthesizer)
            await asyncio.gather(*(one_client(address, script) for script in scripts))
            api = server._websocket
            await until(lambda: not api._peers and not synthesizer._sessions)
            assert (api._held, backend.running) == ({}, [])
            assert synthesizer.status.active == synthesizer.status.queued == 0
            await server.stop()
        await settle()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, others

    asyncio.run(run())
