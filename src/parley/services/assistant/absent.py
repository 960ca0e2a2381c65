"""Where no assistant is configured: who asks is told so."""

from collections.abc import Sequence

from parley.clock import Clock
from parley.fanout.interface import FanOut
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, MessageId
from parley.services.assistant.asking import candidate
from parley.services.assistant.figures import Figures
from parley.services.assistant.notices import Notices


class Absent:
    """Stands where `Answering` would."""

    def __init__(self, fanout: FanOut, clock: Clock, figures: Figures) -> None:
        self._notices = Notices(fanout, clock)
        self._figures = figures

    def heard(self, entries: Sequence[Entry]) -> None:
        """Entries that this node has just committed. Only who asks by name is answered: there is nobody to mention."""
        for entry in entries:
            found = candidate(entry, None, direct=False)
            if found is not None and found.certain:
                self._figures.refused.labels(Code.ASSISTANT_UNAVAILABLE.name).inc()
                self._notices.away(found.conversation_id, found.message_id)

    async def cancel(self, actor: Actor, conversation_id: ConversationId, message_id: MessageId) -> None:
        raise ChatError(Code.UNSUPPORTED, "No assistant answers here.")

    async def start(self) -> None:
        """There is nothing to do."""

    async def stop(self) -> None:
        """There is nothing to do."""

    async def close(self) -> None:
        """There is nothing to do."""
