"""What is told beside the log: that there is no assistant, that a question is refused, where in the line it stands."""

from parley.clock import Clock, rfc3339
from parley.fanout.interface import FanOut
from parley.protocol.errors import Code, ErrorSpec
from parley.protocol.events import Signal
from parley.protocol.notices import AWAY
from parley.protocol.types import ConversationId, MessageId
from parley.store.sql.assistant import Asked


class Notices:
    def __init__(self, fanout: FanOut, clock: Clock) -> None:
        self._fanout = fanout
        self._clock = clock

    def away(self, conversation_id: ConversationId, question: MessageId) -> None:
        """There is no assistant: said to all who have seen the question."""
        told = self._notice(conversation_id, question, Code.ASSISTANT_UNAVAILABLE, AWAY)
        self._fanout.tell_conversation(conversation_id, told)

    def refused(self, asked: Asked, spec: ErrorSpec) -> None:
        """Said to the asker alone, on all devices."""
        told = self._notice(asked.conversation_id, asked.question_id, spec, AWAY)
        self._fanout.tell_user(asked.asker, told)

    def queued(self, asked: Asked, place: int) -> None:
        payload = {
            "conversation_id": str(asked.conversation_id),
            "message_id": str(asked.question_id),
            "place": place,
        }
        self._fanout.tell_user(asked.asker, Signal("ai.queued", payload, asked.conversation_id))

    def _notice(self, conversation_id: ConversationId, question: MessageId, spec: ErrorSpec, message: str) -> Signal:
        payload = {
            "conversation_id": str(conversation_id),
            "message_id": str(question),
            "code": spec.code,
            "name": spec.name,
            "message": message,
            "at": rfc3339(self._clock.now_ms()),
        }
        return Signal("notice", payload, conversation_id)
