"""What keeps a server from starting and a person can put right: its text is one sentence, without a password."""

from aiokafka.errors import KafkaError

from parley.app.assistant import BadKeyFile
from parley.log.kafka_topics import LogNotReady
from parley.move.run import CannotMove
from parley.services.tokens import BadSigningKey
from parley.store.interface import StoreUnavailable
from parley.store.migrate import SchemaMismatch
from parley.store.shared import BadStoreUrl, NotDurable, StoreUnreachable
from parley.store.sql.nodes import NoFreeNode
from parley.store.sqlite import DataFolderInUse

REFUSALS = (
    BadKeyFile,
    BadSigningKey,
    BadStoreUrl,
    CannotMove,
    DataFolderInUse,
    KafkaError,
    LogNotReady,
    NoFreeNode,
    NotDurable,
    SchemaMismatch,
    StoreUnavailable,
    StoreUnreachable,
)
