"""Parley from Python. What is not named here may change without notice."""

from parley_sdk.answers import Answer, Answers
from parley_sdk.client import Client
from parley_sdk.codes import CLOSES, ERRORS
from parley_sdk.errors import Disconnected, ParleyError
from parley_sdk.events import Entry, Event, Message, Reset, Sent, Signal
from parley_sdk.http import Api
from parley_sdk.login import Login
from parley_sdk.state import Memory, StateFile
from parley_sdk.uuid7 import uuid7

__all__ = [
    "CLOSES",
    "ERRORS",
    "Answer",
    "Answers",
    "Api",
    "Client",
    "Disconnected",
    "Entry",
    "Event",
    "Login",
    "Memory",
    "Message",
    "ParleyError",
    "Reset",
    "Sent",
    "Signal",
    "StateFile",
    "uuid7",
]
