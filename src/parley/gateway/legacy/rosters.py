"""Who is in a room on the other nodes, for lobby and room clients here.

A node that has such clients calls the roll every 10 s; every node where somebody hears the room answers with a
roster, the whole list of its own people, and from then on tells it again when it changes. So a lost word is made good
by the next roll, as is the first coming to a node that nobody had asked; and of a node that died nothing is heard any
more. It is presence: a hint, never history.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection

import msgspec
import structlog

from parley.fanout.interface import FanOut
from parley.gateway.feed import Feed
from parley.gateway.hub import Hub
from parley.gateway.legacy.attendance import SHOWN, Attendance, Colour, Row
from parley.protocol.events import Signal
from parley.protocol.types import ConversationId

log = structlog.get_logger()

ROSTER = "node.roster"
ROLL_S = 10.0
SILENT_S = 3 * ROLL_S
"""A node that has said nothing for so long is gone, and nobody who asked is there any more."""
ANSWERS_S = 0.15
"""How long the first client of a room waits to be greeted, so that people on other nodes are in its list."""
SOON_S = 0.02
APART_S = 1.0
"""Rosters of one room are at least so far apart."""


class Roster(msgspec.Struct, frozen=True):
    """One node's people in one room: all `total` of them, or the newest; then `went` names who is gone since the last.

    `number` grows with each: a roster that was overtaken is old. `ask`: tell yours.
    """

    node: str
    number: int
    ask: bool
    total: int
    people: list[Row]
    went: list[int | str]


class Rosters:
    """All rooms of this node that somebody, here or elsewhere, wants to see the people of."""

    def __init__(self, hub: Hub, fanout: FanOut, colour: Colour, now_ms: Callable[[], int]) -> None:
        self.fanout = fanout
        self._hub = hub
        self._colour = colour
        self._now_ms = now_ms
        self._node = secrets.token_hex(6)
        self._number = 0
        self._rooms: dict[ConversationId, Attendance] = {}
        self._changed: dict[ConversationId, None] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._calling: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        hub.between[ROSTER] = self._heard
        hub.on_listening.append(self._listening)

    # Rooms that are looked at

    async def attend(self, feed: Feed) -> None:
        """Before the first lobby or room client hears it: know who is there, also elsewhere."""
        if feed.attendance is None:
            attendance = self._open(feed)
            if self.fanout.reaches_others:
                attendance.settled = self._loop.create_future()
                self._loop.call_later(ANSWERS_S, _settle, attendance.settled)
                self._tell(feed.conversation_id, attendance, ask=True)
        attendance = self._rooms[feed.conversation_id]
        if attendance.settled is not None:
            await asyncio.shield(attendance.settled)

    def _open(self, feed: Feed) -> Attendance:
        room = feed.conversation_id
        attendance = Attendance(
            feed, self._colour, self._now_ms, lambda: self._has_changed(room), lambda: self._closed(room)
        )
        attendance.wanted_at = self._loop.time()
        feed.attendance = self._rooms[room] = attendance
        if self._calling is None:
            self._calling = self._loop.call_later(ROLL_S, self._call_rolls)
        return attendance

    def _closed(self, room: ConversationId) -> None:
        attendance = self._rooms.pop(room, None)
        self._changed.pop(room, None)
        if attendance is not None and attendance.told_at is not None:
            attendance.nobody()
            self._tell(room, attendance)

    def close(self) -> None:
        for timer in (self._telling, self._calling):
            if timer is not None:
                timer.cancel()

    # Telling

    def _has_changed(self, room: ConversationId) -> None:
        if self.fanout.reaches_others:
            self._changed[room] = None
            if self._telling is None:
                self._telling = self._loop.call_later(SOON_S, self._tell_changed)

    def _tell_changed(self) -> None:
        """All rooms that changed and were not told of for a second; one timer for them."""
        self._telling = None
        now, later = self._loop.time(), APART_S
        for room in list(self._changed):
            attendance = self._rooms[room]
            wait = 0.0 if attendance.told_at is None else attendance.told_at + APART_S - now
            if wait <= 0:
                self._tell(room, attendance)
            else:
                later = min(later, wait)
        if self._changed:
            self._telling = self._loop.call_later(later, self._tell_changed)

    def _tell(self, room: ConversationId, attendance: Attendance, *, ask: bool = False) -> None:
        self._changed.pop(room, None)
        if not self.fanout.reaches_others:
            return
        self._number += 1
        attendance.told_at = self._loop.time()
        total, people, went = attendance.own_people()
        roster = Roster(self._node, self._number, ask, total, people, went)
        self.fanout.tell_conversation(room, Signal(ROSTER, msgspec.to_builtins(roster), room))

    def _call_rolls(self) -> None:
        self._calling = None
        now = self._loop.time()
        for room, attendance in list(self._rooms.items()):
            attendance.forget_silent(now - SILENT_S)
            if attendance.shown_here:
                attendance.wanted_at = now
                self._tell(room, attendance, ask=True)
            elif attendance.wanted_at < now - SILENT_S:
                attendance.end()
        if self._rooms:
            self._calling = self._loop.call_later(ROLL_S, self._call_rolls)

    def _listening(self, rooms: Collection[ConversationId] | None) -> None:
        """Answers to what was asked before could not be heard yet."""
        for room, attendance in list(self._rooms.items()):
            if (rooms is None or room in rooms) and attendance.told_at is not None:
                self._tell(room, attendance, ask=True)

    # Hearing

    def _heard(self, feed: Feed, signal: Signal) -> None:
        try:
            roster = msgspec.convert(signal.payload, Roster)
        except msgspec.ValidationError as error:
            log.warning("bad_roster", conversation=feed.conversation_id, error=str(error))
            return
        if roster.node == self._node:
            return
        room, now = feed.conversation_id, self._loop.time()
        if feed.attendance is None:
            # Nobody here is shown it, but somebody there is to be shown who is here.
            self._open(feed)
        attendance = self._rooms[room]
        attendance.heard(roster.node, roster.number, roster.total, roster.people[-SHOWN:], roster.went, now)
        if roster.ask:
            attendance.wanted_at = now
            self._tell(room, attendance)


def _settle(settled: asyncio.Future[None]) -> None:
    if not settled.done():
        settled.set_result(None)
